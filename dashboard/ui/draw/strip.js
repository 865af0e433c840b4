// The key space as a strip of four lanes over one axis: leader store, heat now, rule, trouble and operators.

/** @typedef {import("../types.d.ts").KeyMap} KeyMap */
/** @typedef {{from: number, to: number}} View cells, fractions too */
/** @typedef {{map: KeyMap, heat: Uint8Array, view: View, cursor: number, band: View | null, picked: number | null, dark: boolean}} Scene */

/** Lanes from top to bottom: their heights in CSS pixels; names stand beside the canvas. */
export const LANES = /** @type {const} */ ([
  ["leader", 44],
  ["heat", 44],
  ["rule", 18],
  ["trouble", 26],
]);
const GAP = 4;
/** Height of all lanes in CSS pixels. */
export const HEIGHT = LANES.reduce((sum, [, height]) => sum + height + GAP, -GAP);
/** A cell of heat that nobody knows. */
const UNKNOWN = 255;
/** Trouble is never thinner than this, however many cells share a pixel. */
const TROUBLE_MIN_PX = 3;

/** The cividis ramp: even steps of lightness, the same for all kinds of sight. @type {[number, number, number][]} */
const CIVIDIS = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [225, 204, 85],
  [254, 232, 56],
];
/** Where the ramp begins, so that the least traffic already stands out from the background. */
const RAMP_FIRST = 0.12;

const LIGHT = {
  ground: "#eef0f2",
  ink: "#1b1f24",
  mixed: "#9aa1a9",
  rule: ["#b9c4d0", "#d9dfe6"],
  warn: "#a06600",
  risk: "#a3123a",
  operator: "#0072b2",
  unknown: "#6b7280",
};
const DARK = {
  ground: "#22272d",
  ink: "#e8eaed",
  mixed: "#6b7480",
  rule: ["#48525e", "#343c45"],
  warn: "#f0c53b",
  risk: "#ff6b4a",
  operator: "#56b4e9",
  unknown: "#9aa3ad",
};

/** Heat from its base64. Too short an answer is not known at its end. @param {string} text @param {number} cells */
export function decodeHeat(text, cells) {
  const heat = new Uint8Array(cells).fill(UNKNOWN);
  const raw = atob(text ?? "");
  for (let at = 0; at < Math.min(cells, raw.length); at += 1) heat[at] = raw.charCodeAt(at);
  return heat;
}

/** The value behind a byte of heat; `null` is not known. @param {number} byte @param {{min: number, max: number}} lane */
export function heatValue(byte, { min, max }) {
  if (byte === UNKNOWN) return null;
  if (byte === 0) return 0;
  if (!(min > 0) || max <= min) return max;
  return min * (max / min) ** ((byte - 1) / 253);
}

/** The colour of a byte of heat, from the background outward. @param {number} byte 1 to 254 @param {boolean} dark */
export function heatColour(byte, dark) {
  const share = RAMP_FIRST + (1 - RAMP_FIRST) * ((byte - 1) / 253);
  const place = (dark ? share : 1 - share) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(place));
  const mix = CIVIDIS[low].map((value, at) => Math.round(value + (CIVIDIS[low + 1][at] - value) * (place - low)));
  return `rgb(${mix.join(" ")})`;
}

/** A store's colour: neighbours in number differ; nobody tells thirty apart, so one can be picked. @param {number} store @param {boolean} dark */
export function storeColour(store, dark) {
  // The golden angle spreads any number of hues.
  const hue = (store * 137.508) % 360;
  return `oklch(${dark ? 0.7 : 0.6} ${store % 2 ? 0.11 : 0.07} ${hue.toFixed(0)})`;
}

/** Draws it. @param {HTMLCanvasElement} canvas @param {Scene} scene */
export function draw(canvas, scene) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(HEIGHT * ratio)) canvas.height = Math.round(HEIGHT * ratio);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const colours = scene.dark ? DARK : LIGHT;
  context.fillStyle = scene.dark ? "#14171a" : "#ffffff";
  context.fillRect(0, 0, width, HEIGHT);
  let top = 0;
  for (const [lane, height] of LANES) {
    context.fillStyle = colours.ground;
    context.fillRect(0, top, width, height);
    cells(scene, width, ratio, (cell, x, w) => PAINT[lane](context, scene, colours, cell, x, w, top, height));
    top += height + GAP;
  }
  band(context, scene, colours, width);
  cursor(context, scene, colours, width);
}

