//! Why something was not done, with the numbers that decided. Nothing is refused silently.

use std::fmt;

use crate::model::{LimitKind, Liveness, PeerId, Rate, RegionEpoch, RegionId, StoreId, Time};
use crate::producers::{CheckerName, SchedulerName};

/// A reason, with number and limit where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The Region is not in the index.
    #[error("region {0} is not known")]
    UnknownRegion(RegionId),
    /// The Store is not known.
    #[error("store {0} is not known")]
    UnknownStore(StoreId),
    /// A heartbeat without leader, Peers or with a leader that is not one of its Peers; a reversed range.
    #[error("region {region}: {what}")]
    BadReport {
        /// Which.
        region: RegionId,
        /// What is wrong and what would be right.
        what: &'static str,
    },
    /// A heartbeat or request shows an older picture than the one known.
    #[error("region {region} is stale: epoch [{given}], known is region {known_region} with epoch [{known}]")]
    StaleEpoch {
        /// The Region named.
        region: RegionId,
        /// Its epoch as given.
        given: RegionEpoch,
        /// The Region that is newer: itself, or one that overlaps it.
        known_region: RegionId,
        /// Its epoch.
        known: RegionEpoch,
    },
    /// A heartbeat of a leader whose term has passed.
    #[error("region {region} is stale: term {given}, known is {known}")]
    StaleTerm {
        /// Which.
        region: RegionId,
        /// As given.
        given: u64,
        /// As known.
        known: u64,
    },
    /// `halt_scheduling` is on.
    #[error("scheduling is halted")]
    Halted,
    /// An item of the configuration forbids it.
    #[error("{0} is off")]
    SwitchedOff(&'static str),
    /// The scheduler was taken out.
    #[error("{0} is removed")]
    SchedulerRemoved(SchedulerName),
    /// The scheduler was told to wait.
    #[error("{scheduler} is paused until {until}")]
    SchedulerPaused {
        /// Which.
        scheduler: SchedulerName,
        /// When it goes on.
        until: Time,
    },
    /// The checker was told to wait.
    #[error("the {checker} checker is paused until {until}")]
    CheckerPaused {
        /// Which.
        checker: CheckerName,
        /// When it goes on.
        until: Time,
    },
    /// A balance waits until the routes are complete.
    #[error("not all routes are known yet: store {store} reports {reported} replicas, {known} are known")]
    NotPrepared {
        /// A Store that lacks some.
        store: StoreId,
        /// What it says.
        reported: u64,
        /// What the index has.
        known: u64,
    },
    /// The pool of ids does not hold enough: give more by `handle_ids` and ask again.
    #[error("{needed} ids are needed, {available} are at hand")]
    IdsLacking {
        /// How many it takes.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// More pieces than one request may ask for.
    #[error("{count} new regions asked for, at most {limit} at a time")]
    TooManySplits {
        /// Asked for.
        count: u64,
        /// Allowed.
        limit: u64,
    },
    /// The Region has an operator already.
    #[error("region {0} has an operator already")]
    OperatorRuns(RegionId),
    /// The Region has none.
    #[error("region {0} has no operator")]
    NoOperator(RegionId),
    /// The Region is as asked for already.
    #[error("region {0} is as asked for already")]
    NothingToDo(RegionId),
    /// As many operators of this kind run as may.
    #[error("{running} operators of this kind run, the limit is {limit}")]
    OperatorLimit {
        /// Running now.
        running: usize,
        /// By configuration.
        limit: usize,
    },
    /// The Region is inside a joint change.
    #[error("region {0} is in a joint state")]
    Joint(RegionId),
    /// The Region has no leader that is known.
    #[error("region {0} has no known leader")]
    NoLeader(RegionId),
    /// The Store has one of its replicas already.
    #[error("store {0} holds a replica of the region already")]
    HoldsReplica(StoreId),
    /// The Store holds none of its replicas.
    #[error("store {0} holds no replica of the region")]
    HoldsNoReplica(StoreId),
    /// The Store is not Up.
    #[error("store {0} is on its way out or gone")]
    StoreLeaves(StoreId),
    /// The Store is not heard.
    #[error("store {store} is not heard for {} ({liveness:?})", Lasting(*silent_ms))]
    StoreSilent {
        /// Which.
        store: StoreId,
        /// How it is judged.
        liveness: Liveness,
        /// For how long.
        silent_ms: u64,
    },
    /// The Store asked to be spared.
    #[error("store {0} is busy")]
    StoreBusy(StoreId),
    /// The Store's disk is too full.
    #[error("store {store} uses {} of its disk, the limit is {}", Percent(*used_per_mille), Percent(*limit_per_mille))]
    LowSpace {
        /// Which.
        store: StoreId,
        /// Used part.
        used_per_mille: u64,
        /// By configuration.
        limit_per_mille: u64,
    },
    /// The Store has as many snapshots in hand as it may.
    #[error("store {store} has {count} snapshots in hand, the limit is {limit}")]
    Snapshots {
        /// Which.
        store: StoreId,
        /// Now.
        count: u64,
        /// By configuration.
        limit: u64,
    },
    /// The Store has as many pending Peers as it may.
    #[error("store {store} has {count} pending peers, the limit is {limit}")]
    PendingPeers {
        /// Which.
        store: StoreId,
        /// Now.
        count: u64,
        /// By configuration.
        limit: u64,
    },
    /// The Store has as much on its way to it as fits at a time.
    #[error(
        "store {store} has {count} moves of {bytes} bytes on their way, the limit is {limit} or {limit_bytes} bytes"
    )]
    MovesInFlight {
        /// Which.
        store: StoreId,
        /// Moves on their way.
        count: u64,
        /// Their bytes.
        bytes: u64,
        /// Moves that are always allowed.
        limit: u64,
        /// Bytes up to which more are allowed.
        limit_bytes: u64,
    },
    /// The Store has used up its limit for the moment.
    #[error(
        "store {store}: the {kind} limit is {rate} a minute: {available} units are at hand, {needed} are needed"
    )]
    StoreLimit {
        /// Which.
        store: StoreId,
        /// What is limited.
        kind: LimitKind,
        /// What the limit allows.
        rate: Rate,
        /// Units at hand.
        available: u64,
        /// Units that it takes.
        needed: u64,
    },
    /// The Peer is down or far behind.
    #[error("peer {0} is down or pending")]
    Ailing(PeerId),
    /// The Peer has no vote.
    #[error("peer {0} is not a voter")]
    NotVoter(PeerId),
    /// No Store may take the replica; the Stores' own reasons stand before it in the chain.
    #[error("no store can take a replica of region {region}: {stores} stores looked at, {up} of them up")]
    NoTarget {
        /// Which.
        region: RegionId,
        /// Stores looked at.
        stores: usize,
        /// Of them Up.
        up: usize,
    },
    /// No other voter may lead.
    #[error("no other voter of region {0} can lead")]
    NoLeaderTarget(RegionId),
    /// Removing it would leave fewer healthy replicas than there should be.
    #[error("region {region} has {healthy} other healthy voters, {needed} are needed")]
    TooFewHealthy {
        /// Which.
        region: RegionId,
        /// Without the one in question.
        healthy: usize,
        /// Needed.
        needed: usize,
    },
    /// The index is full.
    #[error("{count} {what} are known, the limit is {limit}")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// The bound.
        limit: u64,
    },
    /// The request itself makes no sense.
    #[error("{0}")]
    BadRequest(&'static str),
}

