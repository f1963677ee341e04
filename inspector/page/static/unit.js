// One unit: its picture with what was found, the facts, the second look, the event as published.

import { BoxEditor, MISSED } from "./box.js";
import { Compare, drawBeside, drawDifference, drawReference, loaded } from "./compare.js";
import { drawMissed, drawUnit } from "./draw.js";
import { h, say, shape } from "./dom.js";
import { madeOf, referenceOf } from "./job.js";
import { t } from "./language.js";
import { ReviewCard } from "./review.js";
import { ask } from "./station.js";
import { shown } from "./units.js";
import { JUDGEMENTS, RESULTS, time, took, what } from "./words.js";
import { ZoneEditor, drawZones } from "./zones.js";

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
    this.note = h("p", { class: "nothing", role: "status" }, t("Looking …"));
    root.append(this.head(), this.note);
    this.load();
  }

  head() {
    const at = shown.ids.indexOf(this.id);
    const step = (name, arrow, id) => (id ? h("a", { class: "step", href: `#/units/${id}`, "data-step": name }, arrow, h("span", {}, t(name))) : null);
    return h(
      "nav",
      { class: "steps", "aria-label": t("Units") },
      h("a", { class: "step", href: this.back, "data-step": "back" }, "↑ ", h("span", {}, t("All units"))),
      step("newer", "← ", at > 0 ? shown.ids[at - 1] : null),
      step("older", "→ ", at >= 0 ? shown.ids[at + 1] : null),
      h("p", { class: "keys", "aria-hidden": "true" }, t("Keys: ← → next unit, C confirm, F false call, M missed, U unsure, Z take back, Esc back")),
    );
  }

  async load() {
    try {
      const { unit, event, reviews, history, codes } = await ask(`/api/units/${encodeURIComponent(this.id)}`);
      if (this.closed) return;
      this.codes = codes;
      this.show(unit, event, reviews, history);
      if (unit.has_picture) this.showPicture(unit);
    } catch (error) {
      if (this.closed) return;
      this.note.textContent = error.status === 404 ? t("Unit not found. It may be too old to be kept.") : t("The unit cannot be shown: {why}.", { why: error.message });
    }
  }

  show(unit, event, reviews, history) {
    this.unit = unit;
    this.reviews = reviews;
    const { word, tone } = RESULTS[unit.result];
    this.canvas = h("canvas", { role: "img", "aria-label": `${t("Picture of {unit}", { unit: unit.unit_id })}, ${what(unit) || RESULTS[unit.result].small}`, width: 4, height: 3 });
    this.noPicture = h("p", { class: "nothing" }, t("No picture of this unit was kept."), unit.result === "PASSED" ? h("br") : null, unit.result === "PASSED" ? t("Pictures are kept for a sample of good units only.") : null);
    this.frame = h("div", { class: "frame" }, unit.has_picture ? this.canvas : this.noPicture);
    this.tools = h("div", { class: "picture-tools" });
    this.event = event;
    this.card = new ReviewCard(unit, event, { post: (said) => this.post(said), onMark: () => this.mark(), onChoose: (id) => this.choose(id) });
    this.card.show(reviews, history);
    this.note.remove();
    this.root.append(
      h(
        "article",
        { class: "unit-view" },
        (this.pictured = h("div", { class: "pictured" }, this.frame, this.tools)),
        h(
          "div",
          { class: "about" },
          h("header", { class: "verdict small", "data-tone": tone }, h("p", { class: "word" }, h("span", { class: "line" }, shape(unit.result), word.join(" "))), h("h1", { class: "serial", title: unit.unit_id }, unit.unit_id)),
          h("p", { class: "job card" }, ...madeOf({ product: event.product?.name, revision: event.product?.revision, order: event.order, lot: event.lot }), ...(event.product ? [referenceOf(event.reference?.id)] : [])),
          this.card.element,
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
      this.noPicture.textContent = t("Its picture is no longer there.");
      this.frame.replaceChildren(this.noPicture);
      return;
    }
    this.picture = image;
    this.draw();
    this.showTools();
  }

  // What can be done with the picture: compare it with the reference, draw zones on it.
  async showTools() {
    const { product, reference } = this.event;
    if (!product) return;
    if (reference) {
      this.compare = new Compare(() => this.draw());
      this.tools.append(this.compare.element);
    }
    const known = await ask(`/api/products/${encodeURIComponent(product.name)}`).catch(() => null);
    if (!known || this.closed) return;
    this.product = known;
    this.tools.append(h("button", { type: "button", class: "judge", "data-do": "zones", onclick: () => this.drawZones() }, t("Draw zones")));
    this.draw();
  }

  async reference() {
    this.golden ??= loaded(`/api/units/${this.id}/reference`);
    try {
      return await this.golden;
    } catch {
      this.golden = null;
      return null;
    }
  }

  drawZones() {
    const done = () => {
      this.editor.close();
      this.editor.element.replaceWith(this.pictured);
      this.article.classList.remove("drawing");
      this.editor = null;
      this.draw();
    };
    const source = { picture: this.picture, width: this.picture.naturalWidth, height: this.picture.naturalHeight };
    this.editor = new ZoneEditor(this.product.name, this.product.zones, this.product.codes, source, {
      onClosed: done,
      onSaved: (product) => {
        this.product = product;
        say(t("Saved: revision {revision}", product));
        done();
      },
    });
    this.article = this.pictured.closest(".unit-view");
    this.article.classList.add("drawing");
    this.pictured.replaceWith(this.editor.element);
  }

  draw() {
    if (!this.picture || this.editor) return;
    const way = this.compare?.way ?? "unit";
    if (way === "unit" || (way === "blink" && this.compare.shows === "unit")) this.drawUnit();
    else this.drawCompared(way);
  }

  async drawCompared(way) {
    const reference = await this.reference();
    if (this.closed || this.compare.way !== way) return;
    if (!reference) {
      say(t("This unit's reference is no longer there."));
      this.tools.querySelector(".wrong")?.remove();
      this.tools.append(h("p", { class: "wrong", role: "alert" }, t("This unit's reference is no longer there.")));
      this.compare.take("unit");
      return;
    }
    if (way === "difference") drawDifference(this.canvas, this.picture, reference);
    else if (way === "beside") drawBeside(this.canvas, this.picture, reference);
    else drawReference(this.canvas, reference);
    this.drawn(way === "blink" ? this.compare.shows : way);
  }

  drawn(way) {
    this.canvas.dataset.way = way;
    this.canvas.dataset.drawn = String(Number(this.canvas.dataset.drawn ?? 0) + 1);
  }

  drawUnit() {
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    // Once to give the canvas its size, once with lines for the size that it then has on the screen.
    Object.assign(this.canvas, { width, height });
    drawUnit(this.canvas, { width, height, source: this.picture }, { width, height }, this.unit.defects, { chosen: this.chosen });
    const missed = this.reviews.filter((review) => review.judgement === "MISSED");
    drawMissed(this.canvas, this.event.nearest, missed, { colour: MISSED, chosen: this.chosen });
    if (this.product?.zones.length) drawZones(this.canvas, this.product.zones);
    this.drawn("unit");
  }

  async post(said) {
    await ask(`/api/units/${this.id}/reviews`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) });
    const { reviews, history } = await ask(`/api/units/${this.id}`);
    if (this.closed) return;
    this.reviews = reviews;
    this.card.show(reviews, history);
    this.draw();
    say(t("Saved: {what}", { what: JUDGEMENTS[said.judgement] }));
  }

  // Draws the box of a defect that was missed, in place of the picture.
  mark() {
    if (this.editor) return;
    const picture = this.picture;
    const source = picture && { picture, width: picture.naturalWidth, height: picture.naturalHeight };
    const done = () => {
      this.editor.close();
      this.editor.element.replaceWith(this.pictured);
      this.editor = null;
      this.draw();
      this.card.element.querySelector("[data-do=mark]")?.focus();
    };
    this.editor = new BoxEditor(source, this.codes, {
      onClosed: done,
      onSaved: async (said) => {
        await this.card.send(said);
        done();
      },
    });
    this.pictured.replaceWith(this.editor.element);
    this.editor.focus();
  }

  choose(defectId) {
    if (this.chosen === defectId) return;
    this.chosen = defectId;
    this.draw();
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea, pre")) return;
    if (this.editor) {
      if (event.key === "Escape" && this.editor instanceof BoxEditor) [...this.editor.element.querySelectorAll("button")].at(-1).click();
      return;
    }
    const link = { ArrowLeft: "newer", ArrowRight: "older", Escape: "back" }[event.key];
    const judgement = { c: "CONFIRMED", f: "FALSE_CALL", u: "UNSURE" }[event.key.toLowerCase()];
    const whole = this.card?.element.querySelector(`.whole [data-judgement=${judgement}]`);
    if (link) this.root.querySelector(`[data-step=${link}]`)?.click();
    else if (whole?.getAttribute("aria-pressed") === "false") whole.click();
    else if (this.card && event.key.toLowerCase() === "m") {
      event.preventDefault();
      this.mark();
    } else if (event.key.toLowerCase() === "z") this.card?.element.querySelector("[data-do=undo]")?.click();
  }

  close() {
    this.closed = true;
    this.compare?.close();
    this.editor?.close();
    document.removeEventListener("keydown", this.keys);
    window.removeEventListener("resize", this.resized);
  }
}

