import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, clock, count, share, some, span } from "../lib/format.js";
import { key, keyHex, shorten } from "../keytext.js";

test("what is not known is ? and never 0", () => {
  for (const nothing of [null, undefined, NaN, Infinity]) {
    for (const format of [count, bytes, span, share, clock]) assert.equal(format(nothing), "?");
  }
  assert.equal(count(0), "0");
  assert.equal(clock(1e300), "?", "a time that no calendar has");
});

test("numbers are grouped, and small fractions keep two digits", () => {
  assert.equal(count(4_000), "4,000");
  assert.equal(count(1.239), "1.24");
  assert.equal(count(1_239.7), "1,240");
  assert.equal(some(1, "operator"), "1 operator");
  assert.equal(some(4_000, "region"), "4,000 regions");
});

test("bytes carry their unit", () => {
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1_023), "1023 B");
  assert.equal(bytes(1_536), "1.5 KiB");
  assert.equal(bytes(2 ** 40), "1 TiB");
  assert.equal(bytes(-2_048), "-2 KiB");
});

test("spans show their two largest units", () => {
  assert.equal(span(640), "640 ms");
  assert.equal(span(1_000), "1 s");
  assert.equal(span(252_000), "4 m 12 s");
  assert.equal(span(3_720_000), "1 h 2 m");
  assert.equal(span(15 * 60_000), "15 m");
  assert.equal(span(90_000_000), "1 d 1 h");
});

test("a share is never rounded up to all", () => {
  assert.equal(share(1_000), "100 %");
  assert.equal(share(999.9), "99.9 %");
  assert.equal(share(830), "83 %");
});

test("keys are text where they can be, hex elsewhere, and bounded", () => {
  assert.equal(key(""), "−∞");
  assert.equal(key("", "end"), "+∞");
  assert.equal(key("75736572"), "“user”");
  assert.equal(key("7480ff"), "7480FF");
  assert.equal(key("3C623E"), "“<b>”");
  assert.ok(key("FF".repeat(4_096)).length < 30);
  assert.ok(shorten("x".repeat(100)).includes("…"));
  assert.equal(keyHex("user"), "75736572");
  assert.equal(keyHex("74AB"), "74AB");
  assert.equal(keyHex("é"), "C3A9");
});
