//! What can go wrong here.

use std::io;

/// A failure of the runtime itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be used: taken by another process, not writable, of a broken form.
    #[error("raft log folder {dir}: {reason}")]
    Folder {
        /// The folder.
        dir: String,
        /// Why.
        reason: String,
    },
    /// The log or the snapshot folder failed.
    #[error("raft log: {0}")]
    Io(#[from] io::Error),
    /// The group is already there.
    #[error("group {0} exists already")]
    GroupExists(u64),
    /// The group is not there.
    #[error("group {0} does not exist here")]
    NoGroup(u64),
    /// The runtime has stopped.
    #[error("the raft runtime has stopped")]
    Stopped,
    /// The state on disk contradicts itself.
    #[error("group {group}: {reason}")]
    Inconsistent {
        /// The group.
        group: u64,
        /// Why.
        reason: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a proposal, a read or a transfer was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This member does not lead; nothing was appended.
    #[error("not leader (leader {leader})")]
    NotLeader {
        /// Who leads, 0 if unknown.
        leader: u64,
    },
    /// The term that the proposer named is over; nothing was appended.
    #[error("term {asked} is over, now {term}")]
    StaleTerm {
        /// The proposer's term.
        asked: u64,
        /// The current one.
        term: u64,
    },
    /// Appended, then the lead was lost: it may or may not be applied.
    #[error("leadership lost before it was applied; the outcome is unknown")]
    Unknown,
    /// The inbox or the log of unapplied entries is full, or a change of membership or a transfer is under way.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// Refused for a reason of its own (a transfer to a lagging voter, a change that is not possible).
    #[error("{0}")]
    Refused(String),
    /// The group is not here, or was destroyed.
    #[error("no such group here")]
    NoGroup,
}
