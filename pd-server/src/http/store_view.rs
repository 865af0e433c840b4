//! A store as tools read it: its record, and in `status` what it said last and what is known of its replicas.

use std::time::Duration;

use proto::metapb::{self, NodeState};
use proto::pdpb;
use scheduler::StoreSummary;
use serde::{Serialize, Serializer};

use super::units;
use crate::cluster::{Liveness, StoreRecord, wall_clock_ns};

/// A weight below it counts as this, so that a score stays a number.
const WEIGHT_MIN: f64 = 1e-6;

/// A store.
#[derive(Serialize)]
pub struct StoreView {
    store: Meta,
    status: Status,
}

/// The record of a store; zero values are left out.
#[derive(Serialize)]
struct Meta {
    id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "is_zero")]
    state: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label>,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    peer_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    status_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    git_hash: String,
    #[serde(skip_serializing_if = "is_zero")]
    start_timestamp: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    deploy_path: String,
    #[serde(skip_serializing_if = "is_zero")]
    last_heartbeat: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    physically_destroyed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    node_state: i64,
    state_name: &'static str,
}

#[derive(Serialize)]
struct Label {
    key: String,
    value: String,
}

/// What a store said last and what is known of its replicas.
#[derive(Serialize)]
struct Status {
    capacity: String,
    available: String,
    used_size: String,
    leader_count: u64,
    leader_weight: Number,
    leader_score: Number,
    leader_size: u64,
    region_count: u64,
    region_weight: Number,
    region_score: Number,
    region_size: u64,
    #[serde(skip_serializing_if = "is_none")]
    learner_count: u64,
    #[serde(skip_serializing_if = "is_none")]
    pending_peer_count: u64,
    slow_score: u64,
    #[serde(skip_serializing_if = "is_none")]
    sending_snap_count: u64,
    #[serde(skip_serializing_if = "is_none")]
    receiving_snap_count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_busy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heartbeat_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<String>,
}

/// A number that is written without a fraction where it has none.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Up to here every whole number is exact.
        const EXACT_MAX: f64 = (1_u64 << 53) as f64;
        if self.0.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&self.0) {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// A store with its numbers; without a summary the planner does not know it. `down_after` is the silence after which it
/// counts as down.
pub fn view(record: &StoreRecord, summary: Option<&StoreSummary>, down_after: Duration) -> StoreView {
    let meta = &record.meta;
    let stats = record.stats.clone().unwrap_or_default();
    let since = |ns: i64| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    let started_ns = meta.start_timestamp.saturating_mul(1_000_000_000);
    let size_mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let region_size = summary.map_or(0, |s| size_mib(s.region_size_bytes));
    let leader_count = summary.map_or(0, |s| s.leader_count);
    let leader_weight = summary.map_or(1.0, |s| s.leader_weight.as_f64());
    let region_weight = summary.map_or(1.0, |s| s.region_weight.as_f64());
    let region_score = region_score(stats.capacity, stats.available, region_size);
    StoreView {
        store: Meta {
            id: meta.id,
            address: meta.address.clone(),
            state: meta.state.into(),
            labels: meta
                .labels
                .iter()
                .map(|l| Label { key: l.key.clone(), value: l.value.clone() })
                .collect(),
            version: meta.version.clone(),
            peer_address: meta.peer_address.clone(),
            status_address: meta.status_address.clone(),
            git_hash: meta.git_hash.clone(),
            start_timestamp: meta.start_timestamp,
            deploy_path: meta.deploy_path.clone(),
            last_heartbeat: meta.last_heartbeat,
            physically_destroyed: meta.physically_destroyed,
            node_state: meta.node_state.into(),
            state_name: state_name(meta, record.liveness(wall_clock_ns(), down_after)),
        },
        status: Status {
            capacity: units::size(stats.capacity),
            available: units::size(stats.available),
            used_size: units::size(stats.used_size),
            leader_count,
            leader_weight: Number(leader_weight),
            leader_score: Number(leader_count as f64 / leader_weight.max(WEIGHT_MIN)),
            leader_size: summary.map_or(0, |s| size_mib(s.leader_size_bytes)),
            region_count: summary.map_or(0, |s| s.region_count),
            region_weight: Number(region_weight),
            region_score: Number(region_score / region_weight.max(WEIGHT_MIN)),
            region_size,
            learner_count: summary.map_or(0, |s| s.learner_count),
            pending_peer_count: summary.map_or(0, |s| s.pending_count),
            slow_score: stats.slow_score,
            sending_snap_count: stats.sending_snap_count.into(),
            receiving_snap_count: stats.receiving_snap_count.into(),
            is_busy: stats.is_busy,
            start_ts: (started_ns > 0).then(|| units::time(since(started_ns))),
            last_heartbeat_ts: (meta.last_heartbeat > 0).then(|| units::time(since(meta.last_heartbeat))),
            uptime: (started_ns > 0 && meta.last_heartbeat > started_ns)
                .then(|| units::duration(since(meta.last_heartbeat - started_ns))),
        },
    }
}

/// How full and how busy a store counts, as tools and boards show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Of the sizes of its Regions, weighed by what is free.
    pub region: f64,
    /// Of the Regions that it leads.
    pub leader: f64,
}

