//! What people read when they ask why.

use scheduler::{Config, NodeState, RegionEpoch, RegionMeta, RegionReport, StoreMeta, StoreStats};

use super::*;

const DOWN_MS: u64 = 30 * 60 * 1_000;

/// Three stores and one Region on them.
fn planner() -> Planner {
    let mut planner = Planner::new(Config::default(), 7, Time(0));
    for id in 1..=3 {
        put(&mut planner, id, NodeState::Serving);
        beat(&mut planner, id, Time(0), 1 << 39);
    }
    let peers: Vec<Peer> = (1..=3).map(|n| Peer::voter(scheduler::PeerId(10 + n), StoreId(n))).collect();
    let report = RegionReport {
        leader: peers[0],
        meta: RegionMeta {
            id: RegionId(7),
            peers,
            epoch: RegionEpoch { conf_ver: 3, version: 1 },
            ..RegionMeta::default()
        },
        term: 5,
        size_bytes: 10 << 20,
        ..RegionReport::default()
    };
    planner.handle_region_heartbeat(Time(0), &report).unwrap();
    planner
}

fn put(planner: &mut Planner, id: u64, node_state: NodeState) {
    let meta = StoreMeta { id: StoreId(id), node_state, ..StoreMeta::default() };
    planner.handle_store_meta(Time(0), meta).unwrap();
}

fn beat(planner: &mut Planner, id: u64, now: Time, available_bytes: u64) {
    let stats = StoreStats {
        store: StoreId(id),
        capacity_bytes: 1 << 40,
        available_bytes,
        region_count: 1,
        ..StoreStats::default()
    };
    planner.handle_store_heartbeat(now, stats).unwrap();
}

fn beat_all(planner: &mut Planner, stores: &[u64], now: Time) {
    for store in stores {
        beat(planner, *store, now, 1 << 39);
    }
}

fn region_why(planner: &Planner, now: Time) -> Why {
    let view = planner.reader().get_by_id(RegionId(7)).unwrap();
    region(RegionFacts::ask(planner, now, &view).unwrap(), &view, 1_000_000 + now.0)
}

fn store_why(planner: &Planner, now: Time, id: u64) -> Why {
    store(StoreFacts::ask(planner, now, StoreId(id)).unwrap(), 1_000_000 + now.0)
}

#[test]
fn a_healthy_region_says_so() {
    let why = region_why(&planner(), Time(1_000));
    assert_eq!(why.summary, "region 7 is healthy: 3 of 3 replicas, nothing to do");
    assert!(why.healthy && why.lines.is_empty());
    assert_eq!(why.region.unwrap().heard_ms, 1_000_000);
}

#[test]
fn a_replica_on_a_silent_store_is_told_with_time_and_limit() {
    let mut planner = planner();
    let now = Time(60_000);
    beat_all(&mut planner, &[1, 2], now);
    let why = region_why(&planner, now);
    assert!(!why.healthy);
    assert_eq!((why.lines[0].number, why.lines[0].limit), (Some(60), Some(DOWN_MS / 1_000)));
    assert_eq!(why.lines[0].subject, Some(Subject::Store(3)));
    assert!(why.summary.starts_with("region 7 is not whole, and it is not time yet to repair it"));
    assert_eq!(why.next[0], "pd-ctl why store 3");
    let why = store_why(&planner, now, 3);
    assert_eq!(why.summary, "store 3 is not heard and holds 1 replica");
    assert_eq!(why.lines[0].number, Some(60_000));
}

#[test]
fn without_a_majority_why_tells_what_helps() {
    let mut planner = planner();
    let now = Time(60_000);
    beat_all(&mut planner, &[1], now);
    let why = region_why(&planner, now);
    assert_eq!(
        why.summary,
        "region 7 has lost the majority: 1 of 3 voters lives, so nothing can be repaired; bring store 2 or 3 back, and do not remove it"
    );
    assert!(!format!("{why:?}").contains("replaced after"), "{why:?}");
    assert_eq!(why.next[..2], ["pd-ctl why store 2", "pd-ctl why store 3"]);
    let why = store_why(&planner, now, 2);
    assert!(why.lines[0].text.contains("where a majority is left"), "{:?}", why.lines);
    assert_eq!(why.lines.len(), 1, "told once: {:?}", why.lines);
}

