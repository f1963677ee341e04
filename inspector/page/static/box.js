// A defect that was missed: its box is drawn on the unit's picture with a mouse, a pen, a finger or
// the keyboard, and gets a code.

import { fit, outline, scale } from "./draw.js";
import { h } from "./dom.js";
import { t } from "./language.js";

export const MISSED = "#c79bff";
const GRIP_PX = 14;
const LEAST_PX = 1;
const FIRST_SHARE = 0.1; // of the picture's shorter side: the box that the keyboard begins with
const SIDES = [["x", t("Left")], ["y", t("Top")], ["w", t("Width")], ["h", t("Height")]];

const rounded = (value) => Math.round(value * 10) / 10;

export class BoxEditor {
  // `source` is the unit's picture with its size; null where none was kept.
  constructor(source, codes, { onSaved, onClosed }) {
    this.source = source;
    this.onSaved = onSaved;
    this.box = null;
    this.drag = null;
    this.canvas = source ? h("canvas", { class: "draws", tabindex: "0", role: "application", "aria-label": t("The unit's picture: draw a box around the defect"), "aria-describedby": "box-hint", width: source.width, height: source.height }) : null;
    this.numbers = h("div", { class: "box-numbers", role: "group", "aria-label": t("Place of the box, in pixels") }, SIDES.map(([name, text]) => h("label", {}, h("span", {}, text), h("input", { type: "number", name, min: name === "x" || name === "y" ? 0 : LEAST_PX, step: 0.1, oninput: () => this.typed() }))));
    this.code = h("select", { name: "missed-code" }, h("option", { value: "" }, t("another kind")), codes.map((code) => h("option", { value: code }, code)));
    if (codes.length) this.code.value = codes[0];
    this.whole = h("input", { type: "checkbox", name: "whole", checked: !source, disabled: !source, onchange: () => this.draw() });
    this.hint = h("p", { class: "small", id: "box-hint" }, source ? t("Draw from one corner to the other. Keys on the picture: arrows move the box, Shift and arrows size it, Enter goes on.") : t("No picture of this unit was kept: it is marked as a whole."));
    this.problem = h("p", { class: "wrong", role: "alert", hidden: true });
    this.save = h("button", { type: "submit", class: "main" }, t("Mark as missed"));
    this.element = h(
      "section",
      { class: "zone-editor box-editor", "aria-label": t("A missed defect") },
      this.canvas ? h("div", { class: "frame" }, this.canvas) : null,
      h(
        "form",
        { class: "card looks", onsubmit: (event) => this.keep(event) },
        h("h2", {}, t("A missed defect")),
        this.hint,
        h("label", { class: "field" }, h("span", {}, t("Code")), this.code),
        this.numbers,
        h("label", { class: "check" }, this.whole, h("span", {}, t("the unit as a whole, without a place"))),
        this.problem,
        h("div", { class: "judges" }, this.save, h("button", { type: "button", class: "judge", onclick: onClosed }, t("Cancel"))),
      ),
    );
    if (!this.canvas) {
      this.draw();
      return;
    }
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", () => this.up());
    this.canvas.addEventListener("pointercancel", () => this.up());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    requestAnimationFrame(() => this.draw());
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas);
  }

  focus() {
    (this.canvas ?? this.code).focus();
  }

  // Where in the picture, in its pixels: it is shown whole, in the middle of its canvas.
  at(event) {
    const frame = this.canvas.getBoundingClientRect();
    const pixel = scale(this.canvas);
    const clamp = (value, most) => Math.min(Math.max(value, 0), most);
    return [
      clamp((event.clientX - frame.left - frame.width / 2) * pixel + this.canvas.width / 2, this.source.width),
      clamp((event.clientY - frame.top - frame.height / 2) * pixel + this.canvas.height / 2, this.source.height),
    ];
  }

  down(event) {
    if (event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const [x, y] = this.at(event);
    const reach = GRIP_PX * scale(this.canvas);
    const corners = this.box ? [[0, 0], [1, 0], [1, 1], [0, 1]].map(([a, b]) => [this.box.x + a * this.box.w, this.box.y + b * this.box.h]) : [];
    const grip = corners.findIndex(([cx, cy]) => Math.hypot(cx - x, cy - y) < reach);
    const inside = this.box && x > this.box.x && x < this.box.x + this.box.w && y > this.box.y && y < this.box.y + this.box.h;
    if (grip >= 0) this.drag = { from: corners[(grip + 2) % 4] };
    else if (inside) this.drag = { held: [x - this.box.x, y - this.box.y] };
    else this.drag = { from: [x, y] };
  }

  move(event) {
    if (!this.drag) return;
    const [x, y] = this.at(event);
    if (this.drag.held) this.place(x - this.drag.held[0], y - this.drag.held[1], this.box.w, this.box.h);
    else {
      const [fx, fy] = this.drag.from;
      this.place(Math.min(x, fx), Math.min(y, fy), Math.abs(x - fx), Math.abs(y - fy));
    }
  }

  up() {
    this.drag = null;
    if (this.box && (this.box.w < LEAST_PX || this.box.h < LEAST_PX)) this.box = null; // pointed, not drawn
    this.show();
  }

  key(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Enter") {
      event.preventDefault();
      this.code.focus();
      return;
    }
    if (!dx && !dy) return;
    event.preventDefault();
    if (!this.box) {
      const side = FIRST_SHARE * Math.min(this.source.width, this.source.height);
      this.place((this.source.width - side) / 2, (this.source.height - side) / 2, side, side);
    }
    const step = event.ctrlKey ? 0.5 : Math.max(1, Math.round(scale(this.canvas)));
    const { x, y, w, h: height } = this.box;
    if (event.shiftKey) this.place(x, y, Math.max(LEAST_PX, w + dx * step), Math.max(LEAST_PX, height + dy * step));
    else this.place(x + dx * step, y + dy * step, w, height);
    this.show();
  }

  // Within the picture, and to a tenth of a pixel.
  place(x, y, w, height) {
    const width = Math.min(w, this.source.width);
    const high = Math.min(height, this.source.height);
    const left = rounded(Math.min(Math.max(x, 0), this.source.width - width));
    const top = rounded(Math.min(Math.max(y, 0), this.source.height - high));
    this.box = { x: left, y: top, w: Math.min(rounded(width), rounded(this.source.width - left)), h: Math.min(rounded(high), rounded(this.source.height - top)) };
    this.whole.checked = false;
    this.show();
  }

  show() {
    for (const input of this.numbers.querySelectorAll("input")) input.value = this.box ? this.box[input.name] : "";
    this.draw();
  }

  typed() {
    const values = Object.fromEntries([...this.numbers.querySelectorAll("input")].map((input) => [input.name, input.value === "" ? NaN : Number(input.value)]));
    this.box = Object.values(values).every(Number.isFinite) ? values : null;
    this.draw();
  }

  draw() {
    this.numbers.hidden = this.whole.checked;
    this.save.disabled = !this.whole.checked && !this.box;
    if (!this.canvas) return;
    const context = fit(this.canvas, this.source.width, this.source.height);
    context.drawImage(this.source.picture, 0, 0);
    const pixel = scale(this.canvas);
    if (this.box && !this.whole.checked) {
      const { x, y, w, h: height } = this.box;
      const corners = [[x, y], [x + w, y], [x + w, y + height], [x, y + height]];
      outline(context, corners, MISSED, 2 * pixel);
      for (const [cx, cy] of corners) {
        context.beginPath();
        context.arc(cx, cy, 5 * pixel, 0, 2 * Math.PI);
        context.fillStyle = "#ffffff";
        context.fill();
      }
    }
    this.canvas.dataset.box = this.box ? Object.values(this.box).join(" ") : "";
  }

  async keep(event) {
    event.preventDefault();
    this.save.disabled = true;
    this.problem.hidden = true;
    const box = this.whole.checked ? null : [this.box.x, this.box.y, this.box.w, this.box.h];
    try {
      await this.onSaved({ judgement: "MISSED", code: this.code.value || null, bbox_px: box });
    } catch (error) {
      this.problem.textContent = t("That could not be saved: {why}.", { why: error.message });
      this.problem.hidden = false;
    } finally {
      this.save.disabled = false;
    }
  }

  close() {
    this.sizes?.disconnect();
  }
}
