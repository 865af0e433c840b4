use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::eraftpb::ConfChangeType;
use proto::metapb::{self, RegionEpoch};
use raft_core::BOOTSTRAP_INDEX;

use super::*;
use crate::engine::{Order, SledEngine};
use crate::region::command::{Body, OneChange, SplitPart};
use crate::region::{inspect, to_raft};
use crate::{StoreId, Tuning};

struct Fixture {
    _dir: tempfile::TempDir,
    core: Arc<StoreCore>,
    peer: Arc<Peer>,
    machine: RegionMachine,
    index: u64,
}

fn core() -> (tempfile::TempDir, Arc<StoreCore>) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(SledEngine::open(dir.path()).unwrap());
    (dir, StoreCore::new(7, StoreId(1), engine, Tuning::default()))
}

fn region(id: u64, start: &'static str, end: &'static str) -> Region {
    let peer = |id, store_id| metapb::Peer { id, store_id, ..metapb::Peer::default() };
    Region {
        id,
        start_key: start.into(),
        end_key: end.into(),
        region_epoch: Some(RegionEpoch { conf_ver: 2, version: 1 }),
        peers: vec![peer(id + 1, 1), peer(id + 2, 8)],
        ..Region::default()
    }
}

/// A peer of Region 2 on Store 1 that holds `[b, y)`.
fn fixture() -> Fixture {
    let (dir, core) = core();
    let region = region(2, "b", "y");
    let state = birth(region.clone(), PeerId(3));
    core.states.put_synced(&state).unwrap();
    let peer = Peer::new(PeerId(3), region, Stage::Normal);
    core.regions.insert(peer.clone()).unwrap();
    let machine = RegionMachine::new(core.clone(), peer.clone(), state);
    Fixture { _dir: dir, core, peer, machine, index: BOOTSTRAP_INDEX }
}

fn mutation(key: &str, value: Option<&str>) -> Mutation {
    Mutation {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.map(|v| Bytes::copy_from_slice(v.as_bytes())),
    }
}

fn write(version: u64, mutations: Vec<Mutation>) -> Bytes {
    let epoch = Some(RegionEpoch { conf_ver: 99, version });
    Command { body: Some(Body::Write(Write { epoch, mutations })) }.encode_to_vec().into()
}

impl Fixture {
    fn normal(&mut self, data: Bytes) -> Committed {
        self.index += 1;
        Committed::Normal { index: self.index, term: 2, data }
    }

    fn apply(&mut self, data: Vec<Bytes>) -> Vec<Option<errorpb::Error>> {
        let entries = data.into_iter().map(|data| self.normal(data)).collect();
        let decode = |outcome: Outcome| {
            (!outcome.output.is_empty()).then(|| errorpb::Error::decode(outcome.output).unwrap())
        };
        self.machine.apply(entries).unwrap().into_iter().map(decode).collect()
    }

    fn put(&mut self, key: &str, value: &str) {
        let version = epoch_of(&self.peer.region()).version;
        let failed = self.apply(vec![write(version, vec![mutation(key, Some(value))])]);
        assert_eq!(failed, [None]);
    }

