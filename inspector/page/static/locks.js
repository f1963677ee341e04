// Why nothing is passed as good now: on every view, until it is over. A person ends some of them.

import { h, say } from "./dom.js";
import { t } from "./language.js";
import { askName } from "./named.js";
import { look } from "./station.js";
import { time } from "./words.js";

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
  askName({
    title: t("Is the cause dealt with?"),
    words: [lock.reason, t("From the next unit on, units are passed as good again.")],
    main: t("Acknowledge"),
    command: { command: "acknowledge", lock: lock.kind },
    done: () => {
      say(t("The lock is over."));
      look();
    },
  });
}
