// What the line makes now, in one line: product, revision, order, lot, reference.

import { h } from "./dom.js";
import { many, t } from "./language.js";
import { ask, station } from "./station.js";
import { percent } from "./words.js";

const SHIFT_EVERY_MS = 10000;

export const STATES = {
  inspecting: "inspecting",
  teaching: "teaching",
  changing_over: "changing over",
  no_product: "no product",
  starting: "starting",
};

const fact = (name, text, more = {}) => h("span", { class: "fact", ...more }, h("span", { class: "of" }, name), " ", h("b", {}, h("bdi", {}, text)));

// Of a job, or of a unit's event: they have the same fields.
export function madeOf({ product, revision, order, lot }) {
  const parts = [product ? fact(t("Product"), product, { "data-fact": "product" }) : h("span", { class: "fact", "data-fact": "product" }, t("no product"))];
  if (product && revision) parts.push(fact(t("Revision"), revision, { "data-fact": "revision" }));
  if (order) parts.push(fact(t("Order"), order, { "data-fact": "order" }));
  if (lot) parts.push(fact(t("Lot"), lot, { "data-fact": "lot" }));
  return parts;
}

export function referenceOf(reference) {
  return reference ? fact(t("Reference"), reference, { "data-fact": "reference" }) : h("span", { class: "fact missing", "data-fact": "reference" }, t("no reference"));
}

// How this shift goes: units, and the share of good ones among those that were inspected.
export class ShiftLine {
  constructor() {
    this.element = h("p", { class: "shift", "data-shift": "", hidden: true });
    this.load();
    this.timer = setInterval(() => document.hidden || station.up === false || this.load(), SHIFT_EVERY_MS);
  }

  async load() {
    try {
      const { shift } = await ask("/api/figures?hours=1");
      if (this.closed) return;
      this.element.hidden = shift.units === 0;
      this.element.replaceChildren(fact(t("This shift"), many(shift.units, "{n} unit", "{n} units")), ...(shift.pass_share === null ? [] : [fact(t("good"), percent(shift.pass_share))]));
    } catch {
      this.element.hidden = true; // figures that may be old are none
    }
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
  }
}

export class JobLine {
  constructor() {
    this.element = h("p", { class: "job", "data-state": "inspecting", hidden: true });
    this.before = "";
  }

  show(job) {
    this.element.hidden = !job || job.state === "starting";
    if (this.element.hidden) return;
    const now = JSON.stringify(job);
    if (now === this.before) return;
    this.before = now;
    this.element.dataset.state = job.state;
    const state = job.state === "inspecting" ? null : h("strong", { class: "chip" }, t(STATES[job.state] ?? job.state));
    this.element.replaceChildren(
      ...madeOf(job),
      ...(job.product ? [referenceOf(job.reference)] : []),
      ...(state ? [state] : []),
      ...(job.detail ? [h("span", { class: "detail" }, job.detail)] : []),
      h("a", { href: "#/product", class: "go" }, t("Change over …")),
    );
  }
}
