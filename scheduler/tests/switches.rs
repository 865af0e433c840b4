//! Schedulers and checkers taken out and paused, limits and weights of Stores.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;

use scheduler::{
    CheckerName, Config, Input, OperatorKind, Rate, Refusal, RefusalKind, RegionId, SchedulerName,
    SchedulerState, StoreId, StoreLimit, StoreWeights, Weight,
};
use simulated::Cluster;

/// Three full Stores and an empty one; store 1 leads all.
fn lopsided(config: Config) -> Cluster {
    let mut cluster = Cluster::new(config, 7, 3);
    cluster.add_regions(&vec![(vec![1, 2, 3], 10); 30]);
    cluster.run(5_000);
    cluster
}

fn unlimited() -> Config {
    let default_store_limit = StoreLimit { add_peer: Rate::UNLIMITED, remove_peer: Rate::UNLIMITED };
    Config { default_store_limit, ..Config::default() }
}

fn made(cluster: &Cluster, kind: OperatorKind) -> usize {
    let is_new = |e: &&scheduler::OperatorEvent| {
        e.kind == kind && matches!(e.what, scheduler::OperatorChange::Created(_))
    };
    cluster.operator_log().filter(is_new).count()
}

#[test]
fn a_scheduler_that_is_out_makes_nothing() {
    let schedulers = [SchedulerName::BalanceRegion].into();
    let mut cluster = lopsided(Config { schedulers, ..unlimited() });
    cluster.add_store(4);
    cluster.run(60_000);
    assert_eq!(made(&cluster, OperatorKind::Leader), 0, "balance-leader is out");
    assert!(made(&cluster, OperatorKind::Region) > 0, "balance-region is in");
    let leader = cluster.planner.schedulers(cluster.now).next().unwrap();
    assert_eq!(leader, (SchedulerName::BalanceLeader, SchedulerState::Removed));
    let why = cluster.planner.explain_store(cluster.now, StoreId(1)).unwrap();
    assert_eq!(why.refuses_balance, [Refusal::SchedulerRemoved(SchedulerName::BalanceLeader)]);
    cluster.tell(Input::Config(unlimited()));
    cluster.run_until(60_000, "leaders within one", Cluster::leaders_within_one);
}

#[test]
fn a_paused_scheduler_goes_on_by_itself_and_running_operators_do_at_once() {
    let mut cluster = lopsided(Config { leader_schedule_limit: 0, ..unlimited() });
    cluster.add_store(4);
    cluster.run_until(20_000, "a move runs", |c| c.planner.operator_count(OperatorKind::Region) > 0);
    cluster.tell(Input::PauseScheduler { scheduler: SchedulerName::BalanceRegion, for_ms: 120_000 });
    let (began, before) = (cluster.now, made(&cluster, OperatorKind::Region));
    cluster.run_until(60_000, "what ran is done", |c| c.planner.operator_count(OperatorKind::Region) == 0);
    cluster.run(40_000);
    assert_eq!(made(&cluster, OperatorKind::Region), before, "none while paused");
    let paused = |c: &Cluster| {
        c.planner.schedulers(c.now).any(|(_, state)| matches!(state, SchedulerState::Paused(_)))
    };
    assert!(paused(&cluster));
    cluster.run_until(120_000, "moves again", |c| made(c, OperatorKind::Region) > before);
    assert!(cluster.now.ms_since(began) >= 120_000 && !paused(&cluster));
}

#[test]
fn a_paused_checker_says_so() {
    let mut cluster = Cluster::new(Config::default(), 1, 3);
    cluster.tell(Input::PauseChecker { checker: CheckerName::Rule, for_ms: 600_000 });
    cluster.add_regions(&[(vec![1, 2], 10)]);
    cluster.run(10_000);
    assert_eq!(cluster.operators_created(), 0);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(
        why.now.iter().any(|r| matches!(r, Refusal::CheckerPaused { checker: CheckerName::Rule, .. })),
        "{why:?}"
    );
    cluster.tell(Input::PauseChecker { checker: CheckerName::Rule, for_ms: 0 });
    cluster.run_until(30_000, "repaired", Cluster::all_replicated);
}

#[test]
fn a_repair_that_is_switched_off_says_so() {
    let config = Config { enable_make_up_replica: false, ..Config::default() };
    let mut cluster = Cluster::new(config, 1, 3);
    cluster.add_regions(&[(vec![1, 2], 10)]);
    cluster.run(10_000);
    assert_eq!(cluster.operators_created(), 0);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.kept.iter().any(|n| n.refusal == Refusal::SwitchedOff("enable-make-up-replica")), "{why:?}");
}

