// Teaching: units as they are collected, then the reference to look at, approve or discard.

import { loaded, pictureOf } from "./compare.js";
import { fit, outline, scale } from "./draw.js";
import { h } from "./dom.js";
import { many, t } from "./language.js";
import { time, why } from "./words.js";

const PLACE = "#ff4d4d";
const FEWEST_UNITS = 3;
const BRIGHTER = 3; // doublings: grey levels of a few are nothing to the eye

const UNDER_WAY = ["collecting", "comparing"];

export function teachingCard(job, product, teaching, act) {
  const card = (...children) => h("section", { class: "card looks", "aria-labelledby": "teaching" }, h("h2", { id: "teaching" }, t("Teach")), ...children);
  const isUnderWay = teaching && UNDER_WAY.includes(teaching.phase);
  if (isUnderWay && teaching.product !== product.name) return card(h("p", {}, t("{product} is being taught now.", { product: teaching.product })));
  if (isUnderWay) return card(...progress(product, teaching, act));
  const units = h("input", { type: "number", name: "units", min: FEWEST_UNITS, max: 64, value: product.units_to_teach, required: true });
  const start = (event) => {
    event.preventDefault();
    act(
      { command: "teach", product: product.name, units: Number(units.value) },
      t("Teach {product}?", { product: product.name }),
      [t("The next {n} units are taken as good.", { n: units.value }), t("While they are collected, units are not inspected.")],
      t("Teach"),
    );
  };
  return card(
    ...(teaching?.product === product.name ? ended(teaching) : []),
    h("p", { class: "small" }, t("Good units become the reference that others are compared with. A person approves it by looking.")),
    job.product === product.name ? null : h("p", { class: "small" }, t("The line changes over to {product} for it.", { product: product.name })),
    h("form", { class: "judges", onsubmit: start }, h("label", { class: "inline" }, h("span", {}, t("Units")), units), h("button", { class: "main", "data-key": "teach" }, t("Teach"))),
  );
}

// While units are collected and compared: which were taken.
function* progress(product, teaching, act) {
  const { taken, wanted } = teaching;
  yield h("p", { class: "yield" }, h("b", {}, String(taken.length)), ` ${t("of {wanted} units taken", { wanted })}`);
  yield h("progress", { max: wanted, value: taken.length, "aria-label": t("Units taken") });
  if (teaching.phase === "comparing") yield h("p", {}, t("They are compared with each other now."));
  yield collected(taken);
  yield h("div", { class: "judges" }, h("button", { type: "button", class: "judge", "data-key": "stop", onclick: () => act({ command: "discard", product: product.name }, t("Stop teaching?"), [t("What was collected is forgotten; inspecting goes on.")], t("Stop")) }, t("Stop teaching")));
}

// What came of the last one: which disagreed, and where.
function* ended(teaching) {
  const left = teaching.taken.filter((unit) => unit.why);
  if (teaching.problem) yield h("p", { class: "wrong" }, t("The last teaching: {why}.", { why: teaching.problem.replace(/\.$/, "") }));
  else if (teaching.reference) yield h("p", {}, t("The last teaching made {reference}: look at it below.", teaching));
  if (left.length) yield collected(left);
}

function collected(units) {
  return h(
    "ol",
    { class: "taken" },
    units.map((unit) => h("li", { "data-used": String(!unit.why) }, h("b", {}, h("bdi", {}, unit.id || `#${unit.number}`)), " ", unit.why ? h("span", { class: "wrong" }, leftOut(unit)) : h("span", { class: "small" }, many(unit.frames, "{n} picture", "{n} pictures")))),
  );
}

function leftOut(unit) {
  const where = (unit.places ?? []).map(([x, y, width, height]) => `${x}, ${y} (${width} × ${height})`).join("; ");
  return where ? t("{why}, at {where}", { why: why(unit.why), where }) : why(unit.why);
}

export function versionsCard(product, act) {
  const references = [...product.references].reverse();
  return h(
    "section",
    { class: "card looks", "aria-labelledby": "versions" },
    h("h2", { id: "versions" }, t("Reference")),
    references.length
      ? null
      : h("p", {}, t("It has no reference yet: its units are judged by the model alone.")),
    product.before
      ? h(
          "div",
          { class: "judges" },
          h("button", { type: "button", class: "judge", "data-key": "roll-back", onclick: () => act({ command: "rollback", product: product.name }, t("Roll back?"), [t("Units are compared with version {before} again, from the next one on.", product)], t("Roll back")) }, t("Roll back to version {before}", product)),
        )
      : null,
    h("ol", { class: "versions" }, references.map((reference, index) => version(product, reference, index === 0, act))),
  );
}

