//! One group's log as raft-rs reads it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message as _;
use proto::raftcore::{LogStart, SnapshotDescriptor};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot, SnapshotMetadata};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use raft_engine::Engine;

use super::cache::Cache;
use super::{Entries, Found};
use crate::BootTime;

/// Where a group's snapshot for others stands.
#[derive(Default)]
pub(crate) enum SnapshotSlot {
    /// None asked for.
    #[default]
    None,
    /// Raft asked for one on behalf of this member; the loop has not seen it yet.
    Wanted { by: u64 },
    /// Being made, on behalf of this member.
    Making { by: u64 },
    /// Made.
    Ready(MadeSnapshot),
}

/// A snapshot file that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct MadeSnapshot {
    pub metadata: SnapshotMetadata,
    pub descriptor: SnapshotDescriptor,
    pub file: PathBuf,
    pub made_at: BootTime,
}

/// The log of one group: entries in the engine, the newest also in memory.
pub(crate) struct GroupLog {
    engine: Arc<Engine>,
    group: u64,
    initial: RaftState,
    start: LogStart,
    last: u64,
    cache: Cache,
    // Raft asks for a snapshot through a shared reference.
    snapshot: RefCell<SnapshotSlot>,
}

impl GroupLog {
    pub(super) fn new(engine: Arc<Engine>, group: u64, found: &Found, conf_state: ConfState) -> Self {
        Self {
            engine,
            group,
            initial: RaftState::new(found.hard_state.clone(), conf_state),
            start: found.start,
            last: found.last,
            cache: Cache::default(),
            snapshot: RefCell::default(),
        }
    }

    /// Takes in what was just written.
    pub fn appended(&mut self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.last = last.index;
        }
        self.cache.append(entries);
    }

    /// Begins anew behind a received snapshot that was just written.
    pub fn restart_at(&mut self, start: LogStart) {
        self.start = start;
        self.last = start.index;
        self.cache.clear();
    }

    /// Forgets what was just cut.
    pub fn cut(&mut self, start: LogStart) {
        self.start = start;
        self.cache.cut(start.index);
    }

    /// The position before the first entry.
    pub fn start(&self) -> LogStart {
        self.start
    }

    /// Replaces the state of the snapshot for others, returning the former one.
    pub fn set_snapshot(&mut self, slot: SnapshotSlot) -> SnapshotSlot {
        self.snapshot.replace(slot)
    }

    /// Looks at the state of the snapshot for others.
    pub fn with_snapshot<T>(&self, look: impl FnOnce(&SnapshotSlot) -> T) -> T {
        look(&self.snapshot.borrow())
    }

    /// Entries `[low, high)` up to about `max_bytes`, at least one.
    pub fn read(&self, low: u64, high: u64, max_bytes: u64) -> raft::Result<Vec<Entry>> {
        if low <= self.start.index {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let mut entries = Vec::new();
        let cached_from = self.cache.first().unwrap_or(high).clamp(low, high);
        if low < cached_from {
            // The engine's own limit is in encoded bytes, too.
            let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            let count = self
                .engine
                .fetch_entries_to::<Entries>(self.group, low, cached_from, Some(limit), &mut entries)
                .map_err(|e| raft::Error::Store(StorageError::Other(Box::new(e))))?;
            if (count as u64) < cached_from - low {
                return Ok(entries);
            }
        }
        let mut bytes: u64 = entries.iter().map(size).sum();
        for index in cached_from..high {
            let entry = self.cache.get(index).ok_or(StorageError::Unavailable)?;
            bytes += size(entry);
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn hard_state(&self) -> &HardState {
        &self.initial.hard_state
    }
}

impl Storage for GroupLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state().clone(), self.initial.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        self.read(low, high, max_size.into().unwrap_or(u64::MAX))
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.start.index {
            return Ok(self.start.term);
        }
        if index < self.start.index {
            return Err(StorageError::Compacted.into());
        }
        if let Some(entry) = self.cache.get(index) {
            return Ok(entry.term);
        }
        match self.engine.get_entry::<Entries>(self.group, index) {
            Ok(Some(entry)) => Ok(entry.term),
            Ok(None) => Err(StorageError::Unavailable.into()),
            Err(e) => Err(raft::Error::Store(StorageError::Other(Box::new(e)))),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let mut slot = self.snapshot.borrow_mut();
        match &*slot {
            SnapshotSlot::Ready(made) if serves(made, request_index, to, self.start.index) => {
                let data = made.descriptor.encode_to_vec().into();
                let mut snapshot = Snapshot { data, ..Snapshot::default() };
                snapshot.set_metadata(made.metadata.clone());
                return Ok(snapshot);
            }
            SnapshotSlot::Wanted { .. } | SnapshotSlot::Making { .. } => {}
            SnapshotSlot::None => *slot = SnapshotSlot::Wanted { by: to },
            SnapshotSlot::Ready(old) => {
                // The file may still be on its way to someone: whoever sends it has it open.
                let _ = std::fs::remove_file(&old.file);
                *slot = SnapshotSlot::Wanted { by: to };
            }
        }
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

/// Whether a made snapshot helps this member: new enough, followed by our log without a gap, and its membership has
/// the member in it (Raft over there ignores one that has not).
fn serves(made: &MadeSnapshot, request_index: u64, to: u64, log_start: u64) -> bool {
    let conf = made.metadata.get_conf_state();
    let known =
        [conf.get_voters(), conf.get_learners(), conf.get_voters_outgoing(), conf.get_learners_next()]
            .iter()
            .any(|ids| ids.contains(&to));
    made.metadata.index >= request_index.max(log_start) && known
}

fn size(entry: &Entry) -> u64 {
    // What protobuf would say, give or take a few bytes of varints.
    (entry.data.len() + entry.context.len()) as u64 + 16
}
