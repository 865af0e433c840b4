//! The machine against a naive model, over crashes and through snapshots.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proto::eraftpb::ConfState;

use super::*;
use crate::state::layout::{Position, Version};
use crate::state::{Compare, Event, EventKind, KeyRange, KeyValue, OpResult, Relation, Target, TxnResult};

fn entry(index: u64, action: Action) -> Committed {
    Committed::Normal { index, term: 1, data: Command { term: 1, action }.encode() }
}

fn apply(machine: &mut Machine, index: u64, action: Action) -> Answer {
    let outcome = machine.apply(vec![entry(index, action)]).unwrap().remove(0);
    Answer::decode(&outcome.output).unwrap()
}

fn put(machine: &mut Machine, index: u64, key: &str, value: &str) {
    let answer = apply(machine, index, Action::Txn(Txn::of(vec![Op::put(key.to_owned(), value.to_owned())])));
    assert!(matches!(answer, Answer::Txn(_)), "{answer:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All that readers can tell: every key at every revision of the history, and every event.
type Image = (Mark, u64, u64, Vec<Vec<KeyValue>>, Vec<Event>);

fn image(machine: &Machine, view: &View) -> Image {
    let (compacted, newest) = (view.compacted(), view.revision());
    let all = KeyRange { start: Bytes::new(), end: None };
    let states = (compacted.0..=newest.0)
        .map(|revision| view.range(&all, 0, Some(Revision(revision))).unwrap().kvs)
        .collect();
    let mut events = Vec::new();
    let mut watch = view.watch(all, Some(compacted.next())).unwrap();
    while events.last().map_or(compacted, |event: &Event| event.kv.mod_revision) < newest {
        // Every revision has at least one event, so this never waits.
        events.extend(futures::executor::block_on(watch.next()).unwrap().events);
    }
    (machine.mark(), compacted.0, newest.0, states, events)
}

/// What the machine is held against: all states of all revisions, kept whole.
#[derive(Clone, Default)]
struct Model {
    states: Vec<BTreeMap<Bytes, KeyValue>>,
    events: Vec<Event>,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![BTreeMap::new()], events: Vec::new() }
    }

    fn run(&mut self, txn: &Txn) -> TxnResult {
        let mut state = self.states.last().unwrap().clone();
        let base = Revision(self.states.len() as u64 - 1);
        let holds = |compare: &Compare| {
            let kv = state.get(&compare.key);
            let number = |of: fn(&KeyValue) -> u64| kv.map_or(0, of);
            let ordering = match &compare.target {
                Target::Value(value) => match kv {
                    Some(kv) => kv.value.cmp(value),
                    None => return false,
                },
                Target::Create(revision) => number(|kv| kv.create_revision.0).cmp(&revision.0),
                Target::Mod(revision) => number(|kv| kv.mod_revision.0).cmp(&revision.0),
                Target::Version(version) => number(|kv| kv.version).cmp(version),
                Target::Lease(lease) => number(|kv| kv.lease).cmp(lease),
            };
            match compare.relation {
                Relation::Equal => ordering.is_eq(),
                Relation::NotEqual => !ordering.is_eq(),
                Relation::Less => ordering.is_lt(),
                Relation::Greater => ordering.is_gt(),
            }
        };
        let succeeded = txn.compares.iter().all(holds);
        let mut events = Vec::new();
        let mut results = Vec::new();
        for op in if succeeded { &txn.then } else { &txn.otherwise } {
            results.push(match op {
                Op::Put { key, value, lease, prev_kv } => {
                    let previous = state.get(key).cloned();
                    let kv = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: previous.as_ref().map_or(base.next(), |kv| kv.create_revision),
                        mod_revision: base.next(),
                        version: previous.as_ref().map_or(1, |kv| kv.version + 1),
                        lease: *lease,
                    };
                    state.insert(key.clone(), kv.clone());
                    events.push(Event { kind: EventKind::Put, kv, prev_kv: previous.clone() });
                    OpResult::Put { previous: previous.filter(|_| *prev_kv) }
                }
                Op::Delete { range, prev_kv } => {
                    let gone: Vec<_> = state.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
                    for kv in &gone {
                        state.remove(&kv.key);
                        let after = KeyValue {
                            key: kv.key.clone(),
                            mod_revision: base.next(),
                            ..KeyValue::default()
                        };
                        events.push(Event { kind: EventKind::Delete, kv: after, prev_kv: Some(kv.clone()) });
                    }
                    let deleted = gone.len() as u64;
                    OpResult::Delete { deleted, previous: if *prev_kv { gone } else { vec![] } }
                }
                Op::Range { range, limit } => {
                    let found: Vec<_> =
                        state.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
                    let count = found.len() as u64;
                    let most = if *limit == 0 { usize::MAX } else { *limit as usize };
                    let kvs: Vec<_> = found.into_iter().take(most).collect();
                    let more = (kvs.len() as u64) < count;
                    OpResult::Range(crate::state::RangeResult { revision: base, kvs, count, more })
                }
            });
        }
        let revision = if events.is_empty() { base } else { base.next() };
        if !events.is_empty() {
            self.states.push(state);
            self.events.extend(events);
        }
        for result in &mut results {
            if let OpResult::Range(range) = result {
                range.revision = revision;
            }
        }
        TxnResult { succeeded, revision, results }
    }
}

