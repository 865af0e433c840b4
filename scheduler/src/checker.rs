//! The rule "N voters on distinct Stores" and what a Region needs to satisfy it. One wish at a time, the most urgent
//! first.

use crate::cluster::Cluster;
use crate::model::{Liveness, Peer, PeerId, PeerRole, RegionView, StoreState, Time};
use crate::operator::Cause;

/// What a Region needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A joint state that nobody owns is to be left.
    LeaveJoint,
    /// This Peer is to be replaced, because it is down or its Store leaves.
    Replace { old: Peer, cause: Cause },
    /// This Peer is to go without a replacement.
    Remove { old: Peer, cause: Cause },
    /// A voter is missing.
    Add,
    /// A learner takes the place of a missing voter.
    Promote(Peer),
    /// A learner will take the place of a missing voter once it has caught up.
    WaitFor(PeerId),
}

/// The most urgent wish of the Region; none when it satisfies the rule.
pub(crate) fn wish(region: &RegionView, cluster: &Cluster, now: Time) -> Option<Wish> {
    let meta = &region.meta;
    if meta.is_joint() {
        return Some(Wish::LeaveJoint);
    }
    let wanted = cluster.config.max_replicas;
    let voters = meta.peers.iter().filter(|p| p.role == PeerRole::Voter).count();
    let gone = |p: &&Peer| is_down(region, p, cluster, now);
    let leaving = |p: &&Peer| is_leaving(p, cluster);
    let lost = [
        (meta.peers.iter().find(gone), Cause::ReplaceDownPeer),
        (meta.peers.iter().find(leaving), Cause::ReplaceOfflinePeer),
    ];
    for (peer, cause) in lost {
        let Some(&old) = peer else { continue };
        // A learner counts for nothing, and a voter too many need not be replaced.
        let is_surplus = old.role == PeerRole::Learner || voters > wanted;
        return Some(if is_surplus { Wish::Remove { old, cause } } else { Wish::Replace { old, cause } });
    }
    if voters > wanted {
        let old = worst_voter(region, cluster, now)?;
        return Some(Wish::Remove { old, cause: Cause::RemoveExtraPeer });
    }
    let learner =
        meta.peers.iter().filter(|p| p.role == PeerRole::Learner).min_by_key(|p| region.is_ailing(p.id));
    match learner {
        Some(&old) if voters == wanted => Some(Wish::Remove { old, cause: Cause::RemoveExtraPeer }),
        // Nobody hears it: it will not catch up soon, and without a vote it is easily given up.
        Some(&old) if !is_heard(&old, cluster, now) => {
            Some(Wish::Remove { old, cause: Cause::RemoveExtraPeer })
        }
        Some(peer) if region.is_ailing(peer.id) => Some(Wish::WaitFor(peer.id)),
        Some(&peer) => Some(Wish::Promote(peer)),
        None if voters < wanted => Some(Wish::Add),
        None => None,
    }
}

/// True when the Peer works as far as anyone knows.
pub(crate) fn is_healthy(region: &RegionView, peer: &Peer, cluster: &Cluster, now: Time) -> bool {
    !region.is_ailing(peer.id) && is_heard(peer, cluster, now)
}

fn is_heard(peer: &Peer, cluster: &Cluster, now: Time) -> bool {
    let heard = |s: &crate::stores::Store| s.liveness(now, &cluster.config) == Liveness::Connected;
    cluster.stores.get(peer.store).is_some_and(heard)
}

/// A healthy learner on a Store that stays: it can take a place at once.
pub(crate) fn ready_learner(region: &RegionView, cluster: &Cluster, now: Time) -> Option<Peer> {
    let ready = |p: &&Peer| {
        p.role == PeerRole::Learner && is_healthy(region, p, cluster, now) && !is_leaving(p, cluster)
    };
    region.meta.peers.iter().find(ready).copied()
}

/// Down: its Store is silent, or its leader misses it, for longer than the limit.
fn is_down(region: &RegionView, peer: &Peer, cluster: &Cluster, now: Time) -> bool {
    let limit_ms = cluster.config.max_store_down_time_ms;
    let missed = region.down.iter().any(|d| d.peer == peer.id && d.seconds.saturating_mul(1000) >= limit_ms);
    missed
        || cluster.stores.get(peer.store).is_some_and(|s| s.liveness(now, &cluster.config) == Liveness::Down)
            // A Region whose leader reports now is heard, whatever its Store's own heartbeats do.
            && peer.id != region.leader.id
}

fn is_leaving(peer: &Peer, cluster: &Cluster) -> bool {
    cluster.stores.get(peer.store).is_some_and(|s| s.state() != StoreState::Up)
}

/// The voter to go when there are too many: an unhealthy one first, then one that does not lead, then from the Store
/// that will hold most.
fn worst_voter(region: &RegionView, cluster: &Cluster, now: Time) -> Option<Peer> {
    let voters = region.meta.peers.iter().filter(|p| p.role == PeerRole::Voter);
    let worst = voters.max_by_key(|p| {
        let ails = !is_healthy(region, p, cluster, now);
        let load = cluster.region_weight(p.store).scale(cluster.virtual_weight_kib(p.store));
        (ails, p.id != region.leader.id, load, p.id)
    });
    worst.copied()
}
