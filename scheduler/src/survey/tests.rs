//! Each kind of trouble, made on purpose, and the map of it.

use proptest::prelude::*;

use super::*;
use crate::index::report;
use crate::model::{DownPeer, NodeState, Peer, PeerId, RegionReport, StoreId, StoreMeta, StoreStats};
use crate::model::{Rate, StoreLimit};
use crate::refusal::RefusalKind;
use crate::{Config, OperatorRequest, Planner};

/// A planner and its survey; time goes on as told.
struct Scene {
    planner: Planner,
    survey: Survey,
    now: Time,
    stores: Vec<u64>,
    reports: Vec<RegionReport>,
}

impl Scene {
    /// `regions` Regions side by side, each on the first three stores.
    fn new(stores: u64, regions: u64) -> Scene {
        Scene::with(stores, regions, Config { halt_scheduling: false, ..Config::default() })
    }

    fn with(stores: u64, regions: u64, config: Config) -> Scene {
        let mut planner = Planner::new(config, 7, Time(0));
        let survey = Survey::new(planner.reader());
        for id in 1..=stores {
            put_store(&mut planner, id, NodeState::Serving, Time(0));
        }
        let key = |n: u64| if n == 0 || n == regions { String::new() } else { format!("k{n:06}") };
        let reports = (0..regions).map(|n| report(n + 1, &key(n), &key(n + 1), (5, 5), &[1, 2, 3])).collect();
        let mut scene = Scene { planner, survey, now: Time(0), stores: (1..=stores).collect(), reports };
        scene.beat_stores();
        scene.beat_regions();
        scene
    }

    fn beat_stores(&mut self) {
        for store in self.stores.clone() {
            let known = self.planner.store_summary(self.now, StoreId(store)).map_or(0, |s| s.region_count);
            let stats = StoreStats {
                store: StoreId(store),
                capacity_bytes: 1 << 40,
                available_bytes: 1 << 39,
                region_count: known,
                ..StoreStats::default()
            };
            self.planner.handle_store_heartbeat(self.now, stats).unwrap();
        }
    }

    fn beat_regions(&mut self) {
        self.planner.handle_region_heartbeats(self.now, &self.reports);
        while self.planner.poll_effect().is_some() {}
    }

    /// Time passes; those in `stores` are heard every 10 s.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(10) {
            self.now = self.now.after_ms(10_000);
            self.beat_stores();
        }
    }

    fn health(&mut self) -> ClusterHealth {
        let standing = self.planner.standing(self.now);
        self.survey.refresh(standing);
        self.survey.health()
    }

    fn only(&mut self) -> Finding {
        let mut findings = self.health().findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }
}

fn put_store(planner: &mut Planner, id: u64, node_state: NodeState, now: Time) {
    planner
        .handle_store_meta(now, StoreMeta { id: StoreId(id), node_state, ..StoreMeta::default() })
        .unwrap();
}

#[test]
fn nothing_is_wrong_with_a_whole_cluster() {
    let mut scene = Scene::new(3, 500);
    let health = scene.health();
    assert_eq!((health.findings, health.learning), (Vec::new(), false));
    assert_eq!(health.heard, Heard { regions_permille: 1000, stores: 3, stores_expected: 3 });
    assert_eq!(scene.survey.regions(), 500);
}

#[test]
fn a_silent_store_is_one_finding_with_its_count_and_time() {
    let mut scene = Scene::new(4, 500);
    scene.health();
    scene.stores.retain(|s| *s != 2);
    scene.pass(30);
    let found = scene.only();
    assert_eq!(found.kind, FindingKind::Region(RegionTrouble::Short));
    assert_eq!(found.cause, Some(RegionCause::Store(StoreId(2), StoreTrouble::Disconnected)));
    assert_eq!((found.count, found.bytes), (500, Some(500 * (10 << 20))));
    assert_eq!(found.since, Some(Time(0)), "its last heartbeat");
    assert_eq!(found.subjects.len(), 50);
    // It comes back.
    scene.stores.push(2);
    scene.pass(10);
    assert_eq!(scene.health().findings, Vec::new());
}

#[test]
fn a_broken_stream_tells_at_once() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    scene.planner.handle_stream_closed(scene.now, StoreId(3));
    let found = scene.only();
    assert_eq!(found.cause, Some(RegionCause::Store(StoreId(3), StoreTrouble::Disconnected)));
}

