// The second look: what a person says of a unit's verdict, of each call on it, and of what it missed.

import { h } from "./dom.js";
import { t } from "./language.js";
import { JUDGEMENTS, named, reason, time } from "./words.js";

const NAME = "reviewer";

// The card beside the picture. `post` sends a review and returns once it is kept.
export class ReviewCard {
  constructor(unit, event, { post, onMark, onChoose }) {
    this.unit = unit;
    this.event = event;
    this.post = post;
    this.onMark = onMark;
    this.onChoose = onChoose;
    this.name = h("input", { type: "text", name: "by", maxlength: 64, value: localStorage.getItem(NAME) ?? "", autocomplete: "name", onchange: () => localStorage.setItem(NAME, this.name.value.trim()) });
    this.comment = h("input", { type: "text", name: "comment", maxlength: 300, autocomplete: "off" });
    this.said = h("div", { class: "said-of" });
    this.problem = h("p", { class: "wrong", role: "alert", hidden: true });
    this.history = h("ol", { class: "history" });
    this.element = h(
      "section",
      { class: "looks card", "aria-labelledby": "looks" },
      h("h2", { id: "looks" }, t("Review")),
      unit.result === "PASSED" || unit.result === "FAILED" ? null : h("p", {}, unit.reason ? t("Not inspected: {why}.", { why: reason(unit.reason) }) : null),
      unit.detail ? h("p", { class: "small" }, unit.detail) : null,
      h("p", { class: "small" }, t("Was this call correct? Your answer is saved and sent to the MES.")),
      this.said,
      h("div", { class: "who" }, h("label", { class: "field" }, h("span", {}, t("Comment")), this.comment), h("label", { class: "field" }, h("span", {}, t("Your name")), this.name)),
      this.problem,
      this.history,
    );
  }

  show(reviews, history) {
    this.reviews = reviews;
    const { unit } = this;
    const whole = [];
    if (unit.result === "FAILED") whole.push(["CONFIRMED", t("Confirm")], ["FALSE_CALL", t("False call")]);
    if (unit.result === "PASSED") whole.push(["CONFIRMED", t("It is good")]);
    whole.push(["UNSURE", t("Unsure")]);
    const missed = reviews.filter((review) => review.judgement === "MISSED");
    const last = reviews.reduce((newest, one) => (newest && newest.id > one.id ? newest : one), null);
    this.said.replaceChildren(
      h("div", { class: "look whole" }, h("span", { class: "of" }, h("strong", {}, t("The unit"))), this.buttons(null, whole, t("the unit {unit}", { unit: unit.unit_id }))),
      ...(unit.defects.length ? [h("ol", { class: "defects" }, unit.defects.map((defect, index) => this.called(defect, index)))] : [unit.result === "PASSED" ? h("p", { class: "small" }, this.nearest()) : ""]),
      ...(missed.length ? [h("ol", { class: "defects missed", "aria-label": t("Missed defects") }, missed.map((review, index) => this.marked(review, index)))] : []),
      h("div", { class: "judges" }, h("button", { type: "button", class: "judge", "data-do": "mark", onclick: () => this.onMark() }, t("Mark a missed defect")), last ? h("button", { type: "button", class: "judge", "data-do": "undo", onclick: () => this.takeBack(last) }, t("Take back: {what}", { what: JUDGEMENTS[last.judgement] })) : null),
    );
    const taken = new Set(history.map((one) => one.takes_back).filter(Boolean));
    this.history.replaceChildren(...history.map((one) => this.line(one, taken)));
  }

  called(defect, index) {
    const sure = `${t("{share} % sure", { share: Math.round(defect.confidence * 100) })}${defect.bbox_px ? "" : `, ${t("of the whole unit")}`}`;
    const choices = [["CONFIRMED", t("Confirm")], ["FALSE_CALL", t("False call")], ["UNSURE", t("Unsure")]];
    return h(
      "li",
      { class: "look", "data-id": defect.id, ...this.chosenBy(defect.id) },
      h("span", { class: "of" }, h("b", { class: "number" }, index + 1), h("strong", {}, named(defect)), h("span", { class: "small" }, sure)),
      this.buttons(defect.id, choices, t("defect {n}, {code}", { n: index + 1, code: named(defect) })),
    );
  }

  marked(review, index) {
    const code = review.code ?? t("another kind");
    return h(
      "li",
      { class: "look", "data-id": review.id, ...this.chosenBy(review.id) },
      h("span", { class: "of" }, h("b", { class: "number" }, `M${index + 1}`), h("strong", {}, code), h("span", { class: "small" }, review.bbox_px ? t("missed") : t("missed, of the whole unit"))),
      h("span", { class: "judges" }, h("button", { type: "button", class: "judge", "aria-label": t("Take back: missed defect {n}, {code}", { n: index + 1, code }), onclick: () => this.takeBack(review) }, t("Take back"))),
    );
  }

  chosenBy(id) {
    return { onmouseenter: () => this.onChoose(id), onmouseleave: () => this.onChoose(null), onfocusin: () => this.onChoose(id), onfocusout: () => this.onChoose(null) };
  }

  // What the station saw and did not call.
  nearest() {
    const { nearest } = this.event;
    if (!nearest) return t("None was found.");
    const share = (value) => Math.round(value * 100);
    return t("Nearest to a defect: {code}, {share} % sure where {needed} % are needed.", { code: nearest.code, share: share(nearest.confidence), needed: share(nearest.threshold) });
  }

  buttons(defectId, choices, name) {
    const said = this.reviews.find((review) => review.defect_id === defectId && review.judgement !== "MISSED");
    return h(
      "span",
      { class: "judges" },
      choices.map(([value, text]) =>
        h("button", { type: "button", class: "judge", "data-judgement": value, "aria-pressed": String(said?.judgement === value), "aria-label": `${text}: ${name}`, onclick: () => (said?.judgement === value ? this.takeBack(said) : this.say({ judgement: value, defect_id: defectId })) }, text),
      ),
    );
  }

  takeBack(review) {
    return this.say({ judgement: "WITHDRAWN", takes_back: review.id });
  }

  async say(what) {
    this.problem.hidden = true;
    try {
      await this.send(what);
    } catch (error) {
      this.problem.textContent = t("That could not be saved: {why}.", { why: error.message });
      this.problem.hidden = false;
    }
  }

  // Raises where it was not kept.
  async send(what) {
    const focused = document.activeElement?.getAttribute("aria-label");
    localStorage.setItem(NAME, this.name.value.trim());
    await this.post({ ...what, by: this.name.value.trim(), comment: this.comment.value.trim() });
    this.comment.value = "";
    if (focused) [...this.element.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  }

  line(one, taken) {
    const { defects } = this.unit;
    const index = defects.findIndex((defect) => defect.id === one.defect_id);
    const about = one.judgement === "MISSED" ? (one.code ?? t("another kind")) : index < 0 ? "" : t("defect {n}, {code}", { n: index + 1, code: defects[index].code });
    const words = [time(one.time), one.by || t("nobody named"), [JUDGEMENTS[one.judgement], about].filter(Boolean).join(" "), one.comment].filter(Boolean);
    return h("li", { class: taken.has(one.id) || one.takes_back ? "small gone" : "small", "data-history": one.judgement }, words.join(" · "), taken.has(one.id) ? ` (${t("taken back")})` : "");
  }
}
