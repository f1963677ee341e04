// Asks before something is done that the whole line feels. Resolves to true or false.

import { h } from "./dom.js";
import { t } from "./language.js";

export function confirmed(title, lines, yes) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "card confirm", "aria-labelledby": "confirm-title" },
      h("h2", { id: "confirm-title" }, title),
      ...lines.map((line) => h("p", {}, line)),
      h(
        "div",
        { class: "judges" },
        h("button", { type: "button", class: "main", onclick: () => dialog.close("yes") }, yes),
        h("button", { type: "button", class: "judge", autofocus: true, onclick: () => dialog.close("") }, t("Cancel")),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
