//! Operators: a plan for one Region, carried out step by step. A step ends by what heartbeats show, never because a
//! command was sent.

pub(crate) mod build;
pub(crate) mod guard;
mod running;
mod step;

use std::fmt;

pub(crate) use running::Operator;
pub use step::Step;

use crate::SplitPolicy;
use crate::model::{OperatorId, PeerId, RegionId, StoreId, Time};
use crate::refusal::Refusal;

/// Who wanted an operator: what its limit is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperatorKind {
    /// A person, or a request of a client. No limit.
    Admin,
    /// A checker: the Region is not as the rule wants it.
    Replica,
    /// The balance of sizes.
    Region,
    /// The balance of leaders.
    Leader,
}

/// Why an operator was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A joint state that nobody owns is left.
    LeaveJoint,
    /// A replica is down for too long.
    ReplaceDownPeer,
    /// A replica's Store is on its way out.
    ReplaceOfflinePeer,
    /// Fewer replicas than wanted.
    AddMissingPeer,
    /// More replicas than wanted.
    RemoveExtraPeer,
    /// A learner that nobody owns takes an empty place.
    PromoteLearner,
    /// Sizes of Stores differ.
    BalanceSize,
    /// Numbers of leaders differ.
    BalanceLeader,
    /// Asked for.
    Admin,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::LeaveJoint => "leave-joint-state",
            Cause::ReplaceDownPeer => "replace-down-peer",
            Cause::ReplaceOfflinePeer => "replace-offline-peer",
            Cause::AddMissingPeer => "add-missing-peer",
            Cause::RemoveExtraPeer => "remove-extra-peer",
            Cause::PromoteLearner => "promote-learner",
            Cause::BalanceSize => "balance-region",
            Cause::BalanceLeader => "balance-leader",
            Cause::Admin => "admin",
        })
    }
}

/// Why an operator ended before its last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody asked for it, or scheduling was halted.
    Cancelled(&'static str),
    /// The epoch shows a change of Peers that is not its own.
    ForeignChange {
        /// Changes since it started.
        seen: u64,
        /// Changes that its own steps explain.
        explained: u64,
    },
    /// The step can no longer be done.
    StepImpossible {
        /// Its place.
        index: usize,
        /// Why.
        why: StepBlock,
    },
    /// No heartbeat showed the step's effect in time.
    StepTimedOut {
        /// Its place.
        index: usize,
        /// The time it had, in ms.
        limit_ms: u64,
        /// Why it was not asked for at the end, if it was not.
        waits_for: Option<Refusal>,
    },
    /// The Region left the index.
    RegionVanished,
}

/// What makes a step impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepBlock {
    /// Another Peer is on the Store.
    StoreTaken(StoreId),
    /// The Peer is not there any more.
    PeerMissing(PeerId),
    /// The Store is not Up, or silent for long.
    StoreLost(StoreId),
    /// The leader would be removed or demoted.
    WouldHitLeader(PeerId),
    /// The target of a transfer cannot lead.
    CannotLead(PeerId),
    /// Another joint change is open.
    ForeignJoint,
    /// Carrying it out would lower the number of healthy replicas below what is wanted.
    TooFewHealthy,
}

impl fmt::Display for StepBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepBlock::StoreTaken(store) => write!(f, "another peer is on store {store}"),
            StepBlock::PeerMissing(peer) => write!(f, "peer {peer} is gone"),
            StepBlock::StoreLost(store) => write!(f, "store {store} is silent or leaves"),
            StepBlock::WouldHitLeader(peer) => write!(f, "peer {peer} leads"),
            StepBlock::CannotLead(peer) => write!(f, "peer {peer} cannot lead"),
            StepBlock::ForeignJoint => write!(f, "another joint change is open"),
            StepBlock::TooFewHealthy => write!(f, "too few healthy replicas would remain"),
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Cancelled(why) => write!(f, "cancelled: {why}"),
            EndReason::ForeignChange { seen, explained } => {
                write!(f, "cancelled: {seen} changes of peers seen, {explained} are its own")
            }
            EndReason::StepImpossible { index, why } => write!(f, "cancelled: step {index}: {why}"),
            EndReason::StepTimedOut { index, limit_ms, waits_for: None } => {
                write!(f, "timed out: step {index} showed no effect within {limit_ms} ms")
            }
            EndReason::StepTimedOut { index, limit_ms, waits_for: Some(why) } => {
                write!(f, "timed out: step {index} had to wait for {limit_ms} ms: {why}")
            }
            EndReason::RegionVanished => write!(f, "cancelled: the region is gone"),
        }
    }
}

/// An operator as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorView {
    /// Its id.
    pub id: OperatorId,
    /// For which Region.
    pub region: RegionId,
    /// What it counts as.
    pub kind: OperatorKind,
    /// Why it was made.
    pub cause: Cause,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// Place of the step in hand.
    pub current: usize,
    /// When it started.
    pub created: Time,
    /// When the step in hand times out.
    pub step_deadline: Time,
    /// Why the step in hand is not asked for just now, if it is not.
    pub waits_for: Option<Refusal>,
}

/// An operator that a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorRequest {
    /// One more voter.
    AddPeer {
        /// For which Region.
        region: RegionId,
        /// Where.
        store: StoreId,
    },
    /// One more learner.
    AddLearner {
        /// For which Region.
        region: RegionId,
        /// Where.
        store: StoreId,
    },
    /// One replica less.
    RemovePeer {
        /// For which Region.
        region: RegionId,
        /// Where.
        store: StoreId,
    },
    /// A replica moves.
    TransferPeer {
        /// For which Region.
        region: RegionId,
        /// From this Store.
        from: StoreId,
        /// To this Store.
        to: StoreId,
    },
    /// Another leader.
    TransferLeader {
        /// For which Region.
        region: RegionId,
        /// The Store of the next leader.
        to: StoreId,
    },
    /// The Region is cut.
    Split {
        /// Which.
        region: RegionId,
        /// How the keys are found.
        policy: SplitPolicy,
        /// The keys, strictly rising and inside the range; only with `SplitPolicy::UseKey`.
        keys: Vec<bytes::Bytes>,
    },
}

impl OperatorRequest {
    /// The Region that it is for.
    #[must_use]
    pub const fn region(&self) -> RegionId {
        match self {
            OperatorRequest::AddPeer { region, .. }
            | OperatorRequest::AddLearner { region, .. }
            | OperatorRequest::RemovePeer { region, .. }
            | OperatorRequest::TransferPeer { region, .. }
            | OperatorRequest::TransferLeader { region, .. }
            | OperatorRequest::Split { region, .. } => *region,
        }
    }
}
