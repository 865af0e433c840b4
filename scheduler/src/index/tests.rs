//! The index against a plain model: a list of Regions that never overlap.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::{DownPeer, Peer, PeerId, PeerRole, RegionEpoch, RegionMeta};

impl Index {
    /// The page that holds this key, as it is published.
    pub fn published(&self, key: &[u8]) -> Arc<Page> {
        Arc::clone(self.directory.page(self.fences.page_of(key)))
    }

    /// Recomputes what is derived and compares.
    pub fn check(&self) {
        let mut key = Bytes::new();
        let mut seen = Vec::new();
        let mut holes = 0;
        loop {
            let no = self.fences.page_of(&key);
            let page = self.directory.page(no);
            assert!(page.forward.is_none());
            assert_eq!(page.start_key(0), key, "pages tile the key space");
            for at in 0..page.len() {
                let entry = page.entries()[at];
                assert!(at == 0 || page.compare_start(at, &page.start_key(at - 1)).is_gt());
                if entry.is_hole() {
                    assert!(at == 0 || !page.entries()[at - 1].is_hole(), "holes side by side are one");
                    holes += 1;
                } else {
                    seen.push(entry.slot);
                    assert_eq!(self.line(entry.slot).page(), no);
                    assert_eq!(self.find(entry.id), Some(entry.slot));
                }
            }
            let end = Bytes::copy_from_slice(page.end_key());
            if end.is_empty() {
                assert_eq!(page.next, None);
                break;
            }
            assert_eq!(page.next, Some(self.fences.page_of(&end)), "the next page is linked");
            key = end;
        }
        assert_eq!(holes, self.holes);
        assert_eq!(seen.len(), self.len());
        assert_eq!(self.shared.len.load(Relaxed), self.len());
        assert_eq!(seen.iter().map(|s| self.weight_kib(*s)).sum::<u64>(), self.total_weight_kib);
        for (n, lists) in self.lists.iter().enumerate() {
            for role in ListRole::ALL {
                let mut listed: Vec<Slot> = lists.role(role).all(0).collect();
                let mut real: Vec<Slot> = seen
                    .iter()
                    .filter(|s| self.replicas(**s).contains(&(StoreSlot(n as u16), role)))
                    .copied()
                    .collect();
                assert_eq!(
                    lists.role(role).weight_kib,
                    real.iter().map(|s| self.weight_kib(*s)).sum::<u64>()
                );
                assert_eq!(lists.role(role).count, real.len() as u64);
                listed.sort_unstable();
                real.sort_unstable();
                assert_eq!(listed, real);
            }
            let pending: u64 = seen
                .iter()
                .map(|s| {
                    let view = self.view(*s);
                    let here = |p: &&Peer| p.store == self.store_ids[n] && view.pending.contains(&p.id);
                    view.meta.peers.iter().filter(here).count() as u64
                })
                .sum();
            assert_eq!(lists.pending, pending);
        }
    }
}

pub(crate) fn put(index: &mut Index, report: &RegionReport, now: Time) -> Result<(), Refusal> {
    index.put(report, fingerprint(report), now)?;
    Ok(())
}

/// A heartbeat of Region `id` over `start..end`, voters on `stores`, led by the first.
pub(crate) fn report(id: u64, start: &str, end: &str, epoch: (u64, u64), stores: &[u64]) -> RegionReport {
    let peers: Vec<Peer> = stores.iter().map(|s| Peer::voter(PeerId(id * 100 + s), StoreId(*s))).collect();
    RegionReport {
        leader: peers[0],
        meta: RegionMeta {
            id: RegionId(id),
            start_key: Bytes::copy_from_slice(start.as_bytes()),
            end_key: Bytes::copy_from_slice(end.as_bytes()),
            epoch: RegionEpoch { conf_ver: epoch.0, version: epoch.1 },
            peers,
        },
        term: 5,
        size_bytes: 10 << 20,
        keys: 1000,
        interval_s: 60,
        ..RegionReport::default()
    }
}

