//! One step of an operator: when it is done, what blocks it, what it asks of the leader, how long it may take.

use std::{fmt, slice};

use bytes::Bytes;

use super::StepBlock;
use crate::effect::{Action, PeerChange, PeerChangeKind, SplitPolicy};
use crate::model::{Peer, PeerId, PeerRole, RegionMeta, RegionView, StoreId};

/// A step. Peers stand with the role that they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new learner comes and catches up.
    AddLearner(Peer),
    /// A learner becomes a voter.
    PromoteLearner(Peer),
    /// A Peer leaves.
    RemovePeer(Peer),
    /// Another Peer leads.
    TransferLeader {
        /// Who leads when the operator is made.
        from: StoreId,
        /// Who shall.
        to: Peer,
    },
    /// Several changes at once, as a joint state.
    EnterJoint {
        /// These become voters.
        promote: Vec<Peer>,
        /// These become learners.
        demote: Vec<Peer>,
    },
    /// The joint state ends.
    LeaveJoint {
        /// These became voters.
        promote: Vec<Peer>,
        /// These became learners.
        demote: Vec<Peer>,
    },
    /// The Region is cut.
    SplitRegion {
        /// How the keys are found.
        policy: SplitPolicy,
        /// The keys, with `UseKey`.
        keys: Vec<Bytes>,
        /// The range as it was.
        start_key: Bytes,
        /// The range as it was.
        end_key: Bytes,
    },
}

/// The least time for a step that moves no data, in ms, and what each MiB adds.
const FAST_MS: u64 = 60_000;
const FAST_MS_PER_MIB: u64 = 600;
/// The same for a step that sends a snapshot.
const SLOW_MS: u64 = 600_000;
const SLOW_MS_PER_MIB: u64 = 6_000;

impl Step {
    /// True when the Region shows its effect.
    #[must_use]
    pub fn is_done(&self, region: &RegionView) -> bool {
        let meta = &region.meta;
        match self {
            Step::AddLearner(peer) => {
                has_peer(meta, peer) && !region.pending.contains(&peer.id) && !is_down(region, peer.id)
            }
            Step::PromoteLearner(peer) => role_of(meta, peer) == Some(PeerRole::Voter),
            Step::RemovePeer(peer) => !has_peer(meta, peer),
            Step::TransferLeader { to, .. } => region.leader.store == to.store,
            Step::EnterJoint { promote, demote } => {
                promote.iter().all(|p| is_incoming_or_in(meta, p))
                    && demote.iter().all(|p| is_outgoing_or_out(meta, p))
            }
            Step::LeaveJoint { promote, demote } => {
                !meta.is_joint()
                    && promote.iter().all(|p| role_of(meta, p) == Some(PeerRole::Voter))
                    && demote.iter().all(|p| matches!(role_of(meta, p), Some(PeerRole::Learner) | None))
            }
            // A Store cuts some at a time: it is asked again until no key is left inside.
            Step::SplitRegion { policy: SplitPolicy::UseKey, keys, .. } => {
                !keys.iter().any(|key| meta.can_split_at(key))
            }
            Step::SplitRegion {
                policy: SplitPolicy::Scan | SplitPolicy::Approximate,
                start_key,
                end_key,
                ..
            } => meta.start_key != *start_key || meta.end_key != *end_key,
        }
    }

