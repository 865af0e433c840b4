//! The heartbeats of the Regions that a Store leads: all at once when the stream opens, one at once when something
//! changed that PD plans by, each once an interval.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pd_client::{HeartbeatEvent, HeartbeatSender};
use proto::metapb;
use proto::pdpb::{PeerStats, QueryStats, RegionHeartbeatRequest, TimeInterval};
use raft_core::{GroupStatus, Role};
use tracing::{info, warn};

use super::unix_seconds;
use crate::operator;
use crate::region::{Peer, epoch_of};
use crate::{RegionId, StoreCore};

/// Between two looks over all Regions: how late a change that rings no bell (a new leader, a peer that fell behind)
/// is noticed.
const LOOK: Duration = Duration::from_millis(200);
/// A size that changed by one part in this many of the split size is told at once.
const SIZE_STEPS: u64 = 8;

/// What was last told of a Region.
struct Told {
    at: Instant,
    unix: u64,
    term: u64,
    epoch: metapb::RegionEpoch,
    down: Vec<u64>,
    pending: Vec<u64>,
    size: u64,
}

/// What was told, and since when each member of each Region led here has been known.
#[derive(Default)]
struct Tellings {
    last: HashMap<RegionId, Told>,
    watched: HashMap<RegionId, Vec<(u64, Instant)>>,
}

/// What PD plans by, as this leader sees it.
struct Seen {
    term: u64,
    down: Vec<PeerStats>,
    pending: Vec<metapb::Peer>,
    // Does not lead yet.
    heir: bool,
}

/// Sends heartbeats and carries out their answers until dropped.
pub async fn run(core: Arc<StoreCore>, pd: pd_client::Client) {
    let (sender, mut events) = pd.region_heartbeats();
    let mut told = Tellings::default();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(HeartbeatEvent::Opened(leader)) => {
                    info!(store = %core.id, pd = leader.name, "heartbeat stream open; telling all");
                    told.last.clear();
                    tell(&core, &sender, &mut told).await;
                }
                Some(HeartbeatEvent::Answer(answer)) => operator::carry_out(&core, &pd, *answer),
                Some(HeartbeatEvent::Lost(why)) => warn!(store = %core.id, why, "heartbeat stream lost"),
                None => return,
            },
            () = core.signals.changed.rung() => {
                core.signals.changed.take();
                tell(&core, &sender, &mut told).await;
            }
            _ = look.tick() => tell(&core, &sender, &mut told).await,
        }
    }
}

impl Seen {
    /// Of a Region just split off here, which will lead in a moment: told at once, so that clients that ask PD in
    /// that moment find it.
    fn heir() -> Self {
        Self { term: raft_core::BOOTSTRAP_INDEX, down: Vec::new(), pending: Vec::new(), heir: true }
    }
}

/// Looks over all Regions and tells what is due.
async fn tell(core: &StoreCore, sender: &HeartbeatSender, told: &mut Tellings) {
    let Some(handle) = core.handle() else { return };
    let peers = core.regions.all();
    told.last.retain(|region, _| core.regions.get(*region).is_some());
    told.watched.retain(|region, _| core.regions.get(*region).is_some());
    for peer in peers {
        let max_down = core.tuning.max_peer_down;
        let watched = told.watched.entry(peer.region_id()).or_default();
        let look = |status: &GroupStatus| {
            let heir = peer.is_heir(Some(status)).then(Seen::heir);
            seen(&peer.region(), status, watched, max_down).or(heir)
        };
        let seen = match peer.with_status(handle, look) {
            Some(seen) => seen,
            None => peer.is_heir(None).then(Seen::heir),
        };
        if seen.as_ref().is_some_and(|seen| seen.heir) {
            // Its fellows may have been made after it asked them.
            handle.campaign(peer.region_id().0);
        }
        let Some(seen) = seen else {
            // What is written while another leads is the other's to tell.
            told.last.remove(&peer.region_id());
            told.watched.remove(&peer.region_id());
            peer.flow.take();
            continue;
        };
        let last = told.last.get(&peer.region_id());
        if !due(core, &peer, last, &seen) {
            continue;
        }
        let now = unix_seconds();
        let since = last.map_or(now, |last| last.unix);
        let (heartbeat, entry) = heartbeat(&peer, seen, since, now);
        if sender.send(heartbeat).await.is_err() {
            // No stream: when it opens, all is told.
            return;
        }
        told.last.insert(peer.region_id(), entry);
    }
}

/// What a leader sees of its Region; `None` for others.
fn seen(
    region: &metapb::Region,
    status: &GroupStatus,
    watched: &mut Vec<(u64, Instant)>,
    max_down: Duration,
) -> Option<Seen> {
    if status.role != Role::Leader {
        return None;
    }
    let mut seen = Seen { term: status.term, down: Vec::new(), pending: Vec::new(), heir: false };
    let now = Instant::now();
    watched.retain(|(id, _)| status.progress.iter().any(|progress| progress.id == *id));
    for progress in &status.progress {
        let since = match watched.iter().find(|(id, _)| *id == progress.id) {
            Some((_, since)) => *since,
            None => {
                watched.push((progress.id, now));
                now
            }
        };
        let Some(peer) = region.peers.iter().find(|peer| peer.id == progress.id).copied() else { continue };
        // No longer than this leader has known it: a peer just added has never been heard, and is not down.
        let silent = Duration::from_millis(progress.heard_ms).min(now.duration_since(since));
        if silent >= max_down {
            seen.down.push(PeerStats { peer: Some(peer), down_seconds: silent.as_secs() });
        }
        // What it lacks is no longer in the log: it waits for a snapshot.
        if progress.snapshot || progress.matched + 1 < status.first {
            seen.pending.push(peer);
        }
    }
    Some(seen)
}

