//! Repairs, each on a small cluster that carries them out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;

use scheduler::{
    Action, Cause, Config, Effect, NodeState, OperatorChange, OperatorRequest, Refusal, RegionId, Step,
    StoreId, StoreState,
};
use simulated::Cluster;

fn on_each(stores: &[u64], regions: usize) -> Vec<(Vec<u64>, u64)> {
    (0..regions)
        .map(|n| {
            let mut placement = stores.to_vec();
            placement.rotate_left(n % stores.len());
            (placement, 10)
        })
        .collect()
}

fn quick_config() -> Config {
    Config { max_store_down_time_ms: 60_000, ..Config::default() }
}

#[test]
fn missing_replicas_are_added_as_learners_and_promoted() {
    let mut cluster = Cluster::new(Config::default(), 1, 1);
    cluster.add_regions(&[(vec![1], 1), (vec![1], 1), (vec![1], 1)]);
    cluster.run(5_000);
    assert_eq!(cluster.operators_created(), 0, "one store cannot hold a second replica");
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(!why.is_healthy);
    assert!(matches!(why.now.last(), Some(Refusal::NoTarget { stores: 1, up: 1, .. })), "{why:?}");
    assert!(why.now.contains(&Refusal::HoldsReplica(StoreId(1))));
    cluster.add_store(2);
    cluster.add_store(3);
    cluster.run_until(20_000, "three voters each", Cluster::all_replicated);
    let created = cluster.operator_log().find_map(|e| match &e.what {
        OperatorChange::Created(view) => Some(view.clone()),
        _ => None,
    });
    let created = created.unwrap();
    assert_eq!(created.cause, Cause::AddMissingPeer);
    assert!(matches!(created.steps[..], [Step::AddLearner(_), Step::PromoteLearner(_)]), "{created:?}");
}

#[test]
fn a_removing_store_is_drained_and_buried() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&on_each(&[1, 2, 3], 30));
    cluster.run(3_000);
    cluster.set_state(2, NodeState::Removing);
    cluster.run_until(60_000, "store 2 is buried", |c| c.buried.contains(&StoreId(2)));
    assert!(cluster.all_replicated());
    assert_eq!(NodeState::Removed.store_state(), StoreState::Tombstone);
    // A replica that leads hands over before its snapshot is sent, and all go by a joint change.
    for event in cluster.operator_log() {
        if let OperatorChange::Created(view) = &event.what
            && view.cause == Cause::ReplaceOfflinePeer
        {
            let steps = match &view.steps[..] {
                [Step::TransferLeader { .. }, rest @ ..] => rest,
                rest => rest,
            };
            assert!(
                matches!(
                    steps,
                    [
                        Step::AddLearner(_),
                        Step::EnterJoint { .. },
                        Step::LeaveJoint { .. },
                        Step::RemovePeer(_)
                    ]
                ),
                "{view:?}"
            );
        }
    }
}

#[test]
fn a_drain_without_a_place_names_its_blocker() {
    let mut cluster = Cluster::new(Config::default(), 1, 3);
    cluster.add_regions(&on_each(&[1, 2, 3], 3));
    cluster.run(3_000);
    cluster.set_state(2, NodeState::Removing);
    cluster.run(30_000);
    assert!(cluster.regions.values().all(|r| r.report.meta.peer_on(StoreId(2)).is_some()));
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(matches!(why.now.last(), Some(Refusal::NoTarget { stores: 3, up: 2, .. })), "{why:?}");
    assert!(matches!(why.kept.last().unwrap().refusal, Refusal::NoTarget { .. }));
    assert!(cluster.buried.is_empty());
    assert!(
        cluster.planner.refusal_counts().any(|(kind, n)| kind == scheduler::RefusalKind::NoTarget && n >= 3)
    );
}

#[test]
fn replicas_of_a_dead_store_are_made_up_elsewhere() {
    let mut cluster = Cluster::new(quick_config(), 1, 4);
    cluster.add_regions(&on_each(&[1, 2, 3], 20));
    cluster.run(5_000);
    cluster.kill(3);
    cluster.run(50_000);
    let moved = |c: &Cluster| c.regions.values().all(|r| r.report.meta.peer_on(StoreId(3)).is_none());
    assert!(
        cluster.regions.values().any(|r| r.report.meta.peer_on(StoreId(3)).is_some()),
        "not before the limit"
    );
    cluster.run_until(120_000, "all replicas moved off store 3", moved);
    cluster.run_until(60_000, "all replicated", Cluster::all_replicated);
}

