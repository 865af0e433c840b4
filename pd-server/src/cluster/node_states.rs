//! When a new store goes from Preparing into service.

use proto::metapb::NodeState;

use super::stores::StoreBook;

/// With fewer Regions there is nothing to prepare for.
const PREPARING_REGIONS: usize = 100;
/// A store is in service once it holds nine tenths of its even share.
const PREPARED_PER_MILLE: u128 = 900;

/// How full the cluster is.
pub struct Fill<F> {
    /// Regions of the cluster.
    pub regions: usize,
    /// The routes are complete, so that sizes mean something.
    pub is_prepared: bool,
    /// A store is in service after so many seconds in any case.
    pub preparing_max_s: i64,
    /// Bytes of the Regions on a store.
    pub size_of: F,
}

impl<F: Fn(u64) -> u64> Fill<F> {
    /// The stores that go into service at `now_s` (seconds since the epoch).
    pub fn ready(&self, book: &StoreBook, now_s: i64) -> Vec<u64> {
        let sizes: Vec<(u64, u64)> =
            book.up().map(|record| (record.meta.id, (self.size_of)(record.meta.id))).collect();
        let total: u128 = sizes.iter().map(|(_, size)| u128::from(*size)).sum();
        let is_filled =
            |size: u64| u128::from(size) * sizes.len() as u128 * 1_000 >= total * PREPARED_PER_MILLE;
        let preparing = book.up().zip(&sizes).filter(|(r, _)| r.meta.node_state() == NodeState::Preparing);
        let ready = preparing.filter(|(record, (_, size))| {
            let started = record.meta.start_timestamp;
            let is_old = started > 0 && now_s - started >= self.preparing_max_s;
            self.regions < PREPARING_REGIONS || is_old || (self.is_prepared && is_filled(*size))
        });
        ready.map(|(record, _)| record.meta.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fill, PREPARING_REGIONS};
    use crate::cluster::stores::StoreBook;
    use proto::metapb::{NodeState, Store};
    use semver::Version;

    #[test]
    fn a_store_serves_once_it_is_filled_or_there_is_nothing_to_wait_for() {
        let store = |id, state: NodeState, start_timestamp| Store {
            id,
            node_state: state.into(),
            start_timestamp,
            ..Default::default()
        };
        let now_s = 1_000_000_000;
        let stores = vec![
            store(1, NodeState::Serving, 0),
            store(2, NodeState::Preparing, now_s),
            store(3, NodeState::Preparing, now_s - 3_600),
            store(4, NodeState::Removing, 0),
        ];
        let book = StoreBook::new(stores, Version::new(8, 5, 0));
        // The even share of three stores that hold 300 together is 100.
        let ready = |regions, is_prepared, on_second: u64| {
            let size_of = move |id| if id == 2 { on_second } else { (300 - on_second) / 2 };
            Fill { regions, is_prepared, preparing_max_s: 3_600, size_of }.ready(&book, now_s)
        };
        assert_eq!(ready(PREPARING_REGIONS - 1, false, 0), [2, 3], "few Regions");
        assert_eq!(ready(PREPARING_REGIONS, false, 100), [3], "sizes are not known yet");
        assert_eq!(ready(PREPARING_REGIONS, true, 88), [3], "not filled");
        assert_eq!(ready(PREPARING_REGIONS, true, 90), [2, 3], "filled");
    }
}
