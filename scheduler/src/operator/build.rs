//! Steps for each wish, in the order in which they are safe: what comes is there before what goes, leadership moves
//! before its Peer does.

use super::Step;
use crate::model::{Peer, PeerRole, RegionView};

/// Where a replica comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Newcomer {
    /// A learner that is there already and healthy.
    Present(Peer),
    /// A new Peer on a Store without one.
    New(Peer),
}

/// `old` goes, `new` comes, by one joint change. `next_leader` is needed when `old` leads and another voter can.
pub(crate) fn replace(region: &RegionView, old: Peer, new: Newcomer, next_leader: Option<Peer>) -> Vec<Step> {
    if old.role == PeerRole::Learner {
        return replace_learner(old, new);
    }
    let leads = region.leader.id == old.id;
    let mut steps = Vec::with_capacity(6);
    // First of all: the snapshot then comes from a Store that stays.
    if let (true, Some(to)) = (leads, next_leader) {
        steps.push(Step::TransferLeader { from: old.store, to });
    }
    let peer = match new {
        Newcomer::Present(peer) => peer,
        Newcomer::New(peer) => {
            steps.push(Step::AddLearner(as_learner(peer)));
            peer
        }
    };
    let promote = vec![as_voter(peer)];
    let demote = vec![as_learner(old)];
    steps.push(Step::EnterJoint { promote: promote.clone(), demote: demote.clone() });
    if leads && next_leader.is_none() {
        // Nobody but the newcomer can lead: inside the joint state it already may.
        steps.push(Step::TransferLeader { from: old.store, to: as_voter(peer) });
    }
    steps.push(Step::LeaveJoint { promote, demote });
    steps.push(Step::RemovePeer(as_learner(old)));
    steps
}

fn replace_learner(old: Peer, new: Newcomer) -> Vec<Step> {
    match new {
        Newcomer::Present(_) => vec![Step::RemovePeer(old)],
        Newcomer::New(peer) => vec![Step::AddLearner(as_learner(peer)), Step::RemovePeer(old)],
    }
}

/// One more voter.
pub(crate) fn add(new: Newcomer) -> Vec<Step> {
    match new {
        Newcomer::Present(peer) => vec![Step::PromoteLearner(as_voter(peer))],
        Newcomer::New(peer) => vec![Step::AddLearner(as_learner(peer)), Step::PromoteLearner(as_voter(peer))],
    }
}

/// `old` goes. `next_leader` is needed when it leads.
pub(crate) fn remove(region: &RegionView, old: Peer, next_leader: Option<Peer>) -> Vec<Step> {
    let transfer = next_leader.filter(|_| region.leader.id == old.id);
    let transfer = transfer.map(|to| Step::TransferLeader { from: old.store, to });
    transfer.into_iter().chain([Step::RemovePeer(old)]).collect()
}

/// The joint state that is open ends. A leader that is being demoted hands over first.
pub(crate) fn leave_joint(region: &RegionView, next_leader: Option<Peer>) -> Vec<Step> {
    let of_role = |role| region.meta.peers.iter().filter(move |p| p.role == role);
    let promote = of_role(PeerRole::IncomingVoter).copied().map(as_voter).collect();
    let demote = of_role(PeerRole::DemotingVoter).copied().map(as_learner).collect();
    let transfer = next_leader.map(|to| Step::TransferLeader { from: region.leader.store, to });
    transfer.into_iter().chain([Step::LeaveJoint { promote, demote }]).collect()
}

/// Replicas come and go until they are on the Stores of `targets` and no others. A Peer of id 0 in `targets` is new.
/// `next_leader` leads afterwards; none leaves the leader that is there, who must stay a voter then.
pub(crate) fn rearrange(region: &RegionView, targets: &[Peer], next_leader: Option<Peer>) -> Vec<Step> {
    let is_voter = |peer: &Peer| region.meta.peer(peer.id).is_some_and(|p| p.role == PeerRole::Voter);
    let stays_voter =
        |peer: &Peer| targets.iter().any(|t| t.store == peer.store && t.role == PeerRole::Voter);
    let new = targets.iter().filter(|t| region.meta.peer(t.id).is_none());
    let mut steps: Vec<Step> = new.map(|t| Step::AddLearner(as_learner(*t))).collect();
    let promote: Vec<Peer> =
        targets.iter().filter(|t| t.role == PeerRole::Voter && !is_voter(t)).copied().collect();
    let demote: Vec<Peer> =
        region.meta.peers.iter().filter(|p| is_voter(p) && !stays_voter(p)).map(|p| as_learner(*p)).collect();
    let transfer = next_leader.filter(|to| to.store != region.leader.store);
    let transfer = transfer.map(|to| Step::TransferLeader { from: region.leader.store, to: as_voter(to) });
    let leads_from_now = next_leader.is_some_and(|to| is_voter(&to));
    let (before, inside) = if leads_from_now { (transfer, None) } else { (None, transfer) };
    // First of all: the snapshots then come from a Store that stays.
    steps.splice(0..0, before);
    match (&promote[..], &demote[..]) {
        ([], []) => steps.extend(inside),
        ([one], []) => {
            steps.push(Step::PromoteLearner(*one));
            steps.extend(inside);
        }
        (_, _) => {
            let is_joint = promote.len() + demote.len() > 1;
            steps.push(Step::EnterJoint { promote: promote.clone(), demote: demote.clone() });
            steps.extend(inside);
            if is_joint {
                steps.push(Step::LeaveJoint { promote, demote });
            }
        }
    }
    let goes = |p: &&Peer| !targets.iter().any(|t| t.store == p.store);
    steps.extend(region.meta.peers.iter().filter(goes).map(|p| Step::RemovePeer(as_learner(*p))));
    steps
}

pub(crate) const fn as_voter(peer: Peer) -> Peer {
    Peer { role: PeerRole::Voter, ..peer }
}

pub(crate) const fn as_learner(peer: Peer) -> Peer {
    Peer { role: PeerRole::Learner, ..peer }
}
