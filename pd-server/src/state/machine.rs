//! The state machine: applies what Raft has agreed on, in order, each entry as one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use raft_core::{Committed, Mark, Outcome, SnapshotWriter, StateMachine};
use tracing::{info, warn};

use super::KvError;
use super::command::{Action, Answer, Bound, Command};
use super::evaluate::{Write, evaluate};
use super::generation::Generations;
use super::layout::{self, MarkRecord};
use super::model::Revision;
use super::snapshot;
use super::tables::Tables;
use super::txn::{Op, Txn};
use super::view::{Shared, View};
use crate::keys;

/// Most keys in one batch of sled: beyond, its memory grows out of proportion (measured).
const BATCH_KEYS_MAX: usize = 500;

/// Most keys that compaction removes after one round of applying, so that no entry waits long for it.
const SWEEP_KEYS_MAX: usize = 400;

/// How far ahead of the wall a bound is raised: a leader that is cut off has that long to serve at most.
const BOUND_AHEAD_NS: u64 = 3_000_000_000;

/// The least room between a window's start and its bound, for a wall clock that lies behind.
const BOUND_ROOM_NS: u64 = 200_000_000;

/// The replicated key-value machine of this member.
pub(crate) struct Machine {
    shared: Arc<Shared>,
    generations: Generations,
    generation: u64,
    tables: Arc<Tables>,
    mark: Mark,
    /// The mark has moved since it was written (entries without effect on the data).
    mark_pending: bool,
}

impl Machine {
    /// Opens or creates the state in a folder.
    pub(crate) fn open(folder: PathBuf) -> io::Result<(Self, View)> {
        let (generations, generation) = Generations::open(folder)?;
        let tables = Arc::new(Tables::open(&generations.path(generation))?);
        let mark = tables.mark()?;
        let shared = Arc::new(Shared::new(Arc::clone(&tables)));
        let view = View::new(Arc::clone(&shared));
        Ok((Self { shared, generations, generation, tables, mark, mark_pending: false }, view))
    }

    fn apply_normal(&mut self, index: u64, term: u64, data: &[u8]) -> io::Result<Outcome> {
        self.mark.index = index;
        self.mark.term = term;
        self.mark_pending = true;
        if data.is_empty() {
            return Ok(Outcome::default());
        }
        let answer = match Command::decode(data) {
            Ok(command) if command.term != term => Answer::Fenced { asked: command.term, term },
            Ok(command) => self.act(command.action, term)?,
            Err(reason) => {
                warn!(index, term, reason, "entry not understood, nothing done");
                Answer::Malformed(reason)
            }
        };
        Ok(Outcome { output: answer.encode(), refused: false })
    }

    /// A change of membership comes with the change of the members' records, in one batch: neither is ever there without
    /// the other. A transaction that does not hold refuses the change.
    fn apply_change(&mut self, mark: Mark, context: &[u8]) -> io::Result<Outcome> {
        match self.records_of_change(context, mark.term)? {
            Ok((writes, revision)) if !writes.is_empty() => {
                self.mark = mark;
                self.write(writes, revision)?;
            }
            Ok(_) => {
                self.mark = mark;
                self.write_mark()?;
            }
            Err(reason) => {
                (self.mark.index, self.mark.term) = (mark.index, mark.term);
                self.write_mark()?;
                return Ok(Outcome { output: reason.into(), refused: true });
            }
        }
        Ok(Outcome::default())
    }

    /// What a change of membership writes, or why it is refused. An empty context (a joint membership is left) writes nothing.
    fn records_of_change(
        &self,
        context: &[u8],
        term: u64,
    ) -> io::Result<Result<(Vec<Write>, Revision), String>> {
        if context.is_empty() {
            return Ok(Ok((Vec::new(), self.tables.revision())));
        }
        let txn = match Command::decode(context) {
            Ok(Command { term: asked, .. }) if asked != term => {
                return Ok(Err(format!("proposed in term {asked}, applied in term {term}")));
            }
            Ok(Command { action: Action::Txn(txn), .. }) => txn,
            Ok(Command { action: Action::Bound { .. } | Action::Compact(_), .. }) => {
                return Ok(Err("only a transaction goes with a change of membership".to_owned()));
            }
            Err(reason) => return Ok(Err(reason)),
        };
        let (result, writes) = evaluate(&self.tables, self.tables.revision(), &txn).map_err(storage)?;
        if !result.succeeded {
            return Ok(Err("the records of the members have changed meanwhile".to_owned()));
        }
        Ok(Ok((writes, result.revision)))
    }

    fn act(&mut self, action: Action, term: u64) -> io::Result<Answer> {
        match action {
            Action::Txn(txn) => self.transact(&txn).map(Answer::Txn),
            Action::Bound { key, now_ns } => {
                let base = self.tables.revision();
                let saved = self.tables.get_at(&key, base).map_err(storage)?;
                let saved_ns = saved.map_or(Ok(0), |kv| keys::decode_be(&kv.value)).map_err(storage)?;
                let bound = raise(saved_ns, now_ns);
                self.transact(&Txn::of(vec![Op::put(key, keys::encode_be(bound.bound_ns))]))?;
                self.tables.publish_bound_term(term);
                Ok(Answer::Bound(bound))
            }
            Action::Compact(revision) => self.compact(revision).map(Answer::Compacted),
        }
    }

    fn transact(&mut self, txn: &Txn) -> io::Result<super::TxnResult> {
        let base = self.tables.revision();
        let (result, writes) = evaluate(&self.tables, base, txn).map_err(storage)?;
        if !writes.is_empty() {
            self.write(writes, result.revision)?;
        }
        Ok(result)
    }

