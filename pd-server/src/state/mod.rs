//! The replicated state: a multi-version key-value machine with etcd's data model, on sled.
//!
//! Writes go through Raft as transactions and are fenced by the proposer's term: what a former leader still had under
//! way is refused when it is applied. Reads are served from what this member has applied and published; who must not
//! be out of date checks the lead ([`crate::leadership`]) first. Watches read the history, so that a slow watcher costs
//! no memory here.

mod command;
mod evaluate;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod generation;
mod layout;
mod machine;
mod model;
mod snapshot;
mod tables;
mod txn;
mod view;
mod wire;

pub use command::Bound;
pub use model::{Event, EventKind, KeyRange, KeyValue, RangeResult, Revision};
pub use txn::{Compare, Op, OpResult, Relation, TXN_BYTES_MAX, TXN_OPERATIONS_MAX, Target, Txn, TxnResult};
pub use view::Watch;

pub(crate) use generation::sync_folder;
pub(crate) use machine::Machine;
pub(crate) use view::{Announced, View};

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proto::eraftpb::{ConfChangeSingle, ConfChangeV2};
use raft_core::{Durations, ProposeError, Tally};
use tokio::sync::watch;

use self::command::{Action, Answer, Command};
use crate::PD_GROUP;
use crate::leadership::Term;

/// Most events that one call of [`Watch::next`] returns, unless a single revision has more.
pub const WATCH_EVENTS_MAX: usize = 1_000;

/// The way to the key-value machine; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Kv {
    view: View,
    raft: raft_core::Handle,
    times: Arc<Times>,
}

/// How long writes take.
#[derive(Default)]
struct Times {
    applied: Durations,
    failed: Durations,
}

/// All events of one or more revisions, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The last revision that the batch covers.
    pub revision: Revision,
    /// The events; never empty.
    pub events: Vec<Event>,
}

/// Why a read or a write was not done. Nothing has changed, except after [`ProposeError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The write could not be replicated.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The write was applied in a later term than its proposer's, and so refused.
    #[error("refused: proposed in term {asked}, applied in term {term}")]
    Fenced {
        /// The proposer's term.
        asked: u64,
        /// The term that it was applied in.
        term: u64,
    },
    /// The history before `compacted` is gone.
    #[error("revision {} is compacted, history starts at {}", asked.0, compacted.0)]
    Compacted {
        /// The revision that was asked for.
        asked: Revision,
        /// The first revision that can still be read.
        compacted: Revision,
    },
    /// A revision that is not there yet.
    #[error("revision {} is not there yet, the newest is {}", asked.0, newest.0)]
    Future {
        /// The revision that was asked for.
        asked: Revision,
        /// The newest one.
        newest: Revision,
    },
    /// More than [`TXN_OPERATIONS_MAX`] conditions or operations.
    #[error("too many operations in a transaction: {found}, at most {TXN_OPERATIONS_MAX}")]
    TooManyOperations {
        /// How many there are.
        found: usize,
    },
    /// More than [`TXN_BYTES_MAX`] bytes.
    #[error("transaction of {found} bytes is too large, at most {TXN_BYTES_MAX}")]
    TooManyBytes {
        /// How many there are.
        found: usize,
    },
    /// An empty key.
    #[error("key is not provided")]
    EmptyKey,
    /// A key written twice in one transaction.
    #[error("duplicate key {} in a transaction", String::from_utf8_lossy(key))]
    DuplicateKey {
        /// The key.
        key: Bytes,
    },
    /// The files of the state failed or hold what was never written.
    #[error("state on disk: {0}")]
    Storage(String),
}

impl Kv {
    pub(crate) fn new(view: View, raft: raft_core::Handle) -> Self {
        Self { view, raft, times: Arc::default() }
    }

    /// The newest published revision.
    pub fn revision(&self) -> Revision {
        self.view.revision()
    }

    /// The first revision that can still be read.
    pub fn compacted(&self) -> Revision {
        self.view.compacted()
    }

