//! The planner: events in, effects out. One owner, no lock.

use crate::config::Config;
use crate::effect::Effect;
use crate::explain::{RegionExplanation, StoreExplanation, StoreSummary};
use crate::index::RegionReader;
use crate::model::{
    OperatorId, PeerId, RegionEpoch, RegionId, RegionReport, StoreId, StoreMeta, StoreStats, Time,
};
use crate::operator::{OperatorRequest, OperatorView};
use crate::refusal::{Refusal, RefusalKind};

/// Ids reserved by the caller: `first`, `first + 1`, ... `count` of them. Used for Peers and for Regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first; never 0.
    pub first: u64,
    /// How many.
    pub count: u64,
}

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
    config: Config,
    index: crate::index::Index,
}

impl Planner {
    /// A planner that knows nothing yet. `now` is when its member became leader: the balance waits until the routes
    /// are complete, at most 30 s from here. `seed` turns only the order in which equal candidates are tried.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Time) -> Planner {
        let _ = (seed, now);
        Planner { config, index: crate::index::Index::new() }
    }

    /// A handle to look Regions up with, from any thread.
    #[must_use]
    pub fn reader(&self) -> RegionReader {
        self.index.reader()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// One Region heartbeat.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed then.
    pub fn handle_region_heartbeat(&mut self, now: Time, report: &RegionReport) -> Result<(), Refusal> {
        let _ = (now, report);
        Ok(())
    }

    /// Many Region heartbeats, in order. The hot path: one that changes only counters allocates nothing and touches no
    /// page. Returns the places and reasons of those refused.
    pub fn handle_region_heartbeats(&mut self, now: Time, reports: &[RegionReport]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        for (place, report) in reports.iter().enumerate() {
            if let Err(refusal) = self.handle_region_heartbeat(now, report) {
                refused.push((place, refusal));
            }
        }
        refused
    }

    /// What was decided about a Store: new, changed, or gone.
    ///
    /// # Errors
    /// `Refusal::Full` when more Stores were ever named than the index can number.
    pub fn handle_store_meta(&mut self, now: Time, meta: StoreMeta) -> Result<(), Refusal> {
        let _ = (now, meta);
        Ok(())
    }

    /// One Store heartbeat.
    ///
    /// # Errors
    /// `Refusal::UnknownStore`, or `Refusal::StoreLeaves` for a Store that is gone for good.
    pub fn handle_store_heartbeat(&mut self, now: Time, stats: StoreStats) -> Result<(), Refusal> {
        let _ = (now, stats);
        Ok(())
    }

    /// A Store's stream of Region heartbeats is there: commands can reach it.
    pub fn handle_stream_opened(&mut self, now: Time, store: StoreId) {
        let _ = (now, store);
    }

    /// A Store's stream is gone: commands wait.
    pub fn handle_stream_closed(&mut self, now: Time, store: StoreId) {
        let _ = (now, store);
    }

    /// A new configuration.
    pub fn handle_config(&mut self, now: Time, config: Config) {
        let _ = now;
        self.config = config;
    }

    /// Ids asked for by `Effect::NeedIds`, or lacked by `Refusal::IdsLacking`.
    pub fn handle_ids(&mut self, now: Time, ids: IdRange) {
        let _ = (now, ids);
    }

    /// A leader asks for the ids of `count` new Regions.
    ///
    /// # Errors
    /// Halted, unknown, another epoch, too many, or ids lacking (then reserve them, give them, ask again).
    pub fn handle_split_request(
        &mut self,
        now: Time,
        region: RegionId,
        epoch: RegionEpoch,
        count: u64,
    ) -> Result<SplitGrant, Refusal> {
        let _ = (now, region, epoch, count);
        Err(Refusal::UnknownRegion(region))
    }

    /// An operator that a person asks for. It starts at once or is refused.
    ///
    /// # Errors
    /// Why not.
    pub fn add_operator(&mut self, now: Time, request: OperatorRequest) -> Result<OperatorId, Refusal> {
        let _ = (now, request);
        Err(Refusal::BadRequest("not ready"))
    }

    /// Ends the Region's operator.
    ///
    /// # Errors
    /// `Refusal::NoOperator`.
    pub fn cancel_operator(&mut self, now: Time, region: RegionId) -> Result<(), Refusal> {
        let _ = now;
        Err(Refusal::NoOperator(region))
    }

    /// Time passed: deadlines, repetitions, repairs, balance. To be called at `next_wakeup` or later.
    pub fn tick(&mut self, now: Time) {
        let _ = now;
    }

    /// When `tick` has something to do next.
    #[must_use]
    pub fn next_wakeup(&self) -> Time {
        Time(0)
    }

    /// The next effect, in order. To be drained after every call.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// All operators that run, by Region id.
    pub fn operators(&self) -> impl Iterator<Item = OperatorView> + '_ {
        std::iter::empty()
    }

    /// A Store's numbers.
    #[must_use]
    pub fn store_summary(&self, now: Time, store: StoreId) -> Option<StoreSummary> {
        let _ = (now, store);
        None
    }

    /// What happens to a Region and why; none when nothing is known of it.
    #[must_use]
    pub fn explain_region(&self, now: Time, region: RegionId) -> Option<RegionExplanation> {
        let _ = (now, region);
        None
    }

    /// What happens to a Store and why.
    #[must_use]
    pub fn explain_store(&self, now: Time, store: StoreId) -> Option<StoreExplanation> {
        let _ = (now, store);
        None
    }

    /// How often each kind of refusal was given.
    pub fn refusal_counts(&self) -> impl Iterator<Item = (RefusalKind, u64)> + '_ {
        std::iter::empty()
    }

    /// True once the balance may run: the routes are complete or the wait is over.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        false
    }
}
