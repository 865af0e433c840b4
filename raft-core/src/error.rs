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
    /// A file of the log is not what was written: what this member acknowledged may be gone (rule 3).
    #[error(
        "raft log file {file} is damaged at byte {offset}: this member may have lost what it acknowledged and must not \
         go on; replace it by a new member, or give it back the undamaged file"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where the damaged record begins, in bytes.
        offset: usize,
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

/// What keeps a member from taking something in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The lead is on its way to another member: over within moments.
    #[error("leadership is being transferred")]
    Transferring,
    /// A transfer just ended: the next one may begin one election timeout after it (rule 11).
    #[error("the last transfer was less than one election timeout ago")]
    Resting,
    /// A change of membership is appended and not applied: over within moments.
    #[error("a change of membership is under way")]
    ChangingMembership,
    /// More comes in than the Raft thread takes.
    #[error("the inbox is full")]
    InboxFull,
    /// More reads wait for their confirmation than are kept.
    #[error("too many reads wait")]
    ReadsFull,
    /// The state machine does not keep up.
    #[error("too many entries wait to be applied")]
    Unapplied,
    /// The other members do not keep up.
    #[error("too much is appended and not committed")]
    Uncommitted,
}

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
    /// Not now; nothing was appended.
    #[error("busy: {0}")]
    Busy(Busy),
    /// Refused for a reason of its own (a transfer to a lagging voter, a change that is not possible).
    #[error("{0}")]
    Refused(String),
    /// The group is not here, or was destroyed.
    #[error("no such group here")]
    NoGroup,
}
