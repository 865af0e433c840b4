//! Unique ids: handed out from a window that is reserved through Raft.

use crate::leadership::Term;
use crate::state::KvError;

/// How many ids are reserved at once: one write to the log a thousand ids, as tikv/pd does.
pub const WINDOW: u64 = 1_000;

/// Gives out ids; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Ids {}

/// Why no id was given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The window could not be reserved.
    #[error(transparent)]
    Reserve(#[from] KvError),
    /// There are no ids left.
    #[error("ids are exhausted: {0} more do not fit into 64 bits")]
    Exhausted(u64),
    /// The stored end of the window is broken.
    #[error("alloc_id: {0}")]
    Broken(#[from] crate::keys::DecodeError),
}

impl Ids {
    /// Allocates `count` ids in a row (0 counts as 1) and returns the last. Only as leader of `term`.
    ///
    /// The first id of a fresh cluster is 1. A new leader skips what was left of the former's window.
    pub async fn alloc(&self, term: Term, count: u32) -> Result<u64, IdError> {
        let _ = (term, count);
        todo!()
    }
}