#[test]
fn one_reason_for_all_schedulers_is_told_once() {
    let mut planner = planner();
    planner.handle_config(Time(0), Config { halt_scheduling: true, ..Config::default() });
    let why = store_why(&planner, Time(1), 1);
    let halted = why.lines.iter().filter(|line| line.text.contains("halted")).count();
    assert_eq!(halted, 1, "{:?}", why.lines);
}

#[test]
fn a_store_that_was_removed_is_not_connected() {
    let mut planner = planner();
    put(&mut planner, 4, NodeState::Removed);
    let why = store_why(&planner, Time(14_000), 4);
    assert_eq!(why.lines[0].text, "store 4 was removed");
    assert_eq!(why.store.unwrap().liveness, "Unknown");
}

#[test]
fn a_repair_without_a_place_gives_the_planner_s_chain() {
    let mut planner = planner();
    let now = Time(DOWN_MS);
    beat_all(&mut planner, &[1, 2], now);
    planner.tick(now);
    let why = region_why(&planner, now);
    let kinds: Vec<&str> = why.lines.iter().filter_map(|line| line.kind.as_deref()).collect();
    assert_eq!(kinds.last(), Some(&"NoTarget"), "{why:?}");
    assert!(kinds.contains(&"HoldsReplica"));
    assert!(why.summary.contains("needs a repair and gets none: no store can take a replica"));
    assert!(why.kept.iter().any(|kept| kept.kind.as_deref() == Some("NoTarget") && kept.at_ms.is_some()));
}

#[test]
fn an_operator_under_way_is_shown_with_its_step() {
    let mut planner = planner();
    put(&mut planner, 4, NodeState::Serving);
    let now = Time(DOWN_MS);
    beat_all(&mut planner, &[1, 2, 4], now);
    planner.handle_ids(now, scheduler::IdRange { first: 100, count: 100 });
    planner.tick(now);
    let why = region_why(&planner, now);
    let operator = why.operator.unwrap();
    assert_eq!(operator.step, 0);
    assert!(operator.cause.contains("down-peer"), "{operator:?}");
    let begin = format!("region 7: {} is under way, step 1 of", operator.cause);
    assert!(why.summary.starts_with(&begin), "{}", why.summary);
}

#[test]
fn a_full_store_gets_no_more_by_number_and_limit() {
    let mut planner = planner();
    beat(&mut planner, 2, Time(1), 1 << 30);
    let why = store_why(&planner, Time(1), 2);
    assert_eq!(why.lines[0].kind.as_deref(), Some("LowSpace"));
    assert_eq!((why.lines[0].number, why.lines[0].limit), (Some(1_000), Some(800)));
    assert!(
        why.summary.starts_with("store 2 holds 1 replica and gets no more: store 2 uses"),
        "{}",
        why.summary
    );
}

#[test]
fn a_drain_that_waits_for_its_turn_says_what_for() {
    let mut planner = planner();
    planner.handle_config(Time(0), Config { replica_schedule_limit: 0, ..Config::default() });
    put(&mut planner, 4, NodeState::Serving);
    put(&mut planner, 3, NodeState::Removing);
    beat_all(&mut planner, &[1, 2, 3, 4], Time(1));
    let why = store_why(&planner, Time(1), 3);
    assert_eq!(why.summary, "the drain of store 3 is stuck: 1 replica (10 MiB) left");
    assert!(why.lines[1].text.contains("the limit is 0"), "{:?}", why.lines);
    planner.handle_config(Time(1), Config::default());
    let why = store_why(&planner, Time(1), 3);
    assert_eq!(why.summary, "the drain of store 3 goes on: 1 replica (10 MiB) left");
    assert_eq!(why.lines[1].text, "region 7 waits: 1 ids are needed, 0 are at hand");
    assert!(why.next.contains(&"pd-ctl why region 7".to_owned()), "{:?}", why.next);
}

#[test]
fn a_stuck_drain_names_its_reason() {
    let mut planner = planner();
    put(&mut planner, 3, NodeState::Removing);
    planner.tick(Time(1));
    let why = store_why(&planner, Time(1), 3);
    assert_eq!(why.summary, "the drain of store 3 is stuck: 1 replica (10 MiB) left");
    assert!(why.lines[1].text.contains("no store can take a replica of region 7"), "{:?}", why.lines);
    assert!(why.next.contains(&"pd-ctl why region 7".to_owned()));
}