#[test]
fn a_silent_store_without_regions_is_told_by_itself() {
    let mut scene = Scene::new(4, 5);
    scene.health();
    scene.stores.retain(|s| *s != 4);
    scene.pass(30);
    assert_eq!(scene.only().kind, FindingKind::StoreSilent(StoreTrouble::Disconnected));
    scene.pass(30 * 60);
    assert_eq!(scene.only().kind, FindingKind::StoreSilent(StoreTrouble::Down));
}

#[test]
fn two_silent_stores_of_three_end_the_quorum_by_the_last_of_them() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    scene.stores.retain(|s| *s != 1);
    scene.pass(10);
    scene.stores.retain(|s| *s != 3);
    scene.pass(40);
    let found = scene.health().findings;
    assert_eq!(found[0].kind, FindingKind::Region(RegionTrouble::NoQuorum));
    assert_eq!(found[0].cause.and_then(RegionCause::store), Some(StoreId(3)), "the last straw");
    assert_eq!(found[0].count, 5);
    // The other one is not heard either: bringing it back would help as well.
    assert_eq!(found[0].also, [StoreId(1)]);
    assert_eq!(found.len(), 1);
    let view = scene.planner.reader().get_by_id(RegionId(4)).unwrap();
    let judged = scene.planner.judge_region(scene.now, &view).unwrap();
    assert_eq!((judged.trouble, judged.cause), (Some(RegionTrouble::NoQuorum), found[0].cause));
    assert_eq!((judged.living, judged.voters), (1, 3));
}

#[test]
fn one_replica_on_the_only_store_is_the_rule_s_fault() {
    let mut scene = Scene::new(1, 1);
    scene.reports = vec![report(1, "", "", (9, 5), &[1])];
    scene.beat_regions();
    scene.beat_stores();
    let found = scene.health().findings;
    assert_eq!(found[0].kind, FindingKind::Region(RegionTrouble::LastReplica));
    assert_eq!(found[0].cause, Some(RegionCause::TooFewStores));
    scene.planner.tick(scene.now);
    assert_eq!(scene.only().cause, Some(RegionCause::TooFewStores), "told once");
}

#[test]
fn too_few_stores_are_told_when_no_region_suffers_yet() {
    let mut scene = Scene::with(3, 5, Config { max_replicas: 3, ..Config::default() });
    scene.health();
    put_store(&mut scene.planner, 3, NodeState::Removing, scene.now);
    let found = scene.health().findings;
    let few = found.iter().find(|f| f.kind == FindingKind::TooFewStores).unwrap();
    assert_eq!(few.numbers, Some((2, 3)));
}

#[test]
fn a_drain_that_a_limit_stops_for_good_is_blocked() {
    let stopped = |config: Config| {
        let mut scene = Scene::with(4, 5, config);
        scene.health();
        put_store(&mut scene.planner, 3, NodeState::Removing, scene.now);
        let standing = scene.planner.standing(scene.now);
        standing.drains[0].stopped.as_ref().map(|stop| (stop.refusal.kind(), stop.regions.len()))
    };
    assert_eq!(stopped(Config::default()), None, "it begins with the next tick");
    let none = Config { replica_schedule_limit: 0, ..Config::default() };
    assert_eq!(stopped(none.clone()), Some((RefusalKind::OperatorLimit, 5)));
    // What comes behind the limit in the chain does not hide it.
    let drop_by_drop = |rate| StoreLimit { add_peer: Rate::per_minute(rate), remove_peer: Rate::UNLIMITED };
    let both = Config { default_store_limit: drop_by_drop(15.0), ..none };
    assert_eq!(stopped(both), Some((RefusalKind::OperatorLimit, 5)));
}

#[test]
fn a_drain_that_goes_by_drops_is_blocked_by_its_limit() {
    for (rate, blocked) in [(0.01, true), (0.05, false)] {
        let limit = StoreLimit { add_peer: Rate::per_minute(rate), remove_peer: Rate::UNLIMITED };
        let mut scene = Scene::with(4, 5, Config { default_store_limit: limit, ..Config::default() });
        scene.health();
        // People use the limit up.
        scene.planner.handle_ids(scene.now, crate::IdRange { first: 1_000, count: 100 });
        for region in 1..=5 {
            let learner = OperatorRequest::AddLearner { region: RegionId(region), store: StoreId(4) };
            scene.planner.add_operator(scene.now, learner).unwrap();
            scene.planner.cancel_operator(scene.now, RegionId(region)).unwrap();
        }
        put_store(&mut scene.planner, 3, NodeState::Removing, scene.now);
        let drain = scene.planner.standing(scene.now).drains.remove(0);
        let kind = |refusal: &crate::Refusal| refusal.kind();
        assert_eq!(drain.waits.as_ref().map(|(_, r)| kind(r)), Some(RefusalKind::StoreLimit), "{rate}");
        let found = scene.health().findings;
        let found = found.iter().find(|f| f.kind == FindingKind::DrainBlocked);
        let reason = found.and_then(|f| f.reason.as_ref()).map(kind);
        assert_eq!(reason, blocked.then_some(RefusalKind::StoreLimit), "{rate}");
    }
}

