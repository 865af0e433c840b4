//! What the cluster owner is asked, and what its own errands report back.

use proto::metapb;
use proto::pdpb;
use scheduler::{
    IdRange, OperatorEvent, OperatorId, OperatorRequest, Planner, RegionEpoch, RegionId, RegionReport,
    SplitGrant, StoreSummary, StoreWeights, Time,
};
use tokio::sync::oneshot;

use super::min_resolved::MinResolvedView;
use super::operators::OperatorRecord;
use super::store_writes::Wish;
use super::stores::StoreRefusal;
use super::streams::Outbox;
use crate::ids::IdError;
use crate::state::KvError;

/// Requests that wait for the owner. Each is small and answered in microseconds; when it is full the caller waits.
pub const REQUESTS_MAX: usize = 4_096;
/// Batches of Region heartbeats that wait for the owner. With [`HEARTBEATS_PER_BATCH_MAX`] each that is a quarter of a
/// million heartbeats, less than a second of work. When it is full each stream keeps the newest of each Region.
pub const BATCHES_MAX: usize = 256;
/// Most Region heartbeats handed over in one go.
pub const HEARTBEATS_PER_BATCH_MAX: usize = 1_024;

/// Region heartbeats of one stream, in their order.
pub struct HeartbeatBatch {
    /// Where refusals go.
    pub outbox: Outbox,
    /// The heartbeats.
    pub reports: Vec<RegionReport>,
    /// Told once they are handled and what was refused is on its way.
    pub handled: Option<oneshot::Sender<()>>,
}

/// The way back to who asked. That nobody waits any more is no error.
pub type Reply<T> = oneshot::Sender<Result<T, CallError>>;

/// Why the owner did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// A store's wish was refused.
    #[error(transparent)]
    Store(#[from] StoreRefusal),
    /// The planner refused.
    #[error(transparent)]
    Planner(#[from] scheduler::Refusal),
    /// It could not be made durable.
    #[error("cannot write: {0}")]
    Write(#[from] KvError),
    /// No ids could be reserved.
    #[error("cannot reserve ids: {0}")]
    Ids(#[from] IdError),
    /// Too much waits already.
    #[error("busy: {0} wait already")]
    Busy(usize),
    /// This member's tenure as leader is over.
    #[error("not leader")]
    Over,
}

/// What a store learns from its heartbeat.
#[derive(Clone, Debug)]
pub struct StoreAnswer {
    /// The cluster version.
    pub cluster_version: String,
    /// What was decided about the store.
    pub state: metapb::NodeState,
}

/// Work on the planner, handed to its owner.
pub type PlannerWork = Box<dyn FnOnce(&mut Planner, Time) + Send>;

/// What the owner is asked.
pub enum Request {
    /// A store's record is to change.
    Store(Wish),
    /// A store heartbeat.
    StoreHeartbeat {
        /// What it says.
        stats: Box<pdpb::StoreStats>,
        /// What it learns.
        reply: Reply<StoreAnswer>,
    },
    /// A store's smallest resolved timestamp.
    MinResolvedTs {
        /// Which store.
        store: u64,
        /// The timestamp.
        ts: u64,
        /// At once; it is written later.
        reply: Reply<()>,
    },
    /// What the stores reported of their smallest resolved timestamps.
    MinResolved(oneshot::Sender<MinResolvedView>),
    /// A heartbeat stream is bound to a store.
    StreamBound {
        /// The store.
        store: u64,
        /// The way to it.
        outbox: Outbox,
    },
    /// A heartbeat stream is gone.
    StreamClosed {
        /// The store that it was bound to.
        store: u64,
        /// The stream.
        outbox: Outbox,
    },
    /// A leader wants ids for the pieces of a split.
    AskSplit(AskSplit),
    /// A person wants an operator.
    AddOperator(AskOperator),
    /// The operators that run, by Region.
    Operators(oneshot::Sender<Vec<OperatorRecord>>),
    /// The operator of a Region: the one that runs, else the last that ended not long ago.
    OperatorOf {
        /// Which Region.
        region: RegionId,
        /// What is known.
        reply: oneshot::Sender<Option<OperatorRecord>>,
    },
    /// The last operator of each Region that ended not long ago, newest first.
    OperatorRecords(oneshot::Sender<Vec<OperatorRecord>>),
    /// The configuration that was read last has changed; told once the owner goes by it.
    Reconfigure(Option<oneshot::Sender<()>>),
    /// The weights of a store were written; told once the planner goes by them.
    StoreWeights {
        /// Which store.
        store: u64,
        /// What was written.
        weights: StoreWeights,
        /// Once the planner has them.
        reply: Reply<()>,
    },
    /// Something to do with the planner between two events.
    Plan(PlannerWork),
    /// The numbers of all stores.
    Summaries(oneshot::Sender<Vec<StoreSummary>>),
    /// The newest lines of the operator log, oldest first.
    OperatorLog(oneshot::Sender<Vec<OperatorEvent>>),
    /// An errand: the record under way is written; false when the configuration changed meanwhile.
    StoreWritten(Result<bool, KvError>),
    /// An errand: the minimum of resolved timestamps is written, or not.
    MinResolvedWritten {
        /// The minimum.
        ts: u64,
        /// What came of it.
        result: Result<(), KvError>,
    },
    /// An errand: ids are reserved, or not.
    IdsReserved(Result<IdRange, IdError>),
}

/// An operator that is wanted.
pub struct AskOperator {
    /// What.
    pub request: OperatorRequest,
    /// Once it has started.
    pub reply: Reply<OperatorId>,
}

/// A wish to split.
pub struct AskSplit {
    /// Which Region.
    pub region: RegionId,
    /// As its leader sees it.
    pub epoch: RegionEpoch,
    /// How many new Regions.
    pub count: u64,
    /// The ids.
    pub reply: Reply<SplitGrant>,
}
