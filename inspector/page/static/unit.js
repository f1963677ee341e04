// One unit: its picture with what was found, the facts, the second look, the event as published.

import { drawUnit } from "./draw.js";
import { h, say, shape } from "./dom.js";
import { ask } from "./station.js";
import { JUDGEMENTS, RESULTS, REASONS, time, took, what } from "./words.js";
import { shown } from "./units.js";

export function mount(root, { id }) {
  const view = new UnitView(root, id);
  return () => view.close();
}

class UnitView {
  constructor(root, id) {
    this.root = root;
    this.id = id;
    this.chosen = null;
    this.picture = null;
    this.back = `#/units${shown.query ? `?${shown.query}` : ""}`;
    this.keys = (event) => this.onKey(event);
    this.resized = () => this.draw();
    document.addEventListener("keydown", this.keys);
    window.addEventListener("resize", this.resized);
    this.note = h("p", { class: "nothing", role: "status" }, "Looking …");
    root.append(this.head(), this.note);
    this.load();
  }

  head() {
    const at = shown.ids.indexOf(this.id);
    const step = (name, arrow, id) => (id ? h("a", { class: "step", href: `#/units/${id}`, "data-step": name }, arrow, h("span", {}, name)) : null);
    return h(
      "nav",
      { class: "steps", "aria-label": "Units" },
      h("a", { class: "step", href: this.back, "data-step": "back" }, "↑ ", h("span", {}, "All units")),
      step("newer", "← ", at > 0 ? shown.ids[at - 1] : null),
      step("older", "→ ", at >= 0 ? shown.ids[at + 1] : null),
      h("p", { class: "keys", "aria-hidden": "true" }, "Keys: ← → next unit, C confirm, F false call, Esc back"),
    );
  }

  async load() {
    try {
      const { unit, event, reviews } = await ask(`/api/units/${encodeURIComponent(this.id)}`);
      if (this.closed) return;
      this.show(unit, event, reviews);
      if (unit.has_picture) this.showPicture(unit);
    } catch (error) {
      if (this.closed) return;
      this.note.textContent = error.status === 404 ? "There is no such unit, or it is too long ago." : `The unit cannot be shown: ${error.message}.`;
    }
  }

  show(unit, event, reviews) {
    this.unit = unit;
    this.reviews = reviews;
    const { word, tone } = RESULTS[unit.result];
    this.canvas = h("canvas", { role: "img", "aria-label": `Picture of ${unit.unit_id}, ${what(unit) || RESULTS[unit.result].small}`, width: 4, height: 3 });
    this.noPicture = h("p", { class: "nothing" }, "No picture of this unit was kept.", unit.result === "PASSED" ? h("br") : null, unit.result === "PASSED" ? "Of good units only a share is (evidence.passed_share)." : null);
    this.frame = h("div", { class: "frame" }, unit.has_picture ? this.canvas : this.noPicture);
    this.looks = h("section", { class: "looks card", "aria-labelledby": "looks" });
    this.showLooks();
    this.note.remove();
    this.root.append(
      h(
        "article",
        { class: "unit-view" },
        this.frame,
        h(
          "div",
          { class: "about" },
          h("header", { class: "verdict small", "data-tone": tone }, h("p", { class: "word" }, h("span", { class: "line" }, shape(unit.result), word.join(" "))), h("h1", { class: "serial", title: unit.unit_id }, unit.unit_id)),
          this.looks,
          facts(unit, event),
        ),
        raw(event),
      ),
    );
    document.title = `${unit.unit_id} · inspector`;
  }

  async showPicture(unit) {
    const image = new Image();
    image.src = `/api/units/${unit.id}/image`;
    try {
      await image.decode();
    } catch {
      this.noPicture.textContent = "Its picture is no longer there.";
      this.frame.replaceChildren(this.noPicture);
      return;
    }
    this.picture = image;
    this.draw();
  }

  draw() {
    if (!this.picture) return;
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    // Once to give the canvas its size, once with lines for the size that it then has on the screen.
    Object.assign(this.canvas, { width, height });
    drawUnit(this.canvas, { width, height, source: this.picture }, { width, height }, this.unit.defects, { chosen: this.chosen });
    this.canvas.dataset.drawn = String(Number(this.canvas.dataset.drawn ?? 0) + 1);
  }