function facts(unit, event) {
  const rows = [
    [t("Product"), event.product ? `${event.product.name}, ${t("revision {revision}", event.product)}` : t("no product")],
    [t("Order"), event.order ?? "–"],
    [t("Lot"), event.lot ?? "–"],
    [t("Reference"), event.reference ? t("{id}, {share} % alike", { id: event.reference.id, share: (event.reference.likeness * 100).toFixed(1) }) : t("no reference")],
    [t("Seen"), time(unit.time)],
    [t("Camera"), unit.camera],
    [t("Number"), String(unit.number)],
    [t("Decided in"), took(unit.took_ms) + (unit.deadline_met ? "" : `, ${t("too late")}`)],
    [t("of which waiting"), took(event.timing_ms.queue)],
    [t("of which the model"), took(event.timing_ms.inference)],
    [t("Pictures inspected"), t("{n} of {all}", { n: event.counts.frames_inspected, all: event.counts.frames_expected })],
    [t("Code read"), event.unit.serial ? `${event.unit.serial.text ?? t("none")} (${t(event.unit.serial.quality.replaceAll("_", " "))})` : t("not looked for")],
    ...models(event).map((model) => [t("Model"), `${model.name} ${model.version}`.trim()]),
  ];
  if (event.context) rows.push([t("Context"), event.context]);
  if (unit.simulated) rows.push([t("Simulated"), t("a simulated unit, not a real one")]);
  if (unit.replayed) rows.push([t("Replayed"), t("from a recording")]);
  return h("section", { class: "card facts-card" }, h("h2", {}, t("Facts")), h("dl", { class: "facts-list" }, rows.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))));
}

/** Every model that looked at it; an event of a version before there were several names one. */
function models(event) {
  return event.models?.length ? event.models : [event.model];
}

function raw(event) {
  return h("details", { class: "card raw" }, h("summary", {}, t("The event as the MES gets it")), h("pre", { tabindex: "0", "aria-label": t("The event, as JSON") }, JSON.stringify(event, null, 2)));
}
