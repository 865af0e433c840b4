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

pub(crate) const fn as_voter(peer: Peer) -> Peer {
    Peer { role: PeerRole::Voter, ..peer }
}

pub(crate) const fn as_learner(peer: Peer) -> Peer {
    Peer { role: PeerRole::Learner, ..peer }
}
