//! One generation of the machine's data, and how it is read: always at a published revision, since sled itself has no
//! snapshots (rule 7).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use prost::Message;
use raft_core::Mark;
use sled::IVec;

use super::KvError;
use super::layout::{self, MarkRecord, Position, Version};
use super::model::{KeyRange, KeyValue, RangeResult, Revision};

/// Memory for sled's pages: all of PD's state fits several times.
const CACHE_BYTES: u64 = 128 << 20;

/// One generation: its database and what is published of it.
pub(super) struct Tables {
    tree: sled::Db,
    /// sled's flush only asks the kernel to write; this second handle on its file makes it durable.
    file: File,
    revision: AtomicU64,
    compacted: AtomicU64,
    /// Snapshots being read: while there are any, no version is removed.
    pins: AtomicU64,
    /// Term of the last applied bound of timestamps since this process started.
    bound_term: AtomicU64,
}

/// What is stored is not what was written.
pub(super) fn broken(what: &str) -> KvError {
    KvError::Storage(format!("{what} has a broken form"))
}

impl From<sled::Error> for KvError {
    fn from(error: sled::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

impl Tables {
    /// Opens or creates the database of a generation.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // No flushing thread of sled's own: what is not flushed comes again from the Raft log.
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let tree = config.open().map_err(|e| named(path, &e))?;
        let file = File::options().write(true).open(path.join("db"))?;
        let number = |name: &[u8]| -> io::Result<u64> {
            match tree.get(name).map_err(|e| named(path, &e))? {
                None => Ok(0),
                Some(value) => {
                    crate::keys::decode_be(&value).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
                }
            }
        };
        let (revision, compacted) = (number(layout::REVISION)?, number(layout::COMPACTED)?);
        Ok(Self {
            tree,
            file,
            revision: revision.into(),
            compacted: compacted.into(),
            pins: 0.into(),
            bound_term: 0.into(),
        })
    }

    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    pub(super) fn compacted(&self) -> Revision {
        Revision(self.compacted.load(Ordering::Acquire))
    }

    pub(super) fn bound_term(&self) -> u64 {
        self.bound_term.load(Ordering::Acquire)
    }

    /// Makes a written state visible to readers. The start of the history first: a reader that sees the new revision
    /// must not miss it.
    pub(super) fn publish(&self, revision: Revision, compacted: Revision) {
        self.compacted.store(compacted.0, Ordering::Release);
        self.revision.store(revision.0, Ordering::Release);
    }

    pub(super) fn publish_bound_term(&self, term: u64) {
        self.bound_term.store(term, Ordering::Release);
    }

    pub(super) fn mark(&self) -> io::Result<Mark> {
        let Some(bytes) = self.tree.get(layout::MARK)? else { return Ok(Mark::default()) };
        let record = MarkRecord::decode(bytes.as_ref())?;
        Ok(Mark { index: record.index, term: record.term, conf_state: record.conf_state.unwrap_or_default() })
    }

    /// Writes a batch. Atomic, not yet durable.
    pub(super) fn write(&self, batch: sled::Batch) -> io::Result<()> {
        Ok(self.tree.apply_batch(batch)?)
    }

    /// Makes everything written so far durable.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.tree.flush()?;
        self.file.sync_data()
    }

    /// The newest version of a key at or before a revision.
    pub(super) fn version_at(
        &self,
        key: &Bytes,
        revision: Revision,
    ) -> Result<Option<(Position, Version)>, KvError> {
        let last = layout::data_key(key, Position { revision, sub: u32::MAX });
        self.last_version(layout::data_start(key)..=last)
    }

    /// The newest version of a key before a write.
    pub(super) fn version_before(
        &self,
        key: &Bytes,
        at: Position,
    ) -> Result<Option<(Position, Version)>, KvError> {
        self.last_version(layout::data_start(key)..layout::data_key(key, at))
    }

    /// One version of a key.
    pub(super) fn version(&self, key: &Bytes, at: Position) -> Result<Option<Version>, KvError> {
        self.tree.get(layout::data_key(key, at))?.map(|value| decode_version(&value)).transpose()
    }

