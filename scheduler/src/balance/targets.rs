//! Targets: water filled over the Stores by their weights, up to what each has room for.

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
            let cap = room.min(cluster.index.total_weight_kib());
            parts.push((id, cap, cluster.region_weight(id).0));
        } else if store.state() != crate::model::StoreState::Up {
            total += load;
        }
    }
    if parts.iter().all(|(_, _, weight)| *weight == 0) {
        // Nobody shall have anything, and somebody must.
        parts.iter_mut().for_each(|(_, _, weight)| *weight = 1);
    }
    let vessels: Vec<(u64, u64)> = parts.iter().map(|(_, cap, weight)| (*cap, *weight)).collect();
    let levels = water_fill(total, &vessels);
    parts.into_iter().zip(levels).map(|((id, _, _), target)| (id, target)).collect()
}

/// Shares `total` over vessels of a cap and a weight each, in proportion to the weights, none above its cap: in closed
/// form, those that are full first come first. What no cap admits is not shared.
fn water_fill(total: u64, vessels: &[(u64, u64)]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..vessels.len()).filter(|i| vessels[*i].1 > 0).collect();
    // By cap / weight, without the division.
    order.sort_by(|a, b| {
        let (a_cap, a_weight) = vessels[*a];
        let (b_cap, b_weight) = vessels[*b];
        let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
        product(a_cap, b_weight).cmp(&product(b_cap, a_weight)).then(a.cmp(b))
    });
    let mut shares = vec![0; vessels.len()];
    let mut left = total;
    let mut weights: u128 = order.iter().map(|i| u128::from(vessels[*i].1)).sum();
    for i in order {
        let (cap, weight) = vessels[i];
        let part = u128::from(left) * u128::from(weight) / weights;
        shares[i] = u64::try_from(part).unwrap_or(u64::MAX).min(cap);
        left -= shares[i];
        weights -= u128::from(weight);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(total: u64, caps: &[u64]) -> Vec<u64> {
        let vessels: Vec<(u64, u64)> = caps.iter().map(|cap| (*cap, 1000)).collect();
        water_fill(total, &vessels)
    }

    #[test]
    fn shares_are_even_up_to_the_caps() {
        assert_eq!(even(90, &[100, 100, 100]), [30, 30, 30]);
        assert_eq!(even(90, &[100, 10, 100]), [40, 10, 40]);
        assert_eq!(even(1000, &[100, 10, 100]), [100, 10, 100]);
        assert_eq!(even(10, &[]), Vec::<u64>::new());
        assert_eq!(even(11, &[100, 100, 100]).iter().sum::<u64>(), 11);
    }

    #[test]
    fn shares_follow_the_weights() {
        assert_eq!(water_fill(100, &[(1000, 1000), (1000, 3000)]), [25, 75]);
        assert_eq!(water_fill(100, &[(1000, 1000), (50, 3000)]), [50, 50], "up to the cap");
        assert_eq!(water_fill(100, &[(1000, 0), (1000, 1000)]), [0, 100], "no weight, nothing");
    }
}
