// A unit beside its product's reference: blinking, as a difference, side by side.

import { fit } from "./draw.js";
import { h } from "./dom.js";
import { t } from "./language.js";

export const WAYS = { unit: "Unit", reference: "Reference", blink: "Blink", difference: "Difference", beside: "Side by side" };
const BLINK_MS = 600;
const DOUBLINGS = 1; // a difference of half of all grey levels is as bright as it gets
const GAP = 0.02;

export function pictureOf(product, number, name) {
  return `/api/products/${encodeURIComponent(product)}/reference/${number}/${name}`;
}

export async function loaded(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

// The buttons, and what is shown now; `onChange` draws.
export class Compare {
  constructor(onChange) {
    this.way = "unit";
    this.onChange = onChange;
    this.shows = "unit"; // which of the two, while it blinks
    this.timer = 0;
    this.buttons = Object.entries(WAYS).map(([way, name]) =>
      h("button", { type: "button", class: "way", "data-way": way, "aria-pressed": String(way === "unit"), onclick: () => this.take(way) }, t(name)),
    );
    this.element = h("div", { class: "ways", role: "group", "aria-label": t("Unit and reference") }, this.buttons);
  }

  take(way) {
    this.way = way;
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.way === way));
    clearInterval(this.timer);
    this.shows = way === "reference" ? "reference" : "unit";
    if (way === "blink") {
      this.timer = setInterval(() => {
        this.shows = this.shows === "unit" ? "reference" : "unit";
        this.onChange();
      }, BLINK_MS);
    }
    this.onChange();
  }

  close() {
    clearInterval(this.timer);
  }
}

// Both pictures have the same size: the service lays the reference where the unit lies.

export function drawReference(canvas, reference) {
  fit(canvas, reference.naturalWidth, reference.naturalHeight).drawImage(reference, 0, 0);
}

export function drawBeside(canvas, unit, reference) {
  const { naturalWidth: width, naturalHeight: height } = unit;
  const gap = Math.round(width * GAP);
  const context = fit(canvas, 2 * width + gap, height);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(unit, 0, 0);
  context.drawImage(reference, width + gap, 0, width, height);
}

// Bright where they differ: |unit - reference|, made brighter.
export function drawDifference(canvas, unit, reference) {
  const { naturalWidth: width, naturalHeight: height } = unit;
  const context = fit(canvas, width, height);
  context.globalCompositeOperation = "source-over";
  context.drawImage(unit, 0, 0);
  context.globalCompositeOperation = "difference";
  context.drawImage(reference, 0, 0, width, height);
  context.globalCompositeOperation = "lighter";
  for (let doubling = 0; doubling < DOUBLINGS; doubling += 1) context.drawImage(canvas, 0, 0);
  context.globalCompositeOperation = "source-over";
}
