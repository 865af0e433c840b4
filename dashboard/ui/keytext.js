// Keys as people read and type them.

import { UNKNOWN } from "./lib/format.js";

/** Characters of a key that are shown whole. */
const KEY_SHOWN = 24;

/**
 * A key for people: as text where it is printable, else its hex; the middle of a long one is left out.
 * @param {string | null | undefined} hex
 * @param {"start" | "end"} [side] what an empty key means
 */
export function key(hex, side = "start") {
  if (hex === null || hex === undefined) return UNKNOWN;
  if (hex === "") return side === "start" ? "−∞" : "+∞";
  const text = printable(hex);
  if (text !== null) return `“${shorten(text)}”`;
  return shorten(hex.toUpperCase());
}

/** @param {string} text */
export function shorten(text, shown = KEY_SHOWN) {
  return text.length <= shown ? text : `${text.slice(0, shown - 9)}…${text.slice(-8)}`;
}

/** Hex of a key that was typed: hex stays, anything else is its UTF-8. @param {string} typed */
export function keyHex(typed) {
  if (/^([0-9a-f]{2})+$/i.test(typed)) return typed.toUpperCase();
  return [...new TextEncoder().encode(typed)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .toUpperCase();
}

/** @param {string} hex @returns {string | null} */
function printable(hex) {
  if (!/^([0-9a-f]{2})+$/i.test(hex)) return null;
  let text = "";
  for (let at = 0; at < hex.length; at += 2) {
    const code = parseInt(hex.slice(at, at + 2), 16);
    if (code < 0x20 || code > 0x7e) return null;
    text += String.fromCharCode(code);
  }
  return text;
}