/// The same cases in every run: a failure is found again by running again.
pub(crate) fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
struct Blow {
    id: u64,
    start: u8,
    len: u8,
    version: u64,
    conf_ver: u64,
    term: u64,
    peers: Vec<u64>,
    pending: bool,
    size_mib: u64,
}

fn blow() -> impl Strategy<Value = Blow> {
    (
        1..60u64,
        0..=255u8,
        0..40u8,
        1..12u64,
        1..6u64,
        0..6u64,
        prop::sample::subsequence(vec![1, 2, 3, 4, 5, 6u64], 1..=5),
        any::<bool>(),
        (0..5u64).prop_map(|n| n * 37),
    )
        .prop_map(|(id, start, len, version, conf_ver, term, peers, pending, size_mib)| Blow {
            id,
            start,
            len,
            version,
            conf_ver,
            term,
            peers,
            pending,
            size_mib,
        })
}

fn as_report(blow: &Blow) -> RegionReport {
    // A few Regions over the whole range of keys, most of them narrow.
    let start = if blow.start == 0 { String::new() } else { format!("k{:03}", blow.start) };
    let end = u32::from(blow.start) + u32::from(blow.len) + 1;
    let end = if end > 255 { String::new() } else { format!("k{end:03}") };
    let mut report = report(blow.id, &start, &end, (blow.conf_ver, blow.version), &blow.peers);
    report.term = blow.term;
    report.size_bytes = blow.size_mib << 20;
    if blow.size_mib == 0 && blow.term.is_multiple_of(2) {
        report.keys = 0;
    }
    if let (true, Some(last)) = (blow.pending, blow.peers.len().checked_sub(1)) {
        report.pending = vec![report.meta.peers[last].id];
        report.down = vec![DownPeer { peer: report.meta.peers[last].id, seconds: blow.term }];
        if last > 0 {
            report.meta.peers[last].role = PeerRole::Learner;
        }
    }
    report
}

/// The same rules, plainly.
#[derive(Default)]
struct Model {
    regions: BTreeMap<u64, RegionReport>,
}

impl Model {
    fn overlaps(a: &RegionMeta, b: &RegionMeta) -> bool {
        (a.end_key.is_empty() || b.start_key < a.end_key) && (b.end_key.is_empty() || a.start_key < b.end_key)
    }

    fn put(&mut self, report: &RegionReport) -> bool {
        let meta = &report.meta;
        let recreated = meta.epoch == RegionEpoch { conf_ver: 1, version: 1 }
            && !(meta.start_key.is_empty() && meta.end_key.is_empty());
        if !recreated {
            for other in self.regions.values().filter(|o| Self::overlaps(&o.meta, meta)) {
                if meta.epoch.version < other.meta.epoch.version {
                    return false;
                }
            }
            if let Some(old) = self.regions.get(&meta.id.0)
                && (meta.epoch.is_older_than(old.meta.epoch) || (report.term > 0 && report.term < old.term))
            {
                return false;
            }
        }
        let mut report = report.clone();
        if let Some(old) = self.regions.remove(&meta.id.0) {
            if report.term == 0 {
                report.term = old.term;
            }
            if report.size_bytes == 0 {
                report.size_bytes = old.size_bytes;
                report.keys = if report.keys == 0 { old.keys } else { report.keys };
            }
        }
        if report.size_bytes == 0 {
            report.size_bytes = 1 << 20;
        }
        self.regions.retain(|_, o| !Self::overlaps(&o.meta, &report.meta));
        self.regions.insert(meta.id.0, report);
        true
    }

    fn sorted(&self) -> Vec<&RegionReport> {
        let mut all: Vec<_> = self.regions.values().collect();
        all.sort_by(|a, b| a.meta.start_key.cmp(&b.meta.start_key));
        all
    }
}

fn same(view: &RegionView, report: &RegionReport) {
    assert_eq!(view.meta, report.meta);
    assert_eq!(view.leader, report.leader);
    assert_eq!((view.term, view.size_bytes, view.keys), (report.term, report.size_bytes, report.keys));
    assert_eq!((&view.down, &view.pending), (&report.down, &report.pending));
}

