//! The planner: events in, effects out. One owner, no lock. This file is its face; each file beside it has one duty.

mod balance;
mod explain;
mod heartbeats;
mod id_pool;
mod operators;
mod producers;
mod repair;
mod requests;
mod standing;
mod stores;
mod upkeep;

use std::collections::{BTreeSet, VecDeque};

use crate::balance::Move;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::effect::Effect;
use crate::index::RegionReader;
use crate::model::{PeerId, RegionId, Time};
use crate::notes::Notes;
use crate::producers::Pauses;
use crate::refusal::RefusalKind;

pub use id_pool::IdRange;

use id_pool::IdPool;
pub(crate) use operators::Operators;

/// Ids for the pieces of a split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitGrant {
    /// One entry for each new Region.
    pub pieces: Vec<SplitIds>,
}

/// Ids for one new Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitIds {
    /// The Region.
    pub region: RegionId,
    /// One Peer for each Peer of the Region that is split, in its order.
    pub peers: Vec<PeerId>,
}

/// The planner. Deterministic: the same calls with the same seed give the same effects, byte for byte.
#[derive(Debug)]
pub struct Planner {
    pub(crate) cluster: Cluster,
    pub(crate) operators: Operators,
    ids: IdPool,
    pub(crate) notes: Notes,
    pauses: Pauses,
    effects: VecDeque<Effect>,
    /// Regions that do not satisfy the rule, as far as was seen. Those without an operator are tried in turn.
    pub(crate) unhealthy: BTreeSet<RegionId>,
    /// Where the next turn begins.
    unhealthy_from: RegionId,
    /// An operator ended: places are free.
    places_free: bool,
    /// The slow sweep: where it goes on, and whether it hurries because something changed for all Regions.
    sweep_key: bytes::Bytes,
    sweep_hurries: bool,
    /// Moves of the plan in force that have not started.
    moves: VecDeque<Move>,
    planned: BTreeSet<RegionId>,
    planned_at: Time,
    plan_sizes_at: Time,
    plan_leaders_at: Time,
    rotation: usize,
    began: Time,
    is_prepared: bool,
    upkeep_at: Time,
    bury_at: Time,
}

impl Planner {
    /// A planner that knows nothing yet. `now` is when its member became leader: the balance waits until the routes
    /// are complete, at most 30 s from here. `seed` turns only the order in which equal candidates are tried.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Time) -> Planner {
        Planner {
            cluster: Cluster::new(config),
            operators: Operators::default(),
            ids: IdPool::default(),
            notes: Notes::default(),
            pauses: Pauses::default(),
            effects: VecDeque::new(),
            unhealthy: BTreeSet::new(),
            unhealthy_from: RegionId(0),
            places_free: false,
            sweep_key: bytes::Bytes::new(),
            sweep_hurries: false,
            moves: VecDeque::new(),
            planned: BTreeSet::new(),
            planned_at: now,
            plan_sizes_at: now,
            plan_leaders_at: now,
            rotation: (seed % 0xFFFF) as usize,
            began: now,
            is_prepared: false,
            upkeep_at: now,
            bury_at: now,
        }
    }

    /// A handle to look Regions up with, from any thread.
    #[must_use]
    pub fn reader(&self) -> RegionReader {
        self.cluster.index.reader()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.cluster.config
    }

    /// A new configuration. With `halt_scheduling` no operator is made any more; those that run go on to their end.
    pub fn handle_config(&mut self, now: Time, config: Config) {
        let rule_changed = config.max_replicas != self.cluster.config.max_replicas;
        self.cluster.config = config;
        if rule_changed {
            self.hurry_sweep();
        }
        self.drop_plan();
        self.upkeep_at = now;
    }

    /// Ids asked for by `Effect::NeedIds`, or lacked by `Refusal::IdsLacking`.
    pub fn handle_ids(&mut self, now: Time, ids: IdRange) {
        self.ids.add(ids);
        self.upkeep_at = now;
    }

    /// The next effect, in order. To be drained after every call.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When `tick` has something to do next.
    #[must_use]
    pub fn next_wakeup(&self) -> Time {
        self.operators.next_look().map_or(self.upkeep_at, |look| look.min(self.upkeep_at))
    }

    /// How often each kind of refusal was given.
    pub fn refusal_counts(&self) -> impl Iterator<Item = (RefusalKind, u64)> + '_ {
        self.notes.counts()
    }

    /// True once the balance may run: the routes are complete or the wait is over.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.is_prepared
    }
}