fn a_key() -> impl Strategy<Value = Bytes> {
    // Few and similar keys, with the bytes that the escaping of keys is about.
    prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 255]), 1..3).prop_map(Bytes::from)
}

fn a_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        a_key().prop_map(KeyRange::single),
        a_key().prop_map(KeyRange::prefix),
        (a_key(), a_key()).prop_map(|(a, b)| KeyRange::between(a.clone().min(b.clone()), a.max(b))),
        a_key().prop_map(|start| KeyRange { start, end: None }),
    ]
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (a_key(), any::<u8>(), 0u64..3, any::<bool>()).prop_map(|(key, value, lease, prev_kv)| Op::Put {
            key,
            value: Bytes::from(vec![value]),
            lease,
            prev_kv
        }),
        1 => (a_range(), any::<bool>()).prop_map(|(range, prev_kv)| Op::Delete { range, prev_kv }),
        1 => (a_range(), 0u64..3).prop_map(|(range, limit)| Op::Range { range, limit }),
    ]
}

fn a_compare() -> impl Strategy<Value = Compare> {
    let relation =
        prop::sample::select(vec![Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater]);
    let target = prop_oneof![
        any::<u8>().prop_map(|value| Target::Value(Bytes::from(vec![value]))),
        (0u64..20).prop_map(|revision| Target::Create(Revision(revision))),
        (0u64..20).prop_map(|revision| Target::Mod(Revision(revision))),
        (0u64..4).prop_map(Target::Version),
        (0u64..3).prop_map(Target::Lease),
    ];
    (a_key(), relation, target).prop_map(|(key, relation, target)| Compare { key, relation, target })
}

fn a_txn() -> impl Strategy<Value = Txn> {
    (
        prop::collection::vec(a_compare(), 0..2),
        prop::collection::vec(an_op(), 0..5),
        prop::collection::vec(an_op(), 0..3),
    )
        .prop_map(|(compares, then, otherwise)| Txn { compares, then, otherwise })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_the_model_over_crash_and_snapshot(
        txns in prop::collection::vec(prop_oneof![8 => a_txn().prop_map(Some), 1 => Just(None)], 1..24),
        crash_at in any::<prop::sample::Index>(),
        compact_at in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, view) = Machine::open(dir.path().join("a")).unwrap();
        let mut model = Model::new();
        let mut entries = Vec::new();
        for (i, txn) in txns.iter().enumerate() {
            let index = i as u64 + 1;
            // `None`: the empty entry of a new leader.
            let committed = match txn {
                Some(txn) => entry(index, Action::Txn(txn.clone())),
                None => Committed::Normal { index, term: 1, data: Bytes::new() },
            };
            entries.push(committed.clone());
            let outcome = machine.apply(vec![committed]).unwrap().remove(0);
            if let Some(txn) = txn {
                assert_eq!(Answer::decode(&outcome.output), Ok(Answer::Txn(model.run(txn))));
            }
            if i == crash_at.index(txns.len()) {
                copy_folder(&dir.path().join("a"), &dir.path().join("crashed"));
            }
        }
        let expected: Vec<Vec<KeyValue>> =
            model.states.iter().map(|state| state.values().cloned().collect()).collect();
        let seen = image(&machine, &view);
        assert_eq!((&seen.3, &seen.4), (&expected, &model.events));

        // The image that kill -9 leaves: whatever it holds, applying the log above its mark leads to the same state.
        let (mut crashed, crashed_view) = Machine::open(dir.path().join("crashed")).unwrap();
        let from = usize::try_from(crashed.mark().index).unwrap();
        crashed.apply(entries[from..].to_vec()).unwrap();
        assert_eq!(image(&crashed, &crashed_view), seen);

        // Compaction changes nothing that can still be read, nor does a snapshot.
        let start = compact_at.index(model.states.len()) as u64;
        let index = txns.len() as u64 + 1;
        assert_eq!(apply(&mut machine, index, Action::Compact(Revision(start))), Answer::Compacted(Revision(start)));
        for extra in 1..4 {
            machine.apply(vec![Committed::Normal { index: index + extra, term: 1, data: Bytes::new() }]).unwrap();
        }
        let seen = image(&machine, &view);
        assert_eq!(seen.3, expected[start as usize..]);
        let (mut other, other_view) = Machine::open(dir.path().join("b")).unwrap();
        let mut file = Vec::new();
        let mark = machine.snapshot().unwrap()(&mut file).unwrap();
        other.install(mark, &mut file.as_slice()).unwrap();
        assert_eq!(image(&other, &other_view), seen);
    }
}

