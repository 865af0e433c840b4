//! The lease of a leader (rule 1): until when it may answer without asking anyone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::BootTime;

/// Read by any thread, written by the Raft thread: the term that holds it and when it ends.
#[derive(Debug, Default)]
pub struct Lease {
    // The writer clears `term`, writes `until_ns`, sets `term`. Within one term `until_ns` only ever stands for a
    // promise of that term, so a reader that sees the term before and after has a pair that belongs together.
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

    /// Grants it to `term` until the given time; the former grant is void first if it was of another term.
    pub(crate) fn grant(&self, term: u64, until: BootTime) {
        if self.term.load(Ordering::Relaxed) != term {
            self.void();
        }
        self.until_ns.store(until.0, Ordering::Release);
        self.term.store(term, Ordering::Release);
    }

    /// Ends it now.
    pub(crate) fn void(&self) {
        self.term.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_its_end_and_not_at_it() {
        let lease = Lease::default();
        assert_eq!(lease.check(BootTime(0)), None);
        lease.grant(4, BootTime(100));
        assert_eq!(lease.check(BootTime(99)), Some(4));
        assert_eq!(lease.check(BootTime(100)), None);
        lease.void();
        assert_eq!(lease.check(BootTime(1)), None);
    }
}
