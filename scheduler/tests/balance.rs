//! The balance of sizes and leaders, and that a balanced cluster stays quiet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;

use scheduler::{Config, OperatorChange, OperatorKind, Rate, StoreId, StoreLimit};
use simulated::Cluster;

/// What the balance does when no Store's limit slows it down.
fn unlimited() -> Config {
    let default_store_limit = StoreLimit { add_peer: Rate::UNLIMITED, remove_peer: Rate::UNLIMITED };
    Config { default_store_limit, ..Config::default() }
}

fn balanced(cluster: &Cluster) -> bool {
    cluster.all_replicated()
        && cluster.leaders_within_one()
        && cluster.sizes_even()
        && cluster.planner.operators().next().is_none()
}

/// From a balanced state nothing more is done, also by a new planner that learns the state from heartbeats.
fn stays_quiet(cluster: &mut Cluster) {
    let before = cluster.operators_created();
    cluster.run(60_000);
    assert_eq!(cluster.operators_created(), before, "{:?}", cluster.operator_log().last());
}

#[test]
fn a_new_store_gets_its_share() {
    let mut cluster = Cluster::new(unlimited(), 7, 3);
    let placements: Vec<_> = (0..60)
        .map(|n| {
            let mut stores = vec![1, 2, 3];
            stores.rotate_left(n % 3);
            (stores, 20)
        })
        .collect();
    cluster.add_regions(&placements);
    cluster.run(5_000);
    cluster.add_store(4);
    cluster.run_until(120_000, "balanced", balanced);
    assert!(cluster.sizes_mib()[&StoreId(4)] >= 880, "{:?}", cluster.sizes_mib());
    // 60 regions of 20 MiB on 3 stores: a quarter of 180 replicas moves, 45 of them at most.
    assert!(cluster.moved_bytes <= 46 * (20 << 20), "{} bytes moved", cluster.moved_bytes);
    stays_quiet(&mut cluster);
}

/// No more bytes move than must: what the stores lack that lack something, and 2 %.
#[test]
fn a_join_moves_little_more_than_the_lower_bound() {
    let mut cluster = Cluster::new(unlimited(), 7, 6);
    let size = |n: u64| if n.is_multiple_of(17) { 400 } else { 5 + n * 31 % 90 };
    let placements: Vec<_> =
        (0..600u64).map(|n| (vec![n % 6 + 1, (n + 1) % 6 + 1, (n + 3) % 6 + 1], size(n))).collect();
    cluster.add_regions(&placements);
    cluster.run_until(400_000, "balanced", balanced);
    let moved_before = cluster.moved_bytes;
    cluster.add_store(7);
    cluster.add_store(8);
    let sizes = cluster.sizes_mib();
    let target = sizes.values().sum::<u64>() / 8;
    let lacking: u64 = sizes.values().map(|size| target.saturating_sub(*size)).sum();
    cluster.run_until(900_000, "balanced", balanced);
    let moved = (cluster.moved_bytes - moved_before) >> 20;
    assert!(moved * 100 <= lacking * 102, "{moved} MiB moved, {lacking} lacked");
    stays_quiet(&mut cluster);
}

#[test]
fn few_large_moves_are_under_way_to_a_store_at_a_time() {
    let mut cluster = Cluster::new(unlimited(), 7, 3);
    cluster.add_regions(&(0..60).map(|_| (vec![1, 2, 3], 100)).collect::<Vec<_>>());
    cluster.run(5_000);
    cluster.add_store(4);
    let mut most = 0;
    for _ in 0..300 {
        cluster.step();
        let coming =
            cluster.planner.operators().filter(|o| o.kind == OperatorKind::Region && o.current == 0).count();
        most = most.max(coming);
    }
    assert_eq!(most, 4, "moves of 100 MiB on their way to store 4");
}

#[test]
fn leaders_on_one_store_are_spread() {
    let mut cluster = Cluster::new(unlimited(), 7, 6);
    let placements: Vec<_> = (0..60u64).map(|n| (vec![1, n % 5 + 2, (n + 2) % 5 + 2], 10)).collect();
    cluster.add_regions(&placements);
    cluster.run_until(240_000, "balanced", balanced);
    stays_quiet(&mut cluster);
}

