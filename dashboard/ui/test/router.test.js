import assert from "node:assert/strict";
import { test } from "node:test";
import { choice, format, parse, withParameters } from "../lib/router.js";

test("an address survives the way there and back", () => {
  for (const hash of ["#/overview", "#/store/4?why=1", "#/keys?metric=write&start=7480&store=4", "#/region/77"]) {
    assert.equal(format(parse(hash)), hash);
  }
});

test("nothing is the Overview", () => {
  for (const hash of ["", "#", "#/"]) assert.equal(parse(hash).page, "overview");
});

test("unknown parameters are kept, empty ones go", () => {
  const place = withParameters(parse("#/stores?future=1&sort=used"), { sort: null, order: "down", filter: "" });
  assert.equal(format(place), "#/stores?future=1&order=down");
});

test("a wrong choice is named and the first one holds", () => {
  const wrong = [];
  assert.equal(
    choice(parse("#/keys?metric=cpu"), "metric", ["write", "read"], (text) => wrong.push(text)),
    "write",
  );
  assert.deepEqual(wrong, ["metric=cpu is none of write, read"]);
  assert.equal(
    choice(parse("#/keys?metric=read"), "metric", ["write", "read"], (text) => wrong.push(text)),
    "read",
  );
  assert.equal(wrong.length, 1);
});

test("percent signs that mean nothing are text", () => {
  assert.equal(parse("#/store/%zz").argument, "%zz");
});