#[test]
fn entries_of_another_term_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    let data = Command { term: 4, action: Action::Txn(Txn::of(vec![Op::put("k", "v")])) }.encode();
    let outcomes = machine.apply(vec![Committed::Normal { index: 2, term: 5, data }]).unwrap();
    assert_eq!(Answer::decode(&outcomes[0].output), Ok(Answer::Fenced { asked: 4, term: 5 }));
    assert_eq!((view.revision(), view.get(b"k")), (Revision(0), Ok(None)));
    assert_eq!((machine.mark().index, machine.mark().term), (2, 5));
}

#[test]
fn what_is_not_understood_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    let data = Bytes::from_static(b"\xff\xff\xff");
    let outcomes = machine.apply(vec![Committed::Normal { index: 2, term: 5, data }]).unwrap();
    assert!(matches!(Answer::decode(&outcomes[0].output), Ok(Answer::Malformed(_))));
    assert_eq!((view.revision(), machine.mark().index), (Revision(0), 2));
}

#[test]
fn the_mark_survives_with_the_membership() {
    let dir = tempfile::tempdir().unwrap();
    let first = ConfState { voters: vec![7], ..ConfState::default() };
    let next = ConfState { voters: vec![7], learners: vec![8], ..ConfState::default() };
    {
        let (mut machine, _) = Machine::open(dir.path().into()).unwrap();
        assert_eq!(machine.mark(), Mark::default());
        machine.bootstrap(Mark { index: 1, term: 1, conf_state: first }).unwrap();
        let change = proto::eraftpb::ConfChangeV2::default();
        machine.apply(vec![Committed::ConfChange { index: 2, term: 3, change, next: next.clone() }]).unwrap();
        machine.flush().unwrap();
    }
    let (machine, _) = Machine::open(dir.path().into()).unwrap();
    assert_eq!(machine.mark(), Mark { index: 2, term: 3, conf_state: next });
}