function version(product, reference, isOpen, act) {
  const { number } = reference;
  const inForce = number === product.in_force;
  const left = reference.units.filter((unit) => !unit.used);
  const units = reference.units.filter((unit) => unit.used);
  const state = inForce ? t("in force") : reference.approved ? t("approved earlier") : t("waits for approval");
  const body = h("div", { class: "version" });
  const details = h(
    "details",
    { class: "version-box", "data-number": number, "data-in-force": String(inForce) },
    h("summary", {}, h("b", {}, t("Version {number}", { number })), " ", h("span", { class: "chip", "data-state": inForce ? "good" : reference.approved ? "old" : "wait" }, state), h("span", { class: "small" }, `${time(reference.made_at)}, ${many(units.length, "{n} unit", "{n} units")}${left.length ? `, ${t("{n} left out", { n: left.length })}` : ""}`)),
    body,
  );
  const fill = () => {
    if (!details.open || body.childElementCount) return;
    body.replaceChildren(...inside(product, reference, units, left, inForce, act));
  };
  details.addEventListener("toggle", fill);
  details.open = isOpen;
  fill();
  return h("li", {}, details);
}

function inside(product, reference, units, left, inForce, act) {
  const { number } = reference;
  const name = product.name;
  const approve = () =>
    act({ command: "approve", product: name, version: number }, t("Approve version {number}?", { number }), [t("Units are compared with it from the next one on."), ...(left.length ? [many(left.length, "{n} unit was left out of it.", "{n} units were left out of it.")] : [])], t("Approve"));
  const discard = () => act({ command: "discard", product: name, version: number }, t("Discard version {number}?", { number }), [t("It is removed for good.")], t("Discard"));
  return [
    h(
      "div",
      { class: "judges" },
      inForce ? null : h("button", { type: "button", class: "main", "data-key": `approve-${number}`, onclick: approve }, t("Approve")),
      inForce ? null : h("button", { type: "button", class: "judge", "data-key": `discard-${number}`, onclick: discard }, t("Discard")),
    ),
    h(
      "div",
      { class: "pair-of" },
      figure(pictureOf(name, number, "mean.png"), t("The mean: what a good unit looks like")),
      figure(pictureOf(name, number, "deviation.png"), t("The variation: bright where good units differ"), { bright: true }),
    ),
    h("h3", {}, t("Units in it")),
    h("ol", { class: "taught" }, [...left, ...units].map((unit) => taught(name, number, unit))),
    h("p", { class: "small" }, `${t("Made by {by}", { by: reference.made_by })}, ${reference.width_px} × ${reference.height_px}, SHA-256 ${reference.sha256.slice(0, 12)}…`, reference.approved ? ` ${t("Approved by {by}, {time}.", { by: reference.approved.by, time: time(reference.approved.at) })}` : null),
  ];
}

function figure(src, caption, { bright = false } = {}) {
  const canvas = h("canvas", { role: "img", "aria-label": caption, width: 4, height: 3 });
  const box = h("figure", {}, h("div", { class: "frame" }, canvas), h("figcaption", { class: "small" }, caption));
  loaded(src)
    .then((image) => {
      const context = fit(canvas, image.naturalWidth, image.naturalHeight);
      context.drawImage(image, 0, 0);
      context.globalCompositeOperation = "lighter";
      for (let doubling = 0; bright && doubling < BRIGHTER; doubling += 1) context.drawImage(canvas, 0, 0);
      context.globalCompositeOperation = "source-over";
      canvas.dataset.drawn = "1";
    })
    .catch(() => box.replaceChildren(h("p", { class: "nothing" }, t("This picture is not there."))));
  return box;
}

function taught(name, number, unit) {
  const caption = h("span", {}, h("b", {}, h("bdi", {}, unit.id || `#${unit.number}`)), unit.used ? null : h("span", { class: "small" }, ` ${t("{share} % alike", { share: (unit.likeness * 100).toFixed(1) })}`), unit.used ? null : h("span", { class: "wrong block" }, why(unit.why)));
  if (!unit.has_picture) return h("li", { "data-used": String(unit.used) }, h("div", { class: "frame" }, h("span", { class: "nothing" }, t("no picture kept"))), caption);
  const canvas = h("canvas", { role: "img", "aria-label": unit.used ? t("Unit {id}", { id: unit.id || unit.number }) : t("Unit {id}, left out: {why}", { id: unit.id || unit.number, why: why(unit.why) }), width: 4, height: 3 });
  loaded(pictureOf(name, number, `${unit.number}.jpg`))
    .then((image) => {
      const context = fit(canvas, image.naturalWidth, image.naturalHeight);
      context.drawImage(image, 0, 0);
      const pixel = scale(canvas);
      for (const [x, y, width, height] of unit.places ?? []) {
        const [left, top, right, bottom] = [x - 4 * pixel, y - 4 * pixel, x + width + 4 * pixel, y + height + 4 * pixel];
        outline(context, [[left, top], [right, top], [right, bottom], [left, bottom]], PLACE, 2.5 * pixel);
      }
      canvas.dataset.drawn = "1";
    })
    .catch(() => {});
  return h("li", { "data-used": String(unit.used) }, h("div", { class: "frame" }, canvas), caption);
}