/** Calls `paint` for each cell that is in view. @param {Scene} scene @param {number} width @param {number} ratio @param {(cell: number, x: number, w: number) => void} paint */
function cells({ map, view }, width, ratio, paint) {
  const scale = width / (view.to - view.from);
  const last = Math.min(map.regions.length, Math.ceil(view.to));
  for (let cell = Math.max(0, Math.floor(view.from)); cell < last; cell += 1) {
    // Whole pixels, so that no seam shows between neighbours; a hair of ground where cells are wide enough to be told apart.
    const x = Math.round((cell - view.from) * scale * ratio) / ratio;
    const end = Math.round((cell + 1 - view.from) * scale * ratio) / ratio;
    paint(cell, x, scale > 6 ? end - x - 1 : Math.max(end - x, 1 / ratio));
  }
}

/** @typedef {(context: CanvasRenderingContext2D, scene: Scene, colours: typeof LIGHT, cell: number, x: number, w: number, top: number, height: number) => void} Paint */

/** @type {Record<typeof LANES[number][0], Paint>} */
const PAINT = {
  leader(context, { map, picked, dark }, colours, cell, x, w, top, height) {
    const store = map.leader[cell];
    if (store === 0) {
      context.fillStyle = map.regions[cell] ? colours.mixed : colours.ground;
      context.globalAlpha = picked === null ? 1 : 0.25;
      // Several lead: as tall as the share of the one that leads most.
      const part = map.leader_permille[cell] / 1_000;
      context.fillRect(x, top + height * (1 - part), w, height * part);
    } else {
      context.fillStyle = storeColour(store, dark);
      context.globalAlpha = picked === null || picked === store ? 1 : 0.18;
      context.fillRect(x, top, w, height);
    }
    context.globalAlpha = 1;
  },
  heat(context, { heat, dark }, colours, cell, x, w, top, height) {
    if (heat[cell] === 0) return;
    if (heat[cell] === UNKNOWN) {
      context.fillStyle = colours.unknown;
      context.fillRect(x, top + height - 3, w, 3);
      return;
    }
    context.fillStyle = heatColour(heat[cell], dark);
    context.fillRect(x, top, w, height);
  },
  rule(context, { map }, colours, cell, x, w, top, height) {
    context.fillStyle = colours.rule[map.rule[cell] % colours.rule.length];
    context.fillRect(x, top, w, height);
  },
  trouble(context, { map }, colours, cell, x, w, top, height) {
    const wide = Math.max(w, TROUBLE_MIN_PX);
    const trouble = map.trouble[cell];
    if (trouble) {
      const bad = (trouble.missing ?? 0) + (trouble.down ?? 0) + (trouble.holes ?? 0) > 0;
      context.fillStyle = bad ? colours.risk : colours.warn;
      // Harm fills the lane, lesser trouble half of it: shape as well as colour.
      context.fillRect(x, top, wide, bad ? height : height / 2);
    }
    if (map.ops[cell]) {
      context.fillStyle = colours.operator;
      context.fillRect(x, top + height - 7, wide, 7);
    }
  },
};

/** The box that is being drawn. @param {CanvasRenderingContext2D} context @param {Scene} scene @param {typeof LIGHT} colours @param {number} width */
function band(context, { view, band }, colours, width) {
  if (!band) return;
  const scale = width / (view.to - view.from);
  context.fillStyle = colours.ink;
  context.globalAlpha = 0.25;
  context.fillRect((band.from - view.from) * scale, 0, (band.to - band.from) * scale, HEIGHT);
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {Scene} scene @param {typeof LIGHT} colours @param {number} width */
function cursor(context, { view, cursor }, colours, width) {
  if (cursor < 0) return;
  const scale = width / (view.to - view.from);
  const x = (cursor - view.from) * scale;
  context.strokeStyle = colours.ink;
  context.lineWidth = 2;
  context.strokeRect(x, 1, Math.max(scale, 3), HEIGHT - 2);
}
