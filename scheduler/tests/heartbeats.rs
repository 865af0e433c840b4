//! What heartbeats may say, what is refused, and what readers see of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use scheduler::{
    Config, DownPeer, Flow, IdRange, NodeState, Peer, PeerId, PeerRole, Planner, Refusal, RefusalKind,
    RegionEpoch, RegionId, RegionMeta, RegionReport, StoreId, StoreMeta, StoreStats, Time,
};

const MIB: u64 = 1 << 20;

fn halted() -> Config {
    Config { halt_scheduling: true, ..Config::default() }
}

fn planner(config: Config) -> Planner {
    let mut planner = Planner::new(config, 0, Time(0));
    for id in 1..=4 {
        put_store(&mut planner, id, NodeState::Serving);
        let stats = StoreStats { store: StoreId(id), ..StoreStats::default() };
        planner.handle_store_heartbeat(Time(0), stats).unwrap();
    }
    planner
}

fn put_store(planner: &mut Planner, id: u64, node_state: NodeState) {
    let meta = StoreMeta { id: StoreId(id), node_state, labels: Vec::new() };
    planner.handle_store_meta(Time(0), meta).unwrap();
}

fn report(id: u64, start: &'static str, end: &'static str) -> RegionReport {
    let peers: Vec<Peer> = (1..=3).map(|s| Peer::voter(PeerId(id * 10 + s), StoreId(s))).collect();
    RegionReport {
        leader: peers[0],
        meta: RegionMeta {
            id: RegionId(id),
            start_key: Bytes::from_static(start.as_bytes()),
            end_key: Bytes::from_static(end.as_bytes()),
            epoch: RegionEpoch { conf_ver: 5, version: 5 },
            peers,
        },
        term: 7,
        size_bytes: 10 * MIB,
        keys: 100,
        interval_s: 60,
        ..RegionReport::default()
    }
}

#[test]
fn what_a_store_must_never_send_is_refused_and_changes_nothing() {
    let mut planner = planner(halted());
    planner.handle_region_heartbeat(Time(1), &report(1, "a", "m")).unwrap();
    let reader = planner.reader();
    let before = reader.scan(b"", b"", 10);
    put_store(&mut planner, 4, NodeState::Removed);
    type Spoil = fn(&mut RegionReport);
    let table: [(Spoil, RefusalKind); 12] = [
        (|r| r.meta.id = RegionId(0), RefusalKind::BadReport),
        (|r| r.leader = Peer::default(), RefusalKind::BadReport),
        (|r| r.meta.peers.clear(), RefusalKind::BadReport),
        (|r| r.leader.id = PeerId(99), RefusalKind::BadReport),
        (|r| r.leader.store = StoreId(3), RefusalKind::BadReport),
        (|r| r.meta.end_key = Bytes::from_static(b"A"), RefusalKind::BadReport),
        (|r| r.meta.peers[2].store = StoreId(2), RefusalKind::BadReport),
        (
            |r| r.meta.peers = (1..=65).map(|n| Peer::voter(PeerId(n + 100), StoreId(n))).collect(),
            RefusalKind::BadReport,
        ),
        (
            |r| {
                r.leader.store = StoreId(9);
                r.meta.peers[0].store = StoreId(9);
            },
            RefusalKind::UnknownStore,
        ),
        (
            |r| {
                r.leader.store = StoreId(4);
                r.meta.peers[0].store = StoreId(4);
            },
            RefusalKind::StoreLeaves,
        ),
        (|r| r.meta.epoch.version = 4, RefusalKind::StaleEpoch),
        (|r| r.term = 6, RefusalKind::StaleTerm),
    ];
    for (n, (spoil, expected)) in table.into_iter().enumerate() {
        let mut bad = report(1, "a", "m");
        spoil(&mut bad);
        let refused = planner.handle_region_heartbeats(Time(2), &[bad]);
        assert_eq!(refused.len(), 1, "case {n}");
        let refusal = &refused[0].1;
        // Without peers the leader cannot be one of them: either name will do.
        assert_eq!(refusal.kind(), expected, "case {n}: {refusal}");
    }
    assert_eq!(reader.scan(b"", b"", 10), before);
    assert_eq!(planner.refusal_counts().map(|(_, n)| n).sum::<u64>(), 12);
}