#[test]
fn a_store_back_in_time_keeps_its_replicas() {
    let mut cluster = Cluster::new(quick_config(), 1, 4);
    cluster.add_regions(
        &on_each(&[1, 2, 3, 4], 12)
            .into_iter()
            .map(|(mut s, z)| (s.drain(..3).collect(), z))
            .collect::<Vec<_>>(),
    );
    cluster.run(5_000);
    cluster.kill(3);
    cluster.run(40_000);
    cluster.revive(3);
    cluster.run(60_000);
    assert_eq!(cluster.operator_log().filter(|e| e.kind == scheduler::OperatorKind::Replica).count(), 0);
}

#[test]
fn an_extra_replica_goes_and_an_extra_learner_too() {
    let mut cluster = Cluster::new(Config::default(), 1, 5);
    cluster.add_regions(&[(vec![1, 2, 3, 4], 10), (vec![2, 3, 4], 10)]);
    let region = cluster.regions.get_mut(&RegionId(2)).unwrap();
    let learner = scheduler::Peer::learner(scheduler::PeerId(77), StoreId(5));
    region.report.meta.peers.push(learner);
    cluster.run_until(10_000, "three voters each", Cluster::all_replicated);
    assert!(cluster.region(1).meta.peers.len() == 3);
    assert_eq!(cluster.region(2).meta.peer_on(StoreId(5)), None);
}

#[test]
fn a_learner_left_behind_takes_the_empty_place() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2], 10)]);
    let learner = scheduler::Peer::learner(scheduler::PeerId(77), StoreId(3));
    cluster.regions.get_mut(&RegionId(1)).unwrap().report.meta.peers.push(learner);
    cluster.run_until(10_000, "three voters", Cluster::all_replicated);
    assert_eq!(cluster.moved_bytes, 0, "the learner that was there was promoted");
}

/// The store that was to get a replica dies: the region does not wait for it.
#[test]
fn a_target_that_dies_is_given_up_and_its_learner_too() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[
        (vec![1, 2], 100_000),
        (vec![1, 2, 3], 10),
        (vec![2, 3, 1], 10),
        (vec![3, 1, 2], 10),
    ]);
    let learner_on = |c: &Cluster| {
        c.region(1).meta.peers.iter().find(|p| p.role == scheduler::PeerRole::Learner).map(|p| p.store)
    };
    cluster.run_until(5_000, "a learner comes", |c| learner_on(c).is_some());
    let target = learner_on(&cluster).unwrap();
    assert_eq!(target, StoreId(4), "the store that holds least");
    cluster.kill(4);
    cluster.run_until(120_000, "another learner comes", |c| learner_on(c) == Some(StoreId(3)));
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.ended[0].1.contains("store 4 is silent or leaves"), "{why:?}");
}

/// The newcomer's store dies after it has caught up, before it gets its vote: the region keeps its voters.
#[test]
fn a_newcomer_that_dies_before_its_vote_costs_nobody_his() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3], 10)]);
    cluster.run(2_000);
    let request = OperatorRequest::TransferPeer { region: RegionId(1), from: StoreId(3), to: StoreId(4) };
    cluster.planner.add_operator(cluster.now, request).unwrap();
    cluster.run_until(2_000, "a learner on store 4", |c| c.region(1).meta.peer_on(StoreId(4)).is_some());
    // The command that follows is lost.
    cluster.deaf = true;
    cluster.run_until(2_000, "it has caught up", |c| c.regions[&RegionId(1)].catching_up.is_empty());
    cluster.run(200);
    let current = cluster.planner.operators().next().unwrap();
    assert!(matches!(current.steps[current.current], Step::EnterJoint { .. }), "{current:?}");
    cluster.kill(4);
    cluster.deaf = false;
    cluster.run(30_000);
    let voters = |c: &Cluster| {
        let peers = &c.region(1).meta.peers;
        peers.iter().filter(|p| p.role == scheduler::PeerRole::Voter).map(|p| p.store.0).collect::<Vec<_>>()
    };
    assert_eq!(voters(&cluster), [1, 2, 3]);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    let waits_for = why.operator.as_ref().unwrap().waits_for.clone();
    let newcomer = cluster.region(1).meta.peer_on(StoreId(4)).unwrap().id;
    assert_eq!(waits_for, Some(Refusal::Ailing(newcomer)), "{why:?}");
    assert_eq!(why.now, [Refusal::Ailing(newcomer)], "{why:?}");
    cluster.run_until(60_000, "the learner is given up", |c| c.region(1).meta.peers.len() == 3);
    assert_eq!(voters(&cluster), [1, 2, 3]);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.ended[0].1.contains("store 4 is silent or leaves"), "{why:?}");
    assert!(why.kept.iter().any(|n| matches!(n.refusal, Refusal::StoreSilent { .. })), "{why:?}");
}

