// Canned answers of the v2 API, a scene each.

/** A store's address that tries to be markup. */
export const MARKUP = `<img src=x onerror="document.title='broken out'"><b>10.0.0.9</b>:20160`;

const now = () => Date.now();
const health = (more = {}) => ({
  verdict: "ok",
  as_of_ms: now(),
  member: "pd-2",
  leader: "pd-1",
  by_leader: false,
  term: 7,
  no_leader_since_ms: null,
  cluster_id: "7301234567890123456",
  bootstrapped: true,
  heard: { regions_permille: 1_000, stores: 5, stores_expected: 5 },
  checks: [],
  ...more,
});
const check = (more) => ({
  code: "REGION_SHORT",
  severity: "degraded",
  count: 4_000,
  bytes: 412_316_860_416,
  since_ms: now() - 252_000,
  oldest_ms: 252_000,
  summary: "4,000 regions are short of a replica because store 4 is down",
  cause: { code: "STORE_DOWN", subject: { store: 4 } },
  subjects: Array.from({ length: 50 }, (_, at) => ({ region: 7 + at })),
  more: 3_950,
  next: ["pd-ctl why store 4"],
  muted_until_ms: null,
  ...more,
});
const store = (id, more = {}) => ({
  id,
  address: `10.0.0.${id}:20160`,
  status_address: `10.0.0.${id}:20180`,
  labels: { zone: `z${id % 3}`, host: `h${id}` },
  state: "Up",
  node_state: "Serving",
  liveness: "Connected",
  used_bytes: (((id * 37) % 80) + 5) * 2 ** 30,
  available_bytes: 40 * 2 ** 30,
  capacity_bytes: 100 * 2 ** 30,
  full_in_s: id % 5 ? null : 86_400 * 3,
  regions: 1_204 + id * 3,
  leaders: 400 + id,
  learners: 0,
  pending: 0,
  region_score: 62 * 2 ** 30,
  leader_score: 400 + id,
  slow_score: 1,
  sending_snaps: 0,
  receiving_snaps: id % 4,
  limits: [
    { kind: "add-peer", rate: 15, refused: id * 3 },
    { kind: "remove-peer", rate: null, refused: null },
  ],
  version: "7.5.1",
  started_ms: now() - 86_400_000,
  last_heartbeat_ms: now() - 4_000,
  ...more,
});
const figure = (name, label, unit, value, note) => ({
  name,
  label,
  unit,
  value,
  note,
  step_ms: 10_000,
  series: Array.from({ length: 360 }, (_, at) =>
    at < 40 ? null : value * (1 + 0.2 * Math.sin(at / 17) + 0.05 * Math.sin(at * 3)),
  ),
});
const stats = () => ({
  as_of_ms: now(),
  from: "pd-1",
  figures: [
    figure("timestamps", "Timestamps", "/s", 212_400, "p99 0.4 ms"),
    figure("heartbeats", "Region heartbeats", "/s", 16_021, null),
    figure("regions", "Regions", "", 1_012_204, "12 pending, oldest 4 m (region 77)"),
    figure("stores", "Stores up", "", 4, "of 5"),
    figure("used", "Bytes used", "bytes", 5.1e13, null),
    figure("operators", "Operators", "", 14, "3 waiting"),
  ],
});
const operator = (id, more = {}) => ({
  id,
  region: 100 + id,
  kind: "replica",
  desc: "replace-down-peer",
  state: "running",
  created_ms: now() - 61_000,
  started_ms: now() - 12_000,
  finished_ms: null,
  limit_ms: now() + 600_000,
  steps: ["add learner on store 5", "promote peer on store 5", "remove peer on store 4"],
  step: 1,
  reason: null,
  waiting_for: null,
  stores: [4, 5],
  ...more,
});
const operators = () => ({
  as_of_ms: now(),
  from: "pd-1",
  total: 5,
  next: null,
  rows: [
    operator(1),
    operator(2, { step: 0 }),
    operator(3, { state: "waiting", waiting_for: "the limit of snapshots into store 5: 3 of at most 3" }),
    operator(4, { state: "finished", finished_ms: now() - 20_000, started_ms: null, step: 3 }),
    operator(5, {
      state: "timeout",
      finished_ms: now() - 40_000,
      reason: "no heartbeat showed the learner within 10 m",
    }),
  ],
});
const members = () => ({
  as_of_ms: now(),
  from: "pd-2",
  leader: "pd-1",
  term: 7,
  leads_since_ms: now() - 600_000,
  no_leader_since_ms: null,
  rows: ["pd-1", "pd-2", "pd-3"].map((name, at) => ({
    id: String(at + 1),
    name,
    role: at ? "follower" : "leader",
    client_urls: [`http://10.0.1.${at + 1}:2379`],
    healthy: at < 2,
    term: 7,
    applied: 120_441 - at,
    lag: at,
    fsync_mean_ms: 1.24,
    fsync_p99_ms: null,
    clock_offset_ms: at,
    clock_ms: now(),
    version: "0.1.0",
    data_bytes: 40_123_456,
    last_heard_ms: now() - 500,
  })),
  changes: [{ at_ms: now() - 600_000, from: "pd-3", to: "pd-1", term: 7, gap_ms: 640 }],
  timestamps: { per_s: 212_400, bound_ahead_ms: 2_400, offset_ms: 0 },
  safe_points: [{ service: "gc_worker", value: "449312345678901248", age_ms: 720_000 }],
});

