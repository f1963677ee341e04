// Known parts: which are due, which part comes next, what was seen, and what to do then.

import { h, say, shape } from "./dom.js";
import { t } from "./language.js";
import { ask } from "./station.js";
import { ago, time } from "./words.js";

const ASK_EVERY_MS = 1000;
const NAME = "name"; // of the person who used it last on this device

export const WAYS = {
  first: "it has not held yet",
  shift: "a shift began",
  change_over: "the product was changed",
  new_model: "there is another model",
  new_revision: "what decides was changed",
  stop: "the service was not running for a while",
  units: "so many units were made since the last one",
  failed: "the last one did not hold",
};

export const STATES = { held: "held", failed: "failed", aborted: "ended without a result" };

export function mount(root) {
  const view = new ChallengeView(root);
  return () => view.close();
}

class ChallengeView {
  constructor(root) {
    this.before = "";
    this.said = "";
    this.name = h("input", { name: "by", required: true, maxlength: "128", autocomplete: "name", value: localStorage.getItem(NAME) ?? "" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.body = h("div", { class: "column" });
    this.who = h("label", { class: "which" }, h("span", {}, t("Your name")), this.name);
    root.append(h("h1", {}, t("Known parts")), h("p", {}, t("Parts that people know show whether the station sees. Known parts do not count as production.")), this.who, this.problem, this.body);
    this.refresh();
    this.timer = setInterval(() => document.hidden || this.refresh(), ASK_EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
    this.closed = true;
  }

  async refresh() {
    try {
      const found = await ask("/api/challenge");
      if (!this.closed) this.show(found);
    } catch (error) {
      this.tell(error.message);
    }
  }

  tell(text) {
    this.problem.hidden = text === "";
    this.problem.textContent = text;
  }

  async send(step, set) {
    const by = this.name.value.trim();
    if (!by) {
      this.tell(t("Type your name first."));
      this.name.focus();
      return;
    }
    localStorage.setItem(NAME, by);
    try {
      await ask("/api/commands", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ command: "challenge", step, by, ...(set ? { set } : {}) }),
      });
      this.tell("");
    } catch (error) {
      this.tell(error.message);
    }
    this.refresh();
  }

  show(found) {
    const now = JSON.stringify(found);
    if (now === this.before) return;
    this.before = now;
    const { sets, running, last } = found;
    const cards = running ? [this.running(running, sets.find((set) => set.name === running.set))] : sets.map((set) => this.set(set));
    if (!running && last) cards.unshift(this.last(last));
    if (!cards.length) cards.push(h("p", { class: "nothing" }, t("There are no known parts for the product that is made.")));
    this.body.replaceChildren(...cards);
  }

  set(set) {
    const whys = set.due.map((why) => t(WAYS[why] ?? why)).join(", ");
    return h(
      "section",
      { class: "card challenge", "data-due": String(set.due.length > 0) },
      h("h2", {}, set.name, " ", set.due.length ? h("strong", { class: "chip" }, t("due")) : null),
      set.due.length ? h("p", {}, t("Since {time}: {why}.", { time: time(set.due_since), why: whys })) : null,
      h("p", { class: "small" }, set.held ? t("Held last: {time}.", { time: time(set.held) }) : t("It has never held.")),
      parts(set.parts),
      h("button", { type: "button", class: "main", onclick: () => this.send("begin", set.name) }, t("Begin")),
    );
  }

  running(running, set) {
    const known = set?.parts ?? [];
    const wanted = running.next === null ? null : known[running.next - 1];
    const seen = running.parts.at(-1);
    const differs = running.phase === "differs";
    const ask = differs
      ? t("The last part was seen otherwise than it is known.")
      : wanted
        ? t("Put part {n} of {of} on the line: {part}", { n: running.next, of: known.length, part: wanted.name })
        : t("Put any of the parts that are left on the line.");
    if (ask !== this.said) say((this.said = ask));
    return h(
      "section",
      { class: "card challenge", "data-phase": running.phase },
      h("h2", {}, running.set),
      h("p", { class: "next" }, ask),
      !differs && wanted ? h("p", {}, t("It is known as: {what}", { what: knownAs(wanted) })) : null,
      seen ? shown(seen) : null,
      h("p", { class: "small" }, t("{n} of {of} recognised. Begun by {by}, {time}.", { n: running.recognised.length, of: known.length, by: running.by, time: time(running.begun) })),
      h(
        "div",
        { class: "judges" },
        differs ? h("button", { type: "button", class: "main", onclick: () => this.send("retry") }, t("Show it again")) : null,
        h("button", { type: "button", class: "judge", onclick: () => this.send("abort") }, t("End it")),
      ),
    );
  }

  last(last) {
    const result = t(STATES[last.result] ?? last.result);
    return h(
      "section",
      { class: "card challenge", "data-result": last.result },
      h("h2", {}, shape(last.result === "held" ? "PASSED" : last.result === "failed" ? "FAILED" : "NOT_INSPECTED"), " ", `${last.set}: ${result}`),
      last.problem ? h("p", {}, last.problem) : null,
      h("p", { class: "small" }, t("{by}, {time} ago", { by: last.by, time: ago(Date.now() - new Date(last.ended)) })),
      h("ol", {}, ...last.parts.map((part) => h("li", {}, shown(part)))),
    );
  }
}

function knownAs(part) {
  if (part.result === "PASSED") return t("good");
  return part.defects.length ? part.defects.map((defect) => defect.code).join(", ") : t("bad");
}

function parts(known) {
  return h("ol", {}, ...known.map((part) => h("li", {}, part.name, part.serial ? ` (${part.serial})` : "", ": ", knownAs(part))));
}

function shown(part) {
  const what = part.as_expected ? t("as expected") : part.differences.join("; ");
  const name = part.unit_event_id ? h("a", { href: `#/units/${part.unit_event_id}` }, part.name) : h("span", {}, part.name);
  return h("p", { class: "seen-part", "data-as-expected": String(part.as_expected) }, shape(part.as_expected ? "PASSED" : "FAILED"), " ", name, ": ", what);
}