/// A surplus voter goes only while as many as wanted work without it; the reason stands in the end of its operator.
#[test]
fn a_surplus_voter_stays_while_another_one_ails() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3, 4], 10)]);
    cluster.deaf = true;
    cluster.run(2_000);
    let current = cluster.planner.operators().next().unwrap();
    let Step::RemovePeer(old) = current.steps[current.current] else { panic!("{current:?}") };
    let other = [2, 3, 4].into_iter().find(|s| StoreId(*s) != old.store).unwrap();
    cluster.kill(other);
    cluster.deaf = false;
    cluster.run(55_000);
    assert_eq!(cluster.region(1).meta.peers.len(), 4);
    cluster.run(10_000);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.ended[0].1.contains("had to wait for 60000 ms"), "{why:?}");
    assert!(why.ended[0].1.contains("has 2 other healthy voters, 3 are needed"), "{why:?}");
    // The dead one goes instead.
    cluster.run_until(10_000, "three voters", |c| c.region(1).meta.peers.len() == 3);
    assert_eq!(cluster.region(1).meta.peer_on(StoreId(other)), None);
}

#[test]
fn a_joint_state_that_nobody_owns_is_left() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3, 4], 10)]);
    let report = &mut cluster.regions.get_mut(&RegionId(1)).unwrap().report;
    report.meta.peers[0].role = scheduler::PeerRole::DemotingVoter;
    report.meta.peers[3].role = scheduler::PeerRole::IncomingVoter;
    report.leader = report.meta.peers[0];
    cluster.run_until(20_000, "three voters", Cluster::all_replicated);
    let first = cluster.operator_log().find_map(|e| match &e.what {
        OperatorChange::Created(view) => Some(view.clone()),
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!(first.cause, Cause::LeaveJoint);
    assert!(matches!(first.steps[..], [Step::TransferLeader { .. }, Step::LeaveJoint { .. }]), "{first:?}");
}

#[test]
fn the_only_replica_of_a_region_moves() {
    let config = Config { max_replicas: 1, ..Config::default() };
    let mut cluster = Cluster::new(config, 1, 2);
    cluster.add_regions(&[(vec![1], 10)]);
    cluster.run(2_000);
    cluster.set_state(1, NodeState::Removing);
    cluster.run_until(20_000, "store 1 is buried", |c| c.buried.contains(&StoreId(1)));
    assert_eq!(cluster.region(1).leader.store, StoreId(2));
}

#[test]
fn a_command_is_said_again_until_a_heartbeat_shows_its_effect() {
    let mut cluster = Cluster::new(Config::default(), 1, 3);
    cluster.add_regions(&[(vec![1], 1)]);
    cluster.deaf = true;
    cluster.run(30_000);
    let commands: Vec<_> = cluster
        .effects
        .iter()
        .filter_map(|e| match e {
            Effect::Command(command) => Some(command.clone()),
            _ => None,
        })
        .collect();
    assert!((4..=15).contains(&commands.len()), "{} commands in 30 s", commands.len());
    assert!(commands.iter().all(|c| *c == commands[0]), "the same command each time");
    assert!(matches!(&commands[0].action, Action::ChangePeers(changes) if changes.len() == 1));
    cluster.deaf = false;
    cluster.run_until(20_000, "three voters", Cluster::all_replicated);
    assert_eq!(cluster.operators_created(), 2);
}

#[test]
fn a_step_without_effect_times_out_with_its_reason() {
    let mut cluster = Cluster::new(Config::default(), 1, 3);
    cluster.add_regions(&[(vec![1, 2, 3], 1)]);
    cluster.run(2_000);
    cluster.deaf = true;
    let request = OperatorRequest::TransferLeader { region: RegionId(1), to: StoreId(2) };
    cluster.planner.add_operator(cluster.now, request).unwrap();
    cluster.run(61_000);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert_eq!(why.ended.len(), 1);
    assert!(why.ended[0].1.contains("timed out: step 0 showed no effect within 60000 ms"), "{why:?}");
    assert!(why.operator.is_none());
}

#[test]
fn a_foreign_change_of_peers_ends_the_operator() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3], 1)]);
    cluster.run(2_000);
    cluster.deaf = true;
    let request = OperatorRequest::TransferPeer { region: RegionId(1), from: StoreId(3), to: StoreId(4) };
    cluster.planner.add_operator(cluster.now, request).unwrap();
    cluster.run(200);
    let region = cluster.regions.get_mut(&RegionId(1)).unwrap();
    region.report.meta.epoch.conf_ver += 2;
    region.heartbeat_at = cluster.now;
    cluster.run(200);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.ended[0].1.contains("2 changes of peers seen, 0 are its own"), "{why:?}");
}

