//! Carries out what PD answers to a Region's heartbeat.
//!
//! A command is for one Region at one epoch, led by one peer; when any of these is over it is dropped without a word:
//! PD sees from the next heartbeat how things are and asks again. One command a Region at a time.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use proto::eraftpb::ConfChangeType;
use proto::metapb;
use proto::pdpb::{ChangePeer, CheckPolicy, RegionHeartbeatResponse, TransferLeader};
use raft_core::ProposeError;
use tracing::{debug, info, warn};

use crate::region::{OneChange, Peer, PeerChange, epoch_of, leader_may_propose, to_raft};
use crate::splitter::{self, At};
use crate::{RegionId, StoreCore};

/// Tries of a transfer: the target must have been heard moments ago and have the whole log, which holds in most of
/// the short waits between two writes.
const TRANSFER_TRIES: u32 = 10;
/// Between two of them.
const TRANSFER_PAUSE: Duration = Duration::from_millis(50);

/// The one thing of an answer that is done.
#[derive(Debug, PartialEq)]
enum Step {
    Change(Vec<OneChange>),
    Transfer(TransferLeader),
    Split(At),
    /// Not for raw-KV Regions: merges, witnesses.
    Unknown(&'static str),
}

/// Begins to carry an answer out, if it is for a Region as it is now.
pub fn carry_out(core: &Arc<StoreCore>, pd: &pd_client::Client, answer: RegionHeartbeatResponse) {
    let region = RegionId(answer.region_id);
    if let Some(error) = answer.header.as_ref().and_then(|header| header.error.as_ref()) {
        warn!(store = %core.id, %region, error = error.message, "PD refuses a region's heartbeat");
        return;
    }
    let Some(step) = step_of(&answer) else { return };
    let Some(peer) = core.regions.get(region) else { return };
    if let Err(why) = meant_for(&peer, &answer) {
        debug!(store = %core.id, %region, why, "command dropped");
        return;
    }
    let Some(turn) = peer.admin_turn() else {
        debug!(store = %core.id, %region, "command dropped: another is under way");
        return;
    };
    let (core, pd) = (core.clone(), pd.clone());
    tokio::spawn(async move {
        let _turn = turn;
        let text = format!("{step:?}");
        let done = match step {
            Step::Change(changes) => change(&core, &peer, changes).await,
            Step::Transfer(transfer) => transfer_lead(&core, &peer, targets(&transfer)).await,
            Step::Split(at) => splitter::split(&core, &pd, &peer, at).await,
            Step::Unknown(what) => Err(format!("{what} is not done here")),
        };
        match done {
            Ok(()) => debug!(store = %core.id, %region, step = text, "command carried out"),
            Err(why) => info!(store = %core.id, %region, step = text, why, "command not carried out"),
        }
    });
}

/// The first action that is present, in the order in which TiKV looks.
fn step_of(answer: &RegionHeartbeatResponse) -> Option<Step> {
    if let Some(one) = &answer.change_peer {
        return Some(Step::Change(vec![change_of(one)]));
    }
    if let Some(several) = &answer.change_peer_v2 {
        return Some(Step::Change(several.changes.iter().map(change_of).collect()));
    }
    if let Some(transfer) = &answer.transfer_leader {
        return Some(Step::Transfer(transfer.clone()));
    }
    if let Some(split) = &answer.split_region {
        return Some(Step::Split(match split.policy() {
            CheckPolicy::Usekey => At::Keys(split.keys.clone()),
            CheckPolicy::Scan | CheckPolicy::Approximate => At::Half,
        }));
    }
    if answer.merge.is_some() {
        return Some(Step::Unknown("a merge"));
    }
    answer.switch_witnesses.is_some().then_some(Step::Unknown("a change of witnesses"))
}

fn change_of(change: &ChangePeer) -> OneChange {
    OneChange { kind: change.change_type, peer: change.peer }
}

fn meant_for(peer: &Peer, answer: &RegionHeartbeatResponse) -> Result<(), &'static str> {
    let (region, target) = (peer.region(), answer.target_peer.unwrap_or_default());
    if target.id != peer.id().0 {
        return Err("it is for another peer");
    }
    if answer.region_epoch.unwrap_or_default() != epoch_of(&region) {
        return Err("the region's epoch is another");
    }
    Ok(())
}