#[test]
fn readers_see_each_heartbeat_as_it_is_taken() {
    let mut planner = planner(halted());
    let reader = planner.reader();
    assert!(reader.is_empty() && reader.get(b"x").is_none());
    let mut first = report(1, "", "m");
    let second = report(2, "m", "");
    assert_eq!(planner.handle_region_heartbeats(Time(1), &[first.clone(), second.clone()]), []);
    assert_eq!(reader.len(), 2);
    assert_eq!(reader.get(b"l").unwrap().meta, first.meta);
    assert_eq!(reader.get(b"m").unwrap().meta, second.meta);
    assert_eq!(reader.get_prev(b"m").unwrap().meta, first.meta);
    assert_eq!(reader.get_prev(b"a"), None);
    // Counters only.
    first.flow = Flow { bytes_written: 1, keys_written: 2, bytes_read: 3, keys_read: 4 };
    first.size_bytes = 99 * MIB;
    planner.handle_region_heartbeat(Time(5), &first).unwrap();
    let seen = reader.get_by_id(RegionId(1)).unwrap();
    assert_eq!((seen.flow, seen.size_bytes, seen.last_heartbeat), (first.flow, 99 * MIB, Time(5)));
    assert_eq!(planner.store_summary(Time(5), StoreId(1)).unwrap().leader_size_bytes, 109 * MIB);
    // Size 0 means not computed: the old one stays.
    first.size_bytes = 0;
    planner.handle_region_heartbeat(Time(6), &first).unwrap();
    assert_eq!(reader.get_by_id(RegionId(1)).unwrap().size_bytes, 99 * MIB);
    // Ailing peers, and their recovery.
    let (down, pending) = (first.meta.peers[1].id, first.meta.peers[2].id);
    first.down = vec![DownPeer { peer: down, seconds: 70 }];
    first.pending = vec![pending];
    planner.handle_region_heartbeat(Time(7), &first).unwrap();
    let seen = reader.get_by_id(RegionId(1)).unwrap();
    assert_eq!((&seen.down, &seen.pending), (&first.down, &first.pending));
    assert!(seen.is_ailing(down) && seen.is_ailing(pending) && !seen.is_ailing(first.leader.id));
    assert_eq!(planner.store_summary(Time(7), StoreId(3)).unwrap().pending_count, 1);
    first.down.clear();
    first.pending.clear();
    planner.handle_region_heartbeat(Time(8), &first).unwrap();
    assert!(reader.get_by_id(RegionId(1)).unwrap().pending.is_empty());
    assert_eq!(planner.store_summary(Time(8), StoreId(3)).unwrap().pending_count, 0);
    // Another leader.
    first.leader = first.meta.peers[1];
    first.term = 8;
    planner.handle_region_heartbeat(Time(9), &first).unwrap();
    assert_eq!(reader.get(b"").unwrap().leader, first.leader);
    let leaders = |store| planner.store_summary(Time(9), StoreId(store)).unwrap().leader_count;
    assert_eq!([leaders(1), leaders(2), leaders(3)], [1, 1, 0]);
    // The leader of before comes late, with the same epoch.
    let mut late = report(1, "", "m");
    late.leader = late.meta.peers[0];
    assert!(matches!(
        planner.handle_region_heartbeat(Time(10), &late),
        Err(Refusal::StaleTerm { given: 7, known: 8, .. })
    ));
}

#[test]
fn a_batch_does_what_its_heartbeats_do_one_by_one() {
    let mut reports: Vec<RegionReport> = Vec::new();
    // A Region splits and splits again within one batch, and is heard of again.
    let ends = ["b", "d", "f", "h"];
    for (n, end) in ends.iter().enumerate() {
        let start = if n == 0 { "" } else { ends[n - 1] };
        let mut left = report(10 + n as u64, start, end);
        let mut right = report(1, end, "");
        (left.meta.epoch.version, right.meta.epoch.version) = (6 + n as u64, 6 + n as u64);
        reports.extend([left, right]);
    }
    reports.extend(reports.clone());
    let mut one = planner(halted());
    let mut many = planner(halted());
    let single: Vec<(usize, Refusal)> = reports
        .iter()
        .enumerate()
        .filter_map(|(n, r)| one.handle_region_heartbeat(Time(1), r).err().map(|e| (n, e)))
        .collect();
    assert_eq!(many.handle_region_heartbeats(Time(1), &reports), single);
    assert!(!single.is_empty(), "the repeated ones are stale");
    assert_eq!(one.reader().scan(b"", b"", 99), many.reader().scan(b"", b"", 99));
    assert_eq!(one.reader().len(), 5);
}

#[test]
fn scans_keep_their_bounds() {
    let mut planner = planner(halted());
    for (id, start, end) in [(1, "", "b"), (2, "b", "d"), (3, "e", "g"), (4, "g", "")] {
        planner.handle_region_heartbeat(Time(1), &report(id, start, end)).unwrap();
    }
    let reader = planner.reader();
    let ids = |start: &str, end: &str, limit| -> Vec<u64> {
        reader.scan(start.as_bytes(), end.as_bytes(), limit).iter().map(|v| v.meta.id.0).collect()
    };
    assert_eq!(ids("", "", 10), [1, 2, 3, 4]);
    assert_eq!(ids("", "", 2), [1, 2]);
    assert_eq!(ids("c", "", 10), [2, 3, 4]);
    assert_eq!(ids("d", "", 10), [3, 4], "the hole is left out");
    assert_eq!(ids("a", "g", 10), [1, 2, 3]);
    assert_eq!(ids("a", "g0", 10), [1, 2, 3, 4]);
    assert_eq!(ids("c", "c0", 10), [2]);
    assert_eq!(ids("d", "e", 10), Vec::<u64>::new());
    assert_eq!(ids("", "", 0), Vec::<u64>::new());
    assert_eq!(reader.get_prev(b"e"), None, "a hole lies before it");
}

