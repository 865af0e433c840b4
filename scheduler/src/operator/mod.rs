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
use crate::model::{OperatorId, PeerId, RegionEpoch, RegionId, StoreId, Time};
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
    /// A person asks for another leader.
    AdminTransferLeader,
    /// A person moves a replica.
    AdminMovePeer,
    /// A person says where all replicas shall be.
    AdminMoveRegion,
    /// A person asks for one more voter.
    AdminAddPeer,
    /// A person asks for one more learner.
    AdminAddLearner,
    /// A person asks for one replica less.
    AdminRemovePeer,
    /// A person has the Region cut.
    AdminSplitRegion,
}

/// The words of tikv/pd, which people search logs and boards for.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::LeaveJoint => "leave-joint-state",
            Cause::ReplaceDownPeer => "replace-rule-down-peer",
            Cause::ReplaceOfflinePeer => "replace-rule-offline-peer",
            Cause::AddMissingPeer => "add-rule-peer",
            Cause::RemoveExtraPeer => "remove-orphan-peer",
            Cause::PromoteLearner => "fix-peer-role",
            Cause::BalanceSize => "balance-region",
            Cause::BalanceLeader => "balance-leader",
            Cause::AdminTransferLeader => "admin-transfer-leader",
            Cause::AdminMovePeer => "admin-move-peer",
            Cause::AdminMoveRegion => "admin-move-region",
            Cause::AdminAddPeer => "admin-add-peer",
            Cause::AdminAddLearner => "admin-add-learner",
            Cause::AdminRemovePeer => "admin-remove-peer",
            Cause::AdminSplitRegion => "admin-split-region",
        })
    }
}

/// Why an operator ended before its last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody asked for it, or scheduling was halted.
    Cancelled(&'static str),
    /// An operator that a person asked for took its place.
    Replaced,
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
            EndReason::Replaced => write!(f, "replaced by an operator that was asked for"),
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
    /// The Region's epoch when it was made.
    pub epoch: RegionEpoch,
    /// The Region's size when it was made, in MiB.
    pub size_mib: u64,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// The time that all steps may take together, in ms.
    pub limit_ms: u64,
    /// Place of the step in hand.
    pub current: usize,
    /// When it started.
    pub created: Time,
    /// When the step in hand times out.
    pub step_deadline: Time,
    /// Why the step in hand is not asked for just now, if it is not.
    pub waits_for: Option<Refusal>,
}

/// What a person wants a replica to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetRole {
    /// It has a vote, and may lead.
    Voter,
    /// It leads.
    Leader,
    /// It has a vote and does not lead.
    Follower,
    /// It has no vote.
    Learner,
}

impl TargetRole {
    /// All, in no order that means anything.
    pub const ALL: [TargetRole; 4] =
        [TargetRole::Voter, TargetRole::Leader, TargetRole::Follower, TargetRole::Learner];

    /// Its name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TargetRole::Voter => "voter",
            TargetRole::Leader => "leader",
            TargetRole::Follower => "follower",
            TargetRole::Learner => "learner",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<TargetRole> {
        TargetRole::ALL.into_iter().find(|role| role.name() == name)
    }
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
    /// The Region's replicas shall be on these Stores and no others.
    TransferRegion {
        /// Which.
        region: RegionId,
        /// Where, and what each shall be. Each Store at most once; at most one leads; some Store must have a vote.
        targets: Vec<(StoreId, TargetRole)>,
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
            | OperatorRequest::TransferRegion { region, .. }
            | OperatorRequest::TransferLeader { region, .. }
            | OperatorRequest::Split { region, .. } => *region,
        }
    }

    /// What the operator is called.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            OperatorRequest::AddPeer { .. } => Cause::AdminAddPeer,
            OperatorRequest::AddLearner { .. } => Cause::AdminAddLearner,
            OperatorRequest::RemovePeer { .. } => Cause::AdminRemovePeer,
            OperatorRequest::TransferPeer { .. } => Cause::AdminMovePeer,
            OperatorRequest::TransferRegion { .. } => Cause::AdminMoveRegion,
            OperatorRequest::TransferLeader { .. } => Cause::AdminTransferLeader,
            OperatorRequest::Split { .. } => Cause::AdminSplitRegion,
        }
    }
}
