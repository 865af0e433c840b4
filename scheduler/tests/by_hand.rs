//! Operators that a person asks for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;

use scheduler::{
    Action, Cause, CheckerName, Config, Effect, EndReason, Input, OperatorChange, OperatorKind,
    OperatorRequest, PeerRole, Refusal, RegionId, SplitPolicy, Step, StoreId, TargetRole,
};
use simulated::Cluster;

const REGION: RegionId = RegionId(1);

fn cluster_of(stores: u64, replicas: &[u64]) -> Cluster {
    let mut cluster = Cluster::new(Config::default(), 1, stores);
    cluster.add_regions(&[(replicas.to_vec(), 10)]);
    cluster.run(2_000);
    cluster
}

fn ended(cluster: &Cluster) -> Vec<EndReason> {
    let reason = |change: &OperatorChange| match change {
        OperatorChange::Ended(reason) => Some(reason.clone()),
        OperatorChange::Created(_) | OperatorChange::StepDone { .. } | OperatorChange::Finished => None,
    };
    cluster.operator_log().filter_map(|e| reason(&e.what)).collect()
}

#[test]
fn all_replicas_move_to_the_stores_named_in_one_operator() {
    let mut cluster = cluster_of(6, &[1, 2, 3]);
    let targets = vec![
        (StoreId(3), TargetRole::Voter),
        (StoreId(4), TargetRole::Leader),
        (StoreId(5), TargetRole::Follower),
    ];
    cluster
        .planner
        .add_operator(cluster.now, OperatorRequest::TransferRegion { region: REGION, targets })
        .unwrap();
    let view = cluster.planner.operators().next().unwrap();
    assert_eq!((view.kind, view.cause), (OperatorKind::Admin, Cause::AdminMoveRegion));
    assert!(
        matches!(
            &view.steps[..],
            [
                Step::AddLearner(_),
                Step::AddLearner(_),
                Step::EnterJoint { promote, demote },
                Step::TransferLeader { .. },
                Step::LeaveJoint { .. },
                Step::RemovePeer(_),
                Step::RemovePeer(_)
            ] if promote.len() == 2 && demote.len() == 2
        ),
        "{view:?}"
    );
    cluster.run_until(30_000, "the operator is done", |c| c.planner.operators().next().is_none());
    let report = cluster.region(1);
    let mut stores: Vec<u64> = report.meta.peers.iter().map(|p| p.store.0).collect();
    stores.sort_unstable();
    assert_eq!((stores, report.leader.store), (vec![3, 4, 5], StoreId(4)));
    assert!(report.meta.peers.iter().all(|p| p.role == PeerRole::Voter));
    assert!(ended(&cluster).is_empty());
}

#[test]
fn a_placement_that_makes_no_sense_is_refused() {
    let mut cluster = cluster_of(4, &[1, 2, 3]);
    let now = cluster.now;
    let mut ask = |targets: &[(u64, TargetRole)]| {
        let targets = targets.iter().map(|(store, role)| (StoreId(*store), *role)).collect();
        cluster
            .planner
            .add_operator(now, OperatorRequest::TransferRegion { region: REGION, targets })
            .unwrap_err()
    };
    use TargetRole::{Follower, Leader, Learner, Voter};
    assert!(matches!(ask(&[]), Refusal::BadRequest(_)));
    assert!(
        matches!(ask(&[(1, Follower), (2, Follower), (3, Follower)]), Refusal::BadRequest(_)),
        "nobody leads"
    );
    assert!(matches!(ask(&[(1, Leader), (2, Leader), (3, Voter)]), Refusal::BadRequest(_)));
    assert!(matches!(ask(&[(1, Leader), (2, Voter), (3, Learner)]), Refusal::BadRequest(_)), "too few votes");
    assert!(matches!(ask(&[(1, Voter), (1, Voter), (2, Voter)]), Refusal::BadRequest(_)));
    assert_eq!(ask(&[(1, Voter), (2, Voter), (9, Voter)]), Refusal::UnknownStore(StoreId(9)));
    assert_eq!(ask(&[(1, Leader), (2, Voter), (3, Voter)]), Refusal::NothingToDo(REGION));
    assert_eq!(cluster.operators_created(), 0);
}