#[test]
fn a_drain_without_a_place_is_blocked_by_the_planner_s_own_reason() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    put_store(&mut scene.planner, 3, NodeState::Removing, scene.now);
    scene.planner.tick(scene.now);
    let found = scene.health().findings;
    let drain = found.iter().find(|f| f.kind == FindingKind::DrainBlocked).unwrap();
    assert_eq!(drain.count, 5);
    assert_eq!(drain.reason.as_ref().map(crate::Refusal::kind), Some(RefusalKind::NoTarget));
    assert_eq!(drain.subjects[0], FindingSubject::Store(StoreId(3)));
    assert!(!found.iter().any(|f| f.kind == FindingKind::RepairBlocked), "told once: {found:?}");
    // One that goes on.
    let leads = OperatorRequest::TransferLeader { region: RegionId(1), to: StoreId(2) };
    scene.planner.add_operator(scene.now, leads).unwrap();
    let found = scene.health().findings;
    assert!(!found.iter().any(|f| f.kind == FindingKind::DrainBlocked), "{found:?}");
    scene.planner.cancel_operator(scene.now, RegionId(1)).unwrap();
    assert!(scene.health().findings.iter().any(|f| f.kind == FindingKind::DrainBlocked));
    // A place for it.
    put_store(&mut scene.planner, 4, NodeState::Serving, scene.now);
    scene.stores.push(4);
    scene.beat_stores();
    let found = scene.health().findings;
    assert!(!found.iter().any(|f| f.kind == FindingKind::DrainBlocked), "{found:?}");
}

#[test]
fn a_repair_without_a_place_is_blocked_too() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    scene.stores.retain(|s| *s != 3);
    scene.pass(31 * 60);
    scene.planner.tick(scene.now);
    let found = scene.health().findings;
    assert_eq!(found[0].kind, FindingKind::Region(RegionTrouble::Short));
    assert_eq!(found[0].cause, Some(RegionCause::Store(StoreId(3), StoreTrouble::Down)));
    let repair = found.iter().find(|f| f.kind == FindingKind::RepairBlocked).unwrap();
    assert_eq!(repair.count, 5);
}

#[test]
fn a_peer_that_its_leader_misses_is_told_with_its_store() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    let peer = scene.reports[2].meta.peers[1];
    scene.reports[2].down = vec![DownPeer { peer: peer.id, seconds: 40 }];
    scene.beat_regions();
    let found = scene.only();
    assert_eq!(found.kind, FindingKind::Region(RegionTrouble::Short));
    assert_eq!(found.cause, Some(RegionCause::PeerDown(peer.store)));
    assert_eq!(found.subjects, [FindingSubject::Region(RegionId(3))]);
    // The seconds grow, the time stays.
    scene.reports[2].down[0].seconds = 50;
    scene.pass(10);
    scene.beat_regions();
    assert_eq!(scene.only().since, found.since);
    // So it does when its page changes for another Region.
    scene.reports[3].leader = scene.reports[3].meta.peers[2];
    scene.pass(10);
    scene.beat_regions();
    assert_eq!(scene.only().since, found.since);
}

#[test]
fn pending_and_leftover_peers_are_told_when_they_stay() {
    let mut scene = Scene::with(4, 5, Config { halt_scheduling: true, ..Config::default() });
    scene.health();
    scene.reports[0].pending = vec![scene.reports[0].meta.peers[2].id];
    scene.reports[1].meta.peers.push(Peer::learner(PeerId(999), StoreId(4)));
    scene.reports[1].meta.epoch.conf_ver += 1;
    scene.beat_regions();
    let kinds = |scene: &mut Scene| {
        let found = scene.health().findings.into_iter().map(|f| f.kind);
        found.filter(|k| matches!(k, FindingKind::Region(_))).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&mut scene), []);
    scene.pass(11 * 60);
    let stay = [FindingKind::Region(RegionTrouble::Pending), FindingKind::Region(RegionTrouble::Leftover)];
    assert_eq!(kinds(&mut scene), stay);
}