/// Changes peers: none leaves a joint change, one is simple, more enter a joint one.
async fn change(core: &StoreCore, peer: &Peer, changes: Vec<OneChange>) -> Result<(), String> {
    let handle = core.handle().ok_or("not started")?;
    let region = peer.region();
    leader_may_propose(&region, &changes, peer.id().0).map_err(|refused| refused.to_string())?;
    let context = PeerChange { epoch: region.region_epoch, changes: changes.clone() };
    let in_raft = to_raft(&changes, context.encode_to_vec().into());
    let term = peer.with_status(handle, |status| status.term);
    handle
        .propose_conf_change(peer.region_id().0, term, in_raft)
        .await
        .map_err(|refused| refused.to_string())?;
    let text: Vec<String> = changes.iter().map(describe).collect();
    info!(store = %core.id, region = region.id, changes = text.join(", "), "membership changed");
    Ok(())
}

fn describe(change: &OneChange) -> String {
    let kind = ConfChangeType::try_from(change.kind).map_or("unknown", |kind| match kind {
        ConfChangeType::AddNode => "voter",
        ConfChangeType::AddLearnerNode => "learner",
        ConfChangeType::RemoveNode => "removed",
    });
    let peer = change.peer.unwrap_or_default();
    format!("peer {} on store {}: {kind}", peer.id, peer.store_id)
}

/// Whom PD would like to lead, best first known only by their logs.
fn targets(transfer: &TransferLeader) -> Vec<metapb::Peer> {
    if transfer.peers.is_empty() { transfer.peer.into_iter().collect() } else { transfer.peers.clone() }
}

/// Hands the lead to the one of `targets` that has most of the log.
pub async fn transfer_lead(core: &StoreCore, peer: &Peer, targets: Vec<metapb::Peer>) -> Result<(), String> {
    let handle = core.handle().ok_or("not started")?;
    let group = peer.region_id().0;
    let mut last = "no peer to hand the lead to".to_owned();
    for _ in 0..TRANSFER_TRIES {
        let best = peer
            .with_status(handle, |status| {
                let candidates =
                    status.progress.iter().filter(|p| targets.iter().any(|target| target.id == p.id));
                candidates.max_by_key(|progress| progress.matched).map(|progress| progress.id)
            })
            .flatten();
        let Some(best) = best else { return Err(last) };
        // A round of heartbeats: followers of a quiet Region are not heard often enough otherwise.
        if let Err(refused) = handle.read_index(group).await {
            return Err(refused.to_string());
        }
        match handle.transfer_leader(group, best).await {
            Ok(()) => {
                info!(store = %core.id, region = group, to = best, "lead handed over");
                return Ok(());
            }
            Err(refused @ (ProposeError::Busy(_) | ProposeError::Refused(_))) => last = refused.to_string(),
            Err(refused) => return Err(refused.to_string()),
        }
        tokio::time::sleep(TRANSFER_PAUSE).await;
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use proto::metapb::{Region, RegionEpoch};
    use proto::pdpb::{ChangePeerV2, SplitRegion};

    use super::*;
    use crate::PeerId;
    use crate::region::Stage;

    #[test]
    fn one_action_is_done_the_first_that_is_present() {
        let empty = RegionHeartbeatResponse::default();
        assert_eq!(step_of(&empty), None, "a keepalive");
        let split = SplitRegion { policy: CheckPolicy::Usekey.into(), keys: vec!["k".into()] };
        let with_split = RegionHeartbeatResponse { split_region: Some(split), ..empty.clone() };
        assert_eq!(step_of(&with_split), Some(Step::Split(At::Keys(vec!["k".into()]))));
        let both = RegionHeartbeatResponse { change_peer_v2: Some(ChangePeerV2::default()), ..with_split };
        assert_eq!(step_of(&both), Some(Step::Change(vec![])), "leaving a joint change comes first");
    }

    #[test]
    fn a_command_for_another_time_or_peer_is_dropped() {
        let epoch = RegionEpoch { conf_ver: 5, version: 3 };
        let region = Region { id: 2, region_epoch: Some(epoch), ..Region::default() };
        let peer = Peer::new(PeerId(3), region, Stage::Normal);
        let answer = |id, conf_ver| RegionHeartbeatResponse {
            target_peer: Some(metapb::Peer { id, ..metapb::Peer::default() }),
            region_epoch: Some(RegionEpoch { conf_ver, version: 3 }),
            ..RegionHeartbeatResponse::default()
        };
        assert!(meant_for(&peer, &answer(3, 5)).is_ok());
        assert!(meant_for(&peer, &answer(4, 5)).is_err());
        assert!(meant_for(&peer, &answer(3, 4)).is_err());
    }
}
