use proto::eraftpb::{ConfState, SnapshotMetadata};
use proto::raftcore::SnapshotDescriptor;
use raft::{GetEntriesContext, Storage, StorageError};

use super::*;

const GROUP: u64 = 3;

struct Opened {
    log: Log,
    counters: Arc<Counters>,
}

fn open(dir: &Path) -> Opened {
    let counters = Arc::new(Counters::default());
    Opened { log: Log::open(dir, counters.clone()).unwrap(), counters }
}

fn entries(range: std::ops::Range<u64>, term: u64, bytes: usize) -> Vec<Entry> {
    range.map(|index| Entry { index, term, data: vec![b'x'; bytes].into(), ..Entry::default() }).collect()
}

fn hard_state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term, vote, commit, ..HardState::default() }
}

fn at(index: u64, term: u64) -> LogStart {
    LogStart { index, term }
}

/// A group with entries 2 to 99 of term 4, 64 KiB each: more than the cache holds.
fn filled(log: &Log) -> GroupLog {
    let mut batch = Batch::default();
    batch.begin(GROUP, at(1, 1), &hard_state(1, 0, 1), None);
    log.write(&mut batch);
    let found = log.find(GROUP).unwrap().unwrap();
    let mut group = log.group(GROUP, &found, raft::eraftpb::ConfState::default());
    let new = entries(2..100, 4, 64 << 10);
    batch.append(GROUP, &new);
    batch.hard_state(GROUP, &hard_state(4, 2, 50));
    log.write(&mut batch);
    group.appended(new);
    group
}

fn indexes(read: raft::Result<Vec<Entry>>) -> Vec<u64> {
    read.unwrap().iter().map(|e| e.index).collect()
}

#[test]
fn reads_span_the_engine_and_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let group = filled(&opened.log);
    assert_eq!(indexes(group.read(2, 100, u64::MAX)), (2..100).collect::<Vec<_>>());
    assert_eq!(indexes(group.read(2, 100, 0)), [2]);
    assert_eq!(indexes(group.read(98, 100, 0)), [98]);
    assert_eq!(indexes(group.read(98, 99, u64::MAX)), [98]);
    assert_eq!([group.term(1), group.term(2), group.term(99)], [Ok(1), Ok(4), Ok(4)]);
    let compacted = raft::Error::Store(StorageError::Compacted);
    assert_eq!(group.read(1, 5, u64::MAX).unwrap_err(), compacted);
    assert_eq!(group.term(0).unwrap_err(), compacted);
    assert!(group.entries(99, 101, None, GetEntriesContext::empty(false)).is_err());
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(&open(dir.path()).log));
    let opened = open(dir.path());
    let found = opened.log.find(GROUP).unwrap().unwrap();
    assert_eq!(found, Found { hard_state: hard_state(4, 2, 50), start: at(1, 1), last: 99, origin: None });
    let group = opened.log.group(GROUP, &found, raft::eraftpb::ConfState::default());
    assert_eq!(indexes(group.read(40, 45, u64::MAX)), (40..45).collect::<Vec<_>>());
    assert_eq!(opened.log.groups(), [GROUP]);
    assert_eq!(opened.log.find(GROUP + 1).unwrap(), None);
}

#[test]
fn a_cut_and_an_overwritten_tail_stay_so() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let mut group = filled(&opened.log);
    let mut batch = Batch::default();
    let new = entries(90..92, 5, 8);
    batch.append(GROUP, &new);
    batch.cut(GROUP, at(60, 4));
    opened.log.write(&mut batch);
    group.appended(new);
    group.cut(at(60, 4));
    drop((group, opened));
    let opened = open(dir.path());
    let found = opened.log.find(GROUP).unwrap().unwrap();
    assert_eq!((found.start, found.last), (at(60, 4), 91));
    let group = opened.log.group(GROUP, &found, raft::eraftpb::ConfState::default());
    assert_eq!([group.term(60), group.term(89), group.term(91)], [Ok(4), Ok(4), Ok(5)]);
    assert!(group.read(60, 62, u64::MAX).is_err());
}

#[test]
fn rule_15_a_snapshot_far_ahead_and_entries_behind_it_are_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    drop(filled(&opened.log));
    let metadata = SnapshotMetadata { conf_state: Some(ConfState::default()), index: 500, term: 6 };
    let origin = Origin { metadata: Some(metadata), file: "f".into(), descriptor: None };
    let mut batch = Batch::default();
    batch.begin(GROUP, at(500, 6), &hard_state(6, 0, 500), Some(&origin));
    batch.append(GROUP, &entries(501..503, 6, 8));
    let syncs = opened.counters.log_syncs.load(Ordering::Relaxed);
    opened.log.write(&mut batch);
    assert_eq!(opened.counters.log_syncs.load(Ordering::Relaxed), syncs + 1);
    drop(opened);
    let found = open(dir.path()).log.find(GROUP).unwrap().unwrap();
    let expected =
        Found { hard_state: hard_state(6, 0, 500), start: at(500, 6), last: 502, origin: Some(origin) };
    assert_eq!(found, expected);
}

#[test]
fn an_ended_group_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    drop(filled(&opened.log));
    let mut batch = Batch::default();
    batch.end(GROUP);
    opened.log.write(&mut batch);
    assert_eq!(opened.log.find(GROUP).unwrap(), None);
    drop(opened);
    let opened = open(dir.path());
    assert_eq!((opened.log.groups(), opened.log.find(GROUP).unwrap()), (Vec::new(), None));
}

#[test]
fn a_round_without_promises_is_written_without_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    drop(filled(&opened.log));
    let syncs = opened.counters.log_syncs.load(Ordering::Relaxed);
    let mut batch = Batch::default();
    batch.hard_state(GROUP, &hard_state(4, 2, 60));
    opened.log.write(&mut batch);
    opened.log.write(&mut batch);
    assert_eq!(opened.counters.log_syncs.load(Ordering::Relaxed), syncs);
    assert_eq!(opened.log.find(GROUP).unwrap().unwrap().hard_state.commit, 60);
}

/// The records' bytes as the first version wrote them: a change here needs a new key or a migration.
#[test]
fn the_records_on_disk_keep_their_form() {
    assert_eq!((HARD_STATE, START, ORIGIN), (&b"hard"[..], &b"start"[..], &b"origin"[..]));
    assert_eq!(at(300, 4).encode_to_vec(), [8, 172, 2, 16, 4]);
    let stored = wire::HardState { term: 4, vote: 2, commit: 300 };
    assert_eq!(stored.encode_to_vec(), [8, 4, 16, 2, 24, 172, 2]);
    let conf_state = ConfState { voters: vec![1, 2], learners: vec![3], ..ConfState::default() };
    let origin = Origin {
        metadata: Some(SnapshotMetadata { conf_state: Some(conf_state), index: 5, term: 6 }),
        file: "f".into(),
        descriptor: Some(SnapshotDescriptor { bytes: 7, crc32: 8 }),
    };
    let pinned = [10, 13, 10, 7, 10, 2, 1, 2, 18, 1, 3, 16, 5, 24, 6, 18, 1, 102, 26, 4, 8, 7, 16, 8];
    assert_eq!(origin.encode_to_vec(), pinned);
    assert_eq!(Origin::decode(&pinned[..]).unwrap(), origin);
}
