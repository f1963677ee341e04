// Draws what was found on pictures. Sizes are those of the screen: lines stay readable when a large
// picture is shown small.

import { named } from "./words.js";

export const COLOURS = { PASSED: "#2ee57a", FAILED: "#ff4d4d", NOT_INSPECTED: "#ffc233", ERROR: "#c79bff" };
const UNDECIDED = "#ffffff";
const HALO = "rgba(0, 0, 0, 0.75)";
const MOST_NAMED = 5; // with more defects only their numbers fit
const MARKS = { PASSED: "✓", FAILED: "✕", NOT_INSPECTED: "!", ERROR: "!" };

export function fit(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return canvas.getContext("2d");
}

// Canvas pixels for one pixel of the screen, as the canvas is laid out now (object-fit: contain).
export function scale(canvas) {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth || !clientHeight) return 1;
  return Math.max(canvas.width / clientWidth, canvas.height / clientHeight);
}

function path(context, corners, closed) {
  context.beginPath();
  corners.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (closed) context.closePath();
}

export function outline(context, corners, colour, width, dash = [], { closed = true } = {}) {
  path(context, corners, closed);
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = HALO;
  context.lineWidth = width * 2;
  context.stroke();
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

// Above its box, or below, or beside it: where it hides none of the others.
function place(context, box, width, height, others) {
  const [left, top, right, bottom] = box;
  const { width: wide, height: high } = context.canvas;
  const x = Math.min(left, wide - width);
  const spots = [[x, top - height], [x, bottom], [right, top], [left - width, top]];
  const free = ([x, y]) => {
    const spot = [x, y, x + width, y + height];
    return x >= 0 && y >= 0 && spot[2] <= wide && spot[3] <= high && !others.some((other) => meet(spot, other));
  };
  return spots.find(free) ?? [Math.max(0, x), Math.max(0, top - height)];
}

export function tag(context, text, x, y, colour, size) {
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "alphabetic";
  const pad = size * 0.35;
  const width = context.measureText(text).width + 2 * pad;
  const height = size * 1.4;
  const left = Math.min(Math.max(0, x), Math.max(0, context.canvas.width - width));
  const top = y - height < 0 ? y : y - height;
  context.fillStyle = "rgba(8, 12, 16, 0.88)";
  context.fillRect(left, top, width, height);
  context.fillStyle = colour;
  context.fillText(text, left + pad, top + size * 1.05);
}

// The live picture: every unit in view with its outline, and what was found once that is known.
export function drawLive(canvas, bitmap, header, units) {
  const context = fit(canvas, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const shrink = bitmap.width / header.width;
  const pixel = scale(canvas);
  const at = (corners) => corners.map(([x, y]) => [x * shrink, y * shrink]);
  for (const unit of units) {
    const colour = COLOURS[unit.result] ?? UNDECIDED;
    for (const defect of unit.defects) outline(context, at(defect.corners), COLOURS.FAILED, 2.5 * pixel);
    if (!unit.outline) continue;
    const ring = at(unit.outline);
    outline(context, ring, colour, 3 * pixel, unit.result ? [] : [10 * pixel, 8 * pixel]);
    const text = unit.result ? MARKS[unit.result] : "…";
    tag(context, text, ring[0][0], ring[0][1] + 26 * pixel, colour, 18 * pixel);
  }
}

// A unit's own picture with its defects, numbered as in the list beside it.
export function drawUnit(canvas, picture, size, defects, { chosen = null, labels = true } = {}) {
  const context = fit(canvas, picture.width, picture.height);
  context.drawImage(picture.source ?? picture, 0, 0);
  const shrink = picture.width / size.width;
  const pixel = scale(canvas);
  const margin = 3 * pixel;
  // What is about the unit as a whole is drawn around the whole picture, dashed.
  const boxes = defects.map((defect) => {
    if (!defect.bbox_px) return [margin, margin, canvas.width - margin, canvas.height - margin];
    const [x, y, width, height] = defect.bbox_px.map((value) => value * shrink);
    return [x - margin, y - margin, x + width + margin, y + height + margin];
  });
  const taken = boxes.filter((_box, index) => defects[index].bbox_px);
  defects.forEach((defect, index) => {
    const box = boxes[index];
    const [left, top, right, bottom] = box;
    const isChosen = defect.id === chosen;
    if (labels) {
      const text = defects.length > MOST_NAMED ? String(index + 1) : `${index + 1} ${named(defect)}`;
      const size = 14 * pixel;
      context.font = `600 ${size}px system-ui, sans-serif`;
      const [wide, high] = [context.measureText(text).width + size * 0.7, size * 1.4];
      const [x, y] = place(context, box, wide, high, taken.filter((other) => other !== box));
      taken.push([x, y, x + wide, y + high]);
      tag(context, text, x, y + high, isChosen ? "#ffffff" : "#ffb3b3", size);
    }
    // Over its label, which would dim half of the side that it lies on.
    const corners = defect.polygon_px?.map(([x, y]) => [x * shrink, y * shrink]) ?? [[left, top], [right, top], [right, bottom], [left, bottom]];
    outline(context, corners, isChosen ? "#ffffff" : COLOURS.FAILED, (isChosen ? 4 : 2.5) * pixel, defect.bbox_px ? [] : [10 * pixel, 8 * pixel]);
  });
}

// What was nearly called, thin and dashed, and what people say was missed.
export function drawMissed(canvas, nearest, missed, { colour, chosen }) {
  const context = canvas.getContext("2d");
  const pixel = scale(canvas);
  const margin = 3 * pixel;
  const ring = ([x, y, width, height]) => [[x - margin, y - margin], [x + width + margin, y - margin], [x + width + margin, y + height + margin], [x - margin, y + height + margin]];
  if (nearest?.bbox_px) outline(context, ring(nearest.bbox_px), COLOURS.NOT_INSPECTED, 1.5 * pixel, [5 * pixel, 5 * pixel]);
  missed.forEach((review, index) => {
    if (!review.bbox_px) return;
    const corners = ring(review.bbox_px);
    const isChosen = review.id === chosen;
    outline(context, corners, isChosen ? "#ffffff" : colour, (isChosen ? 4 : 2.5) * pixel);
    tag(context, `M${index + 1} ${review.code ?? ""}`.trim(), corners[0][0], corners[0][1], isChosen ? "#ffffff" : colour, 14 * pixel);
  });
}
