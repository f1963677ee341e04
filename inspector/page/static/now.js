// Now: the live picture, and the last verdict as large as it gets.

import { drawLive, drawUnit } from "./draw.js";
import { h, say, shape } from "./dom.js";
import { JobLine, ShiftLine } from "./job.js";
import { t } from "./language.js";
import { Live } from "./live.js";
import { ask, listen, station } from "./station.js";
import { RESULTS, ago, codes, named, sentence, took, what } from "./words.js";

const LATEST = 28;
const STRIP = { width: 136, height: 80, gap: 10, phone: 6 };
const LATE_AFTER_MS = 2500;
const OLD_AFTER_MS = 60000;
const SAY_EVERY_MS = 4000;
const HELD_MS = 1500;
const HELD_TOUCHED_MS = 800;

export function mount(root) {
  const boxes = new Map();
  const cameras = h("div", { class: "cameras" });
  const job = new JobLine();
  const shift = new ShiftLine();
  root.append(h("h1", { class: "hidden" }, t("Now")), h("div", { class: "heads" }, job.element, shift.element), cameras);
  const unlisten = listen(() => {
    job.show(station.status?.job);
    const wanted = station.status?.cameras ?? [];
    if (wanted.length !== boxes.size || wanted.some((camera) => !boxes.has(camera))) {
      for (const box of boxes.values()) box.close();
      boxes.clear();
      cameras.replaceChildren();
      cameras.dataset.count = wanted.length;
      for (const camera of wanted) {
        const box = new CameraBox(camera, wanted.length > 1);
        boxes.set(camera, box);
        cameras.append(box.element);
      }
    }
    for (const box of boxes.values()) box.showState();
  });
  const timer = setInterval(() => boxes.forEach((box) => box.tick()), 500);
  return () => {
    clearInterval(timer);
    shift.close();
    unlisten();
    boxes.forEach((box) => box.close());
  };
}

// In few words: of several defects only how many.
function brief(unit) {
  if (unit.defects_total > 1) return t("{n} defects", { n: unit.defects_total });
  return (unit.defects[0] && named(unit.defects[0])) ?? RESULTS[unit.result].small;
}

function tileOf(unit) {
  return h(
    "li",
    { "data-unit": unit.id },
    h(
      "a",
      { href: `#/units/${unit.id}`, "data-tone": RESULTS[unit.result].tone, title: sentence(unit) },
      shape(unit.result),
      h("span", { class: "what" }, brief(unit)),
      h("span", { class: "id" }, h("bdi", { dir: "ltr" }, unit.unit_id)),
    ),
  );
}

class CameraBox {
  constructor(camera, isOneOfMany) {
    this.camera = camera;
    this.unit = null;
    this.frame = null;
    this.frameAt = 0;
    this.seenAt = performance.now();
    this.saidAt = -SAY_EVERY_MS;
    this.latest = [];
    this.heldUntil = 0;
    this.isFilled = this.isFilling = false;
    this.canvas = h("canvas", { class: "live", role: "img", "aria-label": t("Live picture of camera {camera}", { camera }), width: 16, height: 9 });
    this.cover = h("p", { class: "cover" }, t("Waiting for a picture …"));
    this.clock = h("span", { class: "stamp" });
    this.verdict = h("section", { class: "verdict", "data-tone": "wait", "aria-label": t("Last verdict, camera {camera}", { camera }) });
    this.picture = h("canvas", { class: "unit", role: "img", width: 1, height: 1 });
    this.noPicture = h("p", { class: "nothing" });
    this.link = h("a", { class: "last", "aria-label": t("The last unit in detail") }, this.picture, this.noPicture);
    this.strip = h("ol", { class: "strip", "aria-label": t("Latest units, camera {camera}", { camera }) });
    for (const kind of ["pointerdown", "pointermove", "pointerleave", "pointercancel"]) this.strip.addEventListener(kind, (event) => this.holdStrip(event));
    this.element = h(
      "article",
      { class: "camera", "data-camera": camera, "aria-label": t("Camera {camera}", { camera }) },
      h(
        "div",
        { class: "seen" },
        h("div", { class: "frame" }, this.canvas, this.cover, h("p", { class: "name" }, isOneOfMany ? camera : t("Camera {camera}", { camera }), this.clock)),
        this.strip,
      ),
      h("div", { class: "judged" }, this.verdict, this.link),
    );
    this.showUnit(null);
    this.sizes = new ResizeObserver(() => this.showStrip());
    this.sizes.observe(this.strip);
    this.live = new Live(camera, {
      onFrame: (header, bitmap) => this.onFrame(header, bitmap),
      onMarks: (header) => this.onMarks(header),
      onUnit: (header, bitmap) => this.onUnit(header, bitmap),
      onOpen: () => this.isFilled || this.fill(),
      onLost: () => {
        this.isFilled = false; // units may come unseen
        this.showState();
      },
    });
    this.fill();
  }