#[test]
fn a_bound_starts_above_all_that_was_given_and_never_falls() {
    let second = 1_000_000_000;
    let raise_at = |machine: &mut Machine, index, now_ns| match apply(
        machine,
        index,
        Action::Bound { key: "ts".into(), now_ns },
    ) {
        Answer::Bound(bound) => bound,
        other => unreachable!("{other:?}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    let first = raise_at(&mut machine, 1, 100 * second);
    assert_eq!(first, Bound { start_ns: 100 * second, bound_ns: 103 * second });
    let soon = raise_at(&mut machine, 2, 101 * second);
    assert_eq!(soon, Bound { start_ns: 103 * second, bound_ns: 104 * second });
    // A leader whose clock lies an hour behind.
    let behind = raise_at(&mut machine, 3, 1);
    assert_eq!(behind, Bound { start_ns: 104 * second, bound_ns: 104 * second + BOUND_ROOM_NS });
    assert_eq!(view.get(b"ts").unwrap().unwrap().value, keys::encode_be(behind.bound_ns));
    assert_eq!(view.announced().borrow().bound_term, 1);
    assert_eq!(raise(u64::MAX, u64::MAX), Bound { start_ns: u64::MAX, bound_ns: u64::MAX });
}

#[test]
fn compaction_frees_what_no_reader_can_see_and_waits_for_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    for i in 0..1_000u64 {
        put(&mut machine, i + 1, "k", &i.to_string());
    }
    apply(&mut machine, 1_001, Action::Txn(Txn::of(vec![Op::put("gone", "1")])));
    apply(&mut machine, 1_002, Action::Txn(Txn::of(vec![Op::delete("gone")])));
    let versions = |machine: &Machine| machine.tables.all_versions().count();
    assert_eq!(versions(&machine), 1_002);
    let snapshot = machine.snapshot().unwrap();
    apply(&mut machine, 1_003, Action::Compact(Revision(1_002)));
    assert_eq!(versions(&machine), 1_002, "a snapshot is being read");
    drop(snapshot);
    for index in 1_004..1_020 {
        machine.apply(vec![Committed::Normal { index, term: 1, data: Bytes::new() }]).unwrap();
    }
    assert_eq!((versions(&machine), machine.tables.history(Revision(0)).count()), (1, 0));
    assert_eq!(view.get(b"k").unwrap().unwrap().value, "999");
    assert_eq!(
        view.range(&KeyRange::single("k"), 0, Some(Revision(1_001))),
        Err(KvError::Compacted { asked: Revision(1_001), compacted: Revision(1_002) })
    );
    assert!(view.watch(KeyRange::single("k"), Some(Revision(1_000))).is_err());
    assert!(view.watch(KeyRange::single("k"), Some(Revision(1_003))).is_ok());
    // The start of the history is never beyond the newest revision.
    assert_eq!(
        apply(&mut machine, 1_020, Action::Compact(Revision(9_999))),
        Answer::Compacted(Revision(1_002))
    );
}

#[test]
fn a_torn_snapshot_leaves_the_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let (mut source, _) = Machine::open(dir.path().join("a")).unwrap();
    for i in 0..300u64 {
        put(&mut source, i + 1, &format!("k{i:03}"), "v");
    }
    let mut file = Vec::new();
    let mark = source.snapshot().unwrap()(&mut file).unwrap();
    let (mut target, view) = Machine::open(dir.path().join("b")).unwrap();
    put(&mut target, 1, "old", "state");
    for length in [0, 1, 5, file.len() / 2, file.len() - 1] {
        assert!(target.install(mark.clone(), &mut &file[..length]).is_err(), "{length} bytes");
        assert_eq!(view.get(b"old").unwrap().unwrap().value, "state");
    }
    target.install(mark.clone(), &mut file.as_slice()).unwrap();
    assert_eq!((view.get(b"old"), target.mark()), (Ok(None), mark.clone()));
    assert_eq!(view.range(&KeyRange::prefix("k"), 10, None).unwrap().count, 300);
    drop((target, view));
    let (target, view) = Machine::open(dir.path().join("b")).unwrap();
    assert_eq!((target.mark(), view.revision()), (mark, Revision(300)));
}

#[test]
fn a_large_delete_spans_batches_and_stays_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    for i in 0..1_000u64 {
        put(&mut machine, i + 1, &format!("k{i:04}"), "v");
    }
    let delete = Action::Txn(Txn::of(vec![Op::Delete { range: KeyRange::prefix("k"), prev_kv: false }]));
    let Answer::Txn(result) = apply(&mut machine, 1_001, delete) else { unreachable!() };
    assert_eq!(result.results, [OpResult::Delete { deleted: 1_000, previous: vec![] }]);
    assert_eq!(view.range(&KeyRange::prefix("k"), 0, None).unwrap().count, 0);
    assert_eq!(view.range(&KeyRange::prefix("k"), 1, Some(Revision(1_000))).unwrap().count, 1_000);
    // One revision comes as one batch, however large.
    let mut watch = view.watch(KeyRange::prefix("k"), Some(Revision(1_001))).unwrap();
    let batch = futures::executor::block_on(watch.next()).unwrap();
    assert_eq!((batch.revision, batch.events.len()), (Revision(1_001), 1_000));
}