#[test]
fn followers_that_are_behind_for_a_moment_are_no_risk() {
    let mut scene = Scene::new(3, 5);
    scene.health();
    let peers = scene.reports[0].meta.peers.clone();
    scene.reports[0].pending = vec![peers[1].id, peers[2].id];
    scene.beat_regions();
    assert_eq!(scene.health().findings, Vec::new(), "a change of the leader");
    scene.pass(9 * 60);
    assert_eq!(scene.health().findings, Vec::new());
    scene.pass(60);
    assert_eq!(scene.only().kind, FindingKind::Region(RegionTrouble::LastReplica), "they stay behind");
    scene.reports[0].pending = Vec::new();
    scene.beat_regions();
    assert_eq!(scene.health().findings, Vec::new());
}

#[test]
fn a_follower_behind_for_a_moment_beside_a_lost_one_is_no_risk() {
    let mut scene = Scene::new(4, 5);
    scene.health();
    scene.stores.retain(|s| *s != 3);
    scene.pass(15 * 60);
    assert_eq!(scene.only().kind, FindingKind::Region(RegionTrouble::Short));
    scene.reports[0].pending = vec![scene.reports[0].meta.peers[1].id];
    scene.beat_regions();
    let found = scene.only();
    assert_eq!(
        (found.kind, found.count),
        (FindingKind::Region(RegionTrouble::Short), 5),
        "not by its store's time"
    );
    scene.pass(10 * 60);
    let found = scene.health().findings;
    let kinds: Vec<_> = found.iter().map(|f| (f.kind, f.count)).collect();
    assert_eq!(
        kinds,
        [
            (FindingKind::Region(RegionTrouble::LastReplica), 1),
            (FindingKind::Region(RegionTrouble::Short), 4)
        ]
    );
}

#[test]
fn many_stores_with_one_trouble_are_one_finding() {
    let mut scene = Scene::new(70, 5);
    scene.health();
    scene.stores.truncate(63);
    for id in 4..=63 {
        let stats = StoreStats {
            store: StoreId(id),
            capacity_bytes: 1 << 40,
            available_bytes: 1 << 30,
            ..StoreStats::default()
        };
        scene.planner.handle_store_heartbeat(scene.now, stats).unwrap();
    }
    let full = scene.only();
    assert_eq!((full.kind, full.count, full.subjects.len()), (FindingKind::LowSpace, 60, 50));
    scene.pass(30);
    let silent = scene.only();
    assert_eq!(silent.kind, FindingKind::StoreSilent(StoreTrouble::Disconnected));
    assert_eq!((silent.count, silent.since), (7, Some(Time(0))));
}

#[test]
fn drains_that_are_halted_are_told_once() {
    let mut scene = Scene::with(5, 5, Config { halt_scheduling: true, ..Config::default() });
    scene.health();
    for store in [2, 3] {
        put_store(&mut scene.planner, store, NodeState::Removing, scene.now);
    }
    let found = scene.only();
    assert_eq!((found.kind, found.cause), (FindingKind::DrainBlocked, Some(RegionCause::Halted)));
    assert_eq!((found.count, found.bytes), (10, Some(10 * (10 << 20))));
    let stores = [FindingSubject::Store(StoreId(2)), FindingSubject::Store(StoreId(3))];
    assert_eq!(found.subjects[..2], stores);
    assert_eq!(found.subjects[2], FindingSubject::Region(RegionId(1)));
}

#[test]
fn a_drain_does_not_hide_refused_repairs() {
    let mut scene = Scene::new(4, 21);
    let last = &mut scene.reports[20].meta;
    last.peers[2] = Peer::voter(PeerId(999), StoreId(4));
    last.epoch.conf_ver += 1;
    scene.beat_regions();
    scene.health();
    scene.stores.retain(|s| *s != 4);
    scene.pass(31 * 60);
    put_store(&mut scene.planner, 3, NodeState::Removing, scene.now);
    scene.planner.tick(scene.now);
    let found = scene.health().findings;
    let repair = found.iter().find(|f| f.kind == FindingKind::RepairBlocked);
    let repair = repair.map(|f| (f.count, f.subjects.clone()));
    assert_eq!(repair, Some((1, vec![FindingSubject::Region(RegionId(21))])), "{found:#?}");
}

