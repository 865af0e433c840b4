// A server of canned answers, for what a healthy group never says: markup in addresses, words that nobody knows, three
// hundred stores, a map of a million Regions, an empty cluster, a server that sheds. Headers are those of the real one.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { SCENES, why } from "./scenes.mjs";

const UI = fileURLToPath(new URL("../../dashboard/ui/", import.meta.url));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".html": "text/html; charset=utf-8" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/**
 * Starts it; `scene` names what it tells and may be changed while it runs.
 * @param {keyof typeof SCENES} scene
 */
export async function fixture(scene) {
  const state = { scene, hash: "fixture", streams: new Set() };
  const server = createServer((request, response) => {
    answer(state, new URL(request.url, "http://fixture"), response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    state,
    url: `http://127.0.0.1:${port}/dashboard/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(state, url, response) {
  const path = url.pathname.replace(/^\/dashboard\//, "");
  const headers = {
    "content-security-policy": POLICY,
    "pd-dashboard-hash": state.hash,
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  };
  if (path === "") {
    const shell = await readFile(join(UI, "shell.html"), "utf8");
    const values = {
      base: "ui/",
      hash: "fixture",
      api: "pd/api/v2/",
      version: "0",
      verdict: "learning",
      lines: "",
      figures: "",
      cluster: "1",
      leader: "?",
      member: "?",
      as_of: "?",
      as_of_ms: String(Date.now()),
    };
    response
      .writeHead(200, { ...headers, "content-type": TYPES[".html"] })
      .end(shell.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name] ?? ""));
  } else if (path.startsWith("ui/")) {
    const file = join(UI, normalize(path.slice(3)));
    response.writeHead(200, { ...headers, "content-type": TYPES[extname(file)] }).end(await readFile(file));
  } else if (path.startsWith("pd/api/v2/")) {
    api(state, path.slice("pd/api/v2/".length), url, response, headers);
  } else {
    response.writeHead(404, headers).end();
  }
}

function api(state, path, url, response, headers) {
  const told = SCENES[state.scene]();
  const json = (status, body) =>
    response
      .writeHead(status, { ...headers, "content-type": "application/json", "x-request-id": "7" })
      .end(JSON.stringify(body));
  if (told.shed && path === "stream")
    return json(503, { code: "TOO_MANY_STREAMS", message: "64 streams are open", retry_after_ms: 10_000 });
  if (path === "stream") return stream(state, url, response, headers);
  if (path.startsWith("why/")) {
    const [, kind, id] = path.split("/");
    return id === "404"
      ? json(404, { code: "NO_SUCH_REGION", message: `no ${kind} ${id} is known` })
      : json(200, why(kind, Number(id)));
  }
  if (told.refused?.[path]) return json(...told.refused[path]);
  const body = told[path];
  return body ? json(200, body) : json(404, { code: "NOT_FOUND", message: `there is no ${path} here` });
}

function stream(state, url, response, headers) {
  response.writeHead(200, { ...headers, "content-type": "text/event-stream" });
  const topics = (url.searchParams.get("topics") ?? "").split(",");
  let id = 0;
  const send = () => {
    const told = SCENES[state.scene]();
    for (const topic of topics) {
      if (!told[topic]) continue;
      const value =
        topic === "stores" || topic === "operators" ? { ...told[topic], full: true, gone: [] } : told[topic];
      response.write(`event: ${topic}\nid: ${(id += 1)}\ndata: ${JSON.stringify(value)}\n\n`);
    }
  };
  send();
  const timer = setInterval(send, 1_000);
  state.streams.add(response);
  response.on("close", () => {
    clearInterval(timer);
    state.streams.delete(response);
  });
}