/// The scores of a store by its last heartbeat and what the planner knows.
pub fn scores(stats: &pdpb::StoreStats, summary: &StoreSummary) -> Scores {
    let size_mib = summary.region_size_bytes.div_ceil(1 << 20);
    Scores {
        region: region_score(stats.capacity, stats.available, size_mib)
            / summary.region_weight.as_f64().max(WEIGHT_MIN),
        leader: summary.leader_count as f64 / summary.leader_weight.as_f64().max(WEIGHT_MIN),
    }
}

/// The state in one word: what was decided about a store, and if it is to serve, how it is heard.
fn state_name(meta: &metapb::Store, liveness: Liveness) -> &'static str {
    match meta.node_state() {
        NodeState::Removed => "Tombstone",
        NodeState::Removing => "Offline",
        NodeState::Preparing | NodeState::Serving => match liveness {
            Liveness::Connected => "Up",
            Liveness::Disconnected => "Disconnected",
            Liveness::Down => "Down",
        },
    }
}

/// How full a store counts, as tools show it: the size of its Regions (in MiB), weighed more the less is free.
fn region_score(capacity: u64, available: u64, size_mib: u64) -> f64 {
    const GIB: f64 = (1_u64 << 30) as f64;
    // K, M, B and the least free space of the formula that users know as version 2.
    const BASE: f64 = 1.0;
    const STEEPNESS: f64 = 256.0;
    const FULL: f64 = 1e10;
    const FREE_MIN_GIB: f64 = 50.0;
    const LOW_SPACE: f64 = 0.2;
    let (capacity, available) = (capacity as f64 / GIB, available as f64 / GIB);
    let size = size_mib as f64;
    let free_min = FREE_MIN_GIB.max(capacity * LOW_SPACE);
    if available >= capacity || capacity < 1.0 {
        size
    } else if available > free_min {
        let left = available - free_min + 1.0;
        (BASE + STEEPNESS * (capacity.ln() - left.ln()) / (capacity - left)) * size
    } else {
        (BASE + STEEPNESS * capacity.ln() / capacity) * size + FULL * (free_min - available) / free_min
    }
}

// Serde hands over references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::region_score;

    #[test]
    fn the_score_is_the_one_that_users_know() {
        const GIB: u64 = 1 << 30;
        // As recorded of tikv/pd.
        for (capacity, available, size, score) in [
            (110, 65, 1343, 8_394.325_214_750_474),
            (120, 70, 1350, 7_434.547_392_204_647),
            (140, 80, 1349, 6_125.694_345_393_294_5),
            (160, 90, 1335, 5_245.428_685_524_776),
        ] {
            let ours = region_score(capacity * GIB, available * GIB, size);
            assert!((ours - score).abs() < 1e-6 * score, "{ours} {score}");
        }
        assert!((region_score(0, 0, 7) - 7.0).abs() < f64::EPSILON);
    }
}
