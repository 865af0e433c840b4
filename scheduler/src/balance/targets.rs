//! Targets: water filled over the Stores, up to what each has room for.

use crate::cluster::Cluster;
use crate::model::{StoreId, Time};

/// The target of each Store that takes part, in KiB, by its id: those that are Up, heard and not busy. The load of all
/// Stores is shared, also that of Stores which are drained or lost: it will come.
pub(crate) fn targets_kib(cluster: &Cluster, now: Time) -> Vec<(StoreId, u64)> {
    let takes_part = |id| cluster.stores.get(id).is_some_and(|s| s.may_lead(now, &cluster.config).is_ok());
    let mut parts = Vec::new();
    let mut total = 0;
    for store in cluster.stores.iter() {
        let id = store.meta.id;
        let load = cluster.virtual_weight_kib(id);
        if takes_part(id) {
            total += load;
            // A Store holds at most one replica of each Region, and no more than its disk has room for.
            let room = store.room_kib(&cluster.config).map_or(u64::MAX, |room| load.saturating_add(room));
            parts.push((id, room.min(cluster.index.total_weight_kib())));
        } else if store.state() != crate::model::StoreState::Up {
            total += load;
        }
    }
    let caps: Vec<u64> = parts.iter().map(|(_, cap)| *cap).collect();
    let levels = water_fill(total, &caps);
    parts.into_iter().zip(levels).map(|((id, _), target)| (id, target)).collect()
}

/// Shares `total` evenly, none above its cap: in closed form, lowest caps first. What no cap admits is not shared.
fn water_fill(total: u64, caps: &[u64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..caps.len()).collect();
    order.sort_by_key(|i| (caps[*i], *i));
    let mut shares = vec![0; caps.len()];
    let mut left = total;
    for (done, i) in order.iter().enumerate() {
        let even = left / (caps.len() - done) as u64;
        shares[*i] = even.min(caps[*i]);
        left -= shares[*i];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_up_to_the_caps() {
        assert_eq!(water_fill(90, &[100, 100, 100]), [30, 30, 30]);
        assert_eq!(water_fill(90, &[100, 10, 100]), [40, 10, 40]);
        assert_eq!(water_fill(1000, &[100, 10, 100]), [100, 10, 100]);
        assert_eq!(water_fill(10, &[]), Vec::<u64>::new());
        assert_eq!(water_fill(11, &[100, 100, 100]).iter().sum::<u64>(), 11);
    }
}
