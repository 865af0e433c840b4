//! Leadership is one thing: the Raft leader with a lease, whose timestamp bound of this term is applied.
//!
//! Raft tells who leads; the lease (clock-bounded, fed by quorum answers and own durable writes) tells whether it
//! still does; an applied bound of the term tells that it may give timestamps. Only with all three is a member *ready*.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::member::Member;

/// How long a call that needs a ready leader is held, instead of refused, while this member leads but is not ready
/// (raft.md 10): stock clients have few retries, and a new leader is ready within a round trip.
pub const HOLD_MAX: Duration = Duration::from_secs(1);

/// How old a leader's heartbeat may be for a member to name that leader without waiting.
pub const HEARTBEAT_FRESH: Duration = Duration::from_millis(150);

/// How long a member waits for a leader to name.
pub const NAME_LEADER_WAIT: Duration = Duration::from_millis(800);

/// A term of the Raft group of members: fences what a leader proposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// What this member is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadershipState {
    /// The current term.
    pub term: Term,
    /// The leader of that term as Raft knows it, ready or not.
    pub leader: Option<Member>,
    /// This member leads.
    pub leading: bool,
    /// This member leads and may serve: its first bound of this term is applied. (Its lease must still be checked.)
    pub ready: bool,
}

/// Refusal of what only the leader does. The text is part of the protocol: clients look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not leader")]
pub struct NotLeader;

/// The way to know who leads; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Leadership {}

impl Leadership {
    /// The present state.
    pub fn state(&self) -> LeadershipState {
        todo!()
    }

    /// Tells of each change. A loss is told at once: owners drop what belongs to the term.
    pub fn subscribe(&self) -> watch::Receiver<LeadershipState> {
        todo!()
    }

    /// The term in which this member may answer now: ready, and within its lease. Reads the clock: take the request
    /// first, check, answer, and admit nothing after the check (rule 1.10).
    pub fn check(&self) -> Result<Term, NotLeader> {
        todo!()
    }

    /// As [`Leadership::check`], but holds the caller up to [`HOLD_MAX`] while this member leads and is not ready.
    pub async fn serve(&self) -> Result<Term, NotLeader> {
        todo!()
    }

    /// Resolves when this member no longer leads in `term`: client streams end then, at once, with "not leader".
    pub fn lost(&self, term: Term) -> impl Future<Output = ()> + Send + 'static {
        let _ = term;
        async {}
    }

    /// The leader to name to clients: one that can serve timestamps and was heard of within [`HEARTBEAT_FRESH`]. Waits
    /// up to [`NAME_LEADER_WAIT`] for one; `None` after that.
    pub async fn leader_to_name(&self) -> Option<Member> {
        todo!()
    }

    /// Hands the lead to the voter that is furthest and was heard of last. Does nothing on a follower or a lone member.
    pub async fn hand_over(&self) {
        todo!()
    }
}
