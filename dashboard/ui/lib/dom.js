// Values that are followed, and elements that follow them.
//
// Effects run in one microtask after a change, each once, however many of its values have changed: a burst of rows from
// the stream costs one pass. An effect owns what is made while it runs and ends it before it runs again. Text is text:
// nothing here parses markup, so that keys, labels and addresses can hold any.

/** @typedef {{run: () => void, sources: Set<Set<Effect>>, owned: Set<() => void>, ended: boolean}} Effect */
/** @template T @typedef {{value: T, peek: () => T}} Signal */
/** @typedef {Node | string | number | null | undefined | false} Content */
/** @typedef {Content | (() => Content | Content[]) | Content[]} Child */

const SVG = "http://www.w3.org/2000/svg";

/** @type {Effect | null} The effect that runs now and is told of what it reads. */
let reader = null;
/** @type {Set<() => void> | null} Who owns what is made now. */
let owner = null;
/** @type {Set<Effect>} */
const waiting = new Set();

/**
 * A value; reading `.value` in an effect subscribes it, `.peek()` does not.
 * @template T
 * @param {T} value
 * @returns {Signal<T>}
 */
export function signal(value) {
  /** @type {Set<Effect>} */
  const readers = new Set();
  return {
    get value() {
      if (reader) {
        readers.add(reader);
        reader.sources.add(readers);
      }
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const effect of readers) wake(effect);
    },
    peek: () => value,
  };
}

/**
 * Runs `body` now and again after each change of what it has read.
 * @param {() => void} body
 * @returns {() => void} ends it
 */
export function effect(body) {
  /** @type {Effect} */
  const self = {
    sources: new Set(),
    owned: new Set(),
    ended: false,
    run() {
      if (self.ended) return;
      release(self);
      within(self, self.owned, body);
    },
  };
  const end = () => {
    self.ended = true;
    release(self);
  };
  owner?.add(end);
  self.run();
  return end;
}

/**
 * Runs `body` as the owner of all effects that it makes.
 * @param {() => void} body
 * @returns {() => void} ends them
 */
export function scope(body) {
  /** @type {Set<() => void>} */
  const owned = new Set();
  within(null, owned, body);
  return () => endAll(owned);
}

/** Has `end` called when the present owner ends. @param {() => void} end */
export function onEnd(end) {
  owner?.add(end);
}

/** @param {Effect | null} effect @param {Set<() => void>} owned @param {() => void} body */
function within(effect, owned, body) {
  const [previousReader, previousOwner] = [reader, owner];
  [reader, owner] = [effect, owned];
  try {
    body();
  } finally {
    [reader, owner] = [previousReader, previousOwner];
  }
}

/** @param {Effect} effect */
function wake(effect) {
  if (waiting.size === 0) queueMicrotask(flush);
  waiting.add(effect);
}

function flush() {
  const now = [...waiting];
  waiting.clear();
  for (const effect of now) {
    try {
      effect.run();
    } catch (error) {
      // One bad panel never stops the others.
      console.error(error);
    }
  }
}

/** @param {Effect} effect */
function release(effect) {
  for (const readers of effect.sources) readers.delete(effect);
  effect.sources.clear();
  endAll(effect.owned);
}

/** @param {Set<() => void>} owned */
function endAll(owned) {
  for (const end of owned) end();
  owned.clear();
}

/**
 * An element. A property whose name begins with `on` is a listener, a function is followed, `true` is an empty
 * attribute, `null`, `undefined` and `false` are none.
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, properties, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(tag), properties, children));
}

/** The same for drawings. @param {string} tag @param {Record<string, any> | null} [properties] @param {...Child} children */
export function svg(tag, properties, ...children) {
  return /** @type {SVGElement} */ (fill(document.createElementNS(SVG, tag), properties, children));
}

/** @param {Element} element @param {Record<string, any> | null | undefined} properties @param {Child[]} children */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "function") effect(() => set(element, name, value()));
    else set(element, name, value);
  }
  append(element, children);
  return element;
}

/** @param {Element} element @param {string} name @param {any} value */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  // Through the object model, because the policy forbids style attributes.
  else if (name === "style") Object.entries(value).forEach(([key, it]) => /** @type {HTMLElement} */ (element).style.setProperty(key, it));
  else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Element} parent @param {Child[]} children */
function append(parent, children) {
  for (const child of children.flat()) {
    if (typeof child === "function") follow(parent, child);
    else if (child instanceof Node) parent.append(child);
    else if (child !== null && child !== undefined && child !== false) parent.append(String(child));
  }
}

/** Content that changes: it lies before a mark of its own. @param {Element} parent @param {() => Content | Content[]} read */
function follow(parent, read) {
  const mark = document.createComment("");
  parent.append(mark);
  /** @type {ChildNode[]} */
  let shown = [];
  effect(() => {
    const next = [read()].flat().filter((it) => it !== null && it !== undefined && it !== false && it !== "");
    if (shown.length === 1 && next.length === 1 && shown[0] instanceof Text && !(next[0] instanceof Node)) {
      const text = String(next[0]);
      if (shown[0].data !== text) shown[0].data = text;
      return;
    }
    shown.forEach((node) => node.remove());
    shown = next.map((it) => /** @type {ChildNode} */ (it instanceof Node ? it : document.createTextNode(String(it))));
    mark.before(...shown);
  });
}

/**
 * Keeps one child of `parent` for each item, in order: a child is built once and told of new values, so that focus and
 * selection live on.
 * @template T
 * @param {Element} parent
 * @param {() => T[]} read
 * @param {(item: T) => string | number} key
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
    for (const item of items) {
      let row = rows.get(key(item));
      if (!row) {
        row = make(item, build);
        rows.set(key(item), row);
      }
      row.item.value = item;
      if (row.node === next) next = next.nextElementSibling;
      else parent.insertBefore(row.node, next);
    }
  });
  // The rows outlive each run of the effect, so the owner of the list ends them.
  onEnd(() => rows.forEach((row) => row.end()));
}

/** @template T @param {T} first @param {(item: Signal<T>) => Element} build */
function make(first, build) {
  const item = signal(first);
  /** @type {Element | undefined} */
  let node;
  const end = scope(() => (node = build(item)));
  return { node: /** @type {Element} */ (/** @type {unknown} */ (node)), item, end };
}