#[test]
fn watches_wait_and_see_only_their_range() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    put(&mut machine, 1, "a", "1");
    let mut watch = view.watch(KeyRange::single("b"), None).unwrap();
    let waiting = std::thread::spawn(move || futures::executor::block_on(watch.next()));
    put(&mut machine, 2, "a", "2");
    put(&mut machine, 3, "b", "3");
    let batch = waiting.join().unwrap().unwrap();
    let keys: Vec<_> =
        batch.events.iter().map(|event| (event.kv.key.clone(), event.kv.mod_revision.0)).collect();
    assert_eq!(keys, [("b".into(), 3)]);
    assert_eq!(
        view.range(&KeyRange::single("a"), 0, Some(Revision(9))),
        Err(KvError::Future { asked: Revision(9), newest: Revision(3) })
    );
}

#[test]
fn half_an_entry_is_invisible_and_applying_it_again_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().join("a")).unwrap();
    put(&mut machine, 1, "a", "1");
    let seen = image(&machine, &view);
    // What a crash between the batches of an entry leaves: versions and history, but neither revision nor mark.
    let at = Position { revision: Revision(2), sub: 0 };
    let half = Version { create_revision: 1, version: 2, lease: 0, value: "half".into() };
    let mut batch = sled::Batch::default();
    batch.insert(layout::data_key(b"a", at), half.encoded());
    batch.insert(layout::history_key(at), b"a");
    machine.tables.write(batch).unwrap();
    assert_eq!(image(&machine, &view), seen);
    let mut watch = view.watch(KeyRange::single("a"), Some(Revision(2))).unwrap();
    assert!(futures::FutureExt::now_or_never(watch.next()).is_none(), "an event of an unpublished revision");
    let mut file = Vec::new();
    let mark = machine.snapshot().unwrap()(&mut file).unwrap();
    let (mut other, other_view) = Machine::open(dir.path().join("b")).unwrap();
    other.install(mark, &mut file.as_slice()).unwrap();
    assert_eq!(image(&other, &other_view), seen);

    put(&mut machine, 2, "a", "whole");
    assert_eq!(view.get(b"a").unwrap().unwrap().value, "whole");
    let batch = futures::FutureExt::now_or_never(watch.next()).unwrap().unwrap();
    assert_eq!((batch.events.len(), batch.events[0].kv.value.as_ref()), (1, &b"whole"[..]));
}

/// Written by the first version: `a` was put twice, `b` put with a lease and deleted, history compacted at 1.
const SNAPSHOT_V1: &str = "060801100418010e0a016110012207080110012201310e0a01611002220708011002220132100a016210032209\
     080310011807220131050a01621004022804";

/// A transaction and a raised bound, as the first version put them into the log.
const COMMANDS_V1: [&str; 2] = [
    "0803122d0a070a016310011802120c080112016222013228073001120908021201621a0262001a090803120161\
     1a026100",
    "08041a060a017410e807",
];

#[test]
fn what_the_first_version_wrote_is_read() {
    let commands = [
        Command {
            term: 3,
            action: Action::Txn(
                Txn::of(vec![
                    Op::Put { key: "b".into(), value: "2".into(), lease: 7, prev_kv: true },
                    Op::Delete { range: KeyRange::single("b"), prev_kv: false },
                ])
                .when(Compare::absent("c"))
                .otherwise(Op::get("a")),
            ),
        },
        Command { term: 4, action: Action::Bound { key: "t".into(), now_ns: 1_000 } },
    ];
    for (bytes, command) in COMMANDS_V1.iter().zip(&commands) {
        assert_eq!(Command::decode(&hex::decode(bytes).unwrap()).as_ref(), Ok(command));
    }

    let dir = tempfile::tempdir().unwrap();
    let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
    let conf_state = ConfState { voters: vec![1, 2], ..ConfState::default() };
    let mark = Mark { index: 9, term: 3, conf_state };
    machine.install(mark, &mut hex::decode(SNAPSHOT_V1).unwrap().as_slice()).unwrap();
    assert_eq!((view.revision(), view.compacted()), (Revision(4), Revision(1)));
    let a = view.get(b"a").unwrap().unwrap();
    assert_eq!((a.value.as_ref(), a.create_revision.0, a.mod_revision.0, a.version), (&b"2"[..], 1, 2, 2));
    let b = view.range(&KeyRange::single("b"), 0, Some(Revision(3))).unwrap().kvs.remove(0);
    assert_eq!((b.value.as_ref(), b.lease, b.version), (&b"1"[..], 7, 1));
    assert_eq!(view.get(b"b"), Ok(None));
}