proptest! {
    #![proptest_config(seeded(48))]

    #[test]
    fn index_agrees_with_a_plain_model(blows in prop::collection::vec(blow(), 1..250)) {
        let mut index = Index::new();
        let reader = index.reader();
        let mut model = Model::default();
        for (n, blow) in blows.iter().enumerate() {
            let report = as_report(blow);
            let taken = put(&mut index, &report, Time(n as u64)).is_ok();
            prop_assert_eq!(taken, model.put(&report), "{:?}", report);
        }
        index.check();
        let sorted = model.sorted();
        let scanned = reader.scan(b"", b"", usize::MAX);
        prop_assert_eq!(scanned.len(), sorted.len());
        for (view, report) in scanned.iter().zip(&sorted) {
            same(view, report);
            same(&reader.get_by_id(report.meta.id).unwrap(), report);
            same(&reader.get(&report.meta.start_key).unwrap(), report);
        }
        for key in (0..=255u8).map(|k| format!("k{k:03}")) {
            let at = sorted.iter().position(|r| r.meta.contains(key.as_bytes()));
            prop_assert_eq!(reader.get(key.as_bytes()).map(|v| v.meta.id), at.map(|at| sorted[at].meta.id));
            let before = at.and_then(|at| at.checked_sub(1)).filter(|b| sorted[*b].meta.end_key == sorted[b + 1].meta.start_key);
            prop_assert_eq!(reader.get_prev(key.as_bytes()).map(|v| v.meta.id), before.map(|b| sorted[b].meta.id));
        }
        for id in (0..61).map(RegionId) {
            prop_assert_eq!(reader.get_by_id(id).is_some(), model.regions.contains_key(&id.0));
        }
    }
}

/// Grows to a few thousand Regions by splits in an order of its own, then merges most of them again.
#[test]
fn pages_are_cut_and_merged() {
    let mut index = Index::new();
    let key = |n: u64| if n == 0 || n == 4096 { String::new() } else { format!("key-{n:08}") };
    let mut version = 1;
    let mut step = 4096;
    let mut next = 1;
    let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
    put(&mut index, &report(1, "", "", (1, 1), &[1, 2, 3]), Time(0)).unwrap();
    starts.insert(0, 1);
    assert!(index.is_complete());
    while step > 1 {
        step /= 2;
        version += 1;
        let halves: Vec<(u64, u64)> = starts.iter().map(|(s, id)| (*s, *id)).collect();
        for (start, id) in halves {
            next += 1;
            put(
                &mut index,
                &report(next, &key(start), &key(start + step), (1, version), &[1, 2, 3]),
                Time(1),
            )
            .unwrap();
            put(
                &mut index,
                &report(id, &key(start + step), &key(start + 2 * step), (1, version), &[1, 2, 3]),
                Time(1),
            )
            .unwrap();
            starts.insert(start, next);
            starts.insert(start + step, id);
        }
    }
    index.check();
    assert_eq!(index.len(), 4096);
    assert!(index.is_complete());
    let before = index.directory.heap_bytes();
    index.take_dropped();
    // Each Region takes in the 127 to its right.
    for start in (0..4096).step_by(128) {
        put(
            &mut index,
            &report(starts[&start], &key(start), &key(start + 128), (1, 100), &[1, 2, 3]),
            Time(2),
        )
        .unwrap();
    }
    index.check();
    assert_eq!(index.len(), 32);
    assert!(index.is_complete());
    assert!(index.directory.heap_bytes() < before / 20, "merged pages are freed");
    assert_eq!(index.take_dropped().len(), 4096 - 32);
}

