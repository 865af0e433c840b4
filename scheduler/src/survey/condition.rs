//! How Stores are, as far as it matters to the Regions on them.

use crate::index::StoreSlot;
use crate::model::{Liveness, NodeState, RegionId, StoreId, StoreState, Time};
use crate::refusal::Refusal;

use super::finding::RegionCause;

/// Why replicas on a Store do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreTrouble {
    /// Silent for a short while, or its stream broke.
    Disconnected,
    /// Silent for longer than `max_store_down_time_ms`.
    Down,
    /// Removed for good, or never registered.
    Gone,
}

/// One Store, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStanding {
    /// Which.
    pub store: StoreId,
    /// What was decided about it.
    pub node_state: NodeState,
    /// By its last heartbeat.
    pub liveness: Liveness,
    /// Its heartbeat stream broke and it was not heard since.
    pub stream_broke: bool,
    /// Whether it was heard since the planner began.
    pub was_heard: bool,
    /// Since when it is silent: its last heartbeat, or the begin.
    pub silent_since: Time,
    /// Replicas that it says it has.
    pub reported_replicas: u64,
    /// Replicas that the index has on it.
    pub known_replicas: u64,
    /// Their size by the Regions' own estimates, in bytes.
    pub bytes: u64,
    /// Used part of its disk and the limit, in per mille, when the limit is passed.
    pub low_space: Option<(u64, u64)>,
}

impl StoreStanding {
    /// Why its replicas do not count; none when they do, or when that cannot be known yet.
    #[must_use]
    pub fn trouble(&self, now: Time) -> Option<StoreTrouble> {
        if self.node_state == NodeState::Removed {
            return Some(StoreTrouble::Gone);
        }
        match self.liveness {
            Liveness::Down => Some(StoreTrouble::Down),
            Liveness::Unhealthy | Liveness::Disconnected if self.was_heard => {
                Some(StoreTrouble::Disconnected)
            }
            // Never heard: a new leader gives it time.
            Liveness::Unhealthy | Liveness::Disconnected => {
                let waited = now.ms_since(self.silent_since) >= super::LEARNING_MS_MAX;
                waited.then_some(StoreTrouble::Disconnected)
            }
            Liveness::Connected => self.stream_broke.then_some(StoreTrouble::Disconnected),
        }
    }
}

/// A Store that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Which.
    pub store: StoreId,
    /// Replicas that are still on it.
    pub left: u64,
    /// Their size in bytes.
    pub left_bytes: u64,
    /// Why it does not go on; none while it does.
    pub stopped: Option<RepairStop>,
    /// The first Region looked at that has no operator, and what it waits for.
    pub waits: Option<(RegionId, Refusal)>,
}

/// The planner refuses what would have to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairStop {
    /// The reason that decided, for the first Region looked at.
    pub refusal: Refusal,
    /// Regions looked at that are refused for a reason of that kind.
    pub regions: Vec<RegionId>,
    /// How many were looked at.
    pub looked: usize,
    /// How many wait in all.
    pub waiting: u64,
}

/// What a survey gets from the planner: small, whatever the number of Regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// As of when.
    pub at: Time,
    /// When the planner began.
    pub began: Time,
    /// Voters that each Region shall have.
    pub max_replicas: usize,
    /// No operator is made.
    pub halted: bool,
    /// All Stores that were ever named, by id.
    pub stores: Vec<StoreStanding>,
    /// Those that are to go.
    pub drains: Vec<Drain>,
    /// Repairs that cannot go on, one for each kind of refusal.
    pub repairs: Vec<RepairStop>,
    /// Regions with an operator, at most [`OPERATORS_MAX`].
    pub operators: Vec<RegionId>,
}

/// Regions with operators that are named: limits keep them far below.
pub const OPERATORS_MAX: usize = 10_000;

impl Standing {
    /// Stores that should be heard.
    pub fn expected(&self) -> impl Iterator<Item = &StoreStanding> + '_ {
        self.stores.iter().filter(|s| s.node_state.store_state() != StoreState::Tombstone)
    }

    /// Stores that may hold replicas for long.
    #[must_use]
    pub fn in_service(&self) -> usize {
        let serves =
            |s: &&StoreStanding| s.node_state.store_state() == StoreState::Up && s.trouble(self.at).is_none();
        self.stores.iter().filter(serves).count()
    }
}

/// A Store's condition and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    store: StoreId,
    trouble: Option<StoreTrouble>,
    silent_since: Time,
    leaves: bool,
}

/// The conditions of all Stores by their numbers in the index. Equal ones judge a page equally.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    by_slot: Vec<Condition>,
    pub max_replicas: usize,
    pub too_few_stores: bool,
}

impl PartialEq for Conditions {
    fn eq(&self, other: &Self) -> bool {
        // A Store that is heard again and again has a new time each time: only what is silent has one that matters.
        let key = |c: &Condition| (c.store, c.trouble, c.leaves);
        (self.max_replicas, self.too_few_stores) == (other.max_replicas, other.too_few_stores)
            && self.by_slot.iter().map(key).eq(other.by_slot.iter().map(key))
    }
}

impl Conditions {
    pub fn new(standing: &Standing, names: &[StoreId]) -> Conditions {
        let of = |store: &StoreId| {
            let known = standing.stores.binary_search_by_key(store, |s| s.store).ok();
            match known.map(|at| &standing.stores[at]) {
                Some(s) => Condition {
                    store: *store,
                    trouble: s.trouble(standing.at),
                    silent_since: s.silent_since,
                    leaves: s.node_state == NodeState::Removing,
                },
                None => Condition {
                    store: *store,
                    trouble: Some(StoreTrouble::Gone),
                    silent_since: standing.began,
                    leaves: false,
                },
            }
        };
        Conditions {
            by_slot: names.iter().map(of).collect(),
            max_replicas: standing.max_replicas,
            too_few_stores: standing.in_service() < standing.max_replicas,
        }
    }

    pub fn trouble(&self, slot: StoreSlot) -> Option<StoreTrouble> {
        // A Store named a moment ago is known at the next look.
        self.by_slot.get(slot.0 as usize).and_then(|c| c.trouble)
    }

    pub fn silent_since(&self, slot: StoreSlot) -> Time {
        self.by_slot.get(slot.0 as usize).map_or(Time(0), |c| c.silent_since)
    }

    pub fn leaves(&self, slot: StoreSlot) -> bool {
        self.by_slot.get(slot.0 as usize).is_some_and(|c| c.leaves)
    }

    /// When trouble with this cause began, seen for the first time now.
    pub fn began(&self, cause: Option<RegionCause>, now: Time) -> Time {
        let Some(RegionCause::Store(store, _)) = cause else { return now };
        self.by_slot.iter().find(|c| c.store == store).map_or(now, |c| c.silent_since.min(now))
    }
}
