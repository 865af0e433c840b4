//! What a survey needs of the planner: a small copy, made in the time of a few heartbeats.

use std::collections::BTreeMap;

use super::Planner;
use crate::index::{ListRole, StoreLists};
use crate::model::{NodeState, RegionId, RegionView, StoreId, StoreState, Time};
use crate::refusal::{Refusal, RefusalKind};
use crate::stores::{Store, Stream};
use crate::survey::{Drain, OPERATORS_MAX, RegionVerdict, RepairStop, Standing, StoreStanding};

/// Regions looked at for each drain, and for all repairs together. Each costs a look at all Stores.
const DRAIN_LOOKS: usize = 8;
const REPAIR_LOOKS: usize = 16;
/// Regions of which those are chosen, in the order of repair: a Region of a drain is told there, and a drain may have many.
const REPAIR_SCAN: usize = 2_048;
/// Drains that are looked into at a time; the others are taken to go on.
const DRAINS_MAX: usize = 8;
/// A limit that lets less than one replica pass in this time, 10 min, counts as a stop: nobody waits that long for the
/// next one without wondering.
const REFILL_MS_MAX: u64 = 10 * 60 * 1_000;

impl Planner {
    /// How Stores, drains and repairs stand.
    #[must_use]
    pub fn standing(&self, now: Time) -> Standing {
        let leaving = self.cluster.stores.iter().filter(|s| s.state() == StoreState::Offline);
        Standing {
            at: now,
            began: self.began,
            max_replicas: self.cluster.config.max_replicas,
            halted: self.cluster.config.halt_scheduling,
            stores: self.cluster.stores.iter().map(|store| self.store_standing(now, store)).collect(),
            drains: leaving.enumerate().map(|(n, s)| self.drain(now, s.meta.id, n < DRAINS_MAX)).collect(),
            repairs: self.stopped_repairs(now),
            operators: self.operators().map(|operator| operator.region).take(OPERATORS_MAX).collect(),
        }
    }

    /// How one Region is, judged as in the verdict; none when it is as it should be.
    #[must_use]
    pub fn judge_region(&self, now: Time, view: &RegionView) -> Option<RegionVerdict> {
        let standing = Standing {
            at: now,
            began: self.began,
            max_replicas: self.cluster.config.max_replicas,
            stores: self.cluster.stores.iter().map(|store| self.store_standing(now, store)).collect(),
            ..Standing::default()
        };
        RegionVerdict::of(view, &standing)
    }

    /// How one Store stands; none when it is not known.
    #[must_use]
    pub fn standing_of(&self, now: Time, store: StoreId) -> Option<StoreStanding> {
        self.cluster.stores.get(store).map(|store| self.store_standing(now, store))
    }

    /// How the drain of a Store goes; none when it is not to go.
    #[must_use]
    pub fn drain_of(&self, now: Time, store: StoreId) -> Option<Drain> {
        let leaves = self.cluster.stores.get(store)?.state() == StoreState::Offline;
        leaves.then(|| self.drain(now, store, true))
    }

    fn store_standing(&self, now: Time, store: &Store) -> StoreStanding {
        let lists = self.cluster.index.store(store.meta.id);
        let low_space = match store.may_take(now, &self.cluster.config, 0) {
            Err(Refusal::LowSpace { used_per_mille, limit_per_mille, .. }) => {
                Some((used_per_mille, limit_per_mille))
            }
            Ok(()) | Err(_) => None,
        };
        StoreStanding {
            store: store.meta.id,
            node_state: store.meta.node_state,
            liveness: store.liveness(now, &self.cluster.config),
            stream_broke: store.stream == Stream::Closed,
            was_heard: store.last_heartbeat.is_some(),
            silent_since: Time(now.0.saturating_sub(store.silent_ms(now))),
            reported_replicas: store.stats.region_count,
            known_replicas: lists.map_or(0, StoreLists::count),
            bytes: lists.map_or(0, |l| l.weight_kib() << 10),
            low_space,
        }
    }

    fn drain(&self, now: Time, store: StoreId, look: bool) -> Drain {
        let lists = self.cluster.index.store(store);
        let left = lists.map_or(0, StoreLists::count);
        let left_bytes = lists.map_or(0, |l| l.weight_kib() << 10);
        let first = lists.into_iter().flat_map(|l| ListRole::ALL.into_iter().flat_map(|r| l.role(r).all(0)));
        let looked: Vec<RegionId> =
            first.take(DRAIN_LOOKS).map(|slot| self.cluster.index.line(slot).id()).collect();
        let waiting = if look { self.waiting(now, &looked) } else { Vec::new() };
        // One that goes on, or waits only for its turn, shows that the drain does.
        let stopped = stops(&waiting, looked.len(), left).into_iter().reduce(|mut all, other| {
            all.regions.extend(other.regions);
            all
        });
        let stopped = stopped.filter(|stop| stop.regions.len() == stop.looked);
        Drain { store, left, left_bytes, stopped, waits: waiting.into_iter().next() }
    }