#[test]
fn halted_scheduling_makes_no_operator_and_grants_no_split() {
    let config = Config { halt_scheduling: true, ..Config::default() };
    let mut cluster = Cluster::new(config, 1, 4);
    cluster.add_regions(&[(vec![1], 1), (vec![1, 2, 3, 4], 10)]);
    cluster.run(40_000);
    assert_eq!(cluster.operators_created(), 0);
    let why = cluster.planner.explain_region(cluster.now, RegionId(1)).unwrap();
    assert!(why.now.contains(&Refusal::Halted), "{why:?}");
    let epoch = cluster.region(1).meta.epoch;
    assert_eq!(
        cluster.planner.handle_split_request(cluster.now, RegionId(1), epoch, 1),
        Err(Refusal::Halted)
    );
    cluster.planner.handle_config(cluster.now, Config::default());
    cluster.run_until(20_000, "three voters each", Cluster::all_replicated);
}

#[test]
fn the_limit_of_repairs_holds() {
    let config = Config { replica_schedule_limit: 3, ..Config::default() };
    let mut cluster = Cluster::new(config, 1, 4);
    cluster.add_regions(&on_each(&[1, 2, 3], 40));
    cluster.run(3_000);
    cluster.set_state(1, NodeState::Removing);
    for _ in 0..600 {
        cluster.step();
        let replica =
            cluster.planner.operators().filter(|o| o.kind == scheduler::OperatorKind::Replica).count();
        assert!(replica <= 3);
        if cluster.buried.contains(&StoreId(1)) {
            return;
        }
    }
    panic!("not drained in a minute");
}

#[test]
fn an_operator_by_hand_is_refused_with_its_reason() {
    let mut cluster = Cluster::new(Config::default(), 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3], 10)]);
    cluster.run(2_000);
    let now = cluster.now;
    let region = RegionId(1);
    let mut ask = |request| cluster.planner.add_operator(now, request).unwrap_err();
    let (one, two, four, nine) = (StoreId(1), StoreId(2), StoreId(4), StoreId(9));
    assert_eq!(
        ask(OperatorRequest::AddPeer { region: RegionId(5), store: one }),
        Refusal::UnknownRegion(RegionId(5))
    );
    assert_eq!(ask(OperatorRequest::AddPeer { region, store: nine }), Refusal::UnknownStore(nine));
    assert_eq!(ask(OperatorRequest::AddPeer { region, store: one }), Refusal::HoldsReplica(one));
    assert_eq!(ask(OperatorRequest::RemovePeer { region, store: four }), Refusal::HoldsNoReplica(four));
    assert_eq!(ask(OperatorRequest::TransferLeader { region, to: four }), Refusal::HoldsNoReplica(four));
    assert_eq!(ask(OperatorRequest::TransferLeader { region, to: one }), Refusal::NothingToDo(region));
    let split = |keys: Vec<&'static str>| OperatorRequest::Split {
        region,
        policy: scheduler::SplitPolicy::UseKey,
        keys: keys.into_iter().map(bytes::Bytes::from).collect(),
    };
    assert!(matches!(ask(split(vec![])), Refusal::BadRequest(_)));
    assert!(matches!(ask(split(vec!["b", "a"])), Refusal::BadRequest(_)));
    assert_eq!(cluster.operators_created(), 0);
    cluster.planner.add_operator(now, OperatorRequest::TransferLeader { region, to: two }).unwrap();
    assert_eq!(
        cluster.planner.add_operator(now, OperatorRequest::TransferLeader { region, to: two }),
        Err(Refusal::OperatorRuns(region))
    );
    cluster.planner.cancel_operator(now, region).unwrap();
    assert_eq!(cluster.planner.cancel_operator(now, region), Err(Refusal::NoOperator(region)));
}
