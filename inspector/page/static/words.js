// What things are called on this page, for people at the line.

import { language, many, t } from "./language.js";

export const RESULTS = {
  PASSED: { word: t("GOOD").split(" "), small: t("good"), tone: "good" },
  FAILED: { word: t("BAD").split(" "), small: t("bad"), tone: "bad" },
  NOT_INSPECTED: { word: t("NOT INSPECTED").split(" "), small: t("not inspected"), tone: "none" },
  ERROR: { word: t("ERROR").split(" "), small: t("error"), tone: "error" },
};

export const REASONS = {
  internal_error: "internal error of the inspection",
  no_product: "the station was not told which product this is",
  changing_over: "the product was being changed over",
  teaching: "it was there to be learnt from",
  reference_mismatch: "it does not fit the product's reference",
  locked: "it shows no defect, but nothing may be passed now",
  camera_frozen: "the camera sent the same picture again and again",
  camera_dark: "the picture was dark",
  camera_bright: "the picture was too bright",
  camera_blurred: "the picture was blurred",
  camera_blank: "the picture showed nothing",
  camera_moved: "the camera was moved",
  camera_lost: "the camera was lost",
  model_unavailable: "the model was unavailable",
  malformed_reply: "the model's answer could not be read",
  inference_failed: "the model failed, or took too long",
  frame_unreadable: "a picture could not be read",
  frame_dropped: "the model is slower than the camera",
  stale: "the picture was too old when its turn came",
  no_frame: "there was no usable picture",
  deadline_missed: "the answer was not there in time",
  shutting_down: "the service was stopped",
};

export const reason = (name) => t(REASONS[name] ?? name);

// Why a unit is not part of a reference.
export const WHYS = {
  another_design: "it shows another design",
  differs: "it differs from the others",
};

export const why = (name) => t(WHYS[name] ?? name);

export const JUDGEMENTS = { CONFIRMED: t("confirmed"), FALSE_CALL: t("false call"), MISSED: t("missed defect"), UNSURE: t("unsure"), WITHDRAWN: t("taken back") };

// Why a unit's picture was kept.
export const PICTURES = {
  sample: "drawn by chance",
  near_threshold: "near a threshold",
  verdict: "kept for another reason",
  none: "without a picture",
};

export const PARTS = {
  camera: "Camera",
  triton: "Triton (the model)",
  redis: "MES connection (Redis)",
  triggers: "Triggers (from the line)",
  sink: "Second event sink",
  journal: "Journal (disk)",
  evidence: "Picture storage (disk)",
  clock: "Clock",
  product: "Product",
  challenge: "Known parts",
  process: "The line",
  deadline: "Deadline",
};

// What is measured of pictures.
export const MEASURES = {
  focus: "Focus",
  light: "Light",
  colour: "Colour",
  noise: "Noise",
  place: "Place of the mark",
};

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
const number = new Intl.NumberFormat(language);

export const count = (n) => number.format(n);

export function time(iso) {
  const at = new Date(iso);
  const today = new Date().toDateString() === at.toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

export function hourMinute(iso) {
  return clock.format(new Date(iso)).slice(0, 5);
}

export function took(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 0)} s`;
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return many(Math.floor(seconds / 86400), "{n} day", "{n} days");
}

export function percent(share) {
  if (share === null) return "–";
  const text = (share * 100).toFixed(1);
  // 99.96 % is not all of them.
  return text === "100.0" && share < 1 ? "99.9 %" : `${text} %`;
}

export function codes(defects) {
  const counts = new Map();
  for (const defect of defects) counts.set(named(defect), (counts.get(named(defect)) ?? 0) + 1);
  return [...counts].map(([name, n]) => (n > 1 ? `${n} × ${name}` : name));
}

// Its code, and which part it is about: "missing screw".
export function named(defect) {
  return defect.part ? `${defect.code} ${defect.part}` : defect.code;
}

// What was found, or why nobody looked, in one line.
export function what(unit) {
  if (unit.result === "FAILED") {
    const more = unit.defects_total - unit.defects.length;
    return codes(unit.defects).join(", ") + (more > 0 ? ` ${t("and {more} more", { more })}` : "");
  }
  return unit.reason ? reason(unit.reason) : "";
}

export function sentence(unit) {
  const found = what(unit);
  return `${unit.unit_id}: ${RESULTS[unit.result].small}${found ? `, ${found}` : ""}`;
}
