// Product: what the line makes, the change to another product, teaching, versions, zones.

import { confirmed } from "./confirm.js";
import { loaded, pictureOf } from "./compare.js";
import { h, say } from "./dom.js";
import { STATES, madeOf, referenceOf } from "./job.js";
import { t } from "./language.js";
import { ask, station } from "./station.js";
import { teachingCard, versionsCard } from "./teaching.js";
import { time } from "./words.js";
import { ZoneEditor, drawZones } from "./zones.js";

const POLL_INTERVAL_MS = 2000;
const LOOKS_PER_ROUND = 5; // the files of all products are read only once in so many looks

export const post = (path, body) => ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export function mount(root, { query }) {
  const view = new ProductView(root, query);
  return () => view.close();
}

// The answer to a command, in words.
export function answered(change) {
  const from = Object.entries(change.effective ?? {}).map(([camera, number]) => t("from unit {number} of camera {camera}", { number, camera }));
  return from.length ? t("Accepted, {from}.", { from: from.join(", ") }) : t("Accepted.");
}

class ProductView {
  constructor(root, query) {
    this.root = root;
    this.wanted = query.get("name");
    this.looks = 1;
    this.note = h("p", { class: "nothing", role: "status" }, t("Looking …"));
    this.now = h("section", { class: "card making", "aria-labelledby": "making" });
    this.change = new ChangeForm(() => this.look());
    this.choice = h("select", { name: "product", onchange: (event) => this.choose(event.target.value) });
    this.of = h("div", { class: "of-product" });
    this.body = h("div", { class: "product-view", hidden: true }, h("div", { class: "column" }, this.now, this.change.element), h("div", { class: "column" }, h("label", { class: "which" }, h("span", {}, t("Teach, versions and zones of")), this.choice), this.of));
    root.append(h("h1", {}, t("Product")), h("p", {}, h("a", { href: "#/challenge" }, t("Show the known parts …"))), this.note, this.body);
    this.look();
    this.timer = setInterval(() => document.hidden || this.look({ all: false }), POLL_INTERVAL_MS);
  }

  async look({ all = true } = {}) {
    if (this.busy) {
      this.again ||= all;
      return;
    }
    this.busy = true;
    try {
      const { teaching } = await ask("/api/teaching");
      const phase = JSON.stringify([teaching?.phase, teaching?.reference]);
      if (all || this.looks % LOOKS_PER_ROUND === 0 || phase !== this.phaseBefore) await this.readFiles();
      this.looks += 1;
      this.phaseBefore = phase;
      if (this.closed) return;
      this.show(station.status?.job ?? this.job, this.products, this.product, teaching);
    } catch (error) {
      if (this.closed) return;
      this.note.hidden = false;
      this.note.textContent = error.status === 404 ? t("This station has no products besides its settings.") : t("The products cannot be shown: {why}.", { why: error.message });
    } finally {
      this.busy = false;
    }
    if (this.again) {
      this.again = false;
      await this.look();
    }
  }

  async readFiles() {
    const { job, products } = await ask("/api/products");
    const name = this.wanted ?? job.product ?? products[0]?.name;
    const product = products.some((one) => one.name === name) ? await ask(`/api/products/${encodeURIComponent(name)}`) : null;
    Object.assign(this, { job, products, product });
    if (station.status) station.status.job = job;
  }

  choose(name) {
    this.wanted = name;
    history.replaceState(null, "", `#/product?name=${encodeURIComponent(name)}`);
    this.look();
  }

  show(job, products, product, teaching) {
    this.note.hidden = true;
    this.body.hidden = false;
    this.once("now", job, () => showNow(this.now, job));
    this.change.show(job, products);
    this.once("choice", [products.map((one) => one.name), product?.name], () =>
      this.choice.replaceChildren(...products.map((one) => h("option", { value: one.name, selected: one.name === product?.name }, one.name))),
    );
    if (this.editor) return; // who draws is not disturbed
    this.once("of", [product, teaching, job.product, job.state], () => this.showProduct(job, product, teaching));
  }

  once(what, content, draw) {
    const now = JSON.stringify(content);
    if (this[`${what}Before`] === now) return;
    this[`${what}Before`] = now;
    draw();
  }