fn due(core: &StoreCore, peer: &Peer, last: Option<&Told>, seen: &Seen) -> bool {
    let Some(last) = last else { return true };
    let size = peer.size.bytes();
    let step = (core.tuning.thresholds.split_bytes / SIZE_STEPS).max(1);
    last.term != seen.term
        || last.epoch != epoch_of(&peer.region())
        || last.down != down_ids(seen)
        || last.pending != pending_ids(seen)
        || size.abs_diff(last.size) >= step
        || last.at.elapsed() >= core.tuning.region_heartbeat
}

fn heartbeat(peer: &Peer, seen: Seen, since: u64, now: u64) -> (RegionHeartbeatRequest, Told) {
    let region = peer.region();
    let flow = peer.flow.take();
    let size = peer.size.bytes();
    let told = Told {
        at: Instant::now(),
        unix: now,
        term: seen.term,
        epoch: epoch_of(&region),
        down: down_ids(&seen),
        pending: pending_ids(&seen),
        size,
    };
    let leader = region.peers.iter().find(|there| there.id == peer.id().0).copied();
    let heartbeat = RegionHeartbeatRequest {
        leader,
        region: Some(region.as_ref().clone()),
        down_peers: seen.down,
        pending_peers: seen.pending,
        bytes_written: flow.bytes_written,
        bytes_read: flow.bytes_read,
        keys_written: flow.keys_written,
        keys_read: flow.keys_read,
        approximate_size: size,
        approximate_keys: peer.size.keys(),
        approximate_kv_size: size,
        interval: Some(TimeInterval { start_timestamp: since, end_timestamp: now }),
        term: seen.term,
        query_stats: Some(QueryStats::default()),
        ..RegionHeartbeatRequest::default()
    };
    (heartbeat, told)
}

fn down_ids(seen: &Seen) -> Vec<u64> {
    seen.down.iter().filter_map(|stats| stats.peer).map(|peer| peer.id).collect()
}

fn pending_ids(seen: &Seen) -> Vec<u64> {
    seen.pending.iter().map(|peer| peer.id).collect()
}

#[cfg(test)]
mod tests {
    use proto::metapb::Region;

    use super::*;

    /// A leader's view of others: (id, matched, ms since heard, snapshot on its way).
    fn status(role: Role, others: &[(u64, u64, u64, bool)]) -> GroupStatus {
        let mut status = GroupStatus { id: 3, role, term: 6, first: 50, last: 90, ..GroupStatus::default() };
        status.progress = vec![Default::default(); others.len()];
        for (progress, (id, matched, heard_ms, snapshot)) in status.progress.iter_mut().zip(others) {
            (progress.id, progress.matched) = (*id, *matched);
            (progress.heard_ms, progress.snapshot) = (*heard_ms, *snapshot);
        }
        status
    }

    #[test]
    fn pending_and_down_peers_as_the_leader_sees_them() {
        let peer = |id| metapb::Peer { id, store_id: id, ..metapb::Peer::default() };
        let region = Region { id: 2, peers: vec![peer(3), peer(4), peer(5), peer(6)], ..Region::default() };
        let all = [(4, 49, 100, false), (5, 48, 600_000, false), (6, 90, 0, true), (9, 0, 0, false)];
        let limit = Duration::from_secs(2);
        let long_ago = Instant::now().checked_sub(limit * 2).unwrap();
        let mut watched = vec![(4, long_ago), (5, long_ago), (6, long_ago), (8, long_ago)];
        let first = seen(&region, &status(Role::Leader, &all), &mut watched, limit).unwrap();
        assert_eq!(pending_ids(&first), [5, 6], "4 has all that was compacted; 9 is no peer");
        assert_eq!(down_ids(&first), [5]);
        assert!(first.down[0].down_seconds >= 4, "{:?}", first.down);
        assert!(seen(&region, &status(Role::Follower, &[]), &mut watched, limit).is_none());
    }

    #[test]
    fn a_peer_just_added_is_not_down() {
        let peer = |id| metapb::Peer { id, store_id: id, ..metapb::Peer::default() };
        let region = Region { id: 2, peers: vec![peer(3), peer(4)], ..Region::default() };
        let never_heard = status(Role::Leader, &[(4, 0, 9_999_999, false)]);
        let mut watched = Vec::new();
        let limit = Duration::from_secs(2);
        assert!(down_ids(&seen(&region, &never_heard, &mut watched, limit).unwrap()).is_empty());
        watched[0].1 = Instant::now().checked_sub(limit).unwrap();
        assert_eq!(down_ids(&seen(&region, &never_heard, &mut watched, limit).unwrap()), [4]);
    }
}
