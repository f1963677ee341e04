// Makes elements. Text goes in as text, never as markup: nothing a unit is called is interpreted.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Shapes differ as much as their colours do: a disc, an octagon, a triangle, a diamond, a ring.
const SHAPES = {
  PASSED: [["circle", { cx: 50, cy: 50, r: 46, class: "fill" }], ["path", { d: "M28 52 44 68 74 34", class: "mark" }]],
  FAILED: [["path", { d: "M32 4h36l28 28v36L68 96H32L4 68V32z", class: "fill" }], ["path", { d: "M34 34 66 66M66 34 34 66", class: "mark" }]],
  NOT_INSPECTED: [["path", { d: "M50 6 97 92H3z", class: "fill" }], ["path", { d: "M50 36v26M50 76v1", class: "mark" }]],
  ERROR: [["path", { d: "M50 3 97 50 50 97 3 50z", class: "fill" }], ["path", { d: "M50 28v26M50 69v1", class: "mark" }]],
  NONE: [["circle", { cx: 50, cy: 50, r: 42, class: "ring" }]],
};

export function shape(result) {
  const parts = SHAPES[result] ?? SHAPES.NONE;
  return svg("svg", { viewBox: "0 0 100 100", class: "shape", "aria-hidden": "true" }, ...parts.map(([name, attributes]) => svg(name, attributes)));
}

export function say(text) {
  document.getElementById("said").textContent = text;
}