const trouble = (example) => ({
  missing: 1,
  down: 0,
  pending: 0,
  offline: 0,
  unplaced: 0,
  holes: 0,
  regions: 1,
  example,
});

/** @param {number} cells */
function map(cells) {
  const range = Array.from({ length: cells }, (_, at) => at);
  const hex = (at) => `7480${(at * 4_000).toString(16).padStart(12, "0").toUpperCase()}`;
  return {
    as_of_ms: now(),
    heard_permille: 998,
    keys: [...range.map((at) => (at ? hex(at) : "")), ""],
    regions: range.map(() => 700),
    bytes: range.map((at) => 700 * 96 * 2 ** 20 + at),
    leader: range.map((at) => (at % 11 === 3 ? 0 : 1 + ((at >> 4) % 5))),
    leader_permille: range.map((at) => 300 + ((at * 7) % 700)),
    heat: {
      write: {
        unit: "bytes",
        min: 1_024,
        max: 4e7,
        v: Buffer.from(
          range.map((at) => (at % 97 === 0 ? 255 : Math.max(0, Math.round(127 + 127 * Math.sin(at / 60))))),
        ).toString("base64"),
      },
      read: { unit: "bytes", min: 0, max: 0, v: Buffer.alloc(cells).toString("base64") },
    },
    rule: range.map((at) => (at > cells / 2 ? 1 : 0)),
    rules: ["pd/default", "pd/late"],
    trouble: {
      40: { missing: 3, down: 3, pending: 0, offline: 0, unplaced: 0, holes: 0, regions: 3, example: 77 },
      901: { missing: 0, down: 0, pending: 12, offline: 0, unplaced: 0, holes: 0, regions: 12, example: 78 },
    },
    ops: { 41: 2 },
  };
}