#[test]
fn halted_scheduling_and_a_full_disk_are_told() {
    let mut scene = Scene::with(3, 5, Config { halt_scheduling: true, ..Config::default() });
    assert_eq!(scene.only().kind, FindingKind::Halted);
    let stats = StoreStats {
        store: StoreId(2),
        capacity_bytes: 1 << 40,
        available_bytes: 1 << 30,
        region_count: 5,
        ..StoreStats::default()
    };
    scene.planner.handle_store_heartbeat(scene.now, stats).unwrap();
    let found = scene.health().findings;
    assert_eq!(found[1].kind, FindingKind::LowSpace);
    assert_eq!(found[1].subjects, [FindingSubject::Store(StoreId(2))]);
}

#[test]
fn a_new_leader_learns_before_it_tells_of_holes() {
    let mut planner = Planner::new(Config::default(), 7, Time(0));
    let survey = Survey::new(planner.reader());
    for id in 1..=3 {
        put_store(&mut planner, id, NodeState::Serving, Time(0));
    }
    let mut scene = Scene { planner, survey, now: Time(1), stores: vec![1, 2], reports: Vec::new() };
    let health = scene.health();
    assert!(health.learning && health.findings.is_empty(), "{health:?}");
    assert_eq!(health.heard.regions_permille, 0);
    for store in [1, 2] {
        let stats = StoreStats { store: StoreId(store), region_count: 2, ..StoreStats::default() };
        scene.planner.handle_store_heartbeat(scene.now, stats).unwrap();
    }
    scene.reports = vec![report(1, "", "m", (5, 5), &[1, 2, 3])];
    scene.beat_regions();
    let health = scene.health();
    assert!(health.learning && health.findings.is_empty(), "{health:?}");
    assert_eq!(health.heard, Heard { regions_permille: 333, stores: 2, stores_expected: 3 });
    scene.now = Time(LEARNING_MS_MAX);
    let health = scene.health();
    assert!(!health.learning);
    let holes = health.findings.iter().find(|f| f.kind == FindingKind::Holes).unwrap();
    assert_eq!(holes.subjects, [FindingSubject::Range(Bytes::from_static(b"m"), Bytes::new())]);
}

fn request(cells: usize) -> MapRequest {
    MapRequest { start: Bytes::new(), end: Bytes::new(), cells, by: By::Regions }
}

#[test]
fn the_map_tiles_the_range_and_counts_all() {
    let mut scene = Scene::new(3, 5000);
    scene.health();
    for (cells, by) in
        [(1, By::Regions), (7, By::Bytes), (100, By::Keys), (1500, By::Regions), (9000, By::Regions)]
    {
        let map = scene.survey.key_map(&MapRequest { by, ..request(cells) });
        assert!(map.cells.len() <= cells, "{} of {cells}", map.cells.len());
        assert_eq!(map.cells.iter().map(|c| c.regions).sum::<u64>(), 5000);
        assert_eq!(map.cells.iter().map(|c| c.bytes).sum::<u64>(), 5000 * (10 << 20));
        assert!(map.cells.windows(2).all(|w| w[0].start < w[1].start));
        assert!(map.cells.iter().all(|c| c.leader == StoreId(1) && c.leader_permille == 1000));
        assert_eq!((map.cells[0].start.len(), map.end.len()), (0, 0));
    }
}

#[test]
fn each_region_in_trouble_stands_in_a_column_of_its_own() {
    let mut scene = Scene::new(3, 5000);
    scene.health();
    for n in [17, 2500, 2501, 4999] {
        let peer = scene.reports[n].meta.peers[1].id;
        scene.reports[n].down = vec![DownPeer { peer, seconds: 1 }];
    }
    scene.beat_regions();
    scene.health();
    let map = scene.survey.key_map(&request(100));
    assert!(map.cells.len() <= 100);
    let alone = map.cells.iter().filter(|c| c.trouble.is_some());
    let found: Vec<(u64, Option<RegionId>)> =
        alone.map(|c| (c.regions, c.trouble.and_then(|t| t.example))).collect();
    let expected: Vec<_> = [18, 2501, 2502, 5000].map(|id| (1, Some(RegionId(id)))).into();
    assert_eq!(found, expected);
}

#[test]
fn trouble_everywhere_keeps_the_bound_and_loses_nothing() {
    let mut scene = Scene::new(3, 5000);
    scene.health();
    scene.stores.retain(|s| *s != 1);
    scene.pass(30);
    scene.health();
    for cells in [1, 2, 3, 100, 1500] {
        let map = scene.survey.key_map(&request(cells));
        assert!(map.cells.len() <= cells);
        let troubled: u64 = map.cells.iter().filter_map(|c| c.trouble).map(|t| t.down).sum();
        assert_eq!(troubled, 5000);
    }
}

