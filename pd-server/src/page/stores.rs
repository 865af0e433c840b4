//! Stores as rows of the page.

use std::time::Duration;

use dashboard::model::{LimitRow, Liveness, NodeState, StoreRow, StoreState};
use proto::metapb;
use scheduler::LimitState;

use super::view::Planned;
use crate::cluster::{self, StoreRecord};

/// For so long after a change of the leader a store may have had no reason to send a heartbeat yet.
const LEARNING: Duration = Duration::from_secs(20);

/// A store as it is at `now_ms`, in ms since 1970.
pub fn row(record: &StoreRecord, planned: &Planned, down_after: Duration, now_ms: u64) -> StoreRow {
    let (meta, stats) = (&record.meta, record.stats.as_ref());
    let known = planned.summaries.get(&meta.id);
    // Before its first heartbeat to this leader, its Regions are not known: 0 would be a lie.
    let summary = known.map(|(summary, _)| summary).filter(|s| stats.is_some() || s.region_count > 0);
    StoreRow {
        id: meta.id,
        address: meta.address.clone(),
        status_address: meta.status_address.clone(),
        labels: meta.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect(),
        state: state(meta.node_state()),
        node_state: node_state(meta.node_state()),
        liveness: liveness(record, planned.now.0, down_after, now_ms),
        used_bytes: stats.map(|stats| stats.used_size),
        available_bytes: stats.map(|stats| stats.available),
        capacity_bytes: stats.map(|stats| stats.capacity),
        full_in_s: None,
        regions: summary.map(|summary| summary.region_count),
        leaders: summary.map(|summary| summary.leader_count),
        learners: summary.map(|summary| summary.learner_count),
        pending: summary.map(|summary| summary.pending_count),
        region_score: summary.map(|summary| summary.region_size_bytes),
        leader_score: summary.map(|summary| summary.leader_count),
        slow_score: stats.map(|stats| stats.slow_score).filter(|score| *score > 0),
        sending_snaps: stats.map(|stats| stats.sending_snap_count.into()),
        receiving_snaps: stats.map(|stats| stats.receiving_snap_count.into()),
        limits: known.map(|(_, limits)| limits.iter().map(limit).collect()).unwrap_or_default(),
        version: meta.version.clone(),
        started_ms: u64::try_from(meta.start_timestamp)
            .ok()
            .filter(|s| *s > 0)
            .map(|s| s.saturating_mul(1_000)),
        last_heartbeat_ms: heartbeat_ms(meta),
        blast: None,
    }
}

/// Whether it counts as up: in service, and heard.
pub fn is_up(row: &StoreRow) -> bool {
    row.state == StoreState::Up && row.liveness == Liveness::Connected
}

/// How it is heard. A new leader has heard nobody: for as long as a store may be silent, that is not known.
fn liveness(record: &StoreRecord, tenure_ms: u64, down_after: Duration, now_ms: u64) -> Liveness {
    let now_ns = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let is_new = Duration::from_millis(tenure_ms) < LEARNING;
    match record.liveness(now_ns, down_after) {
        _ if record.stats.is_none() && is_new => Liveness::Unknown,
        cluster::Liveness::Connected => Liveness::Connected,
        cluster::Liveness::Disconnected => Liveness::Disconnected,
        cluster::Liveness::Down => Liveness::Down,
    }
}

fn limit(state: &LimitState) -> LimitRow {
    LimitRow {
        kind: state.kind.name().to_owned(),
        rate: (!state.rate.is_unlimited()).then(|| state.rate.0 as f64 / 1_000.0),
        refused: Some(state.refused),
    }
}

fn heartbeat_ms(meta: &metapb::Store) -> Option<u64> {
    u64::try_from(meta.last_heartbeat).ok().filter(|ns| *ns > 0).map(|ns| ns / 1_000_000)
}

const fn state(state: metapb::NodeState) -> StoreState {
    match state {
        metapb::NodeState::Preparing | metapb::NodeState::Serving => StoreState::Up,
        metapb::NodeState::Removing => StoreState::Offline,
        metapb::NodeState::Removed => StoreState::Tombstone,
    }
}

const fn node_state(state: metapb::NodeState) -> NodeState {
    match state {
        metapb::NodeState::Preparing => NodeState::Preparing,
        metapb::NodeState::Serving => NodeState::Serving,
        metapb::NodeState::Removing => NodeState::Removing,
        metapb::NodeState::Removed => NodeState::Removed,
    }
}
