//! What can be asked of a group, and what a runtime counts.

use std::sync::atomic::AtomicU64;

use proto::eraftpb::ConfState;

use crate::BootTime;

use crate::Durations;

/// A member's part in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows, or votes nowhere (learner).
    #[default]
    Follower,
    /// Asks whether it could win before it raises its term.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// A group as this member sees it; published after each round in which it changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupStatus {
    /// This member's Raft id.
    pub id: u64,
    /// This member's part.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// The leader's Raft id, 0 if none is known.
    pub leader: u64,
    /// Last committed index.
    pub committed: u64,
    /// Last applied index.
    pub applied: u64,
    /// Term of the entry at `applied`: equal to `term` on a leader once an entry of its own term is applied.
    pub applied_term: u64,
    /// Last index in the log.
    pub last: u64,
    /// First index in the log (above what was compacted).
    pub first: u64,
    /// Membership in force.
    pub conf_state: ConfState,
    /// On a leader: (raft id, matched index, ms since it was heard) of each other member.
    pub progress: Vec<Progress>,
}

/// A leader's view of another member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its Raft id.
    pub id: u64,
    /// The last index known to be in its log.
    pub matched: u64,
    /// Milliseconds since any message of it came in, rounded to ticks.
    pub heard_ms: u64,
    /// When this leader sent what the member has answered last, by this leader's clock: the member lived after that. 0 if
    /// it has answered nothing in this term and membership, and in groups without a lease.
    pub answered: BootTime,
    /// A snapshot is on its way to it.
    pub snapshot: bool,
}

/// Counters of one runtime, shared with whoever exports them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Syncs of the Raft log.
    pub log_syncs: AtomicU64,
    /// Nanoseconds spent in them.
    pub log_sync_ns: AtomicU64,
    /// How long each took.
    pub log_sync: Durations,
    /// Entries appended.
    pub entries_appended: AtomicU64,
    /// Snapshots received and installed.
    pub snapshots_received: AtomicU64,
    /// Snapshots made for others.
    pub snapshots_made: AtomicU64,
    /// Messages dropped because a queue was full.
    pub messages_dropped: AtomicU64,
}