#[test]
fn a_part_of_the_key_space_is_seen_region_by_region() {
    let mut scene = Scene::new(3, 5000);
    scene.health();
    let (start, end) = (Bytes::from_static(b"k001000"), Bytes::from_static(b"k001010"));
    let map = scene.survey.key_map(&MapRequest { start: start.clone(), end: end.clone(), ..request(1500) });
    assert_eq!(map.cells.len(), 10);
    assert_eq!((&map.cells[0].start, &map.end), (&start, &end));
    assert!(map.cells.iter().all(|c| c.regions == 1));
}

#[test]
fn what_has_not_changed_is_not_looked_at_again() {
    let mut scene = Scene::new(3, 5000);
    scene.health();
    let kept =
        |survey: &Survey| survey.pages.values().map(|s| s.leaders.as_ptr() as usize).collect::<Vec<_>>();
    let before = kept(&scene.survey);
    scene.health();
    assert_eq!(before, kept(&scene.survey));
    scene.reports[0].leader = scene.reports[0].meta.peers[1];
    scene.beat_regions();
    scene.health();
    let changed = before.iter().zip(kept(&scene.survey)).filter(|(a, b)| **a != *b).count();
    assert_eq!(changed, 1, "the page of the first region only");
}

/// Something that happens: a Region appears over a range, possibly with Peers that ail, or a Store falls silent or speaks.
fn event() -> impl Strategy<Value = (u64, u64, u64, Vec<u64>, u8, u8)> {
    let stores = proptest::sample::subsequence(vec![1, 2, 3, 4, 5_u64], 1..=4);
    (1_u64..400, 0_u64..999, 1_u64..30, stores, 0_u8..8, 0_u8..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    /// What was kept from page to page is what a look at everything finds.
    #[test]
    fn a_kept_survey_is_equal_to_a_new_one(events in proptest::collection::vec(event(), 1..300)) {
        let mut scene = Scene::with(5, 300, Config { halt_scheduling: true, ..Config::default() });
        for (n, (id, start, width, stores, ails, store)) in events.into_iter().enumerate() {
            let version = 6 + n as u64;
            let (start, end) = (format!("k{start:06}"), format!("k{:06}", start + width));
            let mut report = report(id, &start, &end, (version, version), &stores);
            if ails == 0 {
                report.down = vec![DownPeer { peer: report.meta.peers[0].id, seconds: 1 }];
            }
            if ails < 2 {
                report.pending = vec![report.meta.peers[0].id];
            }
            // One that is refused changes nothing: the survey must not see it either.
            let _ = scene.planner.handle_region_heartbeat(scene.now, &report);
            if store < 5 {
                scene.stores.retain(|s| *s != u64::from(store) + 1);
            } else if store == 5 {
                scene.stores = (1..=5).collect();
            }
            if n % 7 == 0 {
                scene.pass(10);
            }
            if n % 3 == 0 {
                scene.health();
            }
        }
        let kept = scene.health();
        let mut anew = Survey::new(scene.planner.reader());
        anew.refresh(scene.planner.standing(scene.now));
        anew.learned = scene.survey.learned;
        let timeless = |health: ClusterHealth| {
            let strip = |f: Finding| (f.kind, f.cause, f.count, f.bytes, f.subjects);
            // Found only when they stay: a new survey has not seen them for long.
            let stays = |f: &Finding| {
                matches!(f.kind, FindingKind::Region(RegionTrouble::Pending | RegionTrouble::Leftover))
            };
            health.findings.into_iter().filter(|f| !stays(f)).map(strip).collect::<Vec<_>>()
        };
        prop_assert_eq!(timeless(kept), timeless(anew.health()));
        prop_assert_eq!(scene.survey.regions(), scene.planner.reader().len() as u64);
        for cells in [1, 10, 1000] {
            let map = scene.survey.key_map(&request(cells));
            prop_assert!(map.cells.len() <= cells);
            prop_assert_eq!(map.cells.iter().map(|c| c.regions).sum::<u64>(), scene.survey.regions());
            let new = anew.key_map(&request(cells));
            prop_assert_eq!(
                map.cells.iter().map(|c| (c.start.clone(), c.trouble)).collect::<Vec<_>>(),
                new.cells.iter().map(|c| (c.start.clone(), c.trouble)).collect::<Vec<_>>()
            );
        }
    }
}
