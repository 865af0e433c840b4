//! The smallest resolved timestamp over all stores: what tools may read at. It never falls.

use std::collections::BTreeMap;

use proto::metapb::NodeState;

use super::stores::StoreTable;

/// What the stores reported, and the minimum that is durable.
#[derive(Debug, Default)]
pub struct MinResolved {
    by_store: BTreeMap<u64, u64>,
    durable: u64,
}

/// What is known of resolved timestamps, for who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinResolvedView {
    /// The minimum over all stores that is durable; 0 when there is none yet.
    pub cluster: u64,
    /// The highest that each store reported since this member leads.
    pub by_store: BTreeMap<u64, u64>,
}

impl MinResolved {
    /// With the minimum read from the replicated state.
    pub fn new(durable: u64) -> Self {
        Self { by_store: BTreeMap::new(), durable }
    }

    /// A store's report. A lower value than before is ignored.
    pub fn report(&mut self, store: u64, ts: u64) {
        let known = self.by_store.entry(store).or_default();
        *known = ts.max(*known);
    }

    /// The minimum over all stores that are not removed, if it is higher than the durable one. A store that has not
    /// reported yet holds it back.
    pub fn grown(&self, stores: &StoreTable) -> Option<u64> {
        stores
            .values()
            .filter(|record| record.meta.node_state() != NodeState::Removed)
            .map(|record| self.by_store.get(&record.meta.id).copied().unwrap_or(0))
            .min()
            .filter(|least| *least > self.durable)
    }

    /// All of it.
    pub fn view(&self) -> MinResolvedView {
        MinResolvedView { cluster: self.durable, by_store: self.by_store.clone() }
    }

    /// `ts` is durable now.
    pub fn persisted(&mut self, ts: u64) {
        self.durable = self.durable.max(ts);
    }
}

#[cfg(test)]
mod tests {
    use super::MinResolved;
    use crate::cluster::stores::StoreBook;
    use proto::metapb::{NodeState, Store};
    use semver::Version;

    #[test]
    fn it_is_the_least_of_all_living_stores_and_never_falls() {
        let stores = |removed| {
            let store = |id| Store { id, ..Default::default() };
            let mut third = store(3);
            third.set_node_state(if removed { NodeState::Removed } else { NodeState::Serving });
            StoreBook::new(vec![store(1), store(2), third], Version::new(0, 0, 0)).table().clone()
        };
        let mut least = MinResolved::new(5);
        least.report(1, 10);
        least.report(2, 20);
        assert_eq!(least.grown(&stores(false)), None, "store 3 has not reported");
        assert_eq!(least.grown(&stores(true)), Some(10));
        least.report(1, 8);
        assert_eq!(least.grown(&stores(true)), Some(10), "a report may not fall");
        least.persisted(10);
        assert_eq!(least.grown(&stores(true)), None);
    }
}
