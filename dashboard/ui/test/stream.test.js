import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../lib/stream.js";
import { merge } from "../live.js";

test("messages are found however the bytes are cut", () => {
  const text =
    ':\n\nevent: health\ndata: {"verdict":"ok"}\nid: 1-2\n\n: comment\r\nevent: stores\r\ndata: [1,\r\ndata: 2]\r\n\r\n';
  const wanted = [
    { event: "health", id: "1-2", data: '{"verdict":"ok"}' },
    { event: "stores", id: "1-2", data: "[1,\n2]" },
  ];
  for (let cut = 1; cut < text.length; cut += 1) {
    const decoder = new Decoder();
    // A line feed that is cut from its carriage return belongs to the next piece.
    assert.deepEqual([...decoder.push(text.slice(0, cut)), ...decoder.push(text.slice(cut))], wanted, `cut at ${cut}`);
  }
});

test("a line without end is refused", () => {
  const decoder = new Decoder();
  assert.throws(() => decoder.push("x".repeat(9 * 1024 * 1024)), /too long/);
});

test("changed rows are merged, a full answer replaces all", () => {
  const first = merge(null, {
    as_of_ms: 1,
    full: true,
    rows: [
      { id: 1, x: 1 },
      { id: 2, x: 1 },
    ],
  });
  const second = merge(first, {
    as_of_ms: 2,
    full: false,
    rows: [
      { id: 2, x: 2 },
      { id: 3, x: 2 },
    ],
    gone: [1],
  });
  assert.deepEqual(
    [...second.rows.values()],
    [
      { id: 2, x: 2 },
      { id: 3, x: 2 },
    ],
  );
  assert.equal(first.rows.size, 2, "what was shown does not change behind the page's back");
  const third = merge(second, { as_of_ms: 3, full: true, rows: [{ id: 9, x: 3 }] });
  assert.deepEqual([...third.rows.keys()], [9]);
});