    /// A key as of a revision; `None` if it was absent.
    pub(super) fn get_at(&self, key: &Bytes, revision: Revision) -> Result<Option<KeyValue>, KvError> {
        Ok(self
            .version_at(key, revision)?
            .filter(|(_, version)| !version.is_deletion())
            .map(|(at, version)| version.into_key_value(key.clone(), at.revision)))
    }

    /// Calls `visit` with each key of a range that was there at a revision, in order.
    pub(super) fn visit_at(
        &self,
        range: &KeyRange,
        revision: Revision,
        mut visit: impl FnMut(KeyValue),
    ) -> Result<(), KvError> {
        let end = range.end.as_ref().map_or_else(layout::all_data_end, |end| layout::data_start(end));
        let mut from = layout::data_start(&range.start);
        while from < end {
            // One seek finds the next key, one its version: however long a key's history is, it is not walked.
            let Some(next) = self.tree.range(from..end.clone()).next() else { break };
            let (data_key, _) = next?;
            let (key, _) = layout::parse_data_key(&data_key).ok_or_else(|| broken("a key"))?;
            if let Some(kv) = self.get_at(&key, revision)? {
                visit(kv);
            }
            from = layout::data_end(&key);
        }
        Ok(())
    }

    /// Reads a range at a revision. `limit` 0 returns all.
    pub(super) fn range_at(
        &self,
        range: &KeyRange,
        limit: usize,
        revision: Revision,
    ) -> Result<RangeResult, KvError> {
        let mut found = RangeResult::default();
        self.visit_at(range, revision, |kv| {
            found.count += 1;
            if limit == 0 || found.kvs.len() < limit {
                found.kvs.push(kv);
            } else {
                found.more = true;
            }
        })?;
        Ok(found)
    }

    /// The writes from a revision on, in order.
    pub(super) fn history(
        &self,
        from: Revision,
    ) -> impl Iterator<Item = Result<(Position, Bytes), KvError>> + use<> {
        self.tree.range(layout::history_start(from)..layout::history_end()).map(|entry| {
            let (key, touched) = entry?;
            let at = layout::parse_history_key(&key).ok_or_else(|| broken("the history"))?;
            Ok((at, to_bytes(&touched)))
        })
    }

    /// All versions of all keys, in order.
    pub(super) fn all_versions(
        &self,
    ) -> impl Iterator<Item = Result<(Bytes, Position, Bytes), KvError>> + use<> {
        self.tree.range(layout::all_data_start()..layout::all_data_end()).map(|entry| {
            let (data_key, value) = entry?;
            let (key, at) = layout::parse_data_key(&data_key).ok_or_else(|| broken("a key"))?;
            Ok((key, at, to_bytes(&value)))
        })
    }

    /// The data keys of a key's versions from one write on and before another.
    pub(super) fn versions_between(
        &self,
        key: &Bytes,
        from: Position,
        before: Position,
    ) -> impl Iterator<Item = sled::Result<IVec>> + use<> {
        self.tree.range(layout::data_key(key, from)..layout::data_key(key, before)).keys()
    }

    pub(super) fn pin(&self) {
        self.pins.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }

    fn last_version<R: std::ops::RangeBounds<Vec<u8>>>(
        &self,
        range: R,
    ) -> Result<Option<(Position, Version)>, KvError> {
        let Some(last) = self.tree.range(range).next_back() else { return Ok(None) };
        let (data_key, value) = last?;
        let (_, at) = layout::parse_data_key(&data_key).ok_or_else(|| broken("a key"))?;
        Ok(Some((at, decode_version(&value)?)))
    }
}

fn decode_version(value: &[u8]) -> Result<Version, KvError> {
    Version::decode(value).map_err(|_| broken("a value"))
}

fn to_bytes(value: &IVec) -> Bytes {
    Bytes::copy_from_slice(value)
}

fn named(path: &Path, error: &sled::Error) -> io::Error {
    io::Error::other(format!("state in {}: {error}", path.display()))
}
