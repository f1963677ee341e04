// Figures: this shift and today, and the last hours as lines. From the journal, so they survive a
// restart of the service.

import { h, shape } from "./dom.js";
import { many, t } from "./language.js";
import { ask } from "./station.js";
import { PICTURES, count, hourMinute, percent, took } from "./words.js";

const EVERY_MS = 10000;
const HOURS = [1, 8, 24];

let charts = null; // uPlot, once somebody looks here

function loadCharts() {
  charts ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/uPlot.iife.min.js";
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => reject(new Error(t("the charts could not be loaded")));
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "/static/vendor/uPlot.min.css";
    document.head.append(style, script);
  });
  return charts;
}

export function mount(root, { query }) {
  const view = new FiguresView(root, Number(query.get("hours")));
  return () => view.close();
}

class FiguresView {
  constructor(root, hours) {
    this.hours = HOURS.includes(hours) ? hours : 8;
    this.plots = [];
    this.note = h("p", { class: "nothing", role: "status" }, t("Counting …"));
    this.periods = h("div", { class: "periods" });
    const range = h("div", { class: "range", role: "group", "aria-label": t("Of the last hours") }, HOURS.map((n) => h("a", { href: `#/figures?hours=${n}`, "aria-current": n === this.hours ? "true" : null }, `${n} h`)));
    this.pace = chartCard(t("Units per minute"), [["passed", t("good")], ["failed", t("bad")], ["other", t("not inspected")]]);
    this.latency = chartCard(t("From trigger to verdict"), [["median", t("median")], ["p95", t("95th percentile")]]);
    this.charts = h("section", { class: "charts", "aria-label": t("Over time") }, h("header", {}, h("h2", {}, t("Over time")), range), h("div", { class: "pair" }, this.pace.element, this.latency.element));
    this.charts.hidden = true;
    this.reviewed = h("section", { class: "card reviewed", "aria-labelledby": "reviewed" });
    root.append(h("h1", {}, t("Figures")), this.note, this.periods, this.charts, this.reviewed);
    this.resized = () => this.resize();
    window.addEventListener("resize", this.resized);
    this.recoloured = () => this.draw();
    document.addEventListener("themechange", this.recoloured);
    this.load();
    this.timer = setInterval(() => document.hidden || this.load(), EVERY_MS);
  }

  async load() {
    try {
      const [figures, uPlot] = await Promise.all([ask(`/api/figures?hours=${this.hours}`), loadCharts()]);
      if (this.closed) return;
      this.uPlot = uPlot;
      this.figures = figures;
      this.note.hidden = true;
      this.periods.replaceChildren(period(t("This shift"), figures.shift), period(t("Today"), figures.day));
      this.reviewed.replaceChildren(...reviewed(figures.review_counts));
      this.charts.hidden = false;
      this.draw();
    } catch (error) {
      this.note.hidden = false;
      this.note.textContent = t("Could not update the figures: {why}.", { why: error.message });
    }
  }

  draw() {
    if (!this.figures || !this.uPlot) return;
    for (const plot of this.plots) plot.destroy();
    const { series, step_minutes: step } = this.figures;
    // The last step is still going on: counted by the minutes that it has had.
    const last = series.at.length - 1;
    const minutes = Math.min(step, Math.max(0.5, (new Date(this.figures.now) / 1000 - series.at[last]) / 60));
    const perMinute = (values) => values.map((n, at) => n / (at === last ? minutes : step));
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const line = (label, stroke, extra = {}) => ({ label, stroke: colour(stroke), width: 2.5, points: { show: false }, spanGaps: false, ...extra });
    const axes = (values) => [
      { stroke: colour("--ink-2"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "13px system-ui, sans-serif", size: 34, values: (_, splits) => splits.map((at) => hourMinute(at * 1000)) },
      { stroke: colour("--ink-2"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "13px system-ui, sans-serif", size: 64, values },
    ];
    const plot = ({ box }, data, lines, values) =>
      new this.uPlot(
        { width: box.clientWidth, height: box.clientHeight, legend: { show: false }, cursor: { show: false }, series: [{}, ...lines], axes: axes(values), scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } }, padding: [12, 12, 0, 0] },
        data,
        box,
      );
    const found = series.median_ms.some((ms) => ms !== null);
    this.plots = [
      plot(this.pace, [series.at, perMinute(series.passed), perMinute(series.failed), perMinute(series.other)], [line(t("good"), "--good"), line(t("bad"), "--bad", { dash: [8, 4] }), line(t("not inspected"), "--none", { dash: [2, 3] })], (_, splits) => splits.map((n) => String(Math.round(n * 10) / 10))),
      plot(this.latency, [series.at, series.median_ms, series.p95_ms], [line("median", "--accent"), line("95 %", "--ink-2", { dash: [8, 4] })], (_, splits) => splits.map((ms) => (ms === 0 ? "0" : took(ms)))),
    ];
    const total = (values) => count(values.reduce((sum, n) => sum + n, 0));
    this.pace.say(t("Units per minute over {hours} h: {good} good, {bad} bad, {other} not inspected in all.", { hours: this.hours, good: total(series.passed), bad: total(series.failed), other: total(series.other) }));
    const worst = Math.max(0, ...series.p95_ms.filter((ms) => ms !== null));
    this.latency.say(found ? t("From trigger to verdict over {hours} h: 95 % of units within {time} at the slowest.", { hours: this.hours, time: took(worst) }) : t("No verdict in this time."));
  }

