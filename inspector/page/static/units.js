// Units: the latest first, with pictures, filtered by result, code and name.

import { drawUnit } from "./draw.js";
import { h, shape } from "./dom.js";
import { t } from "./language.js";
import { ask, listen, station } from "./station.js";
import { JUDGEMENTS, RESULTS, time, what } from "./words.js";

const PAGE = 48;
const MOST = 480;
const POLL_INTERVAL_MS = 2000;
const EMPTY_PAGES = 5;

// The order of the list that was last shown: the detail view steps through it.
export const shown = { ids: [], query: "" };

export function mount(root, { query }) {
  const list = new UnitList(root, query);
  return () => list.close();
}

class UnitList {
  constructor(root, query) {
    this.query = query;
    this.closed = false;
    this.next = null;
    this.units = [];
    this.grid = h("ol", { class: "units" });
    this.note = h("p", { class: "nothing", role: "status" }, t("Looking …"));
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => this.older() }, t("Show older units"));
    this.form = this.filters();
    root.append(h("h1", {}, t("Units")), this.queues(), this.form, this.note, this.grid, this.more);
    this.keys = (event) => this.onKey(event);
    document.addEventListener("keydown", this.keys);
    this.unlisten = listen(() => this.fillChoices());
    this.sheet.href = this.path({}, true);
    this.nameProducts();
    this.older();
    this.timer = setInterval(() => this.newer(), POLL_INTERVAL_MS);
  }

  // What a person should look at, as lists that get shorter while they do.
  queues() {
    const queues = [
      [t("Bad, not yet looked at"), "result=FAILED&reviewed=no"],
      [t("Good, nearly called"), "result=PASSED&kept_for=near_threshold&reviewed=no"],
      [t("Good, drawn by chance"), "result=PASSED&kept_for=sample&reviewed=no"],
    ];
    this.sheet = h("a", { class: "step", download: "units.csv" }, t("As a table (CSV)"));
    const now = this.query.toString();
    return h("nav", { class: "steps queues", "aria-label": t("To look at again") }, queues.map(([name, query]) => h("a", { class: "step", href: `#/units?${query}`, "aria-current": query === now ? "true" : null }, name)), this.sheet);
  }

  filters() {
    const chosen = this.query.get("result") ?? "";
    const results = [["", t("All")], ...Object.entries(RESULTS).map(([result, { small }]) => [result, small])];
    const radios = results.map(([result, text]) =>
      h(
        "label",
        { class: "choice", "data-tone": RESULTS[result]?.tone },
        h("input", { type: "radio", name: "result", value: result, checked: result === chosen }),
        h("span", {}, result ? shape(result) : null, text),
      ),
    );
    this.code = h("select", { name: "code" });
    this.camera = h("select", { name: "camera" });
    this.product = h("select", { name: "product" });
    this.productLabel = h("label", { hidden: true }, h("span", {}, t("Product")), this.product);
    const order = h("input", { type: "search", name: "order", value: this.query.get("order") ?? "", placeholder: t("the whole number"), autocomplete: "off", spellcheck: "false" });
    this.orderLabel = h("label", { hidden: true }, h("span", {}, t("Order")), order);
    this.cameraLabel = h("label", { hidden: true }, h("span", {}, t("Camera")), this.camera);
    const text = h("input", { type: "search", name: "text", value: this.query.get("text") ?? "", placeholder: t("part of its name"), autocomplete: "off", spellcheck: "false" });
    const form = h(
      "form",
      { class: "filters", role: "search", "aria-label": t("Filter units"), onsubmit: (event) => event.preventDefault() },
      h("fieldset", {}, h("legend", { class: "hidden" }, t("Result")), radios),
      h("label", {}, h("span", {}, t("Defect")), this.code),
      this.cameraLabel,
      this.productLabel,
      this.orderLabel,
      h("label", {}, h("span", {}, t("Unit")), text),
      h("label", {}, h("span", {}, t("Review")), this.select("reviewed", [["", t("any")], ["no", t("not yet")], ["yes", t("done")]])),
      h("label", {}, h("span", {}, t("Picture")), this.select("kept_for", [["", t("any")], ["near_threshold", t("near a threshold")], ["sample", t("drawn by chance")]])),
      ...["since", "until"].map((name) => h("label", {}, h("span", {}, name === "since" ? t("Seen from") : t("Seen before")), h("input", { type: "datetime-local", name, value: this.query.get(name) ?? "" }))),
    );
    form.addEventListener("change", () => this.apply(form));
    return form;
  }

  fillChoices() {
    if (!station.status) return;
    const { codes, cameras } = station.status;
    this.fill(this.code, [["", t("any")], ...codes.map((code) => [code, code])], "code");
    this.fill(this.camera, [["", t("all")], ...cameras.map((camera) => [camera, camera])], "camera");
    const products = this.products ?? [];
    this.fill(this.product, [["", t("all")], ...products.map((name) => [name, name])], "product");
    this.productLabel.hidden = products.length < 2 && !this.query.get("product");
    this.orderLabel.hidden = this.productLabel.hidden && !station.status.job?.order && !this.query.get("order");
    this.cameraLabel.hidden = cameras.length < 2 && !this.query.get("camera");
  }

  // Only what is chosen from: a station without products beside its settings has no filter by them.
  async nameProducts() {
    const { products } = await ask("/api/products").catch(() => ({ products: [] }));
    this.products = products.map((one) => one.name);
    if (!this.closed) this.fillChoices();
  }

  select(name, options) {
    const chosen = this.query.get(name) ?? "";
    return h("select", { name }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  }

  fill(select, options, name) {
    const chosen = this.query.get(name) ?? "";
    if (chosen && !options.some(([value]) => value === chosen)) options.push([chosen, chosen]);
    if (select.options.length === options.length) return;
    select.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  }

  apply(form) {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const target = `#/units${query.size ? `?${query}` : ""}`;
    if (location.hash !== target) location.hash = target;
  }

  path(more, sheet = false) {
    const query = new URLSearchParams(this.query);
    for (const [key, value] of Object.entries(more)) query.set(key, value);
    // The address says the time of this device, the service is asked for the moment.
    for (const name of ["since", "until"]) {
      const at = new Date(query.get(name) ?? NaN);
      if (Number.isNaN(at.getTime())) query.delete(name);
      else query.set(name, at.toISOString());
    }
    return `${sheet ? "/api/units.csv" : "/api/units"}?${query}`;
  }

  async older() {
    this.more.disabled = true;
    try {
      const before = this.next;
      let found = await ask(this.path(before ? { limit: PAGE, before } : { limit: PAGE }));
      // A rare result may be far back: look on for a while, then let the person decide.
      for (let pages = 1; !found.units.length && found.next && pages < EMPTY_PAGES; pages += 1) {
        found = await ask(this.path({ limit: PAGE, before: found.next }));
      }
      if (this.closed) return;
      this.next = found.next;
      this.units.push(...found.units);
      this.grid.append(...found.units.map(card));
      this.told("");
    } catch (error) {
      this.told(t("The units cannot be shown: {why}.", { why: error.message }));
    } finally {
      this.more.disabled = false;
      this.more.hidden = this.next === null || this.units.length >= MOST;
    }
  }

  async newer() {
    if (document.hidden || this.closed || this.busy) return;
    this.busy = true;
    try {
      const { units, next } = await ask(this.path({ limit: PAGE }));
      if (this.closed) return;
      const newest = this.units[0]?.seq ?? 0;
      const fresh = units.filter((unit) => unit.seq > newest);
      if (fresh.length === PAGE) {
        // More came than one page holds: begin anew, rather than with a hole.
        this.units = [];
        this.grid.replaceChildren();
        this.next = next;
      }
      this.units.unshift(...fresh);
      this.grid.prepend(...fresh.map(card));
      this.trim();
      this.told("");
    } catch (error) {
      this.told(t("Could not update the list: {why}.", { why: error.message }));
    } finally {
      this.busy = false;
    }
  }

  trim() {
    if (this.units.length <= MOST || this.grid.contains(document.activeElement)) return;
    this.units.length = MOST;
    this.next = this.units.at(-1).seq;
    while (this.grid.children.length > MOST) this.grid.lastElementChild.remove();
    this.more.hidden = false;
  }

  told(problem) {
    shown.ids = this.units.map((unit) => unit.id);
    shown.query = this.query.toString();
    const filtered = this.query.size > 0;
    const empty = this.next ? t("Nothing found so far back. Older units may match.") : t("No unit yet. Each one appears here as soon as it has its verdict.");
    const text = problem || (this.units.length ? "" : filtered && !this.next ? t("No units match this filter.") : empty);
    this.note.hidden = text === "";
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
    const links = [...this.grid.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const row = links.filter((link) => link.offsetTop === links[0].offsetTop).length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
    if (event.key === "/") {
      event.preventDefault();
      this.form.elements.text.focus();
    } else if (step && links.length) {
      event.preventDefault();
      links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))].focus();
    }
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.unlisten();
    document.removeEventListener("keydown", this.keys);
  }
}

