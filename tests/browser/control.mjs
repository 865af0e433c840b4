// Faults are caused by who has the processes: a wish goes out as one line, the answer comes back as one.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks for `deed`; what was done, in a word. */
export async function ask(deed) {
  process.stdout.write(`@${deed}\n`);
  const { value, done } = await lines.next();
  if (done) throw new Error(`nobody answers to ${deed}`);
  if (value.startsWith("!")) throw new Error(`${deed}: ${value.slice(1)}`);
  return value;
}
