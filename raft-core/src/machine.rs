//! What the owner of a group gives: a state machine that keeps its own durable mark.

use std::io;

use bytes::Bytes;
use proto::eraftpb::{ConfChangeV2, ConfState};

/// How far a state machine is: written by it in the same atomic batch as the data of the last entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Index of the last applied entry; 0 in a peer without data.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The membership in force after that entry.
    pub conf_state: ConfState,
}

/// A committed entry on its way into the state machine.
#[derive(Clone, Debug)]
pub enum Committed {
    /// A proposal. Empty data is a new leader's no-op: only the mark moves.
    Normal {
        /// Position in the log.
        index: u64,
        /// Term of the leader that appended it.
        term: u64,
        /// What was proposed.
        data: Bytes,
    },
    /// A change of membership.
    ConfChange {
        /// Position in the log.
        index: u64,
        /// Term of the leader that appended it.
        term: u64,
        /// The change, with the context that its proposer gave; empty when a joint change is left.
        change: ConfChangeV2,
        /// The membership that is in force if the machine accepts.
        next: ConfState,
    },
}

/// What applying one entry led to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Handed to the proposer, if it waits on this member.
    pub output: Bytes,
    /// Only for a change of membership: refused, the membership stays (the mark still moves, with the old one).
    pub refused: bool,
}

/// Writes a snapshot's file on a thread of its own and returns the mark that the file stands for.
pub type SnapshotWriter = Box<dyn FnOnce(&mut dyn io::Write) -> io::Result<Mark> + Send>;

/// The replicated state of one group. All calls come from the apply thread, in the order of the log.
///
/// No time and no chance inside: equal entries give equal states on every member. An I/O error is fatal for the
/// process: the runtime logs it and aborts, since a member that skips an entry is worse than one that is down.
pub trait StateMachine: Send + 'static {
    /// The mark of what it holds now. At start, where it is the durable one, the runtime applies again whatever the
    /// log holds above it. (The one call that comes from the Raft thread, before any other.)
    fn mark(&self) -> Mark;

    /// A new group begins here: takes the mark, whose index is [`crate::BOOTSTRAP_INDEX`], and nothing else. Durable
    /// with the next flush. Not called when the machine comes with a mark of at least that index (a split's right part).
    fn bootstrap(&mut self, mark: Mark) -> io::Result<()>;

    /// Applies entries in order: one outcome an entry. Need not be durable on return; must be atomic an entry.
    fn apply(&mut self, entries: Vec<Committed>) -> io::Result<Vec<Outcome>>;

    /// Makes everything applied so far durable (synced). Called before the log is cut.
    fn flush(&mut self) -> io::Result<()>;

    /// Begins a snapshot of at least the state as of now. The writer runs aside while entries go on being applied.
    fn snapshot(&mut self) -> io::Result<SnapshotWriter>;

    /// Replaces the whole state by a received snapshot, durably, and takes its mark.
    fn install(&mut self, mark: Mark, file: &mut dyn io::Read) -> io::Result<()>;

    /// The group ends here ([`crate::Handle::destroy`]): nothing is applied any more and the log is still there. The
    /// owner, whose tombstone is already durable, removes the data now; the log goes after it (rule 14).
    fn destroyed(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}