    /// How many changes of `conf_ver` are its own, as far as the Region shows them.
    #[must_use]
    pub fn explained_conf_changes(&self, meta: &RegionMeta) -> u64 {
        match self {
            Step::AddLearner(peer) => u64::from(has_peer(meta, peer)),
            Step::PromoteLearner(peer) => u64::from(role_of(meta, peer) == Some(PeerRole::Voter)),
            Step::RemovePeer(peer) => u64::from(!has_peer(meta, peer)),
            Step::TransferLeader { .. } | Step::SplitRegion { .. } => 0,
            Step::EnterJoint { promote, demote } => {
                let shown = promote.iter().all(|p| is_incoming_or_in(meta, p))
                    && demote.iter().all(|p| is_outgoing_or_out(meta, p));
                if shown { (promote.len() + demote.len()) as u64 } else { 0 }
            }
            Step::LeaveJoint { promote, demote } => {
                let shown = !meta.is_joint()
                    && promote.iter().all(|p| role_of(meta, p) == Some(PeerRole::Voter))
                    && demote.iter().all(|p| matches!(role_of(meta, p), Some(PeerRole::Learner) | None));
                if shown { (promote.len() + demote.len()) as u64 } else { 0 }
            }
        }
    }

    /// What stands in its way for good, as far as the Region shows it.
    ///
    /// # Errors
    /// The block. The operator ends then: the checkers look at the Region afresh.
    pub fn check(&self, region: &RegionView) -> Result<(), StepBlock> {
        let meta = &region.meta;
        match self {
            Step::AddLearner(peer) => match meta.peer_on(peer.store) {
                Some(other) if other.id != peer.id => Err(StepBlock::StoreTaken(peer.store)),
                Some(_) | None => Ok(()),
            },
            Step::PromoteLearner(peer) => must_have(meta, peer),
            Step::RemovePeer(peer) => {
                if region.leader.id == peer.id {
                    Err(StepBlock::WouldHitLeader(peer.id))
                } else {
                    Ok(())
                }
            }
            Step::TransferLeader { to, .. } => match role_of(meta, to) {
                Some(PeerRole::Voter | PeerRole::IncomingVoter) if !is_down(region, to.id) => Ok(()),
                Some(_) => Err(StepBlock::CannotLead(to.id)),
                None => Err(StepBlock::PeerMissing(to.id)),
            },
            Step::EnterJoint { promote, demote } | Step::LeaveJoint { promote, demote } => {
                promote.iter().chain(demote).try_for_each(|p| must_have(meta, p))?;
                let own = |p: &Peer| promote.iter().chain(demote).any(|own| own.id == p.id);
                if meta.peers.iter().any(|p| p.role.is_joint() && !own(p)) {
                    return Err(StepBlock::ForeignJoint);
                }
                let leaves = matches!(self, Step::LeaveJoint { .. });
                match meta.peer(region.leader.id) {
                    Some(leader) if leaves && leader.role == PeerRole::DemotingVoter => {
                        Err(StepBlock::WouldHitLeader(leader.id))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Step::SplitRegion { .. } => Ok(()),
        }
    }

    /// What the leader is asked for; nothing when all that is left is to wait.
    #[must_use]
    pub fn action(&self, region: &RegionView) -> Option<Action> {
        let meta = &region.meta;
        match self {
            Step::AddLearner(peer) if has_peer(meta, peer) => None,
            Step::AddLearner(peer) => Some(simple(PeerChangeKind::AddLearnerNode, *peer)),
            Step::PromoteLearner(peer) => Some(simple(PeerChangeKind::AddNode, *peer)),
            Step::RemovePeer(peer) => Some(simple(PeerChangeKind::RemoveNode, *peer)),
            Step::TransferLeader { to, .. } => {
                Some(Action::TransferLeader(meta.peer(to.id).copied().unwrap_or(*to)))
            }
            Step::EnterJoint { promote, demote } => {
                let up = promote.iter().map(|p| PeerChange { kind: PeerChangeKind::AddNode, peer: *p });
                let down =
                    demote.iter().map(|p| PeerChange { kind: PeerChangeKind::AddLearnerNode, peer: *p });
                Some(Action::ChangePeers(up.chain(down).collect()))
            }
            Step::LeaveJoint { .. } => Some(Action::ChangePeers(Vec::new())),
            Step::SplitRegion { policy, keys, .. } => {
                let keys = keys.iter().filter(|key| region.meta.can_split_at(key)).cloned().collect();
                Some(Action::Split { policy: *policy, keys })
            }
        }
    }

    /// How long it may take for a Region of this size, in ms.
    #[must_use]
    pub fn limit_ms(&self, size_mib: u64) -> u64 {
        let fast = FAST_MS.max(FAST_MS_PER_MIB.saturating_mul(size_mib));
        match self {
            Step::AddLearner(_) => SLOW_MS.max(SLOW_MS_PER_MIB.saturating_mul(size_mib)),
            Step::PromoteLearner(_)
            | Step::RemovePeer(_)
            | Step::TransferLeader { .. }
            | Step::SplitRegion { .. } => fast,
            Step::EnterJoint { promote, demote } | Step::LeaveJoint { promote, demote } => {
                fast.saturating_mul(1 + (promote.len() + demote.len()) as u64)
            }
        }
    }

    /// The Peers who must live for it to end well: those that come, get a vote or lead.
    #[must_use]
    pub fn relies_on(&self) -> &[Peer] {
        match self {
            Step::AddLearner(peer) | Step::PromoteLearner(peer) => slice::from_ref(peer),
            Step::TransferLeader { to, .. } => slice::from_ref(to),
            Step::EnterJoint { promote, .. } => promote,
            Step::RemovePeer(_) | Step::LeaveJoint { .. } | Step::SplitRegion { .. } => &[],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::AddLearner(p) => write!(f, "add-learner peer {} on store {}", p.id, p.store),
            Step::PromoteLearner(p) => write!(f, "promote-learner peer {} on store {}", p.id, p.store),
            Step::RemovePeer(p) => write!(f, "remove-peer peer {} on store {}", p.id, p.store),
            Step::TransferLeader { from, to } => {
                write!(f, "transfer-leader from store {from} to store {}", to.store)
            }
            Step::EnterJoint { promote, demote } => {
                f.write_str("enter-joint")?;
                write_changes(f, promote, demote)
            }
            Step::LeaveJoint { promote, demote } => {
                f.write_str("leave-joint")?;
                write_changes(f, promote, demote)
            }
            Step::SplitRegion { policy, keys, .. } => {
                write!(f, "split-region {policy:?} {} keys", keys.len())
            }
        }
    }
}

fn write_changes(f: &mut fmt::Formatter<'_>, promote: &[Peer], demote: &[Peer]) -> fmt::Result {
    for p in promote {
        write!(f, " promote peer {} on store {}", p.id, p.store)?;
    }
    for p in demote {
        write!(f, " demote peer {} on store {}", p.id, p.store)?;
    }
    Ok(())
}

fn simple(kind: PeerChangeKind, peer: Peer) -> Action {
    Action::ChangePeers(vec![PeerChange { kind, peer }])
}

fn role_of(meta: &RegionMeta, peer: &Peer) -> Option<PeerRole> {
    meta.peer(peer.id).map(|p| p.role)
}

fn has_peer(meta: &RegionMeta, peer: &Peer) -> bool {
    meta.peer(peer.id).is_some()
}

fn must_have(meta: &RegionMeta, peer: &Peer) -> Result<(), StepBlock> {
    if has_peer(meta, peer) { Ok(()) } else { Err(StepBlock::PeerMissing(peer.id)) }
}

fn is_down(region: &RegionView, peer: PeerId) -> bool {
    region.down.iter().any(|d| d.peer == peer)
}

fn is_incoming_or_in(meta: &RegionMeta, peer: &Peer) -> bool {
    matches!(role_of(meta, peer), Some(PeerRole::Voter | PeerRole::IncomingVoter))
}

/// A Peer that is gone counts as demoted.
fn is_outgoing_or_out(meta: &RegionMeta, peer: &Peer) -> bool {
    matches!(role_of(meta, peer), Some(PeerRole::Learner | PeerRole::DemotingVoter) | None)
}
