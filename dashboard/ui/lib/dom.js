// Values that are followed, and elements that follow them.
//
// Effects run in one microtask after a change, each once, however many of its values have changed. An effect owns what is
// made while it runs and ends it before it runs again. Text is text: nothing here parses markup.

/** @template T @typedef {{value: T, peek: () => T}} Signal */
/** @typedef {Node | string | number | null | undefined | false} Content */
/** @typedef {Content | (() => Content | Content[]) | Content[]} Child */
/** @typedef {{run: () => void, sources: Set<Set<() => void>>}} Reader */

/** @type {Reader | null} The effect that runs now and is told of what it reads. */
let reader = null;
/** @type {Set<() => void> | null} Who owns what is made now. */
let owner = null;
/** @type {Set<() => void>} Effects whose values have changed. */
const waiting = new Set();

/** A value; reading `.value` in an effect subscribes it, `.peek()` does not. @template T @param {T} value @returns {Signal<T>} */
export function signal(value) {
  const readers = /** @type {Set<() => void>} */ (new Set());
  return {
    get value() {
      if (reader) {
        readers.add(reader.run);
        reader.sources.add(readers);
      }
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      if (readers.size && waiting.size === 0) queueMicrotask(flush);
      for (const run of readers) waiting.add(run);
    },
    peek: () => value,
  };
}

/** Runs `body` now and again after each change of what it has read. @param {() => void} body @returns {() => void} ends it */
export function effect(body) {
  const owned = /** @type {Set<() => void>} */ (new Set());
  /** @type {Reader} */
  const self = { run: () => (release(), within(self, owned, body)), sources: new Set() };
  const release = () => {
    for (const readers of self.sources) readers.delete(self.run);
    self.sources.clear();
    endAll(owned);
  };
  const end = () => (waiting.delete(self.run), release());
  owner?.add(end);
  self.run();
  return end;
}

/** Runs `body` as the owner of all effects that it makes. @param {() => void} body @returns {() => void} ends them */
export function scope(body) {
  const owned = /** @type {Set<() => void>} */ (new Set());
  within(null, owned, body);
  return () => endAll(owned);
}

/** Has `end` called when the present owner ends. @param {() => void} end */
export const onEnd = (end) => void owner?.add(end);

/** @param {Reader | null} next @param {Set<() => void>} owned @param {() => void} body */
function within(next, owned, body) {
  const before = { reader, owner };
  [reader, owner] = [next, owned];
  try {
    body();
  } finally {
    ({ reader, owner } = before);
  }
}

/** Those that wait, and those that they wake. */
function flush() {
  for (const run of waiting) {
    waiting.delete(run);
    try {
      run();
    } catch (error) {
      // One bad panel never stops the others.
      console.error(error);
    }
  }
}

/** @param {Set<() => void>} owned */
function endAll(owned) {
  for (const end of owned) end();
  owned.clear();
}

/**
 * An element. A property whose name begins with `on` is a listener, a function is followed, `true` is an empty attribute,
 * `null`, `undefined` and `false` are none.
 * @param {string} tag @param {Record<string, any> | null} [properties] @param {...Child} children
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "function") effect(() => set(element, name, value()));
    else set(element, name, value);
  }
  for (const child of children.flat()) {
    if (typeof child === "function") follow(element, child);
    else if (shows(child)) element.append(/** @type {Node | string} */ (child));
  }
  return element;
}

/** @param {HTMLElement} element @param {string} name @param {any} value */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  // Through the object model, because the policy forbids style attributes.
  else if (name === "style") for (const [key, it] of Object.entries(value)) element.style.setProperty(key, it);
  else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Content} it */
const shows = (it) => it !== null && it !== undefined && it !== false && it !== "";

/** Content that changes: it lies before a mark of its own. @param {Element} parent @param {() => Content | Content[]} read */
function follow(parent, read) {
  const mark = document.createComment("");
  parent.append(mark);
  /** @type {ChildNode[]} */
  let shown = [];
  effect(() => {
    const next = [read()].flat().filter(shows);
    const [text] = shown;
    if (shown.length === 1 && next.length === 1 && text instanceof Text && !(next[0] instanceof Node)) {
      if (text.data !== String(next[0])) text.data = String(next[0]);
      return;
    }
    shown.forEach((node) => node.remove());
    shown = next.map((it) => /** @type {ChildNode} */ (it instanceof Node ? it : new Text(String(it))));
    mark.before(...shown);
  });
}

/**
 * Keeps one child of `parent` for each item, in order; it is built once and told of new values, so that focus lives on.
 * @template T @param {Element} parent @param {() => T[]} read @param {(item: T) => string | number} key
 * @param {(item: Signal<T>) => Element} build
 */
export function each(parent, read, key, build) {
  /** @type {Map<string | number, {node: Element, item: Signal<T>, end: () => void}>} */
  const rows = new Map();
  effect(() => {
    const items = read();
    const wanted = new Set(items.map(key));
    for (const [id, row] of rows) {
      if (wanted.has(id)) continue;
      row.end();
      row.node.remove();
      rows.delete(id);
    }
    let next = parent.firstElementChild;
    for (const value of items) {
      const row = rows.get(key(value)) ?? make(value, build);
      rows.set(key(value), row);
      row.item.value = value;
      if (row.node === next) next = next.nextElementSibling;
      else parent.insertBefore(row.node, next);
    }
  });
  // The rows outlive each run of the effect, so the owner of the list ends them.
  onEnd(() => rows.forEach((row) => row.end()));
}

/** @template T @param {T} value @param {(item: Signal<T>) => Element} build */
function make(value, build) {
  const item = signal(value);
  let node = /** @type {Element} */ (/** @type {unknown} */ (null));
  const end = scope(() => (node = build(item)));
  return { node, item, end };
}
