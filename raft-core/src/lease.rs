//! The lease of a leader (rule 1): until when it may answer without asking anyone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::BootTime;

/// Read by any thread, written by the Raft thread: the term that holds it and when it ends.
#[derive(Debug, Default)]
pub struct Lease {
    // Sequence-locked by `term`: the writer clears `term`, writes `until_ns`, sets `term`.
    term: AtomicU64,
    until_ns: AtomicU64,
}

impl Lease {
    /// The term in which this member may answer at `now`, if any. Take requests first, then read the clock and call
    /// this, then answer; admit nothing after it (rule 1, item 10).
    pub fn check(&self, now: BootTime) -> Option<u64> {
        let term = self.term.load(Ordering::Acquire);
        let until = self.until_ns.load(Ordering::Acquire);
        (term != 0 && now.0 < until && self.term.load(Ordering::Acquire) == term).then_some(term)
    }
}
