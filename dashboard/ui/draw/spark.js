// A small line of the recent past. Gaps stay gaps: a value that is not known is not drawn as 0.

import { count } from "../lib/format.js";

const WIDTH = 160;
const HEIGHT = 28;

/** @param {(number | null)[]} series @param {string} name @returns {SVGElement} */
export function spark(series, name) {
  const values = /** @type {number[]} */ (series.filter((it) => it !== null));
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const label = `${name}: ${count(least)} to ${count(most)}`;
  const drawing = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" };
  const svg = shape("svg", drawing);
  svg.append(shape("path", { d: path(series, Math.min(0, least), most), "vector-effect": "non-scaling-stroke" }));
  return svg;
}

/** @param {(number | null)[]} series @param {number} low @param {number} high */
export function path(series, low, high) {
  const step = WIDTH / Math.max(1, series.length - 1);
  const height = high - low || 1;
  let text = "";
  let pen = false;
  series.forEach((value, at) => {
    if (value === null) {
      pen = false;
      return;
    }
    const y = HEIGHT - 2 - ((value - low) / height) * (HEIGHT - 4);
    text += `${pen ? "L" : "M"}${(at * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  });
  return text;
}

/** @param {string} tag @param {Record<string, string>} attributes */
function shape(tag, attributes) {
  const element = /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
