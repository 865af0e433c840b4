// Numbers and spans as people read them. What is not known is "?", never 0.

export const UNKNOWN = "?";
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
/** @type {[string, number][]} */
const SPANS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000]];

/** @param {number | null | undefined} value @returns {value is number} */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** 4000 -> "4,000"; fractions keep two digits. @param {number | null | undefined} value */
export function count(value) {
  if (!known(value)) return UNKNOWN;
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** "1 operator", "4,000 operators". @param {number | null | undefined} value @param {string} noun */
export function some(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** 1536 -> "1.5 KiB". @param {number | null | undefined} value */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  let unit = 0;
  let left = Math.abs(value);
  while (left >= 1024 && unit < BYTE_UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  const text = left.toFixed(unit === 0 || left >= 100 ? 0 : 1).replace(/\.0$/, "");
  return `${value < 0 ? "-" : ""}${text} ${BYTE_UNITS[unit]}`;
}

/** A span in its two largest units: 3,720,000 -> "1 h 2 m". @param {number | null | undefined} ms */
export function span(ms) {
  if (!known(ms)) return UNKNOWN;
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const first = SPANS.findIndex(([, unit]) => ms >= unit);
  const [name, unit] = SPANS[first];
  const whole = Math.floor(ms / unit);
  const [nextName, nextUnit] = SPANS[first + 1] ?? ["", 0];
  const rest = nextUnit ? Math.floor((ms - whole * unit) / nextUnit) : 0;
  return rest && whole < 10 ? `${whole} ${name} ${rest} ${nextName}` : `${whole} ${name}`;
}

/** 83.4 % from 834. @param {number | null | undefined} permille */
export function share(permille) {
  if (!known(permille)) return UNKNOWN;
  // Rounded down: 99.96 % is not yet all of it.
  return `${(Math.floor(permille) / 10).toFixed(1).replace(/\.0$/, "")} %`;
}

/** Time of day, UTC. @param {number | null | undefined} ms since 1970 */
export function clock(ms) {
  if (!known(ms) || Math.abs(ms) > 8.64e15) return UNKNOWN;
  return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
}

/** Date and time, UTC and as here: for what is shown on hover. @param {number | null | undefined} ms */
export function moment(ms) {
  if (!known(ms) || Math.abs(ms) > 8.64e15) return UNKNOWN;
  const date = new Date(ms);
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC · ${date.toLocaleString()} here`;
}