#[test]
fn leaders_reach_a_store_over_others_in_between() {
    // Store 1 leads three and shares no region with store 3: store 2 must pass one on.
    let config = Config { max_replicas: 2, region_schedule_limit: 0, ..Config::default() };
    let mut cluster = Cluster::new(config, 7, 3);
    cluster.add_regions(&[
        (vec![1, 2], 10),
        (vec![1, 2], 10),
        (vec![1, 2], 10),
        (vec![2, 3], 10),
        (vec![2, 3], 10),
        (vec![3, 2], 10),
    ]);
    cluster.run_until(30_000, "leaders within one", Cluster::leaders_within_one);
    assert_eq!(cluster.leaders().into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn leaders_are_balanced_where_they_can_be() {
    // Stores 1 and 2 lead most and can pass none on; store 3 leads three and store 4 none.
    let config = Config { max_replicas: 2, region_schedule_limit: 0, ..Config::default() };
    let mut cluster = Cluster::new(config, 7, 4);
    let mut placements: Vec<_> = (0..10).map(|n| (vec![n % 2 + 1, 2 - n % 2], 10)).collect();
    placements.extend((0..3).map(|_| (vec![3, 4], 10)));
    cluster.add_regions(&placements);
    cluster.run_until(30_000, "leaders as good as can be", Cluster::leaders_best);
    assert_eq!(cluster.leaders().into_values().collect::<Vec<_>>(), [5, 5, 2, 1]);
}

/// Nothing fits without overshooting: the move that brings both ends nearest is taken, not the largest.
#[test]
fn the_polish_halves_the_gap() {
    let config = Config { max_replicas: 1, leader_schedule_limit: 0, ..Config::default() };
    let mut cluster = Cluster::new(config, 7, 3);
    cluster.add_regions(&[(vec![1], 12), (vec![1], 25), (vec![1], 79), (vec![2], 90), (vec![3], 94)]);
    cluster.run(60_000);
    assert_eq!(cluster.sizes_mib().into_values().collect::<Vec<_>>(), [104, 102, 94]);
}

#[test]
fn a_quiet_cluster_yields_no_operator() {
    let mut cluster = Cluster::new(unlimited(), 7, 4);
    let placements: Vec<_> =
        (0..40u64).map(|n| (vec![n % 4 + 1, (n + 1) % 4 + 1, (n + 2) % 4 + 1], 50)).collect();
    cluster.add_regions(&placements);
    cluster.run(120_000);
    assert_eq!(cluster.operators_created(), 0, "{:?}", cluster.operator_log().next());
}

#[test]
fn small_noise_in_sizes_moves_nothing() {
    let mut cluster = Cluster::new(unlimited(), 7, 4);
    let placements: Vec<_> =
        (0..400u64).map(|n| (vec![n % 4 + 1, (n + 1) % 4 + 1, (n + 2) % 4 + 1], 98 + n * 7 % 5)).collect();
    cluster.add_regions(&placements);
    cluster.run(60_000);
    assert_eq!(cluster.operators_created(), 0, "{:?}", cluster.operator_log().next());
}

#[test]
fn the_balance_waits_for_the_routes_and_repairs_do_not() {
    let mut cluster = Cluster::new(unlimited(), 7, 3);
    cluster.add_regions(&[(vec![1], 10), (vec![1, 2, 3], 10), (vec![1, 2, 3], 10), (vec![1, 2, 3], 10)]);
    // Region 4 leads on a store that reports it, but its own heartbeat is late.
    let late = cluster.now.after_ms(20_000);
    cluster.regions.get_mut(&scheduler::RegionId(4)).unwrap().heartbeat_at = late;
    cluster.run(15_000);
    assert!(!cluster.planner.is_prepared());
    let kinds: Vec<_> = cluster
        .operator_log()
        .filter(|e| matches!(e.what, OperatorChange::Created(_)))
        .map(|e| e.kind)
        .collect();
    assert_eq!(kinds, [OperatorKind::Replica, OperatorKind::Replica]);
    let why = cluster.planner.explain_store(cluster.now, StoreId(1)).unwrap();
    assert!(matches!(why.kept[0].refusal, scheduler::Refusal::NotPrepared { .. }), "{why:?}");
    cluster.run(6_000);
    assert!(cluster.planner.is_prepared());
    cluster.run_until(30_000, "leaders within one", Cluster::leaders_within_one);
}