export const SCENES = {
  /** A store of five is down. */
  degraded: () => ({
    health: health({
      verdict: "degraded",
      checks: [
        check({}),
        check({
          code: "STORE_DOWN",
          count: 1,
          bytes: null,
          summary: "store 4 is silent for 4 m",
          subjects: [{ store: 4 }],
          more: 0,
          cause: { code: "STORE_DOWN", subject: { store: 4 } },
        }),
        check({
          code: "MEMBER_UNREACHABLE",
          severity: "attention",
          count: 1,
          bytes: null,
          summary: "pd-3 is not heard",
          cause: null,
          subjects: [{ member: "pd-3" }],
          more: 0,
          next: ["pd-ctl member"],
        }),
      ],
    }),
    stats: stats(),
    stores: {
      as_of_ms: now(),
      rows: [1, 2, 3, 4, 5].map((id) =>
        store(id, id === 4 ? { liveness: "Down", last_heartbeat_ms: now() - 252_000, used_bytes: null } : {}),
      ),
    },
    operators: operators(),
    members: members(),
    map: map(1_500),
  }),
  /** Texts that try to be markup, and words from the future. */
  ugly: () => ({
    health: health({
      verdict: "frozen-over",
      checks: [
        check({
          code: "FROM_THE_FUTURE",
          severity: "odd",
          summary: `store at ${MARKUP} is odd`,
          subjects: [{ moon: 3 }],
          cause: { code: "X", subject: { rule: MARKUP } },
          since_ms: 1e300,
        }),
      ],
    }),
    stats: { as_of_ms: now(), figures: [{ ...figure("x", MARKUP, "", 1, MARKUP), value: null }] },
    stores: {
      as_of_ms: now(),
      rows: [
        store(1, {
          address: MARKUP,
          labels: { "<i>": MARKUP },
          state: "Melting",
          node_state: "Melted",
          liveness: "Sublimated",
          version: MARKUP,
        }),
        store(2),
      ],
    },
    operators: {
      as_of_ms: now(),
      rows: [operator(1, { desc: MARKUP, kind: "<u>", state: "levitating", steps: [MARKUP] })],
    },
    members: {
      ...members(),
      rows: [
        {
          ...members().rows[0],
          name: MARKUP,
          role: "king",
          client_urls: ["javascript:document.title='broken out'", MARKUP],
        },
      ],
    },
    map: map(1_500),
  }),
  /** Three hundred stores. */
  many: () => ({
    health: health(),
    stats: stats(),
    stores: { as_of_ms: now(), rows: Array.from({ length: 300 }, (_, at) => store(at + 1)) },
    operators: operators(),
    members: members(),
    map: map(1_500),
  }),
  /** Nothing has ever started. */
  empty: () => ({
    health: health({
      verdict: "attention",
      bootstrapped: false,
      heard: null,
      cluster_id: null,
      checks: [
        check({
          code: "NOT_BOOTSTRAPPED",
          severity: "attention",
          count: 1,
          bytes: null,
          since_ms: null,
          oldest_ms: null,
          summary: "no store has ever started here",
          cause: null,
          subjects: [],
          more: 0,
          next: ["store --pd 127.0.0.1:2379 --addr 127.0.0.1:20160 --data-dir store-1"],
        }),
      ],
    }),
    stats: { as_of_ms: now(), figures: [] },
    stores: { as_of_ms: now(), rows: [] },
    operators: { as_of_ms: now(), rows: [] },
    members: { ...members(), leads_since_ms: null, changes: [], safe_points: [], timestamps: null },
    // As the real one: what does not exist has no map.
    refused: { map: [503, { code: "NOT_BOOTSTRAPPED", message: "no store has ever started here" }] },
  }),
  /** Two disks are full, and two repairs are blocked, for no cause that is named. */
  alike: () => ({
    ...SCENES.degraded(),
    health: health({
      verdict: "blocked",
      checks: [1, 2, 1].map((id, at) =>
        check({
          code: at < 2 ? "STORE_LOW_SPACE" : "REPAIR_BLOCKED",
          severity: "attention",
          count: 1,
          bytes: null,
          oldest_ms: null,
          summary: at < 2 ? `the disk of store ${id} is nearly full` : "no store can take a replica",
          cause: null,
          subjects: at < 2 ? [{ store: id }] : [],
          more: 0,
          next: [],
        }),
      ).flatMap((it) => (it.code === "REPAIR_BLOCKED" ? [it, { ...it, summary: "scheduling is halted" }] : [it])),
    }),
    map: { ...map(1_500), trouble: Object.fromEntries(Array.from({ length: 300 }, (_, at) => [at, trouble(at)])) },
  }),
  /** The server has no room. */
  shedding: () => ({ ...SCENES.degraded(), shed: true }),
};

/** The answer to "why". @param {"region" | "store"} kind @param {number} id */
export function why(kind, id) {
  const reason = {
    text: "store 4 has 9 % of its disk free, less than 20 %",
    kind: "LowSpace",
    severity: "attention",
    number: 9,
    limit: 20,
    subject: { store: 4 },
    at_ms: Date.now() - 5_000,
    times: 3,
  };
  return {
    as_of_ms: Date.now(),
    subject: { [kind]: id },
    summary: `${kind} ${id} lacks a replica because store 4 is down`,
    healthy: false,
    lines: [
      {
        ...reason,
        text: "one of three replicas is on store 4, which is down",
        kind: null,
        number: null,
        limit: null,
        at_ms: null,
        times: null,
        severity: "degraded",
      },
      reason,
    ],
    kept: [reason],
    next: [`pd-ctl why ${kind} ${id}`],
    region:
      kind === "region"
        ? {
            id: id,
            start_hex: "7480000000000000FF5F",
            end_hex: "",
            conf_ver: 5,
            version: 31,
            leader: 1,
            bytes: 96 << 20,
            keys: 120_000,
            heard_ms: Date.now() - 2_000,
            peers: [
              { id: 11, store: 1, role: "Voter", state: "healthy", down_s: null },
              { id: 12, store: 2, role: "Voter", state: "pending", down_s: null },
              { id: 13, store: 4, role: "Voter", state: "down", down_s: 640 },
            ],
          }
        : null,
    store: null,
    operator: {
      cause: "replace-down-peer",
      kind: "replica",
      steps: ["add learner on store 5", "promote it", "remove the peer on store 4"],
      step: 1,
      created_ms: Date.now() - 30_000,
      waits_for: null,
    },
  };
}
