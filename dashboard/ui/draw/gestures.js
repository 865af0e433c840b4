// Hands on the strip: wheel and pinch zoom, dragging, a box with Shift, a click or the arrow keys for the cell cursor.

/** @typedef {{view: () => {from: number, to: number}, look: (from: number, to: number) => void, point: (cell: number) => void,
 *             band: (band: {from: number, to: number} | null) => void, move: (by: number) => void, zoom: (factor: number) => void, open: () => void}} Hands */

/** One notch of the wheel. */
const WHEEL = 1.0015;
/** Below so many pixels a drag is a click. */
const CLICK_PX = 4;
/** Cells that a page key moves by. */
const PAGE = 25;

/** @param {HTMLCanvasElement} canvas @param {Hands} hands */
export function gestures(canvas, hands) {
  /** @type {Map<number, number>} Pointers that are down, and where. */
  const down = new Map();
  let moved = 0;
  /** Where a box began, with Shift held. @type {number | null} */
  let box = null;
  const cellAt = (/** @type {number} */ x) => {
    const { from, to } = hands.view();
    const box = canvas.getBoundingClientRect();
    return from + ((x - box.left) / box.width) * (to - from);
  };
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { from, to } = hands.view();
      const middle = cellAt(event.clientX);
      const factor = WHEEL ** event.deltaY;
      hands.look(middle - (middle - from) * factor, middle + (to - middle) * factor);
    },
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    down.set(event.pointerId, event.clientX);
    moved = 0;
    box = event.shiftKey ? cellAt(event.clientX) : null;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (before === undefined) {
      if (event.pointerType === "mouse") hands.point(cellAt(event.clientX));
      return;
    }
    const { from, to } = hands.view();
    const scale = (to - from) / canvas.clientWidth;
    const shift = event.clientX - before;
    moved += Math.abs(shift);
    if (box !== null) {
      hands.band(between(box, cellAt(event.clientX)));
    } else if (down.size === 1) {
      hands.look(from - shift * scale, to - shift * scale);
    } else {
      const other = [...down].find(([id]) => id !== event.pointerId)?.[1] ?? before;
      const factor = Math.abs(before - other) / Math.max(1, Math.abs(event.clientX - other));
      const fixed = cellAt(other);
      hands.look(fixed - (fixed - from) * factor, fixed + (to - fixed) * factor);
    }
    down.set(event.pointerId, event.clientX);
  });
  const up = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId)) return;
    if (moved < CLICK_PX) hands.point(cellAt(event.clientX));
    else if (box !== null) {
      const { from, to } = between(box, cellAt(event.clientX));
      hands.look(Math.floor(from), Math.ceil(to));
    }
    box = null;
    hands.band(null);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  canvas.addEventListener("keydown", (event) => {
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => hands.move(-1),
      ArrowRight: () => hands.move(1),
      PageUp: () => hands.move(-PAGE),
      PageDown: () => hands.move(PAGE),
      Home: () => hands.move(-Infinity),
      End: () => hands.move(Infinity),
      "+": () => hands.zoom(0.5),
      "-": () => hands.zoom(2),
      Enter: hands.open,
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  });
}

/** @param {number} a @param {number} b */
const between = (a, b) => ({ from: Math.min(a, b), to: Math.max(a, b) });