    /// Writes all of a revision. What readers and a restart go by, revision and mark, is in the last batch: until then
    /// the versions before it are not visible, and applying the entry again writes the same keys.
    fn write(&mut self, writes: Vec<Write>, revision: Revision) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        let mut keys_in_batch = 0;
        let about_members = writes.iter().any(|write| keys::is_about_members(&write.key));
        let about_config = writes.iter().any(|write| keys::is_about_config(&write.key));
        for write in writes {
            // Two keys a write, and room for revision and mark.
            if keys_in_batch + 4 > BATCH_KEYS_MAX {
                self.tables.write(std::mem::take(&mut batch))?;
                keys_in_batch = 0;
            }
            batch.insert(layout::data_key(&write.key, write.at), write.version.encoded());
            batch.insert(layout::history_key(write.at), write.key.as_ref());
            keys_in_batch += 2;
        }
        batch.insert(layout::REVISION, &revision.0.to_be_bytes());
        self.insert_mark(&mut batch);
        self.tables.write(batch)?;
        self.tables.publish(revision, self.tables.compacted());
        if about_members {
            self.shared.tell_members_changed();
        }
        if about_config {
            self.shared.tell_config_changed();
        }
        Ok(())
    }

    fn compact(&mut self, asked: Revision) -> io::Result<Revision> {
        let (newest, compacted) = (self.tables.revision(), self.tables.compacted());
        let start = asked.min(newest).max(compacted);
        if start > compacted {
            let mut batch = sled::Batch::default();
            batch.insert(layout::COMPACTED, &start.0.to_be_bytes());
            self.insert_mark(&mut batch);
            self.tables.write(batch)?;
            self.tables.publish(newest, start);
        }
        Ok(start)
    }

    /// Removes versions that no revision from the start of the history on can see, a few at a time: for each write up
    /// to that start, all versions of its key before it, and itself if it is a deletion. Not part of the replicated
    /// state: members may be at different points.
    fn sweep(&self) -> Result<(), KvError> {
        let compacted = self.tables.compacted();
        if self.tables.is_pinned() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        let mut removed = 0;
        // Where the last write of each key stood in this round: what lies before it is in the batch already.
        let mut swept = BTreeMap::new();
        for entry in self.tables.history(Revision(0)) {
            let (at, key) = entry?;
            if at.revision > compacted || removed >= SWEEP_KEYS_MAX {
                break;
            }
            let from = swept.insert(key.clone(), at).unwrap_or_default();
            for old in self.tables.versions_between(&key, from, at) {
                batch.remove(old?);
                removed += 1;
            }
            if self.tables.version(&key, at)?.is_some_and(|version| version.is_deletion()) {
                batch.remove(layout::data_key(&key, at));
            }
            batch.remove(layout::history_key(at));
            removed += 2;
        }
        if removed > 0 {
            self.tables.write(batch).map_err(|e| KvError::Storage(e.to_string()))?;
        }
        Ok(())
    }

    fn insert_mark(&mut self, batch: &mut sled::Batch) {
        let record = MarkRecord {
            index: self.mark.index,
            term: self.mark.term,
            conf_state: Some(self.mark.conf_state.clone()),
        };
        batch.insert(layout::MARK, record.encode_to_vec());
        self.mark_pending = false;
    }

    fn write_mark(&mut self) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        self.insert_mark(&mut batch);
        self.tables.write(batch)
    }
}

impl StateMachine for Machine {
    fn mark(&self) -> Mark {
        self.mark.clone()
    }

    fn bootstrap(&mut self, mark: Mark) -> io::Result<()> {
        self.mark = mark;
        self.write_mark()
    }

    fn apply(&mut self, entries: Vec<Committed>) -> io::Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.push(match entry {
                Committed::Normal { index, term, data } => self.apply_normal(index, term, &data)?,
                Committed::ConfChange { index, term, change, next } => {
                    let mark = Mark { index, term, conf_state: next };
                    self.apply_change(mark, &change.context)?
                }
            });
        }
        if self.mark_pending {
            self.write_mark()?;
        }
        self.shared.announce();
        self.sweep().map_err(storage)?;
        Ok(outcomes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tables.flush()
    }

    fn snapshot(&mut self) -> io::Result<SnapshotWriter> {
        Ok(snapshot::writer(Arc::clone(&self.tables), self.mark.clone()))
    }

    fn install(&mut self, mark: Mark, file: &mut dyn io::Read) -> io::Result<()> {
        let next = self.generation + 1;
        self.generations.remove(next)?;
        let tables = snapshot::install(&self.generations.path(next), &mark, file)?;
        self.generations.put_in_force(next)?;
        let former = std::mem::replace(&mut self.generation, next);
        self.tables = Arc::new(tables);
        self.mark = mark;
        self.mark_pending = false;
        self.shared.replace(Arc::clone(&self.tables));
        self.shared.announce();
        self.shared.tell_members_changed();
        self.shared.tell_config_changed();
        info!(index = self.mark.index, revision = self.tables.revision().0, "snapshot installed");
        // Readers may still hold the former database open; its names can go nevertheless.
        if let Err(error) = self.generations.remove(former) {
            warn!(%error, former, "former state not removed; it goes at the next start");
        }
        Ok(())
    }
}

/// A new window: it starts where no timestamp was given yet, and ends some way ahead of the wall.
fn raise(saved_ns: u64, now_ns: u64) -> Bound {
    let start_ns = saved_ns.max(now_ns);
    let bound_ns = now_ns.saturating_add(BOUND_AHEAD_NS).max(start_ns.saturating_add(BOUND_ROOM_NS));
    Bound { start_ns, bound_ns }
}

fn storage(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