  resize() {
    for (const plot of this.plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.root.parentElement.clientHeight });
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    window.removeEventListener("resize", this.resized);
    document.removeEventListener("themechange", this.recoloured);
    for (const plot of this.plots) plot.destroy();
  }
}

function chartCard(title, legend) {
  const box = h("div", { class: "plot", role: "img", "aria-label": title });
  const element = h("figure", { class: "card chart" }, h("figcaption", {}, h("h3", {}, title), h("ul", { class: "legend" }, legend.map(([name, text]) => h("li", { "data-line": name }, text)))), box);
  return { element, box, say: (text) => box.setAttribute("aria-label", text) };
}

function period(title, figures) {
  const { results } = figures;
  const failed = results.FAILED ?? 0;
  const other = figures.units - (results.PASSED ?? 0) - failed;
  const tile = (result, number, text) => h("li", {}, shape(result), h("b", {}, count(number)), h("span", {}, text));
  const { CONFIRMED: confirmed, FALSE_CALL: falseCalls, MISSED: missed, UNSURE: unsure } = figures.reviews;
  return h(
    "section",
    { class: "card period" },
    h("header", {}, h("h2", {}, title), h("p", { class: "small" }, t("since {time}", { time: hourMinute(figures.from) }))),
    h("p", { class: "yield" }, h("b", {}, percent(figures.pass_share)), h("span", {}, figures.units ? t("good, of {n} inspected", { n: count(figures.units - other) }) : t("no unit yet"))),
    h("ul", { class: "tiles" }, tile("PASSED", results.PASSED ?? 0, t("good")), tile("FAILED", failed, t("bad")), tile("NOT_INSPECTED", other, t("not inspected"))),
    h("h3", {}, t("Defects")),
    defects(figures.codes),
    h(
      "dl",
      { class: "facts-list" },
      row(t("Verdict within"), figures.median_ms === null ? "–" : t("{half} (half), {most} (95 %)", { half: took(figures.median_ms), most: took(figures.p95_ms) })),
      row(t("Too late"), count(figures.late)),
      row(t("Review"), confirmed + falseCalls + missed + unsure ? [t("{n} confirmed", { n: count(confirmed) }), many(falseCalls, "{n} false call", "{n} false calls"), many(missed, "{n} missed defect", "{n} missed defects"), ...(unsure ? [t("{n} unsure", { n: count(unsure) })] : [])].join(", ") : t("none yet")),
    ),
  );
}

// Of so many, with the 95 % interval: few looks say little, and the interval says how little.
function ofBase(hits, base, interval) {
  if (!base) return t("nobody looked yet");
  const [low, high] = interval;
  return t("{hits} of {base}, {low} to {high}", { hits: count(hits), base: count(base), low: percent(low), high: percent(high) });
}

function reviewed({ passed, failed }) {
  const byPicture = Object.keys(PICTURES).filter((name) => passed.by_picture[name]);
  const codes = [...new Set([...Object.keys(passed.codes), ...Object.keys(failed.codes)])];
  const missed = (code) => (passed.codes[code] ? ofBase(passed.codes[code].escapes, passed.reviewed, passed.codes[code].interval) : t("none of {base}", { base: count(passed.reviewed) }));
  return [
    h("header", {}, h("h2", { id: "reviewed" }, t("Review")), h("p", { class: "small" }, t("As far back as the journal reaches; the shares are those within which the true one lies with 95 %."))),
    h(
      "dl",
      { class: "facts-list" },
      row(t("Good units with a missed defect"), ofBase(passed.escapes, passed.reviewed, passed.interval)),
      ...byPicture.map((name) => row(`– ${t(PICTURES[name])}`, ofBase(passed.by_picture[name].escapes, passed.by_picture[name].reviewed, passed.by_picture[name].interval))),
      row(t("Bad units without a defect"), ofBase(failed.false_calls, failed.reviewed, failed.interval)),
      passed.unsure + failed.unsure ? row(t("Left open: unsure"), count(passed.unsure + failed.unsure)) : null,
    ),
    h("p", { class: "small" }, t("Only units drawn by chance say how many defects escape in all; those near a threshold were chosen because they are doubtful.")),
    codes.length
      ? h(
          "table",
          {},
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("Defect")), h("th", { scope: "col" }, t("Missed, of good units")), h("th", { scope: "col" }, t("False, of its calls")))),
          h("tbody", {}, codes.map((code) => h("tr", {}, h("th", { scope: "row" }, code === "other" ? t("another kind") : code), h("td", {}, missed(code)), h("td", {}, ofBase(failed.codes[code]?.false_calls ?? 0, failed.codes[code]?.reviewed ?? 0, failed.codes[code]?.interval))))),
        )
      : null,
  ].filter(Boolean);
}

const row = (name, text) => h("div", {}, h("dt", {}, name), h("dd", {}, text));

function defects(codes) {
  const found = Object.entries(codes);
  if (!found.length) return h("p", { class: "small" }, t("None."));
  const most = Math.max(...found.map(([, n]) => n));
  return h(
    "ul",
    { class: "bars" },
    found.map(([code, n]) => {
      const bar = h("span", { class: "bar", "aria-hidden": "true" });
      bar.style.width = `${(100 * n) / most}%`;
      return h("li", {}, h("a", { href: `#/units?result=FAILED&code=${encodeURIComponent(code)}` }, code), h("span", { class: "track" }, bar), h("b", {}, count(n)));
    }),
  );
}