function card(unit) {
  const { small, tone } = RESULTS[unit.result];
  const found = what(unit);
  return h(
    "li",
    {},
    h(
      "a",
      { class: "card", href: `#/units/${unit.id}`, "data-tone": tone, "data-id": unit.id },
      thumb(unit),
      h("span", { class: "row" }, h("span", { class: "badge" }, shape(unit.result), small), h("span", { class: "time" }, time(unit.time))),
      h("span", { class: "id" }, unit.unit_id),
      made(unit),
      h("span", { class: "what" }, found || t("no defect found")),
      looked(unit.reviews),
    ),
  );
}

// Only what somebody said: the product `default` is the station as it is set up.
function made({ product, order, lot }) {
  const parts = [product && product.name !== "default" ? product.name : null, order && t("Order {order}", { order }), lot && t("Lot {lot}", { lot })].filter(Boolean);
  return parts.length ? h("span", { class: "made" }, parts.join(" · ")) : null;
}

export function looked(reviews) {
  if (!reviews?.length) return null;
  const words = [...new Set(reviews.map((review) => JUDGEMENTS[review.judgement]))];
  return h("span", { class: "looked" }, t("review: {words}", { words: words.join(", ") }));
}

function thumb(unit) {
  if (!unit.has_picture) return h("span", { class: "thumb none" }, nothing(unit));
  const canvas = h("canvas", { "aria-hidden": "true", width: 320, height: 240 });
  const box = h("span", { class: "thumb" }, canvas);
  whenSeen(box, async () => {
    try {
      const { bitmap, size } = await small(unit);
      drawUnit(canvas, bitmap, size, unit.defects, { labels: false });
      box.classList.add("drawn");
      bitmap.close();
    } catch {
      box.classList.add("none");
      box.replaceChildren(...nothing(unit));
    }
  });
  return box;
}

const nothing = (unit) => [shape(unit.result), h("span", {}, t("no picture kept"))];

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    target.whenSeen();
  }
}, { rootMargin: "300px" });

function whenSeen(element, work) {
  element.whenSeen = work;
  watcher.observe(element);
}

async function small(unit) {
  const answer = await fetch(`/api/units/${unit.id}/image?thumb`);
  if (!answer.ok) throw new Error("gone");
  const size = { width: Number(answer.headers.get("Picture-Width")), height: Number(answer.headers.get("Picture-Height")) };
  return { bitmap: await createImageBitmap(await answer.blob()), size };
}
