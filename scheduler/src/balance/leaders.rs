//! Leaders: while a Store would still lead more for its weight than another after a transfer, one leadership moves from
//! the one to the other (of equal weights: while they differ by two or more); when no Region has voters on both, over a
//! chain of Stores in between, each of which passes one on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering::Relaxed;

use super::Scope;
use crate::cluster::Cluster;
use crate::index::{ListRole, Slot, flag};
use crate::model::{RegionId, StoreId, Time, Weight};

/// Regions of one Store that are looked at for a chain; the rotation begins elsewhere the next time.
const LOOKED_AT_MAX: usize = 256;
/// Transfers of one chain.
const CHAIN_MAX: usize = 16;

/// One leadership to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub region: RegionId,
    pub from: StoreId,
    pub to: StoreId,
}

/// The next chain of transfers, most often one; none when the leaders are balanced or no chain exists. `planned` are
/// Regions that another plan is about to move.
pub(crate) fn plan_leaders(
    cluster: &Cluster,
    scope: &Scope<'_>,
    planned: &BTreeSet<RegionId>,
    now: Time,
) -> Option<Vec<Transfer>> {
    let may_lead = |s: &&crate::stores::Store| s.may_lead(now, &cluster.config).is_ok();
    let leads: BTreeMap<StoreId, Lead> = cluster
        .stores
        .iter()
        .filter(may_lead)
        .map(|s| (s.meta.id, Lead::of(cluster.virtual_leaders(s.meta.id), s.weights.leader)))
        .collect();
    let least = leads.values().map(|lead| lead.with_one_more).min()?;
    let mut sources: Vec<(u128, StoreId)> =
        leads.iter().filter(|(_, lead)| lead.now > least).map(|(s, lead)| (lead.now, *s)).collect();
    sources.sort_by_key(|(now, s)| (std::cmp::Reverse(*now), *s));
    let mut search = Search { cluster, scope, planned, leads: &leads, closed: BTreeSet::new() };
    sources.into_iter().find_map(|(_, source)| search.chain_from(source))
}

/// How much a Store leads for its weight, so that Stores of all weights compare.
#[derive(Clone, Copy)]
struct Lead {
    now: u128,
    /// What it would be after a transfer to it.
    with_one_more: u128,
}

impl Lead {
    fn of(leaders: u64, weight: Weight) -> Lead {
        Lead { now: level(leaders, weight), with_one_more: level(leaders + 1, weight) }
    }
}

/// Leaders for a weight, fine enough to tell any two apart. Nothing is nothing; anything is too much for no weight.
fn level(leaders: u64, weight: Weight) -> u128 {
    const FINE: u128 = 1_000_000_000_000;
    match (leaders, weight) {
        (0, _) => 0,
        (_, Weight(0)) => u128::MAX,
        (leaders, Weight(weight)) => u128::from(leaders) * FINE / u128::from(weight),
    }
}

struct Search<'a> {
    cluster: &'a Cluster,
    scope: &'a Scope<'a>,
    planned: &'a BTreeSet<RegionId>,
    leads: &'a BTreeMap<StoreId, Lead>,
    /// Stores from which a search found nothing. What they reach is no more than what that search reached, and the Stores
    /// asked later lead no more.
    closed: BTreeSet<StoreId>,
}

impl Search<'_> {
    /// The shortest chain to a Store that will lead less for its weight than this one does; of equally long ones, to that
    /// which leads least.
    fn chain_from(&mut self, source: StoreId) -> Option<Vec<Transfer>> {
        if self.closed.contains(&source) {
            return None;
        }
        let bound = self.leads[&source].now;
        let mut came_by: BTreeMap<StoreId, Transfer> = BTreeMap::new();
        let mut ring = VecDeque::from([source]);
        for _ in 0..CHAIN_MAX {
            let mut next_ring = VecDeque::new();
            while let Some(from) = ring.pop_front() {
                for (to, region) in self.arcs(from) {
                    if to != source && !came_by.contains_key(&to) {
                        came_by.insert(to, Transfer { region, from, to });
                        next_ring.push_back(to);
                    }
                }
            }
            let after = |s: &StoreId| self.leads[s].with_one_more;
            let end = next_ring.iter().filter(|s| after(s) < bound).min_by_key(|s| (after(s), **s));
            if let Some(end) = end {
                return Some(chain_to(*end, source, &came_by));
            }
            if next_ring.is_empty() {
                break;
            }
            ring = next_ring;
        }
        self.closed.extend(came_by.into_keys());
        None
    }

    /// For each Store that could take a leadership from this one: the first Region for it.
    fn arcs(&self, from: StoreId) -> BTreeMap<StoreId, RegionId> {
        let mut found: BTreeMap<StoreId, RegionId> = BTreeMap::new();
        let index = &self.cluster.index;
        let Some(lists) = index.store(from) else { return found };
        for slot in lists.role(ListRole::Leader).all(self.scope.rotation).take(LOOKED_AT_MAX) {
            if !self.is_free(slot) {
                continue;
            }
            let region = index.line(slot).id();
            for (store, role) in index.replicas(slot) {
                let store = index.store_id(store);
                if role == ListRole::Follower && self.leads.contains_key(&store) {
                    found.entry(store).or_insert(region);
                }
            }
            if found.len() + 1 >= self.leads.len() {
                break;
            }
        }
        found
    }

    fn is_free(&self, slot: Slot) -> bool {
        let line = self.cluster.index.line(slot);
        let id = line.id();
        line.flags.load(Relaxed) & (flag::AILING | flag::OPERATOR) == 0
            && !self.scope.unhealthy.contains(&id)
            && !self.planned.contains(&id)
    }
}

fn chain_to(end: StoreId, source: StoreId, came_by: &BTreeMap<StoreId, Transfer>) -> Vec<Transfer> {
    let mut chain = Vec::new();
    let mut at = end;
    while at != source {
        let Some(step) = came_by.get(&at) else { break };
        chain.push(*step);
        at = step.from;
    }
    chain.reverse();
    chain
}
