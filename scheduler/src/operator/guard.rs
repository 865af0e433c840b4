//! What the cluster must be like before a step is asked for: whoever shall count from now on works, and enough healthy
//! voters stay. A step is judged again each time before its command is said, because Stores die in between.

use super::{Step, StepBlock};
use crate::checker;
use crate::cluster::Cluster;
use crate::model::{Liveness, Peer, PeerRole, RegionView, StoreState, Time};
use crate::refusal::Refusal;
use crate::stores::Stream;

/// A Store that was to get a replica is given up after this long a silence: a restart takes less, and the Region would
/// wait for the step's deadline otherwise.
const TARGET_SILENT_MS: u64 = 60_000;

/// A Store that a step relies on must stay, and must not be silent for long; one that is to lead must be heard.
///
/// # Errors
/// `StoreLost`: the operator ends.
pub(super) fn check_stores(step: &Step, cluster: &Cluster, now: Time) -> Result<(), StepBlock> {
    let must_be_heard = matches!(step, Step::TransferLeader { .. });
    let is_there = |peer: &&Peer| {
        cluster.stores.get(peer.store).is_some_and(|store| {
            let is_heard = if must_be_heard {
                store.liveness(now, &cluster.config) == Liveness::Connected
            } else {
                store.silent_ms(now) < TARGET_SILENT_MS
            };
            store.state() == StoreState::Up && is_heard
        })
    };
    match step.relies_on().iter().find(|peer| !is_there(peer)) {
        Some(peer) => Err(StepBlock::StoreLost(peer.store)),
        None => Ok(()),
    }
}

/// Whether the step may be asked for just now. `before` are the operator's steps before it: they brought the newcomer
/// for whom a Peer goes.
///
/// # Errors
/// What it waits for, until its deadline: `Ailing`, `StoreLeaves` or `StoreSilent` for the newcomer, `TooFewHealthy`.
pub(super) fn may_go(
    step: &Step,
    before: &[Step],
    region: &RegionView,
    cluster: &Cluster,
    now: Time,
) -> Result<(), Refusal> {
    let works = |peer: &Peer| check_works(peer, region, cluster, now);
    match step {
        Step::PromoteLearner(peer) => works(peer),
        Step::EnterJoint { promote, demote } => {
            promote.iter().try_for_each(works)?;
            check_exchange(promote.len(), demote, region, cluster, now)
        }
        Step::RemovePeer(old) if checker::is_healthy(region, old, cluster, now) => {
            let came = before.iter().filter(|s| !matches!(s, Step::TransferLeader { .. }));
            came.flat_map(Step::relies_on).try_for_each(works)?;
            let old = region.meta.peer(old.id).unwrap_or(old);
            check_removable(old, region, cluster, now)
        }
        // An open joint state is better left than kept, and a leader that cannot be reached takes no transfer.
        Step::AddLearner(_)
        | Step::RemovePeer(_)
        | Step::TransferLeader { .. }
        | Step::LeaveJoint { .. }
        | Step::SplitRegion { .. } => Ok(()),
    }
}

/// As many votes may go at once as leave the Region no worse than it is, or as it should be.
fn check_exchange(
    coming: usize,
    demote: &[Peer],
    region: &RegionView,
    cluster: &Cluster,
    now: Time,
) -> Result<(), Refusal> {
    let is_healthy_voter =
        |p: &&Peer| p.role == PeerRole::Voter && checker::is_healthy(region, p, cluster, now);
    let now_healthy = region.meta.peers.iter().filter(is_healthy_voter).count();
    let goes = |p: &&Peer| demote.iter().any(|old| old.id == p.id);
    let going = region.meta.peers.iter().filter(is_healthy_voter).filter(goes).count();
    let healthy = now_healthy - going + coming;
    let needed = now_healthy.min(cluster.config.max_replicas);
    if healthy >= needed {
        Ok(())
    } else {
        Err(Refusal::TooFewHealthy { region: region.meta.id, healthy, needed })
    }
}

/// A healthy voter goes only when enough others are healthy.
///
/// # Errors
/// `TooFewHealthy`.
pub(crate) fn check_removable(
    old: &Peer,
    region: &RegionView,
    cluster: &Cluster,
    now: Time,
) -> Result<(), Refusal> {
    let is_healthy = |p: &Peer| checker::is_healthy(region, p, cluster, now);
    if old.role != PeerRole::Voter || !is_healthy(old) {
        return Ok(());
    }
    let others = region.meta.peers.iter().filter(|p| p.id != old.id && p.role == PeerRole::Voter);
    // A Store whose stream has just broken may be dead: not yet reason for a repair, but for patience.
    let is_cut_off = |p: &Peer| cluster.stores.get(p.store).is_some_and(|s| s.stream == Stream::Closed);
    let healthy = others.filter(|p| is_healthy(p) && !is_cut_off(p)).count();
    let needed = cluster.config.max_replicas;
    if healthy >= needed {
        Ok(())
    } else {
        Err(Refusal::TooFewHealthy { region: region.meta.id, healthy, needed })
    }
}

fn check_works(peer: &Peer, region: &RegionView, cluster: &Cluster, now: Time) -> Result<(), Refusal> {
    if region.is_ailing(peer.id) {
        return Err(Refusal::Ailing(peer.id));
    }
    let store = cluster.stores.get(peer.store).ok_or(Refusal::UnknownStore(peer.store))?;
    store.check_heard(now, &cluster.config)
}