  showProduct(job, product, teaching) {
    if (!product) {
      this.of.replaceChildren(h("p", { class: "nothing" }, t("There is no product of this name.")));
      return;
    }
    const focused = document.activeElement?.dataset?.key;
    const act = (body, title, lines, yes) => this.act(body, title, lines, yes);
    this.of.replaceChildren(
      ...(product.problem ? [h("p", { class: "card wrong", role: "alert" }, product.problem)] : []),
      teachingCard(job, product, teaching, act),
      versionsCard(product, act),
      this.zonesCard(product),
    );
    if (focused) this.of.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  // Ask, do, say what came of it.
  async act(body, title, lines, yes) {
    if (!(await confirmed(title, lines, yes))) return;
    try {
      const said = answered(await post("/api/product", body));
      this.told(said, false);
    } catch (error) {
      this.told(t("Refused: {why}.", { why: error.message.replace(/\.$/, "") }), true);
    }
    this.ofBefore = null;
    await this.look();
  }

  told(text, isWrong) {
    say(text);
    this.of.parentElement.querySelector(".told")?.remove();
    this.of.before(h("p", { class: `told card${isWrong ? " wrong" : ""}`, role: isWrong ? "alert" : "status" }, text));
  }

  zonesCard(product) {
    const list = product.zones.length
      ? h("ul", { class: "zone-list" }, product.zones.map((zone) => h("li", {}, h("b", {}, zone.name), " ", zone.ignore ? t("nothing counts here") : Object.entries(zone.thresholds).map(([code, threshold]) => `${code} ${threshold}`).join(", "))))
      : h("p", { class: "small" }, t("It has none: every place counts alike."));
    const reference = product.references.find((one) => one.number === product.in_force) ?? product.references.at(-1);
    const picture = h("div", { class: "zone-picture" });
    if (reference && product.zones.length) this.showZones(picture, product, reference);
    const card = h(
      "section",
      { class: "card looks", "aria-labelledby": "zones" },
      h("h2", { id: "zones" }, t("Zones")),
      list,
      picture,
      h(
        "div",
        { class: "judges" },
        reference
          ? h("button", { type: "button", class: "judge", "data-key": "zones", onclick: () => this.edit(card, product, reference) }, t("Draw zones"))
          : h("p", { class: "small" }, t("They are drawn on a unit's picture: open a unit of this product, or teach a reference.")),
      ),
    );
    return card;
  }

  async showZones(box, product, reference) {
    const image = await loaded(pictureOf(product.name, reference.number, "mean.png")).catch(() => null);
    if (!image || this.closed) return;
    const canvas = h("canvas", { role: "img", "aria-label": t("The zones on the reference"), width: image.naturalWidth, height: image.naturalHeight });
    box.append(canvas);
    canvas.getContext("2d").drawImage(image, 0, 0);
    drawZones(canvas, product.zones);
  }

  async edit(card, product, reference) {
    const image = await loaded(pictureOf(product.name, reference.number, "mean.png")).catch(() => null);
    if (!image || this.closed) return;
    const done = () => {
      this.editor?.close();
      this.editor = null;
      this.ofBefore = null;
      this.look();
    };
    this.editor = new ZoneEditor(product.name, product.zones, product.codes, { picture: image, width: image.naturalWidth, height: image.naturalHeight }, { onSaved: done, onClosed: done });
    card.replaceWith(this.editor.element);
  }

  close() {
    this.closed = true;
    this.editor?.close();
    clearInterval(this.timer);
  }
}

function showNow(card, job) {
  const state = h("strong", { class: "chip", "data-state": job.state }, t(STATES[job.state] ?? job.state));
  card.replaceChildren(
    h("h2", { id: "making" }, t("The line makes now")),
    h("p", { class: "name" }, h("bdi", {}, job.product ?? t("no product"))),
    h("p", { class: "job" }, ...madeOf(job).slice(1), ...(job.product ? [referenceOf(job.reference)] : []), state),
    ...(job.detail ? [h("p", { class: "small" }, job.detail)] : []),
    ...(job.since ? [h("p", { class: "small" }, t("since {time}", { time: time(job.since) }))] : []),
  );
}

class ChangeForm {
  constructor(onDone) {
    this.onDone = onDone;
    this.product = h("select", { name: "to", required: true });
    this.order = h("input", { type: "text", name: "order", maxlength: 64, autocomplete: "off", spellcheck: "false" });
    this.lot = h("input", { type: "text", name: "lot", maxlength: 64, autocomplete: "off", spellcheck: "false" });
    this.button = h("button", { class: "main" }, t("Change over"));
    this.answer = h("p", { class: "answer", role: "status" });
    this.element = h(
      "form",
      { class: "card looks change", "aria-labelledby": "change", onsubmit: (event) => this.submit(event) },
      h("h2", { id: "change" }, t("Change over")),
      h("label", {}, h("span", {}, t("Product")), this.product),
      h("label", {}, h("span", {}, t("Order")), this.order),
      h("label", {}, h("span", {}, t("Lot")), this.lot),
      h("div", { class: "judges" }, this.button),
      this.answer,
    );
  }

  show(job, products) {
    const names = products.map((one) => one.name);
    this.job = job;
    this.products = products;
    if (JSON.stringify(names) === this.before) return;
    this.before = JSON.stringify(names);
    const chosen = this.product.value || job.product;
    this.product.replaceChildren(...products.map((one) => h("option", { value: one.name, selected: one.name === chosen }, one.reference ? one.name : `${one.name} (${t("no reference")})`)));
  }

  async submit(event) {
    event.preventDefault();
    const body = { product: this.product.value, order: this.order.value.trim() || null, lot: this.lot.value.trim() || null };
    const facts = [body.order && t("Order {order}", body), body.lot && t("Lot {lot}", body)].filter(Boolean).join(", ");
    const from = this.job?.product === body.product ? t("{to} stays the product.", { to: body.product }) : this.job?.product ? t("From {from} to {to}.", { from: this.job.product, to: body.product }) : t("To {to}.", { to: body.product });
    const lines = [from, facts || t("Without an order and a lot."), t("Units from the next one on are judged as this product.")];
    if (!(await confirmed(t("Change over?"), lines, t("Change over")))) return;
    this.button.disabled = true;
    try {
      this.told(answered(await post("/api/product", body)), false);
    } catch (error) {
      this.told(t("Refused: {why}.", { why: error.message.replace(/\.$/, "") }), true);
    } finally {
      this.button.disabled = false;
    }
    this.onDone();
  }

  told(text, isWrong) {
    this.answer.textContent = text;
    this.answer.classList.toggle("wrong", isWrong);
    this.answer.dataset.accepted = String(!isWrong);
  }
}