#[test]
fn a_persons_wish_takes_the_place_of_the_planners() {
    let mut cluster = Cluster::new(Config { max_store_down_time_ms: 60_000, ..Config::default() }, 1, 4);
    cluster.add_regions(&[(vec![1, 2], 10)]);
    cluster.deaf = true;
    cluster.run(2_000);
    let before = cluster.planner.operators().next().unwrap();
    assert_eq!(before.cause, Cause::AddMissingPeer);
    let request = OperatorRequest::TransferLeader { region: REGION, to: StoreId(2) };
    cluster.planner.add_operator(cluster.now, request.clone()).unwrap();
    cluster.step();
    assert_eq!(ended(&cluster), [EndReason::Replaced]);
    assert_eq!(cluster.planner.operators().next().unwrap().cause, Cause::AdminTransferLeader);
    assert_eq!(cluster.planner.add_operator(cluster.now, request), Err(Refusal::OperatorRuns(REGION)));
}

/// The promise stands above a person's wish: it waits, and says for what.
#[test]
fn a_peer_is_not_removed_below_the_number_wanted() {
    let mut cluster = cluster_of(3, &[1, 2, 3]);
    let request = OperatorRequest::RemovePeer { region: REGION, store: StoreId(2) };
    cluster.planner.add_operator(cluster.now, request).unwrap();
    cluster.run(5_000);
    let view = cluster.planner.operators().next().unwrap();
    assert_eq!(view.waits_for, Some(Refusal::TooFewHealthy { region: REGION, healthy: 2, needed: 3 }));
    cluster.run(60_000);
    assert_eq!(cluster.region(1).meta.peers.len(), 3);
    assert!(matches!(&ended(&cluster)[..], [EndReason::StepTimedOut { waits_for: Some(_), .. }]));
}

#[test]
fn a_person_does_not_wait_for_a_limit_and_uses_it_up() {
    let mut cluster = Cluster::new(Config { region_schedule_limit: 0, ..Config::default() }, 1, 4);
    cluster.add_regions(&vec![(vec![1, 2, 3], 100); 3]);
    cluster.run(2_000);
    for id in 1..=3 {
        let request = OperatorRequest::AddLearner { region: RegionId(id), store: StoreId(4) };
        cluster.planner.add_operator(cluster.now, request).unwrap();
    }
    let [add, remove] = cluster.planner.store_limits(cluster.now, StoreId(4));
    assert_eq!((add.available, remove.available), (Some(0), Some(1_000)));
}

#[test]
fn all_operators_are_cancelled_at_once() {
    let mut cluster = cluster_of(4, &[1, 2, 3]);
    let request = OperatorRequest::TransferPeer { region: REGION, from: StoreId(3), to: StoreId(4) };
    cluster.planner.add_operator(cluster.now, request).unwrap();
    assert_eq!(cluster.planner.cancel_all_operators(cluster.now), 1);
    assert_eq!(cluster.planner.cancel_all_operators(cluster.now), 0);
    cluster.step();
    assert_eq!(ended(&cluster), [EndReason::Cancelled("on request")]);
}

/// Two votes go and one comes, of four of which one is dead: two healthy ones of three would be left.
#[test]
fn votes_do_not_go_for_a_dead_one_that_stays() {
    let mut cluster = Cluster::new(Config::default(), 1, 5);
    cluster.tell(Input::PauseChecker { checker: CheckerName::Rule, for_ms: 3_600_000 });
    cluster.add_regions(&[(vec![1, 2, 3, 4], 10)]);
    cluster.run(2_000);
    cluster.kill(2);
    cluster.run(25_000);
    let targets = [1, 2, 5].map(|store| (StoreId(store), TargetRole::Voter)).to_vec();
    cluster
        .planner
        .add_operator(cluster.now, OperatorRequest::TransferRegion { region: REGION, targets })
        .unwrap();
    let waits =
        |c: &Cluster| c.planner.operators().next().is_some_and(|o| o.current == 1 && o.waits_for.is_some());
    cluster.run_until(30_000, "the exchange waits", waits);
    let view = cluster.planner.operators().next().unwrap();
    assert_eq!(view.waits_for, Some(Refusal::TooFewHealthy { region: REGION, healthy: 2, needed: 3 }));
    cluster.run(10_000);
    let voters = cluster.region(1).meta.peers.iter().filter(|p| p.role == PeerRole::Voter).count();
    assert_eq!(voters, 4);
}