    fn split(&mut self, keys: &[(&'static str, u64)]) -> Option<errorpb::Error> {
        let part = |(key, id): &(&'static str, u64)| {
            let key = Bytes::from_static(key.as_bytes());
            SplitPart { key, region_id: *id, peer_ids: vec![id + 1, id + 2] }
        };
        let split = Split { epoch: self.peer.region().region_epoch, parts: keys.iter().map(part).collect() };
        let data = Command { body: Some(Body::Split(split)) }.encode_to_vec().into();
        self.apply(vec![data]).remove(0)
    }

    fn change(&mut self, changes: &[OneChange], context: Bytes, next: &[u64]) -> Outcome {
        self.index += 1;
        let next = ConfState { voters: next.to_vec(), ..ConfState::default() };
        let change = to_raft(changes, context);
        let entry = Committed::ConfChange { index: self.index, term: 2, change, next };
        self.machine.apply(vec![entry]).unwrap().remove(0)
    }

    fn stored(&self) -> RegionState {
        self.core.states.get(RegionId(2)).unwrap().unwrap()
    }
}

fn data(core: &StoreCore) -> Vec<(String, String)> {
    let (start, end) = keys::data_bounds(&KeyRange::default());
    let mut pairs = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut visit = |key: &[u8], value: &[u8]| {
        pairs.push((text(keys::user_key(key)), text(value)));
        ControlFlow::Continue(())
    };
    core.engine.scan(&start, &end, Order::Ascending, &mut visit).unwrap();
    pairs
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn data_and_mark_move_together() {
    let mut f = fixture();
    let both = vec![mutation("c", Some("1")), mutation("d", Some("2"))];
    let failed = f.apply(vec![write(1, both), Bytes::new(), write(1, vec![mutation("d", None)])]);
    assert_eq!(failed, [None, None, None]);
    assert_eq!(data(&f.core), pairs(&[("c", "1")]));
    assert_eq!((f.stored().index, f.stored().term), (4, 2));
    assert_eq!(f.machine.mark().index, 4);
    assert_eq!(f.machine.mark().conf_state.voters, [3, 4]);
}

#[test]
fn more_keys_than_a_batch_holds_are_all_written() {
    let mut f = fixture();
    let many = |n: u64| {
        let key = |k| mutation(&format!("k{n}-{k:04}"), Some("v"));
        write(1, (0..Write::MAX_KEYS).map(key).collect())
    };
    assert_eq!(f.apply(vec![many(0), many(1), many(2)]), [None, None, None]);
    assert_eq!(data(&f.core).len(), 3 * Write::MAX_KEYS);
    assert_eq!(f.stored().index, 4);
}

#[test]
fn a_write_of_an_old_epoch_changes_nothing_and_is_told_the_new_one() {
    let mut f = fixture();
    assert_eq!(f.split(&[("m", 10)]), None);
    let failed = f.apply(vec![write(1, vec![mutation("c", Some("1"))])]).remove(0).unwrap();
    let current = failed.epoch_not_match.unwrap().current_regions;
    assert_eq!(epoch_of(&current[0]).version, 2);
    assert!(data(&f.core).is_empty());
    assert_eq!(f.stored().index, f.index, "the mark moves all the same");
}

#[test]
fn a_split_moves_no_data_and_leaves_records_of_all_parts() {
    let mut f = fixture();
    f.put("c", "1");
    f.put("n", "2");
    assert_eq!(f.split(&[("f", 10), ("m", 20)]), None);
    assert_eq!(data(&f.core), pairs(&[("c", "1"), ("n", "2")]));
    for (key, region) in [(&b"c"[..], 10), (b"f", 20), (b"n", 2)] {
        assert_eq!(f.core.regions.holding(key).unwrap().region_id(), RegionId(region));
    }
    let born = f.core.states.get(RegionId(20)).unwrap().unwrap();
    assert_eq!((born.mark().index, born.peer_id), (BOOTSTRAP_INDEX, 21));
    assert_eq!(born.mark().conf_state.voters, [21, 22]);
    assert!(f.split(&[("f", 30)]).is_some(), "outside by now");
    let mut told = f.core.signals.changed.take();
    told.sort();
    assert_eq!(told, [RegionId(2), RegionId(10), RegionId(20)], "PD is to hear of all");
}

#[test]
fn membership_is_the_regions_own_and_judged_by_its_epoch() {
    let mut f = fixture();
    let new = metapb::Peer { id: 9, store_id: 9, ..metapb::Peer::default() };
    let add = [OneChange { kind: ConfChangeType::AddNode.into(), peer: Some(new) }];
    let context = |conf_ver| {
        let epoch = Some(RegionEpoch { conf_ver, version: 1 });
        Bytes::from(PeerChange { epoch, changes: add.to_vec() }.encode_to_vec())
    };
    let stale = f.change(&add, context(1), &[3, 4, 9]);
    assert!(stale.refused && !stale.output.is_empty());
    assert_eq!(f.stored().index, f.index, "refused, and the mark moves");
    let other = f.change(&add, context(2), &[3, 4]);
    assert!(other.refused, "raft would have another membership");
    assert!(!f.change(&add, context(2), &[3, 4, 9]).refused);
    assert_eq!(f.machine.mark().conf_state.voters, [3, 4, 9]);
    assert_eq!(epoch_of(&f.peer.region()), RegionEpoch { conf_ver: 3, version: 1 });
    assert!(f.change(&[], Bytes::new(), &[3, 4, 9]).refused, "there is no joint membership to leave");
}

#[test]
fn a_peer_that_applies_its_own_removal_is_doomed() {
    let mut f = fixture();
    let own = f.peer.region().peers[0];
    let remove = [OneChange { kind: ConfChangeType::RemoveNode.into(), peer: Some(own) }];
    let context = PeerChange { epoch: f.peer.region().region_epoch, changes: remove.to_vec() };
    assert!(!f.change(&remove, context.encode_to_vec().into(), &[4]).refused);
    assert_eq!(f.core.signals.doomed.take(), [RegionId(2)]);
}

#[test]
fn a_dying_peer_writes_nothing() {
    let mut f = fixture();
    let mut stage = f.peer.stage();
    f.peer.set_stage(&mut stage, Stage::Dying);
    drop(stage);
    let failed = f.apply(vec![write(1, vec![mutation("c", Some("1"))])]);
    assert!(failed[0].is_some() && data(&f.core).is_empty());
    assert_eq!(f.stored().index, BOOTSTRAP_INDEX);
}

fn snapshot_file(writer: SnapshotWriter) -> io::Result<(Mark, Vec<u8>)> {
    let mut file = Vec::new();
    let mark = writer(&mut file)?;
    Ok((mark, file))
}

/// An empty peer of the same Region on another Store's engine.
fn newcomer() -> Fixture {
    let (dir, core) = core();
    let declared = region(2, "b", "y");
    let peer = Peer::new(PeerId(3), declared.clone(), Stage::Empty);
    core.regions.insert(peer.clone()).unwrap();
    let state = RegionState {
        region: Some(declared),
        stage: StateStage::Empty.into(),
        peer_id: 3,
        index: 0,
        term: 0,
    };
    let machine = RegionMachine::new(core.clone(), peer.clone(), state);
    Fixture { _dir: dir, core, peer, machine, index: 0 }
}

#[test]
fn a_snapshot_is_the_state_at_its_label() {
    let mut from = fixture();
    for n in 0..2_000 {
        from.put(&format!("k{n:05}"), "old");
    }
    let writer = from.machine.snapshot().unwrap();
    // Written while the writer has not begun its scan: it sees these, and they are recorded, too.
    from.put("k00000", "new");
    from.put("x", "late");
    let (mark, file) = snapshot_file(writer).unwrap();
    assert_eq!(mark.index, from.index);
    from.put("y-is-outside-no-x2", "after the label");

    let mut to = newcomer();
    to.machine.install(mark.clone(), &mut Cursor::new(&file)).unwrap();
    let mut want = data(&from.core);
    want.retain(|(key, _)| key != "y-is-outside-no-x2");
    assert_eq!(data(&to.core), want);
    assert_eq!(to.machine.mark(), mark);
    assert_eq!(to.stored().stage(), StateStage::Normal);
    assert!(to.peer.generation().is_some());
}

#[test]
fn a_snapshot_under_load_equals_the_state_at_its_label() {
    let mut from = fixture();
    for n in 0..3_000 {
        from.put(&format!("k{n:05}"), "0");
    }
    let writer = from.machine.snapshot().unwrap();
    let started = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicBool::new(false));
    let (seen, ended) = (started.clone(), done.clone());
    let aside = std::thread::spawn(move || {
        seen.store(true, Ordering::SeqCst);
        let made = snapshot_file(writer).unwrap();
        ended.store(true, Ordering::SeqCst);
        made
    });
    // What the state was after each entry, as far as it differs from the first one.
    let mut history = vec![(from.index, None)];
    let mut n = 0;
    while !started.load(Ordering::SeqCst) || !done.load(Ordering::SeqCst) {
        let key = format!("k{:05}", (n * 7_919) % 3_000);
        from.put(&key, &format!("{n}"));
        history.push((from.index, Some((key, format!("{n}")))));
        n += 1;
    }
    let (mark, file) = aside.join().unwrap();
    let mut want: std::collections::BTreeMap<String, String> =
        (0..3_000).map(|n| (format!("k{n:05}"), "0".to_owned())).collect();
    for (index, change) in history {
        if index <= mark.index {
            want.extend(change);
        }
    }
    let mut to = newcomer();
    to.machine.install(mark, &mut Cursor::new(&file)).unwrap();
    assert_eq!(data(&to.core), want.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_snapshot_over_a_split_is_given_up() {
    let mut f = fixture();
    f.put("c", "1");
    let writer = f.machine.snapshot().unwrap();
    assert_eq!(f.split(&[("m", 10)]), None);
    let error = snapshot_file(writer).unwrap_err().to_string();
    assert!(error.contains("split"), "{error}");
}

#[test]
fn a_snapshot_of_a_peer_that_dies_meanwhile_is_given_up() {
    let mut f = fixture();
    let writer = f.machine.snapshot().unwrap();
    let mut stage = f.peer.stage();
    f.peer.set_stage(&mut stage, Stage::Dying);
    drop(stage);
    let error = snapshot_file(writer).unwrap_err().to_string();
    assert!(error.contains("removed"), "{error}");
}

#[test]
fn an_install_that_breaks_off_is_seen_and_done_again() {
    let mut from = fixture();
    for n in 0..1_500 {
        from.put(&format!("k{n:05}-{}", "x".repeat(1_000)), "v");
    }
    let (mark, file) = snapshot_file(from.machine.snapshot().unwrap()).unwrap();
    let mut to = newcomer();
    to.put_stale_data(&["c", "k00007"]);
    let torn = &file[..file.len() - 10];
    assert!(to.machine.install(mark.clone(), &mut Cursor::new(torn)).is_err());
    assert_eq!(to.stored().stage(), StateStage::Applying);
    assert_eq!(to.stored().mark(), Mark::default(), "its data is not to be trusted");
    assert_eq!(to.peer.generation(), None, "nor read");
    // As after a restart: a machine over the record.
    let mut again = RegionMachine::new(to.core.clone(), to.peer.clone(), to.stored());
    again.install(mark, &mut Cursor::new(&file)).unwrap();
    assert_eq!(data(&to.core), data(&from.core));
}

#[test]
fn an_install_leaves_the_neighbours_alone() {
    let mut from = fixture();
    from.put("c", "1");
    assert_eq!(from.split(&[("m", 10)]), None);
    let state = from.core.states.get(RegionId(10)).unwrap().unwrap();
    let child = from.core.regions.get(RegionId(10)).unwrap();
    let mut left = RegionMachine::new(from.core.clone(), child, state);
    let (mark, file) = snapshot_file(left.snapshot().unwrap()).unwrap();
    // The newcomer was declared with all of [b, y), before the split; [m, y) is another's by now.
    let (_dir, core) = core();
    let peer = Peer::new(PeerId(11), Region { end_key: "y".into(), ..region(10, "b", "y") }, Stage::Empty);
    let mut batch = Batch::default();
    batch.put(keys::data_key(b"n"), Bytes::from_static(b"neighbour"));
    core.engine.write(batch).unwrap();
    let state = RegionState { peer_id: 11, region: Some(region(10, "b", "y")), ..RegionState::default() };
    let mut to = RegionMachine::new(core.clone(), peer, state);
    to.install(mark, &mut Cursor::new(&file)).unwrap();
    assert_eq!(data(&core), pairs(&[("c", "1"), ("n", "neighbour")]));
}

#[test]
fn a_damaged_file_is_refused_before_it_is_used() {
    let mut from = fixture();
    from.put("c", "1");
    let (mark, file) = snapshot_file(from.machine.snapshot().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    std::fs::write(&path, &file).unwrap();
    let summary = inspect(&path).unwrap();
    assert_eq!((summary.index, summary.region.id), (mark.index, 2));
    for broken in [&file[..file.len() - 1], &file[1..], &[]] {
        std::fs::write(&path, broken).unwrap();
        assert!(inspect(&path).is_err());
    }
}

impl Fixture {
    fn put_stale_data(&self, keys: &[&str]) {
        let mut batch = Batch::default();
        for key in keys {
            batch.put(keys::data_key(key.as_bytes()), Bytes::from_static(b"stale"));
        }
        self.core.engine.write(batch).unwrap();
    }
}
