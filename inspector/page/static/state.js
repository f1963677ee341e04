// State: every part in words; what is wrong, since when, and what to do.

import { h, shape } from "./dom.js";
import { many, t } from "./language.js";
import { NumbersPart } from "./numbers.js";
import { OpticsPart } from "./optics.js";
import { listen, station } from "./station.js";
import { PARTS, ago, time } from "./words.js";

export function mount(root) {
  const head = h("div", { class: "overall", role: "status" });
  const list = h("ul", { class: "parts" });
  const pictures = h("div", { class: "parts" });
  root.append(h("h1", {}, t("State")), head, list);
  const numbers = new NumbersPart(root);
  root.append(pictures);
  const optics = new OpticsPart(pictures);
  const draw = () => show(head, list);
  const unlisten = listen(draw);
  const timer = setInterval(draw, 1000);
  return () => {
    unlisten();
    optics.close();
    numbers.close();
    clearInterval(timer);
  };
}

let before = "";

function show(head, list) {
  if (!station.status) {
    head.replaceChildren(h("p", {}, station.up === false ? t("The service does not answer.") : t("Looking …")));
    return;
  }
  const parts = [...station.status.parts].sort((a, b) => Number(a.good) - Number(b.good));
  const bad = parts.filter((part) => !part.good).length;
  const gone = station.up === false;
  const tone = gone ? "none" : bad ? "bad" : "good";
  const text = gone ? t("The service does not answer: this is how it was last.") : bad ? many(bad, "{n} problem.", "{n} problems.") : t("Everything works.");
  if (head.dataset.text !== text) {
    head.dataset.text = text;
    head.dataset.tone = tone;
    head.replaceChildren(shape(gone ? "NOT_INSPECTED" : bad ? "FAILED" : "PASSED"), h("p", {}, text));
  }
  const now = JSON.stringify([parts, gone]);
  if (now !== before || !list.children.length) {
    before = now;
    list.classList.toggle("stale", gone);
    list.replaceChildren(...parts.map(item));
  }
  for (const element of list.querySelectorAll("time")) {
    element.textContent = t("since {time}, for {long}", { time: time(element.dateTime), long: ago(Date.now() - new Date(element.dateTime)) });
  }
}

function item(part) {
  const result = part.good ? "PASSED" : part.since ? "FAILED" : "NOT_INSPECTED";
  return h(
    "li",
    { class: "card part", "data-part": part.part, "data-good": String(part.good) },
    shape(result),
    h(
      "div",
      {},
      h("h2", {}, t(PARTS[part.part] ?? part.part), part.subject ? ` ${part.subject}` : null, h("span", { class: "hidden" }, part.good ? t(": works") : t(": needs attention"))),
      h("p", {}, t(part.words)),
      part.since ? h("p", { class: "small" }, h("time", { datetime: part.since })) : null,
      part.unit ? h("p", {}, h("a", { href: `#/unit/${part.unit.event_id}` }, t("Show unit {id}", { id: part.unit.id }))) : null,
      part.advice ? h("p", { class: "advice" }, h("strong", {}, t("What to do:"), " "), t(part.advice)) : null,
    ),
  );
}