  showLooks() {
    const { unit, reviews } = this;
    if (unit.result !== "FAILED") {
      this.looks.replaceChildren(h("h2", { id: "looks" }, "Defects"), h("p", {}, unit.reason ? `Not inspected: ${REASONS[unit.reason] ?? unit.reason}.` : "None was found."), unit.detail ? h("p", { class: "small" }, unit.detail) : null);
      return;
    }
    const said = (defectId) => reviews.find((review) => review.defect_id === defectId)?.judgement;
    this.looks.replaceChildren(
      h("h2", { id: "looks" }, "Second look"),
      h("p", { class: "small" }, "Did the inspection call it right? What you say is kept and told to the MES."),
      h("div", { class: "look whole" }, h("span", { class: "of" }, h("strong", {}, "The unit")), this.buttons(null, said(null), `the unit ${unit.unit_id}`)),
      h(
        "ol",
        { class: "defects" },
        unit.defects.map((defect, index) =>
          h(
            "li",
            { class: "look", "data-id": defect.id, onmouseenter: () => this.choose(defect.id), onmouseleave: () => this.choose(null), onfocusin: () => this.choose(defect.id), onfocusout: () => this.choose(null) },
            h("span", { class: "of" }, h("b", { class: "number" }, index + 1), h("strong", {}, defect.code), h("span", { class: "small" }, `${Math.round(defect.confidence * 100)} % sure${defect.bbox_px ? "" : ", of the whole unit"}`)),
            this.buttons(defect.id, said(defect.id), `defect ${index + 1}, ${defect.code}`),
          ),
        ),
      ),
      (this.problem = h("p", { class: "wrong", role: "alert", hidden: true })),
    );
  }

  buttons(defectId, judgement, name) {
    const button = (value, text) =>
      h("button", { type: "button", class: "judge", "data-judgement": value, "aria-pressed": String(judgement === value), "aria-label": `${text}: ${name}`, onclick: () => this.judge(defectId, value) }, text);
    return h("span", { class: "judges" }, button("CONFIRMED", "Confirm"), button("FALSE_CALL", "False call"));
  }

  async judge(defectId, judgement) {
    const focused = document.activeElement?.getAttribute("aria-label");
    try {
      const { reviews } = await ask(`/api/units/${this.id}/reviews`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ judgement, defect_id: defectId }),
      });
      if (this.closed) return;
      this.reviews = reviews;
      this.showLooks();
      if (focused) [...this.looks.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
      say(`Kept: ${JUDGEMENTS[judgement]}`);
    } catch (error) {
      this.problem.textContent = `That could not be kept: ${error.message}.`;
      this.problem.hidden = false;
    }
  }

  choose(defectId) {
    if (this.chosen === defectId) return;
    this.chosen = defectId;
    this.draw();
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea, pre")) return;
    const link = { ArrowLeft: "newer", ArrowRight: "older", Escape: "back" }[event.key];
    if (link) this.root.querySelector(`[data-step=${link}]`)?.click();
    else if (this.unit?.result === "FAILED" && event.key.toLowerCase() === "c") this.judge(null, "CONFIRMED");
    else if (this.unit?.result === "FAILED" && event.key.toLowerCase() === "f") this.judge(null, "FALSE_CALL");
  }

  close() {
    this.closed = true;
    document.removeEventListener("keydown", this.keys);
    window.removeEventListener("resize", this.resized);
  }
}

function facts(unit, event) {
  const rows = [
    ["Seen", time(unit.time)],
    ["Camera", unit.camera],
    ["Number", String(unit.number)],
    ["Decided in", took(unit.took_ms) + (unit.deadline_met ? "" : ", too late")],
    ["of which waiting", took(event.timing_ms.queue)],
    ["of which the model", took(event.timing_ms.inference)],
    ["Pictures looked at", `${event.counts.frames_inspected} of ${event.counts.frames_expected}`],
    ["Code on it", event.unit.serial ? `${event.unit.serial.text ?? "none"} (${event.unit.serial.quality.replaceAll("_", " ")})` : "not looked for"],
    ["Model", `${event.model.name} ${event.model.version}`.trim()],
  ];
  if (unit.simulated) rows.push(["Simulated", "a drawn unit, not a real one"]);
  if (unit.replayed) rows.push(["Replayed", "from a recording"]);
  return h("section", { class: "card facts-card" }, h("h2", {}, "Facts"), h("dl", { class: "facts-list" }, rows.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))));
}

function raw(event) {
  return h("details", { class: "card raw" }, h("summary", {}, "The event as the MES gets it"), h("pre", { tabindex: "0", "aria-label": "The event, as JSON" }, JSON.stringify(event, null, 2)));
}
