import assert from "node:assert/strict";
import { test } from "node:test";
import { path } from "../draw/spark.js";
import { decodeHeat, heatColour, heatValue } from "../draw/strip.js";
import { holding } from "../pages/keys.js";
import { stretches } from "../pages/keys-table.js";

test("heat is decoded, and what did not come is not known", () => {
  const text = Buffer.from([0, 1, 254]).toString("base64");
  assert.deepEqual([...decodeHeat(text, 5)], [0, 1, 254, 255, 255]);
  assert.deepEqual([...decodeHeat(text, 2)], [0, 1]);
});

test("a byte of heat means a value on a logarithmic scale", () => {
  const lane = { min: 10, max: 1_000 };
  assert.equal(heatValue(0, lane), 0);
  assert.equal(heatValue(255, lane), null);
  assert.equal(heatValue(1, lane), 10);
  assert.equal(Math.round(/** @type {number} */ (heatValue(254, lane))), 1_000);
  assert.ok(Math.abs(/** @type {number} */ (heatValue(127, lane)) - 100) < 2);
  assert.equal(heatValue(7, { min: 5, max: 5 }), 5, "all cells are equally hot");
});

test("the ramp goes from the background outward in both themes", () => {
  const light = (/** @type {string} */ rgb) =>
    rgb
      .match(/\d+/g)
      ?.map(Number)
      .reduce((sum, it) => sum + it, 0) ?? 0;
  for (const dark of [true, false]) {
    const steps = [1, 64, 128, 192, 254].map((byte) => light(heatColour(byte, dark)));
    const sorted = [...steps].sort((a, b) => (dark ? a - b : b - a));
    assert.deepEqual(steps, sorted);
  }
});

const map = /** @type {any} */ ({
  keys: ["", "10", "1080", "20", ""],
  regions: [1, 1, 1, 1],
  trouble: { 2: { missing: 1 } },
});

test("a key is in the cell that begins at or before it", () => {
  assert.equal(holding(map, null), -1);
  assert.equal(holding(map, "00"), 0);
  assert.equal(holding(map, "10"), 1);
  assert.equal(holding(map, "107F"), 1);
  assert.equal(holding(map, "1080"), 2);
  assert.equal(holding(map, "FF"), 3);
});

test("the table has all trouble and joins hot neighbours", () => {
  const heat = new Uint8Array([200, 210, 250, 20]);
  assert.deepEqual(stretches({ map, heat }), [
    { from: 2, to: 3, bad: true },
    { from: 0, to: 2, bad: false },
  ]);
});

test("gaps in a line stay gaps", () => {
  assert.equal(path([1, null, 3, 4], 0, 4).match(/M/g)?.length, 2);
});
