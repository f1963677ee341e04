// The station in numbers, from the same figures that Prometheus reads.

import { h } from "./dom.js";
import { t } from "./language.js";
import { station } from "./station.js";
import { ago, count, percent, took } from "./words.js";

const ASK_EVERY_MS = 5000;
const GB = 1e9;
const SHRUNK_BELOW = 0.9;
export const FOLDERS = {
  journal: "the journal",
  evidence: "the pictures",
};
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

export class NumbersPart {
  constructor(root) {
    this.list = h("dl", { class: "facts-list" });
    this.element = h("section", { class: "card facts-card", "data-part": "numbers", hidden: true }, h("h2", {}, t("In numbers")), this.list);
    root.append(this.element);
    this.before = null;
    this.timer = setInterval(() => document.hidden || station.up === false || this.look(), ASK_EVERY_MS);
    this.look();
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
  }

  async look() {
    try {
      const answer = await fetch("/metrics", { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      const now = read(await answer.text());
      if (this.closed) return;
      this.list.replaceChildren(...rows(now, this.before));
      this.before = now;
      this.element.hidden = false;
    } catch {
      this.element.hidden = true; // numbers that may be old are none
    }
  }
}

// Metrics by name: each value with its labels.
function read(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = LINE.exec(line);
    if (!parts) continue;
    const [, name, labelled, value] = parts;
    const labels = Object.fromEntries([...(labelled ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]));
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels, value: Number(value) });
  }
  found.at = performance.now();
  return found;
}

const row = (name, text) => h("div", {}, h("dt", {}, name), h("dd", {}, text));

function value(metrics, name, labels = {}) {
  const all = metrics?.get(name) ?? [];
  return all.find((one) => Object.entries(labels).every(([key, text]) => one.labels[key] === text))?.value;
}

function rows(now, before) {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const since = (name, labels) => (value(now, name, labels) ?? 0) - (value(before, name, labels) ?? 0);
  const cameras = (now.get("inspector_frames_captured_total") ?? []).map(({ labels }) => {
    const rate = since("inspector_frames_captured_total", labels) / seconds;
    const scale = value(now, "inspector_picture_scale", labels) ?? 0;
    const shrunk = scale > 0 && scale < SHRUNK_BELOW ? t("shown to the model at {share} of their size: small defects may vanish", { share: percent(scale) }) : "";
    const speed = seconds ? t("{n} frames/s", { n: rate.toFixed(1) }) : "…";
    return row(t("Camera {camera}", labels), shrunk ? `${speed}, ${shrunk}` : speed);
  });
  const requests = since("inspector_stage_seconds_count", { stage: "inference" });
  const spent = since("inspector_stage_seconds_sum", { stage: "inference" });
  const inference = before && requests > 0 ? t("{time} per request", { time: took((1000 * spent) / requests) }) : "–";
  const [build] = now.get("inspector_build_info") ?? [];
  const disks = (now.get("inspector_disk_free_bytes") ?? []).map(({ labels, value: free }) => row(t("Disk of {what}, free", { what: t(FOLDERS[labels.folder] ?? labels.folder) }), `${count(Math.round(free / GB))} GB`));
  return [
    ...cameras,
    row(t("Model"), build?.labels.model ?? "–"),
    row(t("Inference"), inference),
    ...disks,
    row(t("Software"), build?.labels.version ?? "–"),
    row(t("Running for"), ago(1000 * (value(now, "inspector_uptime_seconds") ?? 0))),
  ];
}
