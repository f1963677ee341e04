// The page's language. Texts are written in English where they are used; another language is a
// table from them.

import { GERMAN } from "./german.js";

const TABLES = { en: {}, de: GERMAN };

function chosen() {
  const kept = localStorage.getItem("language");
  if (kept in TABLES) return kept;
  return navigator.languages.map((one) => one.slice(0, 2)).find((one) => one in TABLES) ?? "en";
}

export const language = chosen();

// A text in the page's language, with {names} filled in. What is in no table stays as it is: names,
// and what the service says of a fault.
export function t(text, values = {}) {
  const said = TABLES[language][text] ?? text;
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// One of two texts, by number.
export function many(n, one, more, values = {}) {
  return t(n === 1 ? one : more, { n, ...values });
}

export function setLanguage(name) {
  localStorage.setItem("language", name);
  location.reload();
}

// What stands in the document itself.
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.textContent.trim());
  for (const element of root.querySelectorAll("[aria-label]")) element.setAttribute("aria-label", t(element.getAttribute("aria-label")));
}
