// How the cameras' pictures are: how much of what may change has changed, now and over weeks.

import { h, say, svg } from "./dom.js";
import { many, t } from "./language.js";
import { askName } from "./named.js";
import { ask } from "./station.js";
import { MEASURES, percent, time } from "./words.js";

const ASK_EVERY_MS = 5000;
const WIDTH = 240; // of a trend, in its own units
const HEIGHT = 40;

export class OpticsPart {
  constructor(root) {
    this.root = root;
    this.before = "";
    this.closed = false;
    this.timer = setInterval(() => this.look(), ASK_EVERY_MS);
    this.look();
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
  }

  async look() {
    try {
      const { cameras } = await ask("/api/optics");
      const now = JSON.stringify(cameras);
      if (this.closed || now === this.before) return;
      this.before = now;
      this.root.replaceChildren(...cameras.map((one) => camera(one)));
    } catch {
      // The State view says that the service does not answer.
    }
  }
}

function camera({ camera: name, product, usual, measures }) {
  const kind = usual?.vouched ? t("as somebody has seen them, {time}", { time: since(usual) }) : usual ? t("as the first ones were, {time}", { time: since(usual) }) : null;
  return h(
    "section",
    { class: "card optics", "data-camera": name },
    h("h2", {}, t("Pictures of camera {camera}", { camera: name })),
    h("p", { class: "small" }, product ? t("Product {name}.", { name: product }) : null, " ", usual ? t("Compared with usual ones: {kind}.", { kind }) : t("What is usual is being learned.")),
    measures.length
      ? h(
          "table",
          {},
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("Measure")), h("th", { scope: "col" }, t("Changed, of what it may")), h("th", { scope: "col" }, t("Last weeks")))),
          h("tbody", {}, ...measures.map(row)),
        )
      : null,
    h("button", { type: "button", class: "judge", onclick: () => renew(name) }, t("The pictures are good as they are …")),
  );
}

const since = (usual) => time(new Date(usual.since_unix_s * 1000).toISOString());

function row({ measure, used, days_left: left, trend }) {
  return h(
    "tr",
    { "data-measure": measure },
    h("th", { scope: "row" }, t(MEASURES[measure] ?? measure)),
    h("td", {}, percent(used), left === null ? null : h("span", { class: "small" }, " ", many(left, "the limit in about {n} day", "the limit in about {n} days"))),
    h("td", {}, trend.length > 1 ? line(trend) : null),
  );
}

function line(trend) {
  const [first, last] = [trend[0][0], trend[trend.length - 1][0]];
  const x = (at) => ((at - first) / Math.max(1, last - first)) * WIDTH;
  const y = (used) => HEIGHT - Math.min(1, used) * HEIGHT;
  const points = trend.map(([at, used]) => `${x(at).toFixed(1)},${y(used).toFixed(1)}`).join(" ");
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "trend", "aria-hidden": "true" }, svg("path", { d: `M0 0H${WIDTH}`, class: "limit" }), svg("polyline", { points }));
}

function renew(name) {
  askName({
    title: t("Are the pictures of camera {camera} good?", { camera: name }),
    words: [t("What is usual is learned anew from the next units. Say so after the lens, the lamp or the camera was seen to, and a good unit looks as it should.")],
    main: t("They are good"),
    command: { command: "renew_optics", camera: name },
    done: () => say(t("What is usual is being learned.")),
  });
}
