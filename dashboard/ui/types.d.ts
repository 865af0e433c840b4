// The answers of the v2 API as the page reads them. `null` is "not known", which is never the same as 0.

/** The order of the verdict; a word that is not here is shown as it is. */
export type Severity = "at-risk" | "down" | "degraded" | "blocked" | "attention" | "learning" | "ok";

export interface Subject {
  region?: number;
  store?: number;
  rule?: string;
  member?: string;
  /** `start..end` in hex. */
  range?: string;
}

export interface Check {
  code: string;
  severity: Severity | string;
  count: number | null;
  bytes: number | null;
  since_ms: number | null;
  /** An age, not a time. */
  oldest_ms: number | null;
  summary: string;
  cause: { code: string; subject?: Subject | null } | null;
  subjects: Subject[];
  more: number;
  next: string[];
  muted_until_ms: number | null;
}

export interface Health {
  verdict: Severity | string;
  as_of_ms: number;
  member: string;
  leader: string | null;
  /** Only the leader knows Regions and Stores; otherwise this is one member's view. */
  by_leader: boolean;
  term: number;
  cluster_id: string | null;
  bootstrapped: boolean | null;
  no_leader_since_ms: number | null;
  heard: { regions_permille: number; stores: number; stores_expected: number } | null;
  checks: Check[];
}

export interface Figure {
  name: string;
  label: string;
  unit: string;
  value: number | null;
  note: string | null;
  /** `null` between two samples: nothing new. */
  series: (number | null)[] | null;
  step_ms: number;
}

export interface Stats {
  as_of_ms: number;
  figures: Figure[];
}

export interface StoreRow {
  id: number;
  address: string;
  status_address: string;
  labels: Record<string, string>;
  state: string;
  node_state: string;
  liveness: string;
  used_bytes: number | null;
  available_bytes: number | null;
  capacity_bytes: number | null;
  full_in_s: number | null;
  regions: number | null;
  leaders: number | null;
  learners: number | null;
  pending: number | null;
  region_score: number | null;
  leader_score: number | null;
  slow_score: number | null;
  sending_snaps: number | null;
  receiving_snaps: number | null;
  /** `refused` counts since this leader leads; no `rate` is no limit. */
  limits: { kind: string; rate: number | null; refused: number | null }[];
  version: string;
  started_ms: number | null;
  last_heartbeat_ms: number | null;
}

export interface OperatorRow {
  id: number;
  region: number;
  kind: string;
  desc: string;
  state: string;
  created_ms: number | null;
  started_ms: number | null;
  finished_ms: number | null;
  limit_ms: number | null;
  steps: string[];
  step: number | null;
  reason: string | null;
  waiting_for: string | null;
  stores: number[];
}

export interface Rows<Row> {
  as_of_ms: number;
  full?: boolean;
  rows: Row[];
  gone?: number[];
  total?: number;
  next?: string | null;
}

export interface MemberRow {
  id: string;
  name: string;
  role: string;
  client_urls: string[];
  healthy: boolean | null;
  term: number | null;
  applied: number | null;
  lag: number | null;
  fsync_mean_ms: number | null;
  fsync_p99_ms: number | null;
  clock_offset_ms: number | null;
  clock_ms: number | null;
  version: string;
  data_bytes: number | null;
  last_heard_ms: number | null;
}

export interface Members {
  as_of_ms: number;
  /** Whose view it is. */
  from: string;
  leader: string | null;
  term: number | null;
  /** Since when the leader leads; null: nobody saw it begin. */
  leads_since_ms: number | null;
  no_leader_since_ms: number | null;
  rows: MemberRow[];
  changes: { at_ms: number; from: string | null; to: string | null; term: number; gap_ms: number | null }[];
  timestamps: { per_s: number | null; bound_ahead_ms: number | null; offset_ms: number | null } | null;
  safe_points: { service: string; value: string | number; age_ms?: number | null }[];
}

export interface Reason {
  text: string;
  kind: string | null;
  severity: Severity | string | null;
  number: number | null;
  limit: number | null;
  subject: Subject | null;
  at_ms: number | null;
  times: number | null;
}

export interface WhyRegion {
  id: number;
  start_hex: string;
  end_hex: string;
  conf_ver: number;
  version: number;
  leader: number | null;
  peers: { id: number; store: number; role: string; state: string; down_s: number | null }[];
  bytes: number;
  keys: number;
  heard_ms: number;
}

export interface WhyStore {
  id: number;
  node_state: string;
  liveness: string;
  leaders: number;
  regions: number;
  learners: number;
  pending: number;
  bytes: number;
  target_bytes: number | null;
  last_heartbeat_ms: number | null;
}

export interface WhyOperator {
  cause: string;
  kind: string;
  steps: string[];
  step: number;
  created_ms: number;
  waits_for: string | null;
}

export interface Why {
  as_of_ms: number;
  subject: Subject;
  summary: string;
  healthy: boolean;
  lines: Reason[];
  kept: Reason[];
  next: string[];
  region: WhyRegion | null;
  store: WhyStore | null;
  operator: WhyOperator | null;
}

export interface HeatLane {
  unit: string;
  min: number;
  max: number;
  /** Base64, a byte a cell: 0 nothing, 1 to 254 logarithmic between `min` and `max`, 255 not known. */
  v: string;
}

export interface KeyMap {
  as_of_ms: number;
  heard_permille: number;
  /** One more than there are cells, upper-case hex. */
  keys: string[];
  regions: number[];
  bytes: number[];
  /** 0: several stores lead. */
  leader: number[];
  leader_permille: number[];
  heat: { write: HeatLane; read: HeatLane };
  rule: number[];
  rules: string[];
  trouble: Record<string, Record<string, number | null>>;
  ops: Record<string, number>;
}
