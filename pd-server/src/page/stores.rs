//! Stores as rows of the page.

use dashboard::model::{LimitRow, Liveness, NodeState, StoreRow, StoreState};
use proto::metapb;
use scheduler::{LimitState, StoreStanding, StoreTrouble, Time};

use super::view::Planned;
use crate::cluster::StoreRecord;

/// A store as it is; none when the planner does not know of it yet.
pub fn row(record: &StoreRecord, planned: &Planned) -> Option<StoreRow> {
    let (meta, stats) = (&record.meta, record.stats.as_ref());
    let known = planned.stores.get(&meta.id)?;
    // Before its first heartbeat to this leader, its Regions are not known: 0 would be a lie.
    let summary = Some(&known.summary).filter(|s| stats.is_some() || s.region_count > 0);
    Some(StoreRow {
        id: meta.id,
        address: meta.address.clone(),
        status_address: meta.status_address.clone(),
        labels: meta.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect(),
        state: state(meta.node_state()),
        node_state: node_state(meta.node_state()),
        liveness: liveness(&known.standing, planned.now),
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
        limits: known.limits.iter().map(limit).collect(),
        version: meta.version.clone(),
        started_ms: u64::try_from(meta.start_timestamp)
            .ok()
            .filter(|s| *s > 0)
            .map(|s| s.saturating_mul(1_000)),
        last_heartbeat_ms: heartbeat_ms(meta),
    })
}

/// Whether it counts as up: in service, and heard.
pub fn is_up(row: &StoreRow) -> bool {
    row.state == StoreState::Up && row.liveness == Liveness::Connected
}

/// How it is heard, by the same judgement as the verdict's: a store whose stream broke is not heard, whatever its last
/// heartbeat; of one that this leader has never heard it is not known until it had its time.
fn liveness(standing: &StoreStanding, now: Time) -> Liveness {
    match standing.trouble(now) {
        Some(StoreTrouble::Disconnected) => Liveness::Disconnected,
        Some(StoreTrouble::Down | StoreTrouble::Gone) => Liveness::Down,
        None if standing.was_heard => Liveness::Connected,
        None => Liveness::Unknown,
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
