//! The computation behind the lease (rule 1, items 4 to 7), on values only: acknowledgements, own writes and clock
//! readings in, the end of the lease out.
//!
//! Why it is safe: a voter that echoes `s` stepped a message which the leader sent at or after `s`, and will not help
//! another into office for `election_tick - 1` whole ticks of its own clock from then on. Once every quorum contains
//! such a voter, nobody else can lead before `s` plus that time, cut by what the two clocks may differ in rate.

use std::collections::VecDeque;
use std::time::Duration;

use proto::eraftpb::ConfState;

use crate::BootTime;

/// Assumed error of a clock's rate, in percent (rule 1, item 1): far above what hardware shows.
const RATE_ERROR_PERCENT: u64 = 1;
/// An own write that takes longer than this ends the lease: the disk or the quorum is not well (rule 1, item 6).
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// An idle leader proves this often that it can still write.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// Writes begun within this time are watched as one, as old as the first: the queue stays short under load.
const WRITE_GRAIN: Duration = Duration::from_millis(10);

/// One leader's claim in one term.
#[derive(Debug)]
pub(crate) struct Tenure {
    promise: Duration,
    term: u64,
    acks: Vec<(u64, BootTime)>,
    unfinished: VecDeque<(u64, BootTime)>,
    last_write: BootTime,
    own_entry_applied: bool,
    forfeited: bool,
}

impl Tenure {
    /// For a group with this election timeout; claims nothing yet.
    pub fn new(election_tick: usize, tick: Duration) -> Self {
        let ticks = u32::try_from(election_tick.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            promise: slower(tick.saturating_mul(ticks)),
            term: 0,
            acks: Vec::new(),
            unfinished: VecDeque::new(),
            last_write: BootTime(0),
            own_entry_applied: false,
            forfeited: false,
        }
    }

    /// This member became leader and appended its first entry.
    pub fn begin(&mut self, term: u64, first_index: u64, now: BootTime) {
        self.end();
        self.term = term;
        self.wrote(first_index, now);
    }

    /// The role or the term changed.
    pub fn end(&mut self) {
        self.term = 0;
        self.acks.clear();
        self.unfinished.clear();
        self.own_entry_applied = false;
        self.forfeited = false;
    }

    /// A member's response of this term echoed `s`, the leader's own clock before it sent.
    pub fn acked(&mut self, from: u64, s: BootTime, now: BootTime) {
        if self.term == 0 || s.0 == 0 || s > now {
            return;
        }
        match self.acks.iter_mut().find(|(id, _)| *id == from) {
            Some((_, best)) => *best = (*best).max(s),
            None => self.acks.push((from, s)),
        }
    }

    /// The largest clock of this leader's that a member has echoed; 0 if none.
    pub fn acked_at(&self, member: u64) -> BootTime {
        self.acks.iter().find(|(id, _)| *id == member).map_or(BootTime(0), |(_, at)| *at)
    }

    /// Another membership is in force: what was acknowledged under the old one counts no more.
    pub fn reconfigured(&mut self) {
        self.acks.clear();
    }

    /// MsgTimeoutNow is about to leave: it may elect its target at any time from now on, whatever voters promised.
    pub fn forfeit(&mut self) {
        self.forfeited = true;
    }

    /// Given away by [`Tenure::forfeit`].
    pub fn is_forfeited(&self) -> bool {
        self.forfeited
    }

    /// An own entry was appended.
    pub fn wrote(&mut self, index: u64, now: BootTime) {
        self.last_write = now;
        match self.unfinished.back_mut() {
            Some((last, began)) if now < *began + WRITE_GRAIN => *last = index,
            Some(_) | None => self.unfinished.push_back((index, now)),
        }
    }

    /// Entries up to `index` are applied here; `own` if that one is of this leader's term.
    pub fn applied(&mut self, index: u64, own: bool) {
        self.own_entry_applied |= own && self.term != 0;
        while self.unfinished.front().is_some_and(|(unfinished, _)| *unfinished <= index) {
            self.unfinished.pop_front();
        }
    }

    /// Whether a probe entry should be written now.
    pub fn probe_due(&self, now: BootTime) -> bool {
        self.own_entry_applied
            && !self.forfeited
            && self.unfinished.is_empty()
            && now >= self.last_write + PROBE_EVERY
    }

    /// The term and the end of the lease as of now; `None` while there is none.
    pub fn lease(&self, me: u64, conf: &ConfState, now: BootTime) -> Option<(u64, BootTime)> {
        if self.term == 0 || !self.own_entry_applied || self.forfeited {
            return None;
        }
        let heard = self.quorum_heard(me, conf, now)?;
        let until = heard + self.promise;
        let until = match self.unfinished.front() {
            Some((_, began)) => until.min(*began + WRITE_LIMIT),
            None => until,
        };
        (now < until).then_some((self.term, until))
    }

    /// Q: the largest `s` for which this member and all with an acknowledgement of at least `s` form a quorum.
    fn quorum_heard(&self, me: u64, conf: &ConfState, now: BootTime) -> Option<BootTime> {
        let mut candidates: Vec<BootTime> = self.acks.iter().map(|(_, s)| *s).collect();
        candidates.push(now);
        candidates.sort_unstable();
        let acked = |id: u64, s: BootTime| id == me || self.acks.iter().any(|(a, at)| *a == id && *at >= s);
        candidates.into_iter().rev().find(|s| is_quorum(conf, |id| acked(id, *s)))
    }
}

/// Whether the members that `has` names decide for the group: a majority, in a joint membership of both halves.
pub(crate) fn is_quorum(conf: &ConfState, has: impl Fn(u64) -> bool) -> bool {
    let majority = |ids: &[u64]| 2 * ids.iter().filter(|id| has(**id)).count() > ids.len();
    majority(&conf.voters) && (conf.voters_outgoing.is_empty() || majority(&conf.voters_outgoing))
}

/// How long a promise of `length` on another clock lasts at least on ours.
pub(crate) fn slower(length: Duration) -> Duration {
    length.saturating_mul(100 - RATE_ERROR_PERCENT as u32) / (100 + RATE_ERROR_PERCENT as u32)
}

/// How long to wait on our clock until `length` has surely passed on another.
pub(crate) fn surely(length: Duration) -> Duration {
    length.saturating_mul(100 + RATE_ERROR_PERCENT as u32) / 100
}

#[cfg(test)]
#[path = "tenure_tests.rs"]
mod tests;
