// The frame around the views: which is shown, whether all is well, dark or light.

import { h } from "./dom.js";
import { language, many, setLanguage, t, translate } from "./language.js";
import { LockBanner } from "./locks.js";
import * as challenge from "./challenge.js";
import * as figures from "./figures.js";
import * as now from "./now.js";
import * as product from "./product.js";
import * as state from "./state.js";
import { listen, look, station } from "./station.js";
import * as unit from "./unit.js";
import * as units from "./units.js";
import { PARTS, ago } from "./words.js";

const TITLES = { now: "Now", units: "Units", unit: "Unit", figures: "Figures", state: "State", product: "Product", challenge: "Known parts" };
const VIEWS = { now, units, unit, figures, state, product, challenge };
const KEYS = { 1: "#/now", 2: "#/units", 3: "#/figures", 4: "#/state", 5: "#/product" };

const view = document.getElementById("view");
let unmount = null;
const locks = new LockBanner(document.getElementById("locks"));

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/");
  if (name === "units" && id) return { name: "unit", id: decodeURIComponent(id), query: new URLSearchParams(query) };
  return { name: name in VIEWS && name !== "unit" ? name : "now", query: new URLSearchParams(query) };
}

function show() {
  const first = unmount === null;
  const { name, ...parameters } = route();
  unmount?.();
  view.replaceChildren();
  view.dataset.view = name;
  document.title = `${t(TITLES[name])} · inspector`;
  for (const link of document.querySelectorAll("header nav a")) {
    const mine = link.hash === `#/${name === "unit" ? "units" : name}`;
    link.toggleAttribute("aria-current", mine);
    if (mine) link.setAttribute("aria-current", "page");
  }
  unmount = VIEWS[name].mount(view, parameters);
  if (first) return;
  window.scrollTo(0, 0);
  // A filter that was just changed keeps the focus; otherwise the new view gets it.
  if (document.activeElement === document.body || !document.activeElement.isConnected) view.focus({ preventScroll: true });
}

function showState() {
  const pill = document.getElementById("pill");
  const lost = document.getElementById("lost");
  lost.hidden = station.up !== false;
  if (station.up === false) {
    const text = t("No connection to the service for {time}. Reconnecting; what you see is old.", { time: ago(new Date() - station.since) });
    if (lost.textContent !== text) lost.textContent = text;
    pill.dataset.state = "none";
    pill.textContent = t("No connection");
    return;
  }
  if (!station.status) return;
  locks.show(station.status.locks);
  const bad = station.status.parts.filter((part) => !part.good);
  document.getElementById("station").textContent = station.status.station;
  document.getElementById("logout").hidden = !station.status.needs_token;
  const starting = bad.length > 0 && bad.every((part) => !part.since);
  pill.dataset.state = starting ? "wait" : bad.length ? "bad" : "good";
  const text = starting ? t("Starting …") : bad.length === 0 ? t("Running") : bad.length === 1 ? t("Problem: {part}", { part: `${language === "en" ? bad[0].part : t(PARTS[bad[0].part] ?? bad[0].part)} ${bad[0].subject}`.trim() }) : many(bad.length, "{n} problem", "{n} problems");
  if (pill.textContent !== text) pill.replaceChildren(h("span", {}, text));
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  document.dispatchEvent(new Event("themechange"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
document.getElementById("theme").addEventListener("click", toggleTheme);
document.getElementById("language").addEventListener("click", () => setLanguage(language === "de" ? "en" : "de"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  if (event.key in KEYS) location.hash = KEYS[event.key];
});
window.addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () => document.hidden || look());
translate(document);
listen(showState);
setInterval(showState, 1000);
look();
show();
