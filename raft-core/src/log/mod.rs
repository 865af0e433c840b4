//! The durable log of all groups of a runtime: one raft-engine, one write a loop round.
//!
//! On disk, for each group: its entries, and under three keys its hard state, the position before its first entry
//! and the origin of its state (`raftcore.LogStart`, `raftcore.Origin`).

mod cache;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod storage;
mod tail;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use prost::Message as _;
use proto::eraftpb as wire;
use proto::raftcore::{LogStart, Origin};
use raft::eraftpb::{Entry, HardState};
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize, RecoveryMode};

use crate::{Counters, Error, Result};

pub(crate) use storage::{GroupLog, MadeSnapshot, SnapshotSlot};

const HARD_STATE: &[u8] = b"hard";
const START: &[u8] = b"start";
const ORIGIN: &[u8] = b"origin";

/// Log files are written up to this size: small enough that a purge frees space soon.
const FILE_SIZE: ReadableSize = ReadableSize::mb(32);
/// Above this the engine gathers what is still needed and drops old files. More files would only lengthen a restart.
const PURGE_ABOVE: ReadableSize = ReadableSize::mb(256);

/// How raft-engine finds an entry's index.
pub(crate) struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// The engine, shared by the Raft thread (all writes) and the thread that purges.
#[derive(Clone)]
pub(crate) struct Log {
    engine: Arc<Engine>,
    counters: Arc<Counters>,
}

/// What the log holds of a group when it is opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub hard_state: HardState,
    pub start: LogStart,
    /// Index of the last entry; `start.index` when there is none.
    pub last: u64,
    pub origin: Option<Origin>,
}

impl Log {
    /// Opens or makes the log in `dir`, which exists; refuses a folder that another runtime has open and one with
    /// damaged files.
    pub fn open(dir: &Path, counters: Arc<Counters>) -> Result<Self> {
        let folder = |reason: String| Error::Folder { dir: dir.display().to_string(), reason };
        let path = dir.to_str().ok_or_else(|| folder("its name is not UTF-8".into()))?;
        let config = Config {
            dir: path.into(),
            target_file_size: FILE_SIZE,
            purge_threshold: PURGE_ABOVE,
            // Small entries do not get smaller, and recycling would fill the disk up front.
            batch_compression_threshold: ReadableSize(0),
            enable_log_recycle: false,
            // What may be cut is decided in `tail`; the engine would cut acknowledged records without a word.
            recovery_mode: RecoveryMode::AbsoluteConsistency,
            ..Config::default()
        };
        tail::mend(dir)?;
        let engine = Engine::open(config).map_err(|e| folder(e.to_string()))?;
        Ok(Self { engine: Arc::new(engine), counters })
    }

    /// The groups that have a log here.
    pub fn groups(&self) -> Vec<u64> {
        let mut groups = self.engine.raft_groups();
        groups.retain(|group| self.engine.get(*group, START).is_some());
        groups.sort_unstable();
        groups
    }

    /// What it holds of a group, `None` if nothing.
    pub fn find(&self, group: u64) -> Result<Option<Found>> {
        let Some(start) = self.engine.get(group, START) else { return Ok(None) };
        let start = LogStart::decode(&*start).map_err(|e| broken(group, "start of the log", &e))?;
        let mut hard_state = HardState::default();
        if let Some(stored) = self.engine.get(group, HARD_STATE) {
            let stored = wire::HardState::decode(&*stored).map_err(|e| broken(group, "hard state", &e))?;
            hard_state.term = stored.term;
            hard_state.vote = stored.vote;
            hard_state.commit = stored.commit;
        }
        let origin = match self.engine.get(group, ORIGIN) {
            Some(stored) => Some(Origin::decode(&*stored).map_err(|e| broken(group, "origin", &e))?),
            None => None,
        };
        let last = self.engine.last_index(group).unwrap_or(start.index).max(start.index);
        Ok(Some(Found { hard_state, start, last, origin }))
    }