    /// Regions that wait for a repair and are refused for a reason that lasts; those of a drain are told there.
    fn stopped_repairs(&self, now: Time) -> Vec<RepairStop> {
        let drained = |region: &RegionId| {
            self.cluster.index.find(*region).is_some_and(|slot| {
                self.cluster.index.replicas(slot).iter().any(|(store, _)| {
                    let known = self.cluster.stores.get(self.cluster.index.store_id(*store));
                    known.is_some_and(|s| s.meta.node_state == NodeState::Removing)
                })
            })
        };
        // Where the next turn begins, so that others are looked at as repairs go on.
        let from = self.unhealthy_from;
        let turn = self.unhealthy.range(from..).chain(self.unhealthy.range(..from)).copied();
        let own: Vec<RegionId> = turn.take(REPAIR_SCAN).filter(|region| !drained(region)).collect();
        let beyond = self.unhealthy.len().saturating_sub(REPAIR_SCAN);
        let looked = &own[..own.len().min(REPAIR_LOOKS)];
        stops(&self.waiting(now, looked), looked.len(), (own.len() + beyond) as u64)
    }

    /// Those of the Regions that have no operator, each with the refusal that decided.
    fn waiting(&self, now: Time, regions: &[RegionId]) -> Vec<(RegionId, Refusal)> {
        let refused = |region: &RegionId| {
            let explained = self.explain_region(now, *region).filter(|e| e.operator.is_none())?;
            Some((*region, deciding(&explained.now)?.clone()))
        };
        regions.iter().filter_map(refused).collect()
    }
}

/// What of a chain decided: what stops all repairs alike and lasts, whatever comes behind it; else what came last.
fn deciding(chain: &[Refusal]) -> Option<&Refusal> {
    let stops_all = |refusal: &&Refusal| {
        let kind = refusal.kind();
        matches!(
            kind,
            RefusalKind::Halted
                | RefusalKind::SwitchedOff
                | RefusalKind::CheckerPaused
                | RefusalKind::OperatorLimit
        ) && lasts(refusal)
    };
    chain.iter().find(stops_all).or(chain.last())
}

/// Those that are refused for a reason that lasts, by the kind of it.
fn stops(waiting: &[(RegionId, Refusal)], looked: usize, in_all: u64) -> Vec<RepairStop> {
    let mut stops: BTreeMap<RefusalKind, RepairStop> = BTreeMap::new();
    for (region, refusal) in waiting.iter().filter(|(_, refusal)| lasts(refusal)) {
        let stop = stops.entry(refusal.kind()).or_insert_with(|| RepairStop {
            refusal: refusal.clone(),
            regions: Vec::new(),
            looked,
            waiting: in_all,
        });
        stop.regions.push(*region);
    }
    stops.into_values().collect()
}

/// Reasons that do not go away when running operators end: nothing can run, or all but nothing.
fn lasts(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::OperatorLimit { limit, .. } => *limit == 0,
        // By the whole time between two, not by what is left of it: the answer must not change back and forth.
        Refusal::StoreLimit { .. } => refusal.refill_ms().is_some_and(|ms| ms > REFILL_MS_MAX),
        Refusal::Halted
        | Refusal::SwitchedOff(_)
        | Refusal::CheckerPaused { .. }
        | Refusal::NoTarget { .. }
        | Refusal::NoLeaderTarget(_)
        | Refusal::TooFewHealthy { .. }
        | Refusal::NoLeader(_)
        | Refusal::LowSpace { .. }
        | Refusal::StoreLeaves(_)
        | Refusal::StoreSilent { .. }
        | Refusal::NotVoter(_)
        | Refusal::Full { .. } => true,
        Refusal::UnknownRegion(_)
        | Refusal::UnknownStore(_)
        | Refusal::BadReport { .. }
        | Refusal::StaleEpoch { .. }
        | Refusal::StaleTerm { .. }
        | Refusal::SchedulerRemoved(_)
        | Refusal::SchedulerPaused { .. }
        | Refusal::NotPrepared { .. }
        | Refusal::IdsLacking { .. }
        | Refusal::TooManySplits { .. }
        | Refusal::OperatorRuns(_)
        | Refusal::NoOperator(_)
        | Refusal::NothingToDo(_)
        | Refusal::Joint(_)
        | Refusal::HoldsReplica(_)
        | Refusal::HoldsNoReplica(_)
        | Refusal::StoreBusy(_)
        // Even with a limit of 0 one is let through at a time.
        | Refusal::Snapshots { .. }
        | Refusal::PendingPeers { .. }
        | Refusal::MovesInFlight { .. }
        | Refusal::Ailing(_)
        | Refusal::BadRequest(_) => false,
    }
}
