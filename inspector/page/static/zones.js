// Parts of a unit with rules of their own, drawn on its picture with a mouse, a pen or a finger.

import { COLOURS, fit, outline, scale, tag } from "./draw.js";
import { h } from "./dom.js";
import { t } from "./language.js";
import { ask } from "./station.js";

const IGNORED = "#8fd3ff";
const STRICT = "#ffd166";
const FEWEST = 3;
const GRIP_PX = 12;

export function drawZones(canvas, zones, { chosen = -1 } = {}) {
  const context = canvas.getContext("2d");
  const pixel = scale(canvas);
  zones.forEach((zone, index) => {
    const colour = zone.ignore ? IGNORED : STRICT;
    outline(context, zone.polygon, index === chosen ? "#ffffff" : colour, (index === chosen ? 3.5 : 2) * pixel, zone.ignore ? [9 * pixel, 6 * pixel] : []);
    const top = zone.polygon.reduce((best, corner) => (corner[1] < best[1] ? corner : best));
    tag(context, zone.name, top[0], top[1], colour, 13 * pixel);
  });
}

// An editor on a picture. `zones` are those of the product as it is now.
export class ZoneEditor {
  constructor(product, zones, codes, source, { onSaved, onClosed }) {
    this.product = product;
    this.codes = codes;
    this.source = source;
    this.onSaved = onSaved;
    this.zones = structuredClone(zones);
    this.corners = [];
    this.hover = null;
    this.chosen = -1;
    this.moved = null;
    this.canvas = h("canvas", { class: "draws", role: "img", "aria-label": t("The unit's picture, to draw zones on"), width: source.width, height: source.height });
    this.list = h("ol", { class: "zones" });
    this.problem = h("p", { class: "wrong", role: "alert", hidden: true });
    this.hint = h("p", { class: "small", role: "status" });
    this.undo = h("button", { type: "button", class: "judge", onclick: () => this.dropCorner() }, t("Undo corner"));
    this.finish = h("button", { type: "button", class: "judge", onclick: () => this.closeRing() }, t("Finish zone"));
    this.save = h("button", { type: "button", class: "main", onclick: () => this.keep() }, t("Save as next revision"));
    this.element = h(
      "section",
      { class: "zone-editor", "aria-label": t("Zones of {product}", { product }) },
      h("div", { class: "frame" }, this.canvas),
      h(
        "div",
        { class: "card looks" },
        h("h2", {}, t("Zones of {product}", { product })),
        this.hint,
        h("div", { class: "judges" }, this.finish, this.undo),
        this.list,
        this.problem,
        h("div", { class: "judges" }, this.save, h("button", { type: "button", class: "judge", onclick: onClosed }, t("Close"))),
      ),
    );
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.up(event));
    this.canvas.addEventListener("dblclick", () => this.closeRing());
    this.showList();
    requestAnimationFrame(() => this.draw());
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas);
  }

  // Where in the picture, in its pixels: it is shown whole, in the middle of its canvas.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const pixel = scale(this.canvas);
    const x = (event.clientX - box.left - box.width / 2) * pixel + this.canvas.width / 2;
    const y = (event.clientY - box.top - box.height / 2) * pixel + this.canvas.height / 2;
    const clamp = (value, most) => Math.round(Math.min(Math.max(value, 0), most) * 10) / 10;
    return [clamp(x, this.source.width), clamp(y, this.source.height)];
  }

  near(corner, point) {
    return Math.hypot(corner[0] - point[0], corner[1] - point[1]) < GRIP_PX * scale(this.canvas);
  }

  down(event) {
    if (event.button > 0) return;
    const point = this.at(event);
    this.canvas.setPointerCapture(event.pointerId);
    if (this.chosen >= 0 && !this.corners.length) {
      const grip = this.zones[this.chosen].polygon.findIndex((corner) => this.near(corner, point));
      if (grip >= 0) {
        this.moved = grip;
        return;
      }
    }
    if (this.corners.length >= FEWEST && this.near(this.corners[0], point)) this.closeRing();
    else if (!this.corners.length || !this.near(this.corners.at(-1), point)) this.corners.push(point);
    this.draw();
  }

  move(event) {
    this.hover = this.at(event);
    if (this.moved !== null) this.zones[this.chosen].polygon[this.moved] = this.hover;
    this.draw();
  }

  up(event) {
    if (this.moved !== null) this.zones[this.chosen].polygon[this.moved] = this.at(event);
    this.moved = null;
    if (event.pointerType !== "mouse") this.hover = null; // a finger that is gone points nowhere
    this.draw();
  }

  dropCorner() {
    this.corners.pop();
    this.draw();
  }

  closeRing() {
    if (this.corners.length < FEWEST) return;
    const taken = new Set(this.zones.map((zone) => zone.name));
    let number = this.zones.length + 1;
    while (taken.has(`zone ${number}`)) number += 1;
    this.zones.push({ name: `zone ${number}`, polygon: this.corners, ignore: true, thresholds: {} });
    this.chosen = this.zones.length - 1;
    this.corners = [];
    this.showList();
    this.draw();
    this.list.querySelector("li:last-child input[type=text]")?.select();
  }

  draw() {
    const context = fit(this.canvas, this.source.width, this.source.height);
    context.drawImage(this.source.picture, 0, 0);
    const pixel = scale(this.canvas);
    drawZones(this.canvas, this.zones, { chosen: this.chosen });
    const grips = this.corners.length ? this.corners : (this.zones[this.chosen]?.polygon ?? []);
    if (this.corners.length) {
      const ring = this.hover && this.moved === null ? [...this.corners, this.hover] : this.corners;
      outline(context, ring, COLOURS.PASSED, 2.5 * pixel, [], { closed: false });
    }
    for (const [x, y] of grips) {
      context.beginPath();
      context.arc(x, y, 6 * pixel, 0, 2 * Math.PI);
      context.fillStyle = "#ffffff";
      context.fill();
      context.strokeStyle = "#05080a";
      context.lineWidth = 2 * pixel;
      context.stroke();
    }
    this.canvas.dataset.corners = String(this.corners.length);
    this.finish.disabled = this.corners.length < FEWEST;
    this.undo.disabled = this.corners.length === 0;
    const text = this.corners.length ? t("Next corner; the first one again, or “Finish zone”, closes it.") : t("Point at the corners of a zone, one after the other.");
    if (this.hint.textContent !== text) this.hint.textContent = text;
  }

  showList() {
    this.list.replaceChildren(...this.zones.map((zone, index) => this.row(zone, index)));
  }

  row(zone, index) {
    const choose = () => {
      this.chosen = index;
      this.draw();
    };
    const name = h("input", { type: "text", value: zone.name, maxlength: 64, "aria-label": t("Name of zone {n}", { n: index + 1 }), oninput: (event) => this.rename(zone, event.target.value) });
    const rule = h(
      "select",
      { "aria-label": t("What counts in {zone}", { zone: zone.name }), onchange: (event) => this.rule(zone, event.target.value === "ignore") },
      h("option", { value: "ignore", selected: zone.ignore }, t("nothing counts here")),
      h("option", { value: "thresholds", selected: !zone.ignore }, t("other thresholds")),
    );
    return h(
      "li",
      { onfocusin: choose, onpointerenter: choose },
      h("span", { class: "row" }, name, rule, h("button", { type: "button", class: "judge", "aria-label": t("Remove {zone}", { zone: zone.name }), onclick: () => this.remove(index) }, "✕")),
      zone.ignore
        ? null
        : h(
            "span",
            { class: "thresholds" },
            this.codes.map((code) =>
              h("label", {}, h("span", {}, code), h("input", { type: "number", min: 0, max: 1, step: 0.05, placeholder: t("as usual"), value: zone.thresholds[code] ?? "", oninput: (event) => this.threshold(zone, code, event.target.value) })),
            ),
          ),
    );
  }

  rename(zone, name) {
    zone.name = name;
    this.draw();
  }

  rule(zone, ignore) {
    zone.ignore = ignore;
    if (ignore) zone.thresholds = {};
    this.showList();
    this.draw();
  }

  threshold(zone, code, text) {
    if (text === "") delete zone.thresholds[code];
    else zone.thresholds[code] = Number(text);
  }

  remove(index) {
    this.zones.splice(index, 1);
    this.chosen = -1;
    this.showList();
    this.draw();
  }

  async keep() {
    this.closeRing();
    this.save.disabled = true;
    this.problem.hidden = true;
    try {
      const zones = this.zones.map(({ name, polygon, ignore, thresholds }) => ({ name, polygon, ignore, thresholds }));
      const product = await ask(`/api/products/${encodeURIComponent(this.product)}/zones`, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ zones }) });
      this.onSaved(product);
    } catch (error) {
      this.problem.textContent = t("That could not be saved: {why}.", { why: error.message });
      this.problem.hidden = false;
    } finally {
      this.save.disabled = false;
    }
  }

  close() {
    this.sizes.disconnect();
  }
}