/// The kinds of refusals, to count them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the kind of the refusal of that name")]
pub enum RefusalKind {
    UnknownRegion,
    UnknownStore,
    BadReport,
    StaleEpoch,
    StaleTerm,
    Halted,
    SwitchedOff,
    SchedulerRemoved,
    SchedulerPaused,
    CheckerPaused,
    NotPrepared,
    IdsLacking,
    TooManySplits,
    OperatorRuns,
    NoOperator,
    NothingToDo,
    OperatorLimit,
    Joint,
    NoLeader,
    HoldsReplica,
    HoldsNoReplica,
    StoreLeaves,
    StoreSilent,
    StoreBusy,
    LowSpace,
    Snapshots,
    PendingPeers,
    MovesInFlight,
    StoreLimit,
    Ailing,
    NotVoter,
    NoTarget,
    NoLeaderTarget,
    TooFewHealthy,
    Full,
    BadRequest,
}

impl Refusal {
    /// What it is counted by.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Refusal::UnknownRegion(_) => RefusalKind::UnknownRegion,
            Refusal::UnknownStore(_) => RefusalKind::UnknownStore,
            Refusal::BadReport { .. } => RefusalKind::BadReport,
            Refusal::StaleEpoch { .. } => RefusalKind::StaleEpoch,
            Refusal::StaleTerm { .. } => RefusalKind::StaleTerm,
            Refusal::Halted => RefusalKind::Halted,
            Refusal::SwitchedOff(_) => RefusalKind::SwitchedOff,
            Refusal::SchedulerRemoved(_) => RefusalKind::SchedulerRemoved,
            Refusal::SchedulerPaused { .. } => RefusalKind::SchedulerPaused,
            Refusal::CheckerPaused { .. } => RefusalKind::CheckerPaused,
            Refusal::NotPrepared { .. } => RefusalKind::NotPrepared,
            Refusal::IdsLacking { .. } => RefusalKind::IdsLacking,
            Refusal::TooManySplits { .. } => RefusalKind::TooManySplits,
            Refusal::OperatorRuns(_) => RefusalKind::OperatorRuns,
            Refusal::NoOperator(_) => RefusalKind::NoOperator,
            Refusal::NothingToDo(_) => RefusalKind::NothingToDo,
            Refusal::OperatorLimit { .. } => RefusalKind::OperatorLimit,
            Refusal::Joint(_) => RefusalKind::Joint,
            Refusal::NoLeader(_) => RefusalKind::NoLeader,
            Refusal::HoldsReplica(_) => RefusalKind::HoldsReplica,
            Refusal::HoldsNoReplica(_) => RefusalKind::HoldsNoReplica,
            Refusal::StoreLeaves(_) => RefusalKind::StoreLeaves,
            Refusal::StoreSilent { .. } => RefusalKind::StoreSilent,
            Refusal::StoreBusy(_) => RefusalKind::StoreBusy,
            Refusal::LowSpace { .. } => RefusalKind::LowSpace,
            Refusal::Snapshots { .. } => RefusalKind::Snapshots,
            Refusal::PendingPeers { .. } => RefusalKind::PendingPeers,
            Refusal::MovesInFlight { .. } => RefusalKind::MovesInFlight,
            Refusal::StoreLimit { .. } => RefusalKind::StoreLimit,
            Refusal::Ailing(_) => RefusalKind::Ailing,
            Refusal::NotVoter(_) => RefusalKind::NotVoter,
            Refusal::NoTarget { .. } => RefusalKind::NoTarget,
            Refusal::NoLeaderTarget(_) => RefusalKind::NoLeaderTarget,
            Refusal::TooFewHealthy { .. } => RefusalKind::TooFewHealthy,
            Refusal::Full { .. } => RefusalKind::Full,
            Refusal::BadRequest(_) => RefusalKind::BadRequest,
        }
    }
}

impl Refusal {
    /// How long the limit of a Store needs for what was asked, from empty, in ms; none for all else, which does not wait
    /// for time to pass.
    pub(crate) const fn refill_ms(&self) -> Option<u64> {
        match self {
            Refusal::StoreLimit { rate, needed, .. } => needed.saturating_mul(60_000).checked_div(rate.0),
            _ => None,
        }
    }
}

/// A time in ms as people read it: `27 s`, `4 m`.
struct Lasting(u64);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / 1_000 {
            0 => write!(f, "less than 1 s"),
            s @ 1..60 => write!(f, "{s} s"),
            s @ 60..3_600 => write!(f, "{} m", s / 60),
            s @ 3_600..172_800 => write!(f, "{} h", s / 3_600),
            s => write!(f, "{} d", s / 86_400),
        }
    }
}

/// Per mille as people read it: `80 %`, `80.4 %`.
struct Percent(u64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, tenth) => write!(f, "{whole}.{tenth} %"),
        }
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
