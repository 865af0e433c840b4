//! The replicated state: a multi-version key-value machine with etcd's data model, on sled.
//!
//! Writes go through Raft as transactions and are fenced by the proposer's term: what a former leader still had under
//! way is refused when it is applied. Reads are served from what this member has applied and published; who must not
//! be out of date checks the lead ([`crate::leadership`]) first. Watches read the history, so that a slow watcher costs
//! no memory here.

mod model;
mod txn;

pub use model::{Event, EventKind, KeyRange, KeyValue, RangeResult, Revision};
pub use txn::{Compare, Op, OpResult, Relation, TXN_BYTES_MAX, TXN_OPERATIONS_MAX, Target, Txn, TxnResult};

use bytes::Bytes;
use raft_core::ProposeError;

use crate::leadership::Term;

/// Most events that one call of [`Watch::next`] returns, unless a single revision has more.
pub const WATCH_EVENTS_MAX: usize = 1_000;

/// The way to the key-value machine; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Kv {}

/// A watch on a range: a cursor in the history.
pub struct Watch {}

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
    /// The newest published revision.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    /// The first revision that can still be read.
    pub fn compacted(&self) -> Revision {
        todo!()
    }

    /// The newest value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        let _ = key;
        todo!()
    }

    /// Reads a range as of `revision`, or as of the newest. `limit` 0 returns all.
    pub fn range(
        &self,
        range: &KeyRange,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<RangeResult, KvError> {
        let _ = (range, limit, revision);
        todo!()
    }

    /// Proposes a transaction as leader of `term` and waits until this member has applied it.
    pub async fn txn(&self, term: Term, txn: Txn) -> Result<TxnResult, KvError> {
        let _ = (term, txn);
        todo!()
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

    /// Gives up the history before `revision`; reads and watches from there on stay possible.
    pub async fn compact(&self, term: Term, revision: Revision) -> Result<(), KvError> {
        let _ = (term, revision);
        todo!()
    }

    /// Watches a range, from a revision on (inclusive) or for what comes after now.
    ///
    /// # Errors
    /// [`KvError::Compacted`] if `from` is before the history. A revision that is not there yet is waited for.
    pub fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<Watch, KvError> {
        let _ = (range, from);
        todo!()
    }

    /// The cluster's id, drawn by the first leader; `None` until this member has it.
    pub fn cluster_id(&self) -> Option<u64> {
        todo!()
    }
}

impl Watch {
    /// Waits for the next events. Whole revisions: at most [`WATCH_EVENTS_MAX`] events, unless one revision has more.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`KvError::Compacted`] when the watcher fell behind the history: the watch is over.
    pub async fn next(&mut self) -> Result<WatchBatch, KvError> {
        todo!()
    }
}