    /// The newest value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        self.view.get(key)
    }

    /// Reads a range as of `revision`, or as of the newest. `limit` 0 returns all.
    ///
    /// # Errors
    /// [`KvError::Compacted`] and [`KvError::Future`] for a revision that cannot be read.
    pub fn range(
        &self,
        range: &KeyRange,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<RangeResult, KvError> {
        self.view.range(range, limit, revision)
    }

    /// Reads on a thread that may wait for the disk: a read can wait for writes, and the threads of the runtime that asks
    /// serve timestamps too.
    pub async fn off_thread<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, KvError> + Send + 'static,
    ) -> Result<T, KvError> {
        let kv = self.clone();
        let done = tokio::task::spawn_blocking(move || read(&kv)).await;
        done.unwrap_or_else(|error| Err(KvError::Storage(format!("a read ended early: {error}"))))
    }

    /// Proposes a transaction as leader of `term` and waits until this member has applied it.
    ///
    /// # Errors
    /// What [`Txn`] may not hold, loss of the lead, or that `term` is over. Only after [`ProposeError::Unknown`] may it
    /// be applied nevertheless.
    pub async fn txn(&self, term: Term, txn: Txn) -> Result<TxnResult, KvError> {
        txn.check()?;
        let began = Instant::now();
        let answer = self.propose(term, Action::Txn(txn)).await;
        let times = if answer.is_ok() { &self.times.applied } else { &self.times.failed };
        times.record_time(began.elapsed(), 1);
        match answer? {
            Answer::Txn(result) => Ok(result),
            other => Err(unexpected(&other)),
        }
    }

    /// How long transactions took from the proposal to the answer: those that were applied, those that failed.
    pub fn write_times(&self) -> (Tally, Tally) {
        (self.times.applied.tally(), self.times.failed.tally())
    }

    /// Writes one key without a condition.
    pub async fn put(
        &self,
        term: Term,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<TxnResult, KvError> {
        self.txn(term, Txn::of(vec![Op::put(key, value)])).await
    }

    /// Gives up the history before `revision`; reads at it and watches after it stay possible. Returns where the
    /// history starts now: never later than the newest revision, never earlier than before.
    pub async fn compact(&self, term: Term, revision: Revision) -> Result<Revision, KvError> {
        match self.propose(term, Action::Compact(revision)).await? {
            Answer::Compacted(start) => Ok(start),
            other => Err(unexpected(&other)),
        }
    }

    /// Watches a range, from a revision on (inclusive) or for what comes after now.
    ///
    /// # Errors
    /// [`KvError::Compacted`] if `from` is before the history. A revision that is not there yet is waited for.
    pub fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<Watch, KvError> {
        self.view.watch(range, from)
    }

    /// Tells of each write of the replicated configuration or its record.
    pub(crate) fn config_changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.view.config_changed()
    }

    /// The cluster's id, drawn by the first leader; `None` until this member has it.
    pub fn cluster_id(&self) -> Option<u64> {
        self.view.cluster_id()
    }

    /// Raises the bound of timestamps kept at `key` (rule 6).
    pub(crate) async fn raise_bound(&self, term: Term, key: Bytes, now_ns: u64) -> Result<Bound, KvError> {
        match self.propose(term, Action::Bound { key, now_ns }).await? {
            Answer::Bound(bound) => Ok(bound),
            other => Err(unexpected(&other)),
        }
    }

    /// Changes the membership of the group as leader of `term`, and the records of its members with it: both or neither.
    /// More than one change makes a joint membership, and no change leaves it. Waits until this member has applied it.
    ///
    /// # Errors
    /// As [`Kv::txn`]; [`ProposeError::Refused`] also where a condition of the transaction does not hold.
    pub(crate) async fn change_members(
        &self,
        term: Term,
        changes: Vec<ConfChangeSingle>,
        records: Option<Txn>,
    ) -> Result<(), KvError> {
        let context = match records {
            Some(txn) => {
                txn.check()?;
                Command { term: term.0, action: Action::Txn(txn) }.encode()
            }
            None => Bytes::new(),
        };
        let change = ConfChangeV2 { changes, context, ..ConfChangeV2::default() };
        self.raft.propose_conf_change(PD_GROUP, Some(term.0), change).await?;
        Ok(())
    }

    /// Tells of each newly published state.
    pub(crate) fn announced(&self) -> watch::Receiver<Announced> {
        self.view.announced()
    }

    async fn propose(&self, term: Term, action: Action) -> Result<Answer, KvError> {
        let data = Command { term: term.0, action }.encode();
        let applied = self.raft.propose(PD_GROUP, Some(term.0), data).await?;
        match Answer::decode(&applied.output).map_err(KvError::Storage)? {
            Answer::Fenced { asked, term } => Err(KvError::Fenced { asked, term }),
            Answer::Malformed(reason) => Err(KvError::Storage(reason)),
            answer => Ok(answer),
        }
    }
}

/// An answer of another kind than the command's. The machine never gives one; a member of another version might.
fn unexpected(answer: &Answer) -> KvError {
    KvError::Storage(format!("unexpected answer {answer:?}"))
}

#[cfg(test)]
pub(crate) mod testing {
    //! Entries for tests of others.

    use super::{Action, Bytes, Command, Op, Txn};

    /// An entry that writes records.
    pub(crate) fn puts(term: u64, records: impl IntoIterator<Item = (Bytes, Bytes)>) -> Bytes {
        let ops = records.into_iter().map(|(key, value)| Op::put(key, value)).collect();
        txn(term, Txn::of(ops))
    }

    /// An entry that is a transaction.
    pub(crate) fn txn(term: u64, txn: Txn) -> Bytes {
        Command { term, action: Action::Txn(txn) }.encode()
    }
}
