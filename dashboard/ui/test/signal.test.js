import assert from "node:assert/strict";
import { test } from "node:test";
import { effect, scope, signal } from "../lib/dom.js";

const settled = () => new Promise((resolve) => setTimeout(resolve));

test("an effect runs once for many changes, and only while it lives", async () => {
  const [a, b] = [signal(1), signal(2)];
  const seen = [];
  const end = effect(() => seen.push(a.value + b.value));
  a.value = 10;
  b.value = 20;
  await settled();
  assert.deepEqual(seen, [3, 30]);
  end();
  a.value = 100;
  await settled();
  assert.deepEqual(seen, [3, 30]);
});

test("an effect ends what it made before it runs again, and a scope all of it", async () => {
  const outer = signal(0);
  const inner = signal(0);
  let runs = 0;
  const end = scope(() => {
    effect(() => {
      outer.value;
      effect(() => (inner.value, (runs += 1)));
    });
  });
  outer.value = 1;
  await settled();
  runs = 0;
  inner.value = 1;
  await settled();
  assert.equal(runs, 1, "the first inner effect has ended");
  end();
  inner.value = 2;
  await settled();
  assert.equal(runs, 1);
});

test("one failing effect does not stop the others", async () => {
  const value = signal(0);
  const seen = [];
  const error = console.error;
  console.error = () => seen.push("told");
  effect(() => {
    if (value.value) throw new Error("on purpose");
  });
  effect(() => seen.push(value.value));
  value.value = 1;
  await settled();
  console.error = error;
  assert.deepEqual(seen, [0, "told", 1]);
});
