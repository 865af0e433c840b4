//! The polish: what the fill cannot do without overshooting. A move may overshoot here, as long as both ends together
//! come nearer to their targets.

use super::fill::{Bin, CANDIDATES_MAX, Fill, Move, real, signed, unsigned};
use crate::index::ListRole;

/// A Store within this part of its target needs no polish, in per mille.
const POLISH_PER_MILLE: i64 = 20;
/// Pairs of Stores looked at for one move, the most unequal first.
const PAIRS_MAX: usize = 64;
/// What a move costs beside its bytes, in KiB: an operator, four heartbeats, a snapshot's start.
const MOVE_COST_KIB: f64 = 8.0 * 1024.0;

impl Fill<'_> {
    /// The best move between the most unequal pair of Stores that has one.
    pub(super) fn polish_move(&self, bins: &[Bin], rotation: usize) -> Option<Move> {
        let needs = |b: &Bin| b.excess().abs() * 1000 > b.target * POLISH_PER_MILLE;
        let mut pairs: Vec<(i64, &Bin, &Bin)> = bins
            .iter()
            .flat_map(|s| bins.iter().map(move |t| (s.excess() - t.excess(), s, t)))
            .filter(|(gap, s, t)| *gap > 0 && (needs(s) || needs(t)))
            .collect();
        pairs.sort_by_key(|(gap, s, t)| (-gap, s.store, t.store));
        pairs.into_iter().take(PAIRS_MAX).find_map(|(gap, source, sink)| {
            [ListRole::Follower, ListRole::Leader]
                .into_iter()
                .find_map(|role| self.best_between(source, sink, gap, role, rotation))
        })
    }

    fn best_between(
        &self,
        source: &Bin,
        sink: &Bin,
        gap: i64,
        role: ListRole,
        rotation: usize,
    ) -> Option<Move> {
        let index = &self.cluster.index;
        let list = index.store(source.store)?.role(role);
        let looked_at = list.up_to(unsigned(gap), rotation).take(CANDIDATES_MAX);
        let legal = looked_at.filter(|s| self.fits(*s, gap - 1) && index.role_on(*s, sink.store).is_none());
        let scored = legal.map(|slot| {
            let weight = signed(index.weight_kib(slot));
            // What the squares of both deviations fall by, for what it costs.
            let fall = real(weight) * real(gap - weight);
            (fall / (real(weight) + MOVE_COST_KIB), index.line(slot).id(), weight)
        });
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
        best.map(|(_, region, weight)| Move {
            region,
            from: source.store,
            to: sink.store,
            weight_kib: unsigned(weight),
        })
    }
}
