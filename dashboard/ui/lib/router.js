// Where we are, as the address says: `#/page/argument?name=value`. Unknown parameters are kept.

/** @typedef {{page: string, argument: string, parameters: URLSearchParams}} Place */

/** @param {string} hash with or without `#` @returns {Place} */
export function parse(hash) {
  const text = hash.replace(/^#?\/?/, "");
  const question = text.indexOf("?");
  const path = question < 0 ? text : text.slice(0, question);
  const [page = "", ...rest] = path.split("/");
  const parameters = new URLSearchParams(question < 0 ? "" : text.slice(question + 1));
  return { page: page || "overview", argument: decode(rest.join("/")), parameters };
}

/** @param {Place} place @returns {string} */
export function format({ page, argument, parameters }) {
  const query = parameters.toString();
  return `#/${page}${argument ? `/${encodeURIComponent(argument)}` : ""}${query ? `?${query}` : ""}`;
}

/** The same with other parameters; `null` and empty ones go. @param {Place} place @param {Record<string, string | null>} changes */
export function withParameters(place, changes) {
  const parameters = new URLSearchParams(place.parameters);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  return { ...place, parameters };
}

/**
 * A parameter that must be one of `allowed`; otherwise the first of them, and `wrong` is told what was asked.
 * @template {string} T @param {Place} place @param {string} name @param {readonly T[]} allowed
 * @param {(text: string) => void} [wrong] @returns {T}
 */
export function choice(place, name, allowed, wrong) {
  const asked = place.parameters.get(name);
  const found = allowed.find((it) => it === asked);
  if (asked !== null && found === undefined) wrong?.(`${name}=${asked} is none of ${allowed.join(", ")}`);
  return found ?? allowed[0];
}

/** Percent signs that mean nothing are text. @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
