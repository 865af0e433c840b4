//! The plan for the sizes, and its first part, the fill: Stores above their target give Regions to Stores below theirs,
//! and no move overshoots at either end. So every move lowers what is left to do by its whole size.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::judge::{Change, ENTER_PER_MILLE, beyond_band, is_worth};
use super::targets_kib;
use crate::cluster::Cluster;
use crate::index::{ListRole, Slot, flag};
use crate::model::{RegionId, StoreId, Time};

/// Moves that one plan may have: bounds the time that it takes. A larger change is planned in several plans.
const PLAN_MOVES_MAX: usize = 512;
/// Candidates looked at for each role and size bound.
const CANDIDATES: usize = 2;
/// Regions looked at to find them.
const LOOKED_AT: usize = 32;
/// Candidates looked at for each role when none of those will do.
pub(super) const CANDIDATES_MAX: usize = 512;
/// Stores in need that are asked for each candidate, and how many of them are scored.
const TARGETS_ASKED: usize = 10;
const TARGETS_SCORED: usize = 3;
/// A pair whose ends are both this near to their targets, in per mille, is left alone.
const EXIT_PER_MILLE: i64 = 5;
/// How much the number of Regions weighs against their bytes.
const COUNT_WEIGHT: f64 = 0.3;

/// A replica to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub region: RegionId,
    pub from: StoreId,
    pub to: StoreId,
    pub weight_kib: u64,
}

/// What the plan must leave alone, and where it begins to look.
pub(crate) struct Scope<'a> {
    /// Regions that do not satisfy the rule: repaired first.
    pub unhealthy: &'a BTreeSet<RegionId>,
    /// Turns the order of equal candidates.
    pub rotation: usize,
}

/// A Store's numbers while the plan grows. KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    pub store: StoreId,
    load: i64,
    before: i64,
    pub target: i64,
    count: i64,
}

impl Bin {
    pub fn excess(&self) -> i64 {
        self.load - self.target
    }

    fn is_close(&self) -> bool {
        self.excess().abs() * 1000 <= self.target * EXIT_PER_MILLE
    }
}

/// A plan for the sizes; empty when the cluster is within its band, nothing legal helps, or it is not worth it.
pub(crate) fn plan_sizes(cluster: &Cluster, scope: &Scope<'_>, now: Time) -> Vec<Move> {
    let bin = |(store, target): (StoreId, u64)| {
        let load = signed(cluster.virtual_weight_kib(store));
        let count = signed(cluster.virtual_count(store));
        Bin { store, load, before: load, target: signed(target), count }
    };
    let mut bins: Vec<Bin> = targets_kib(cluster, now).into_iter().map(bin).collect();
    if bins.len() < 2 || bins.iter().all(|b| beyond_band(b.load, b.target) == 0) {
        return Vec::new();
    }
    let mut fill = Fill { cluster, scope, moved: BTreeSet::new() };
    let mut moves = Vec::new();
    while moves.len() < PLAN_MOVES_MAX {
        let rotation = scope.rotation + moves.len();
        let filled = fill.next_move(&bins, rotation);
        let Some(next) = filled.or_else(|| fill.polish_move(&bins, rotation)) else { break };
        let weight = signed(next.weight_kib);
        for bin in &mut bins {
            if bin.store == next.from {
                (bin.load, bin.count) = (bin.load - weight, bin.count - 1);
                debug_assert!(filled.is_none() || bin.excess() >= 0, "the fill takes no more than there is");
            } else if bin.store == next.to {
                (bin.load, bin.count) = (bin.load + weight, bin.count + 1);
                debug_assert!(
                    filled.is_none() || bin.excess() <= 0,
                    "the fill gives no more than is lacking"
                );
            }
        }
        fill.moved.insert(next.region);
        moves.push(next);
    }
    let changes: Vec<Change> = bins
        .iter()
        .map(|b| Change { target_kib: b.target, before_kib: b.before, after_kib: b.load })
        .collect();
    let moved_kib = moves.iter().map(|m| signed(m.weight_kib)).sum();
    // A plan cut short is a part of a larger one: each of its moves is still one towards the targets.
    let is_cut_short = moves.len() == PLAN_MOVES_MAX;
    if is_cut_short || is_worth(&changes, moved_kib) { moves } else { Vec::new() }
}

pub(super) struct Fill<'a> {
    pub cluster: &'a Cluster,
    scope: &'a Scope<'a>,
    moved: BTreeSet<RegionId>,
}