  // The last units, before the next one comes; also those that came while there was no connection.
  async fill() {
    if (this.isFilling) return;
    this.isFilling = true;
    try {
      const { units } = await ask(`/api/units?limit=${LATEST}&camera=${encodeURIComponent(this.camera)}`);
      const known = new Set(this.latest.map((unit) => unit.id));
      const missed = units.filter((unit) => !known.has(unit.id));
      this.latest = [...this.latest, ...missed].sort((a, b) => new Date(b.time) - new Date(a.time)).slice(0, LATEST);
      this.showStrip();
      const [newest] = this.latest;
      if (newest && this.unit?.id !== newest.id) this.showStored(newest);
      this.isFilled = true;
    } catch {
      // The next connection fills it.
    } finally {
      this.isFilling = false;
    }
  }

  async showStored(unit) {
    this.showUnit(unit);
    if (!unit.has_picture) return;
    const image = new Image();
    image.src = `/api/units/${unit.id}/image`;
    await image.decode().catch(() => null);
    if (this.unit?.id === unit.id && image.naturalWidth) {
      const size = { width: image.naturalWidth, height: image.naturalHeight };
      this.showPicture(await createImageBitmap(image), size, unit);
    } else if (this.unit?.id === unit.id) this.noPicture.textContent = t("No picture of this unit.");
  }

  onFrame(header, bitmap) {
    if (bitmap === null) return;
    this.frame?.bitmap.close();
    this.frame = { header, bitmap, units: header.units };
    this.canvas.parentElement.style.aspectRatio = `${header.width} / ${header.height}`;
    this.frameAt = performance.now();
    this.canvas.dataset.sequence = header.sequence;
    this.draw();
    if (!this.cover.hidden) this.showState();
  }

  onMarks(header) {
    if (this.frame?.header.sequence !== header.sequence) return;
    this.frame.units = header.units;
    this.draw();
  }

  draw() {
    const { bitmap, header, units } = this.frame;
    drawLive(this.canvas, bitmap, header, units);
  }

  onUnit(header, bitmap) {
    const { unit } = header;
    if (this.unit?.id !== unit.id) {
      this.latest = [unit, ...this.latest.filter((one) => one.id !== unit.id)].slice(0, LATEST);
      this.showUnit(unit);
      this.showStrip();
      if (performance.now() - this.saidAt > SAY_EVERY_MS) {
        this.saidAt = performance.now();
        say(sentence(unit));
      }
    }
    if (bitmap !== null) this.showPicture(bitmap, header, unit);
    else if (this.picture.hidden) this.noPicture.textContent = t("No picture of this unit.");
  }

  showUnit(unit) {
    this.unit = unit;
    this.seenAt = unit ? performance.now() - Math.max(0, Date.now() - new Date(unit.time)) : 0;
    this.picture.hidden = true;
    this.noPicture.hidden = false;
    this.verdict.dataset.result = unit?.result ?? "";
    if (unit === null) {
      this.verdict.dataset.tone = "wait";
      this.verdict.replaceChildren(
        h("p", { class: "word" }, h("span", { class: "line" }, shape("NONE"), t("NO UNIT"))),
        h("p", { class: "serial" }, t("Waiting for the first unit.")),
      );
      this.noPicture.textContent = "";
      this.link.removeAttribute("href");
      return;
    }
    const { word, tone } = RESULTS[unit.result];
    const [first, ...rest] = word;
    this.age = h("span", { class: "age" });
    this.verdict.dataset.tone = tone;
    this.verdict.replaceChildren(
      h("p", { class: "word", "data-long": rest.length > 0 }, h("span", { class: "line" }, shape(unit.result), first), rest.map((one) => h("span", { class: "line" }, ` ${one}`))),
      h("p", { class: "serial", title: unit.unit_id }, unit.unit_id),
      h("p", { class: "facts" }, h("span", {}, t("verdict after {time}", { time: took(unit.took_ms) })), unit.deadline_met ? null : h("strong", {}, t("too late")), this.badInARow(), this.age),
      h("p", { class: "what" }, what(unit) || t("no defect found")),
      unit.result === "PASSED" ? "" : h("p", { class: "do" }, t("Set this unit aside.")),
    );
    this.noPicture.textContent = unit.has_picture ? t("Loading its picture …") : t("No picture of this unit.");
    this.link.href = `#/units/${unit.id}`;
    this.tick();
  }