#[test]
fn a_limit_of_fifteen_a_minute_is_kept_by_the_minute() {
    let mut cluster = Cluster::new(Config { leader_schedule_limit: 0, ..Config::default() }, 7, 3);
    cluster.add_regions(&vec![(vec![1, 2, 3], 30); 90]);
    cluster.run(5_000);
    cluster.add_store(4);
    let began = made(&cluster, OperatorKind::Region);
    cluster.run(60_000);
    let in_a_minute = made(&cluster, OperatorKind::Region) - began;
    assert!((14..=16).contains(&in_a_minute), "{in_a_minute} large moves to one store in a minute");
    let counted = |kind| cluster.planner.refusal_counts().any(|(k, n)| k == kind && n > 0);
    assert!(counted(RefusalKind::StoreLimit));
    let [add, _] = cluster.planner.store_limits(cluster.now, StoreId(4));
    assert!(add.refused > 0, "{add:?}");
    // A higher limit of that one store counts at once.
    let limit = StoreLimit { add_peer: Rate::per_minute(600.0), remove_peer: Rate::UNLIMITED };
    let others = StoreLimit { add_peer: Rate::per_minute(15.0), remove_peer: Rate::UNLIMITED };
    let store_limits = [(StoreId(4), limit)].into();
    let config =
        Config { default_store_limit: others, store_limits, leader_schedule_limit: 0, ..Config::default() };
    cluster.tell(Input::Config(config));
    let before = made(&cluster, OperatorKind::Region);
    cluster.run(30_000);
    assert!(made(&cluster, OperatorKind::Region) - before > 30);
}

#[test]
fn a_store_on_its_way_out_has_no_limit_to_lose() {
    let slow = StoreLimit { add_peer: Rate::per_minute(15.0), remove_peer: Rate::per_minute(0.1) };
    let store_limits = [(StoreId(3), slow)].into();
    let mut cluster = Cluster::new(Config { store_limits, ..Config::default() }, 7, 6);
    cluster.add_regions(&vec![(vec![1, 2, 3], 30); 12]);
    cluster.run(3_000);
    assert_eq!(cluster.planner.store_limits(cluster.now, StoreId(3))[1].rate, slow.remove_peer);
    cluster.set_state(3, scheduler::NodeState::Removing);
    let [_, remove] = cluster.planner.store_limits(cluster.now, StoreId(3));
    assert_eq!((remove.rate, remove.available), (Rate::UNLIMITED, None));
    cluster.run_until(60_000, "store 3 is empty", |c| c.buried.contains(&StoreId(3)));
}

#[test]
fn weights_share_out_sizes_and_leaders() {
    let mut cluster = Cluster::new(unlimited(), 7, 4);
    let placements: Vec<_> = (0..80u64).map(|n| (vec![n % 4 + 1, (n + 1) % 4 + 1], 10)).collect();
    cluster.tell(Input::Config(Config { max_replicas: 2, ..unlimited() }));
    cluster.add_regions(&placements);
    let weights = StoreWeights { leader: Weight::from_f64(3.0), region: Weight::from_f64(2.0) };
    cluster.tell(Input::StoreWeights { store: StoreId(1), weights });
    cluster.run_until(300_000, "quiet", |c| {
        c.sizes_mib()[&StoreId(1)] >= 620 && c.planner.operators().next().is_none()
    });
    let by_weight = |c: &Cluster| {
        let fits = |store: StoreId, n: u64| {
            if store.0 == 1 { (39..=41).contains(&n) } else { (13..=14).contains(&n) }
        };
        c.leaders().into_iter().all(|(store, n)| fits(store, n))
    };
    cluster.run_until(120_000, "leaders by weight", by_weight);
    let before = cluster.operators_created();
    cluster.run(60_000);
    assert_eq!(cluster.operators_created(), before, "and then it is quiet");
}

/// Regions whose moves wait for a limit are not held back from anything else.
#[test]
fn leaders_are_balanced_while_moves_wait_for_a_limit() {
    let rate = Rate::per_minute(1.0);
    let default_store_limit = StoreLimit { add_peer: rate, remove_peer: rate };
    let mut cluster = Cluster::new(Config { default_store_limit, ..Config::default() }, 7, 3);
    cluster.add_regions(&vec![(vec![1, 2, 3], 30); 30]);
    cluster.add_store(4);
    let even = |c: &Cluster| (1..=3).all(|store| (9..=11).contains(&c.leaders()[&StoreId(store)]));
    cluster.run_until(90_000, "the three old stores lead alike", even);
    assert!(cluster.sizes_mib().get(&StoreId(4)).is_none_or(|size| *size <= 90), "{:?}", cluster.sizes_mib());
}
