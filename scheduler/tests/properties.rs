//! What holds for every cluster: it converges, stays quiet then, and a planner that learns it afresh does nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scheduler::{
    CheckerName, Config, Input, NodeState, OperatorRequest, RegionId, SchedulerName, StoreId, TargetRole,
};
use simulated::Cluster;

fn seeded(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(20_261_124);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// What happens to a cluster while it runs.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Join,
    Drain(usize),
    Kill(usize),
    Wait(u64),
    Ask(Asked),
    CancelAll,
    Pause(u64),
}

/// An operator that a person asks for; numbers are places in the lists of Regions and Stores.
#[derive(Clone, Copy, Debug)]
struct Asked {
    kind: usize,
    region: usize,
    one: usize,
    other: usize,
}

#[derive(Clone, Debug)]
struct Start {
    stores: u64,
    replicas: usize,
    regions: Vec<(Vec<u64>, u64)>,
    seed: u64,
    turns: Vec<Turn>,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        Just(Turn::Join),
        (0..8usize).prop_map(Turn::Drain),
        (0..8usize).prop_map(Turn::Kill),
        (0..60u64).prop_map(|s| Turn::Wait(s * 500)),
        (0..6usize, 0..80usize, 0..9usize, 0..9usize)
            .prop_map(|(kind, region, one, other)| Turn::Ask(Asked { kind, region, one, other })),
        Just(Turn::CancelAll),
        (0..20_000u64).prop_map(Turn::Pause),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    (3..8u64, 1..=5usize, any::<u64>()).prop_flat_map(|(stores, replicas, seed)| {
        let replicas = replicas.min(stores as usize);
        let all: Vec<u64> = (1..=stores).collect();
        let placement = (prop::sample::subsequence(all, 1..=replicas).prop_shuffle(), 1..40u64);
        let regions = prop::collection::vec(placement, 1..80);
        (regions, prop::collection::vec(turn(), 0..8)).prop_map(move |(regions, turns)| Start {
            stores,
            replicas,
            regions,
            seed,
            turns,
        })
    })
}

fn request(cluster: &Cluster, up: &[u64], asked: Asked) -> OperatorRequest {
    let regions: Vec<RegionId> = cluster.regions.keys().copied().collect();
    let region = regions[asked.region % regions.len()];
    let store = |n: usize| StoreId(up[n % up.len()]);
    let (store, to) = (store(asked.one), store(asked.other));
    match asked.kind {
        0 => OperatorRequest::AddPeer { region, store },
        1 => OperatorRequest::AddLearner { region, store },
        2 => OperatorRequest::RemovePeer { region, store },
        3 => OperatorRequest::TransferPeer { region, from: store, to },
        4 => OperatorRequest::TransferLeader { region, to },
        _ => {
            let replicas = cluster.planner.config().max_replicas + asked.other % 2;
            let stores = up.iter().cycle().skip(asked.one).take(replicas.min(up.len()));
            let targets = stores.map(|s| (StoreId(*s), TargetRole::Voter)).collect();
            OperatorRequest::TransferRegion { region, targets }
        }
    }
}

fn play(start: &Start) -> Cluster {
    let config = Config { max_replicas: start.replicas, max_store_down_time_ms: 40_000, ..Config::default() };
    let mut cluster = Cluster::new(config, start.seed, start.stores);
    cluster.add_regions(&start.regions);
    // Replicas must be there before one may be lost.
    cluster.run_until(300_000, "all replicated at first", Cluster::all_replicated);
    let mut next = start.stores;
    let mut killed = false;
    for turn in &start.turns {
        let up: Vec<u64> = cluster.up_stores().map(|s| s.0).collect();
        let enough = up.len() > start.replicas + 1;
        match *turn {
            Turn::Join => {
                next += 1;
                cluster.add_store(next);
            }
            Turn::Drain(n) if enough => cluster.set_state(up[n % up.len()], NodeState::Removing),
            // One store may die while a majority of each region lives on.
            Turn::Kill(n) if enough && !killed && start.replicas >= 3 && cluster.all_replicated() => {
                killed = true;
                cluster.kill(up[n % up.len()]);
            }
            Turn::Drain(_) | Turn::Kill(_) => {}
            Turn::Wait(ms) => cluster.run(ms),
            // Refused or not: no step may break a promise.
            Turn::Ask(asked) => cluster.tell(Input::AddOperator(request(&cluster, &up, asked))),
            Turn::CancelAll => cluster.tell(Input::CancelAllOperators),
            Turn::Pause(for_ms) => {
                cluster.tell(Input::PauseScheduler { scheduler: SchedulerName::BalanceRegion, for_ms });
                cluster.tell(Input::PauseChecker { checker: CheckerName::Rule, for_ms });
            }
        }
    }
    cluster
}

fn is_calm(cluster: &Cluster) -> bool {
    cluster.all_replicated() && cluster.planner.operators().next().is_none() && cluster.leaders_best()
}

proptest! {
    #![proptest_config(seeded(150))]

    #[test]
    fn every_cluster_converges_and_stays_quiet(start in start()) {
        let mut cluster = play(&start);
        cluster.run_until(900_000, "all replicated, leaders even", is_calm);
        // The plan for the sizes may still be going on.
        cluster.run_until(900_000, "sizes even", |c| is_calm(c) && c.sizes_even());
        let mut before = cluster.operators_created();
        // A last move may cross the line: then it must come to rest.
        for _ in 0..20 {
            cluster.run(30_000);
            if cluster.operators_created() == before {
                break;
            }
            before = cluster.operators_created();
        }
        prop_assert!(is_calm(&cluster) && cluster.sizes_even());
        cluster.run(60_000);
        prop_assert_eq!(cluster.operators_created(), before, "a quiet cluster yields no operator");
        // Another planner, with another seed and an index built afresh, has nothing to add to the plan's result.
        cluster.new_planner(start.seed ^ 0x5555);
        cluster.run(90_000);
        prop_assert_eq!(cluster.operators_created(), before, "planning on a plan's result yields nothing");
    }
}