/// Found by hand: while such a wish waited for its minute, the Region got no repair.
#[test]
fn a_wish_that_waits_gives_way_to_the_repair_of_a_lost_replica() {
    let mut cluster = Cluster::new(Config { max_store_down_time_ms: 25_000, ..Config::default() }, 1, 4);
    cluster.add_regions(&[(vec![1, 2, 3], 10)]);
    cluster.run(2_000);
    cluster.kill(2);
    cluster.run(15_000);
    let request = OperatorRequest::RemovePeer { region: REGION, store: StoreId(3) };
    cluster.planner.add_operator(cluster.now, request.clone()).unwrap();
    cluster.run(3_000);
    assert!(cluster.planner.operators().next().unwrap().waits_for.is_some(), "nothing is lost for good yet");
    let repairs = |c: &Cluster| c.planner.operators().any(|o| o.cause == Cause::ReplaceDownPeer);
    cluster.run_until(30_000, "the lost replica is made up", repairs);
    assert_eq!(ended(&cluster), [EndReason::Cancelled("a replica is lost and its repair goes first")]);
    // And the repair stays when the wish comes again.
    let refused = cluster.planner.add_operator(cluster.now, request);
    assert!(matches!(refused, Err(Refusal::TooFewHealthy { .. })), "{refused:?}");
    assert!(repairs(&cluster));
    cluster.run_until(60_000, "repaired", Cluster::all_replicated);
}

#[test]
fn a_split_names_at_most_a_thousand_keys() {
    let mut cluster = cluster_of(3, &[1, 2, 3]);
    let mut ask = |count: u64| {
        let keys = (0..count).map(|n| format!("k{n:06}").into()).collect();
        let policy = SplitPolicy::UseKey;
        cluster.planner.add_operator(cluster.now, OperatorRequest::Split { region: REGION, policy, keys })
    };
    assert_eq!(ask(1_025), Err(Refusal::TooManySplits { count: 1_025, limit: 1_024 }));
    ask(1_024).unwrap();
}

/// Stores cut only some keys at a time, from the left.
#[test]
fn a_split_is_asked_for_until_no_key_is_left_inside() {
    let mut cluster = cluster_of(3, &[1, 2, 3]);
    let keys = ["b", "d", "f"].map(bytes::Bytes::from).to_vec();
    let policy = SplitPolicy::UseKey;
    cluster
        .planner
        .add_operator(cluster.now, OperatorRequest::Split { region: REGION, policy, keys })
        .unwrap();
    let asked = |c: &Cluster| match c.effects.iter().rev().find_map(|effect| match effect {
        Effect::Command(command) => Some(command.action.clone()),
        Effect::NeedIds(_) | Effect::Operator(_) | Effect::Store(_) => None,
    }) {
        Some(Action::Split { keys, .. }) => keys,
        other => panic!("{other:?}"),
    };
    cluster.step();
    assert_eq!(asked(&cluster), ["b", "d", "f"]);
    let mut cut = |start: &'static str, version| {
        let region = cluster.regions.get_mut(&REGION).unwrap();
        region.report.meta.start_key = start.into();
        region.report.meta.epoch.version = version;
        region.heartbeat_at = cluster.now;
        cluster.step();
        cluster.planner.operators().next().map(|_| asked(&cluster))
    };
    assert_eq!(cut("d", 3), Some(vec!["f".into()]));
    assert_eq!(cut("f", 4), None);
    assert!(ended(&cluster).is_empty());
}