impl Fill<'_> {
    fn next_move(&self, bins: &[Bin], rotation: usize) -> Option<Move> {
        let mut sources: Vec<&Bin> = bins.iter().filter(|b| b.excess() > 0).collect();
        sources.sort_by_key(|b| (-b.excess(), b.store));
        let mut sinks: Vec<&Bin> = bins.iter().filter(|b| b.excess() < 0).collect();
        sinks.sort_by_key(|b| (b.excess(), b.store));
        let deepest = -sinks.first()?.excess();
        sources.into_iter().find_map(|source| {
            let bound = source.excess().min(deepest);
            // A replica that leads takes its leadership along the way: only when no other will do.
            [ListRole::Follower, ListRole::Leader]
                .into_iter()
                .find_map(|role| self.best_from(source, &sinks, bins, role, bound, rotation))
        })
    }

    fn best_from(
        &self,
        source: &Bin,
        sinks: &[&Bin],
        bins: &[Bin],
        role: ListRole,
        bound: i64,
        rotation: usize,
    ) -> Option<Move> {
        let list = self.cluster.index.store(source.store)?.role(role);
        let surplus_count = (source.count * source.excess() / source.load.max(1)).max(1);
        let typical = source.excess() / surplus_count;
        let mut few: Vec<Slot> = Vec::new();
        for size in [bound, 3 * typical, typical, typical / 3].map(|s| s.min(bound)) {
            let looked_at = list.up_to(unsigned(size), rotation).take(LOOKED_AT);
            few.extend(looked_at.filter(|s| self.fits(*s, size)).take(CANDIDATES));
        }
        let scales = Scales::of(bins);
        let best = |slots: &mut dyn Iterator<Item = Slot>| {
            let scored = slots.flat_map(|slot| self.score(slot, source, sinks, &scales));
            scored.min_by(|a, b| {
                a.0.total_cmp(&b.0).then_with(|| (a.1.region, a.1.to).cmp(&(b.1.region, b.1.to)))
            })
        };
        let found = best(&mut few.into_iter()).or_else(|| {
            let looked_at = list.up_to(unsigned(bound), rotation).take(CANDIDATES_MAX);
            best(&mut looked_at.filter(|s| self.fits(*s, bound)))
        });
        found.map(|(_, chosen)| chosen)
    }

    /// Whether the Region may be moved at all, and is no larger than the bound.
    pub(super) fn fits(&self, slot: Slot, bound: i64) -> bool {
        let index = &self.cluster.index;
        let line = index.line(slot);
        let busy = line.flags.load(Relaxed) & (flag::AILING | flag::OPERATOR) != 0;
        !busy && signed(index.weight_kib(slot)) <= bound && {
            let id = line.id();
            !self.moved.contains(&id) && !self.scope.unhealthy.contains(&id)
        }
    }

    /// The best Stores in need for this Region, with what each move would cost in proportion.
    fn score(&self, slot: Slot, source: &Bin, sinks: &[&Bin], scales: &Scales) -> Vec<(f64, Move)> {
        let index = &self.cluster.index;
        let weight = signed(index.weight_kib(slot));
        let legal = sinks.iter().take(TARGETS_ASKED).filter(|sink| {
            -sink.excess() >= weight
                && !(source.is_close() && sink.is_close())
                && index.role_on(slot, sink.store).is_none()
        });
        let score = |sink: &&&Bin| {
            let change = 1.0 / scales.count - real(weight) / scales.load;
            let off =
                |b: &Bin| (real(b.count) - scales.count) / scales.count - real(b.excess()) / scales.load;
            let from = change * change - 2.0 * off(source) * change;
            let to = change * change + 2.0 * off(sink) * change;
            let chosen = Move {
                region: index.line(slot).id(),
                from: source.store,
                to: sink.store,
                weight_kib: unsigned(weight),
            };
            (COUNT_WEIGHT * (from + to), chosen)
        };
        legal.take(TARGETS_SCORED).map(|sink| score(&sink)).collect()
    }
}

/// Means over the Stores, to compare Regions and bytes with.
struct Scales {
    load: f64,
    count: f64,
}

impl Scales {
    fn of(bins: &[Bin]) -> Scales {
        let mean = |sum: i64| (real(sum) / bins.len() as f64).max(1.0);
        Scales {
            load: mean(bins.iter().map(|b| b.target).sum()),
            count: mean(bins.iter().map(|b| b.count).sum()),
        }
    }
}

pub(super) fn signed(kib: u64) -> i64 {
    i64::try_from(kib).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(kib: i64) -> u64 {
    u64::try_from(kib).unwrap_or(0)
}

pub(super) fn real(kib: i64) -> f64 {
    kib as f64
}

const _: () =
    assert!(EXIT_PER_MILLE < ENTER_PER_MILLE, "what stops the fill must lie inside the band that starts it");