  // How many of the latest units were bad, one after the other; nothing for a single one.
  badInARow() {
    const end = this.latest.findIndex((unit) => unit.result !== "FAILED");
    const n = end < 0 ? this.latest.length : end;
    if (n < 2 || this.latest[0].id !== this.unit.id) return null;
    return h("strong", { class: "run" }, n < LATEST ? t("{n} bad in a row", { n }) : t("{n} or more bad in a row", { n }));
  }

  showPicture(bitmap, size, unit) {
    this.picture.hidden = false;
    this.noPicture.hidden = true;
    const found = unit.defects.length ? `, ${t("defects: {codes}", { codes: codes(unit.defects).join(", ") })}` : "";
    this.picture.setAttribute("aria-label", t("Picture of {unit}", { unit: unit.unit_id }) + found);
    drawUnit(this.picture, bitmap, size, unit.defects);
    bitmap.close();
  }

  showStrip() {
    if (performance.now() < this.heldUntil && this.strip.children.length) return;
    // As many as there is room for: what is cut off could still be reached by keyboard.
    const { clientWidth: width, clientHeight: height } = this.strip;
    const across = Math.max(1, Math.floor((width + STRIP.gap) / (STRIP.width + STRIP.gap)));
    const down = Math.max(1, Math.floor((height + STRIP.gap) / (STRIP.height + STRIP.gap)));
    const isPhone = matchMedia("(max-width: 820px)").matches;
    const most = isPhone ? STRIP.phone : across * down;
    this.strip.style.gridTemplateRows = isPhone ? "" : `repeat(${down}, minmax(0, 1fr))`;
    const wanted = this.latest.slice(0, most);
    const ids = new Set(wanted.map((unit) => unit.id));
    const known = new Map([...this.strip.children].map((tile) => [tile.dataset.unit, tile]));
    // Tiles that stay are not touched: one that has the keyboard's focus keeps it.
    const focused = this.strip.contains(document.activeElement);
    for (const [id, tile] of known) if (!ids.has(id)) tile.remove();
    wanted.forEach((unit, at) => {
      const there = this.strip.children[at];
      if (there?.dataset.unit !== unit.id) this.strip.insertBefore(known.get(unit.id) ?? tileOf(unit), there ?? null);
    });
    if (focused && !this.strip.contains(document.activeElement)) this.strip.lastElementChild?.firstElementChild.focus({ preventScroll: true });
  }

  // Under a finger or a mouse that moves the tiles stand still: nobody opens the one that has just
  // taken the place of the one they meant.
  holdStrip(event) {
    const isTouched = event.type === "pointerdown";
    const isLeft = event.type === "pointerleave" || event.type === "pointercancel";
    this.heldUntil = isLeft ? 0 : performance.now() + (isTouched ? HELD_TOUCHED_MS : HELD_MS);
    if (isLeft) this.showStrip();
  }

  // What stands over the live picture: why it does not move.
  showState() {
    const text = this.obstacle();
    const changed = this.cover.textContent !== text;
    this.cover.hidden = text === "";
    if (changed) this.cover.textContent = text;
    this.element.classList.toggle("stale", text !== "");
  }

  obstacle() {
    if (station.up === false) return t("No connection to the service");
    const part = station.status?.parts.find((one) => one.part === "camera" && one.subject === this.camera);
    if (part && !part.good && part.since) return `${t("Camera {camera} is down.", this)} ${t(part.words)}`;
    if (!this.frameAt) return station.status?.health ? t("Waiting for a picture …") : "";
    return this.live?.isOpen ? "" : t("Connecting again …");
  }

  tick() {
    this.showState();
    if (this.heldUntil && performance.now() >= this.heldUntil) {
      this.heldUntil = 0;
      this.showStrip();
    }
    if (this.frame) {
      // A camera that waits for its trigger may be silent for long: the service knows what is too long.
      const at = new Date(this.frame.header.captured_ms).toLocaleTimeString(document.documentElement.lang, { hour12: false });
      const silentMs = performance.now() - this.frameAt;
      this.clock.textContent = silentMs > LATE_AFTER_MS ? t("{at}, {time} ago", { at, time: ago(silentMs) }) : at;
    }
    if (!this.unit) return;
    const ageMs = performance.now() - this.seenAt;
    this.age.textContent = t("{time} ago", { time: ago(ageMs) });
    this.verdict.classList.toggle("old", ageMs > OLD_AFTER_MS || station.up === false);
  }

  close() {
    this.live.close();
    this.sizes.disconnect();
    this.frame?.bitmap.close();
    this.frame = null;
  }
}