#[test]
fn a_split_gets_ids_or_the_reason_why_not() {
    let mut planner = planner(Config::default());
    planner.handle_region_heartbeat(Time(1), &report(1, "", "")).unwrap();
    let (region, epoch) = (RegionId(1), RegionEpoch { conf_ver: 5, version: 5 });
    let lacking = planner.handle_split_request(Time(1), region, epoch, 2);
    assert_eq!(lacking, Err(Refusal::IdsLacking { needed: 8, available: 0 }));
    planner.handle_ids(Time(1), IdRange { first: 13, count: 9 });
    let grant = planner.handle_split_request(Time(1), region, epoch, 2).unwrap();
    let pieces: Vec<(u64, Vec<u64>)> =
        grant.pieces.iter().map(|p| (p.region.0, p.peers.iter().map(|p| p.0).collect())).collect();
    assert_eq!(pieces, [(13, vec![14, 15, 16]), (17, vec![18, 19, 20])]);
    assert_eq!(planner.handle_split_request(Time(1), region, epoch, 0).unwrap().pieces, []);
    let older = RegionEpoch { version: 4, ..epoch };
    let stale = planner.handle_split_request(Time(1), region, older, 1).unwrap_err();
    assert_eq!(stale, Refusal::StaleEpoch { region, given: older, known_region: region, known: epoch });
    assert!(matches!(
        planner.handle_split_request(Time(1), region, epoch, u64::MAX),
        Err(Refusal::TooManySplits { .. })
    ));
    assert_eq!(
        planner.handle_split_request(Time(1), RegionId(9), epoch, 1),
        Err(Refusal::UnknownRegion(RegionId(9)))
    );
}

#[test]
fn each_reason_against_a_store_is_told() {
    let mut planner = planner(Config::default());
    let mut region = report(1, "", "");
    region.meta.peers.truncate(2);
    planner.handle_region_heartbeat(Time(1), &region).unwrap();
    let mut blocker = |stats: StoreStats, at: u64| {
        for id in 3..=4 {
            planner.handle_store_heartbeat(Time(1), StoreStats { store: StoreId(id), ..stats }).unwrap();
        }
        let why = planner.explain_region(Time(at), RegionId(1)).unwrap();
        assert!(matches!(why.now.last(), Some(Refusal::NoTarget { stores: 4, up: 4, .. })), "{why:?}");
        why.now.iter().find(|r| !matches!(r, Refusal::HoldsReplica(_))).cloned().unwrap()
    };
    let store = StoreId(3);
    assert_eq!(blocker(StoreStats { is_busy: true, ..StoreStats::default() }, 2), Refusal::StoreBusy(store));
    let full = StoreStats {
        capacity_bytes: 1000 << 30,
        available_bytes: 100 << 30,
        region_count: 500,
        ..StoreStats::default()
    };
    let expected = Refusal::LowSpace { store, used_per_mille: 900, limit_per_mille: 800 };
    assert_eq!(blocker(full, 2), expected);
    let sending = StoreStats { receiving_snapshots: 60, applying_snapshots: 5, ..StoreStats::default() };
    assert_eq!(blocker(sending, 2), Refusal::Snapshots { store, count: 65, limit: 64 });
    assert!(matches!(blocker(StoreStats::default(), 30_000), Refusal::StoreSilent { silent_ms: 29_999, .. }));
    // Few regions and room for them: how full the disk is does not matter.
    let roomy = StoreStats { region_count: 99, ..full };
    planner.handle_store_heartbeat(Time(1), StoreStats { store, ..roomy }).unwrap();
    planner.handle_ids(Time(2), IdRange { first: 100, count: 10 });
    let why = planner.explain_region(Time(2), RegionId(1)).unwrap();
    assert!(why.now.is_empty() && !why.is_healthy, "{why:?}");
}

#[test]
fn a_learner_is_no_voter_and_a_witness_comes_back_as_one() {
    let mut planner = planner(halted());
    let mut region = report(1, "", "");
    region.meta.peers[2] = Peer { is_witness: true, ..region.meta.peers[2] };
    region.meta.peers.push(Peer { role: PeerRole::Learner, ..Peer::voter(PeerId(14), StoreId(4)) });
    planner.handle_region_heartbeat(Time(1), &region).unwrap();
    assert_eq!(planner.reader().get(b"").unwrap().meta, region.meta);
    let four = planner.store_summary(Time(1), StoreId(4)).unwrap();
    assert_eq!((four.region_count, four.learner_count, four.leader_count), (1, 1, 0));
}
