//! What the planner wants done. The caller drains effects after each call and carries them out in order.

use bytes::Bytes;

use crate::model::{OperatorId, Peer, RegionEpoch, RegionId, StoreId, Time};
use crate::operator::{EndReason, OperatorKind, OperatorView, Step};

/// One thing to do or to note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// To be sent on the heartbeat stream of `Command::store`; dropped when there is none (it is said again).
    Command(Command),
    /// The pool of ids runs low: reserve this many and give them by `handle_ids`.
    NeedIds(u64),
    /// A line of the operator log.
    Operator(OperatorEvent),
    /// Something became true of a Store.
    Store(StoreEvent),
}

/// An order to the leader of a Region. Its epoch and target are those of the newest heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The leader's Store: whose stream carries it.
    pub store: StoreId,
    /// Which Region.
    pub region: RegionId,
    /// Its present epoch; the Store drops a command with another one.
    pub epoch: RegionEpoch,
    /// Its present leader.
    pub target: Peer,
    /// What to do.
    pub action: Action,
}

/// What a leader is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `change_peer_v2`: no change leaves a joint state, one is a simple change, several enter a joint state.
    ChangePeers(Vec<PeerChange>),
    /// `transfer_leader` to this Peer.
    TransferLeader(Peer),
    /// `split_region`.
    Split {
        /// How the Store finds the keys.
        policy: SplitPolicy,
        /// The keys, only with `SplitPolicy::UseKey`.
        keys: Vec<Bytes>,
    },
}

/// One entry of a change of Peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerChange {
    /// Add (or promote), add as learner (or demote), remove.
    pub kind: PeerChangeKind,
    /// The Peer, with the role that it gets (on removal: that it has).
    pub peer: Peer,
}

/// Kinds of changes, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerChangeKind {
    /// Becomes a voter.
    AddNode,
    /// Leaves.
    RemoveNode,
    /// Becomes a learner.
    AddLearnerNode,
}

/// How a Store finds the keys to split at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SplitPolicy {
    /// By scanning for the middle.
    Scan,
    /// By its estimate of the middle.
    Approximate,
    /// At the keys given.
    UseKey,
}

/// A line of the operator log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorEvent {
    /// When.
    pub at: Time,
    /// Which operator.
    pub operator: OperatorId,
    /// For which Region.
    pub region: RegionId,
    /// Who wanted it.
    pub kind: OperatorKind,
    /// What happened.
    pub what: OperatorChange,
}

/// What happened to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorChange {
    /// It started, with these steps.
    Created(OperatorView),
    /// A heartbeat showed the effect of this step (counted from 0).
    StepDone {
        /// Its place in the operator.
        index: usize,
        /// The step.
        step: Step,
    },
    /// All steps are done.
    Finished,
    /// It ended before its last step.
    Ended(EndReason),
}

/// Something became true of a Store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// A removing Store holds no replica any more: record it as Removed and say so by `handle_store_meta`.
    /// Repeated until that is done.
    Buried(StoreId),
}
