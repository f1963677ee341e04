// A question that somebody answers with a name: the command that follows carries it.

import { h } from "./dom.js";
import { t } from "./language.js";
import { ask } from "./station.js";

const NAME = "name"; // of the person who answered last on this device

export function askName({ title, words, main, command, done }) {
  const name = h("input", { name: "by", required: true, maxlength: "128", autocomplete: "name", value: localStorage.getItem(NAME) ?? "" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    try {
      await ask("/api/commands", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...command, by: name.value.trim() }),
      });
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
      return;
    }
    localStorage.setItem(NAME, name.value.trim());
    dialog.close();
    done();
  };
  const dialog = h(
    "dialog",
    { class: "card confirm", "aria-labelledby": "named-title" },
    h("h2", { id: "named-title" }, title),
    ...words.map((text) => h("p", {}, text)),
    h(
      "form",
      { onsubmit: send },
      h("label", {}, h("span", {}, t("Your name")), name),
      problem,
      h(
        "div",
        { class: "judges" },
        h("button", { class: "main" }, main),
        h("button", { type: "button", class: "judge", onclick: () => dialog.close() }, t("Cancel")),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  name.focus();
}