#[test]
fn a_region_of_three_peers_takes_at_most_250_bytes() {
    let mut index = Index::new();
    let regions = 200_000;
    let key = |n: u64| if n == 0 { String::new() } else { format!("t{:08}_r{:016}", n / 1000, n * 7919) };
    for n in 0..regions {
        let end = if n + 1 == regions { String::new() } else { key(n + 1) };
        let stores = [n % 50 + 1, (n + 7) % 50 + 1, (n + 23) % 50 + 1];
        put(&mut index, &report(n + 1, &key(n), &end, (5, 7), &stores), Time(0)).unwrap();
    }
    let lists: usize = index.lists.iter().map(StoreLists::heap_bytes).sum();
    let total = index.directory.heap_bytes() + index.columns.heap_bytes() + index.ids.heap_bytes() + lists;
    let each = total / regions as usize;
    assert!(each <= 250, "{each} bytes a region");
}

#[test]
fn the_recreated_region_is_the_one_exception_to_the_stale_rules() {
    let mut index = Index::new();
    put(&mut index, &report(1, "a", "m", (5, 9), &[1, 2, 3]), Time(0)).unwrap();
    let stale = put(&mut index, &report(2, "b", "c", (5, 8), &[1, 2, 3]), Time(0)).unwrap_err();
    assert!(matches!(stale, Refusal::StaleEpoch { known_region: RegionId(1), .. }));
    put(&mut index, &report(2, "b", "c", (1, 1), &[1, 2, 3]), Time(0)).unwrap();
    assert_eq!(index.reader().get(b"b1").unwrap().meta.id, RegionId(2));
    assert_eq!(index.reader().get(b"d"), None, "the overlapped region left");
    assert!(
        put(&mut index, &report(3, "", "", (1, 1), &[1]), Time(0)).is_ok(),
        "version 1 overlaps only version 1"
    );
    put(&mut index, &report(3, "", "", (2, 2), &[1]), Time(0)).unwrap();
    assert!(put(&mut index, &report(3, "", "", (1, 1), &[1]), Time(0)).is_err());
}

#[test]
fn readers_see_no_overlap_while_regions_split_and_merge() {
    let mut index = Index::new();
    let reader = index.reader();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let key = |n: u64| if n == 0 || n == 1024 { String::new() } else { format!("key-{n:05}") };
    for n in 0..1024u64 {
        put(&mut index, &report(n + 1, &key(n), &key(n + 1), (1, 1 + n), &[1, 2, 3]), Time(0)).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "the readers' threads are the subject of this test")]
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut newest = 0;
                    let mut rounds = 0;
                    while !stop.load(Relaxed) || rounds < 3 {
                        rounds += 1;
                        let all = reader.scan(b"", b"", usize::MAX);
                        for pair in all.windows(2) {
                            let (a, b) = (&pair[0].meta, &pair[1].meta);
                            assert!(
                                !a.end_key.is_empty() && a.end_key <= b.start_key,
                                "{a:?} overlaps {b:?}"
                            );
                        }
                        // The pivot is always there, never older than before, by key as by id.
                        let by_key = reader.get(b"key-00512").expect("the key space has no hole here");
                        assert!(by_key.meta.contains(b"key-00512"));
                        assert!(by_key.meta.epoch.version >= newest);
                        newest = by_key.meta.epoch.version;
                        let by_id = reader.get_by_id(RegionId(513)).expect("it never leaves");
                        assert!(by_id.meta.epoch.version >= newest);
                        newest = by_id.meta.epoch.version;
                    }
                })
            })
            .collect();
        let mut version = 2000;
        for round in 0..40u64 {
            // Region 513 takes in its right neighbours up to a changing end, then gives them back.
            let end = 513 + 1 + round * 11 % 400;
            version += 1;
            put(&mut index, &report(513, &key(512), &key(end), (1, version), &[1, 2, 3]), Time(round))
                .unwrap();
            version += 1;
            put(&mut index, &report(513, &key(512), &key(513), (1, version), &[1, 2, 3]), Time(round))
                .unwrap();
            for n in 513..end {
                put(&mut index, &report(n + 1, &key(n), &key(n + 1), (1, version), &[2, 3, 4]), Time(round))
                    .unwrap();
            }
        }
        stop.store(true, Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    index.check();
}
