use std::sync::Arc;

use raft::eraftpb::{Entry, HardState};

use super::super::{Batch, Log};
use super::*;
use crate::Counters;

const GROUP: u64 = 3;
const LAST: u64 = 8;

fn open(dir: &Path) -> Result<Log> {
    Log::open(dir, Arc::new(Counters::default()))
}

/// A log of entries 1 to [`LAST`], one record each, the last one several sectors long; its file and its number.
fn filled(dir: &Path) -> (PathBuf, u64) {
    let log = open(dir).unwrap();
    let mut batch = Batch::default();
    batch.begin(GROUP, proto::raftcore::LogStart::default(), &HardState::default(), None);
    log.write(&mut batch);
    for index in 1..=LAST {
        let data = vec![b'x'; if index == LAST { 1_200 } else { 20 }];
        let entry = Entry { index, term: 1, data: data.into(), ..Entry::default() };
        batch.append(GROUP, &[entry]);
        log.write(&mut batch);
    }
    drop(log);
    let (number, path) = newest(dir, SUFFIXES[0]).unwrap().unwrap();
    (path, number)
}

/// Where each record begins, and where the last one ends.
fn offsets(bytes: &[u8], number: u64) -> Vec<usize> {
    let records = Records { bytes, used: bytes.len(), signature: number as u32 };
    std::iter::successors(Some(FILE_HEADER_BYTES), |offset| records.whole_at(*offset)).collect()
}

fn last_entry(dir: &Path) -> u64 {
    open(dir).unwrap().find(GROUP).unwrap().unwrap().last
}

#[test]
fn what_the_engine_writes_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(examine(&bytes, number), Tail::Whole);
    let offsets = offsets(&bytes, number);
    assert_eq!((offsets.len(), offsets.last()), (LAST as usize + 2, Some(&bytes.len())));
    assert_eq!(last_entry(dir.path()), LAST);
}

#[test]
fn rule_3_a_short_or_zero_filled_tail_is_unfinished() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let bytes = std::fs::read(path).unwrap();
    let offsets = offsets(&bytes, number);
    let last = offsets[offsets.len() - 2];
    for end in last + 1..bytes.len() {
        assert_eq!(examine(&bytes[..end], number), Tail::Unfinished { offset: last }, "{end}");
    }
    for sector in (0..bytes.len()).step_by(SECTOR_BYTES).filter(|sector| *sector > last) {
        let mut torn = bytes[..sector].to_vec();
        torn.resize(3 * bytes.len(), 0);
        assert_eq!(examine(&torn, number), Tail::Unfinished { offset: last }, "{sector}");
    }
    for zeros in [1, RECORD_HEADER_BYTES, 5_000] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + zeros, 0);
        assert_eq!(examine(&longer, number), Tail::Unfinished { offset: bytes.len() });
    }
    for begun in [&bytes[..0], &bytes[..20], &[0; 4_096]] {
        assert_eq!(examine(begun, number), Tail::Unfinished { offset: 0 });
    }
}

#[test]
fn rule_3_any_flipped_bit_is_damage_with_and_without_zeros_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let bytes = std::fs::read(path).unwrap();
    let mut offsets = offsets(&bytes, number);
    offsets.insert(0, 0);
    let mut padded = bytes.clone();
    padded.resize(bytes.len() + 4_096, 0);
    for mut file in [bytes.clone(), padded] {
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            file[at] ^= 1 << bit;
            let offset = offsets.iter().copied().filter(|offset| *offset <= at).max().unwrap();
            assert_eq!(examine(&file, number), Tail::Damaged { offset }, "bit {bit} of byte {at}");
            file[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    for zeros in [0, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = filled(dir.path());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let torn = (file.metadata().unwrap().len() - 3) / 512 * 512;
        file.set_len(torn).unwrap();
        file.set_len(torn + zeros).unwrap();
        let log = open(dir.path()).unwrap();
        assert_eq!(log.find(GROUP).unwrap().unwrap().last, LAST - 1);
        let mut batch = Batch::default();
        batch.append(GROUP, &[Entry { index: LAST, term: 2, ..Entry::default() }]);
        log.write(&mut batch);
        drop(log);
        assert_eq!(last_entry(dir.path()), LAST);
    }
}

#[test]
fn a_file_that_was_only_begun_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let next = path.with_file_name(format!("{:016}.raftlog", number + 1));
    for begun in [Vec::new(), vec![0; 4_096], MAGIC.to_vec()] {
        std::fs::write(&next, begun).unwrap();
        assert_eq!(last_entry(dir.path()), LAST);
    }
}

#[test]
fn damage_is_refused_by_file_and_offset_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let good = std::fs::read(&path).unwrap();
    let offsets = offsets(&good, number);
    for (offset, end) in [(offsets[4], offsets[5]), (offsets[offsets.len() - 2], good.len())] {
        let mut bad = good.clone();
        bad[end - 40] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let refused = open(dir.path()).err().unwrap().to_string();
        let named = [path.to_str().unwrap(), &format!("byte {offset}:"), "replace"];
        assert!(named.iter().all(|word| refused.contains(word)), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), bad);
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(last_entry(dir.path()), LAST);
}

#[test]
fn damage_in_an_older_file_is_refused_by_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let (path, number) = filled(dir.path());
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&ALIGNMENT.to_be_bytes());
    std::fs::write(path.with_file_name(format!("{:016}.raftlog", number + 1)), header).unwrap();
    assert_eq!(last_entry(dir.path()), LAST);
    let mut bad = std::fs::read(&path).unwrap();
    let at = bad.len() - 40;
    bad[at] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert!(open(dir.path()).is_err());
}