    /// Opens a group's log for Raft to read.
    pub fn group(&self, group: u64, found: &Found, conf_state: raft::eraftpb::ConfState) -> GroupLog {
        GroupLog::new(self.engine.clone(), group, found, conf_state)
    }

    /// Writes what a round has gathered: one write and at most one sync for all groups. A failure leaves memory and
    /// disk apart, and a member that goes on would break its word: the process ends.
    pub fn write(&self, batch: &mut Batch) {
        if batch.engine.is_empty() {
            return;
        }
        let began = Instant::now();
        if let Err(error) = self.engine.write(&mut batch.engine, batch.sync) {
            tracing::error!(%error, "the raft log cannot be written: the process ends");
            std::process::abort();
        }
        if batch.sync {
            self.counters.log_syncs.fetch_add(1, Ordering::Relaxed);
            let spent = began.elapsed();
            let spent_ns = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
            self.counters.log_sync_ns.fetch_add(spent_ns, Ordering::Relaxed);
            self.counters.log_sync.record_time(spent, 1);
        }
        self.counters.entries_appended.fetch_add(batch.entries, Ordering::Relaxed);
        *batch = Batch::default();
    }

    /// Drops files that hold nothing needed. Returns groups whose old entries keep files alive and should be cut.
    pub fn purge(&self) -> Vec<u64> {
        self.engine.purge_expired_files().unwrap_or_else(|error| {
            tracing::warn!(%error, "purging the raft log failed; tried again later");
            Vec::new()
        })
    }
}

/// What one loop round writes.
#[derive(Default)]
pub(crate) struct Batch {
    engine: LogBatch,
    sync: bool,
    entries: u64,
}

impl Batch {
    /// A new group's records; replaces whatever the log held under this id.
    pub fn begin(&mut self, group: u64, start: LogStart, hard_state: &HardState, origin: Option<&Origin>) {
        // raft-engine panics on a gap in its index, and Clean takes the hard state along (rule 15): all in one batch.
        self.engine.add_command(group, Command::Clean);
        self.hard_state(group, hard_state);
        self.put(group, START, start.encode_to_vec());
        if let Some(origin) = origin {
            self.put(group, ORIGIN, origin.encode_to_vec());
        }
        self.sync = true;
    }

    /// Term, vote and commit. Only the first two need [`Batch::must_sync`].
    pub fn hard_state(&mut self, group: u64, hard_state: &HardState) {
        let stored =
            wire::HardState { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit };
        self.put(group, HARD_STATE, stored.encode_to_vec());
    }

    /// Appends entries, replacing any of the same or higher index.
    pub fn append(&mut self, group: u64, entries: &[Entry]) {
        // Refused only above 2 GiB a batch; a round's entries are bounded far below by `MAX_UNCOMMITTED_BYTES` and
        // the inbox.
        self.engine.add_entries::<Entries>(group, entries).expect("a round's entries fit into one batch");
        self.entries += entries.len() as u64;
        self.sync = true;
    }

    /// Cuts everything up to and with `start`.
    pub fn cut(&mut self, group: u64, start: LogStart) {
        self.engine.add_command(group, Command::Compact { index: start.index + 1 });
        self.put(group, START, start.encode_to_vec());
    }

    /// Removes all of a group.
    pub fn end(&mut self, group: u64) {
        self.engine.add_command(group, Command::Clean);
        self.sync = true;
    }

    /// Demands a sync.
    pub fn must_sync(&mut self) {
        self.sync = true;
    }

    fn put(&mut self, group: u64, key: &[u8], value: Vec<u8>) {
        self.engine
            .put(group, key.to_vec(), value)
            .expect("our keys are not among the engine's reserved ones");
    }
}

fn broken(group: u64, what: &str, error: &dyn std::error::Error) -> Error {
    Error::Inconsistent { group, reason: format!("{what} in the log cannot be read: {error}") }
}

#[cfg(test)]
mod tests;
