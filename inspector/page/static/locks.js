// Why nothing is passed as good now: on every view, until it is over. A person ends some of them.

import { h, say } from "./dom.js";
import { t } from "./language.js";
import { ask, look } from "./station.js";
import { time } from "./words.js";

const NAME = "name"; // of the person who acknowledged last on this device

export class LockBanner {
  constructor(root) {
    this.root = root;
    this.before = "[]";
  }

  show(locks = []) {
    const now = JSON.stringify(locks);
    if (now === this.before) return;
    this.before = now;
    this.root.hidden = locks.length === 0;
    this.root.replaceChildren(...locks.map(item));
  }
}

function item(lock) {
  return h(
    "p",
    { class: "lock", "data-lock": lock.kind },
    h("strong", {}, t("Locked: nothing is passed as good.")),
    " ",
    h("span", {}, lock.reason),
    " ",
    h("span", { class: "small" }, t("since {time}", { time: time(lock.since) })),
    lock.is_acknowledged ? h("button", { type: "button", class: "judge", onclick: () => acknowledge(lock) }, t("Acknowledge …")) : null,
    lock.kind === "challenge" && !lock.subject ? h("a", { class: "judge", href: "#/challenge" }, t("Show the known parts …")) : null,
  );
}

function acknowledge(lock) {
  const name = h("input", { name: "by", required: true, maxlength: "128", autocomplete: "name", value: localStorage.getItem(NAME) ?? "" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    try {
      await ask("/api/commands", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ command: "acknowledge", lock: lock.kind, by: name.value.trim() }),
      });
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
      return;
    }
    localStorage.setItem(NAME, name.value.trim());
    dialog.close();
    say(t("The lock is over."));
    look();
  };
  const dialog = h(
    "dialog",
    { class: "card confirm", "aria-labelledby": "acknowledge-title" },
    h("h2", { id: "acknowledge-title" }, t("Is the cause dealt with?")),
    h("p", {}, lock.reason),
    h("p", {}, t("From the next unit on, units are passed as good again.")),
    h(
      "form",
      { onsubmit: send },
      h("label", {}, h("span", {}, t("Your name")), name),
      problem,
      h(
        "div",
        { class: "judges" },
        h("button", { class: "main" }, t("Acknowledge")),
        h("button", { type: "button", class: "judge", onclick: () => dialog.close() }, t("Cancel")),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  name.focus();
}
