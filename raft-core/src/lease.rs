//! The lease of a leader (rule 1): until when it may answer without asking anyone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::BootTime;

/// Read by any thread, written by the Raft thread: the term that holds it and when it ends.
#[derive(Debug, Default)]
pub struct Lease {
    // The writer clears `term`, writes `until_ns`, sets `term`. Within one term `until_ns` only ever stands for a
    // promise of that term, so a reader that sees the term before and after has a pair that belongs together.
    term: AtomicU64,
    until_ns: AtomicU64,
    /// When its end was moved last. For people, as is the next.
    renewed_ns: AtomicU64,
    /// How often it ran out while its holder led on.
    lapses: AtomicU64,
}

impl Lease {
    /// The term in which this member may answer at `now`, if any. Take requests first, then read the clock and call
    /// this, then answer; admit nothing after it (rule 1, item 10).
    pub fn check(&self, now: BootTime) -> Option<u64> {
        let term = self.term.load(Ordering::Acquire);
        let until = self.until_ns.load(Ordering::Acquire);
        (term != 0 && now.0 < until && self.term.load(Ordering::Acquire) == term).then_some(term)
    }

    /// How long it holds on at `now` if nothing renews it, and how long ago that was done last; `None` while it does not
    /// hold. For people: only [`Lease::check`] decides.
    pub fn age(&self, now: BootTime) -> Option<(Duration, Duration)> {
        self.check(now)?;
        let left = self.until_ns.load(Ordering::Relaxed).saturating_sub(now.0);
        let age = now.0.saturating_sub(self.renewed_ns.load(Ordering::Relaxed));
        Some((Duration::from_nanos(left), Duration::from_nanos(age)))
    }

    /// How often it ran out while its holder led on, since the process began.
    pub fn lapses(&self) -> u64 {
        self.lapses.load(Ordering::Relaxed)
    }

    /// Grants it to `term` until the given time; the former grant is void first if it was of another term.
    pub(crate) fn grant(&self, term: u64, until: BootTime, now: BootTime) {
        let before = self.until_ns.load(Ordering::Relaxed);
        let goes_on = self.term.load(Ordering::Relaxed) == term;
        if !goes_on {
            self.void();
        } else if before <= now.0 {
            self.lapses.fetch_add(1, Ordering::Relaxed);
        }
        if !goes_on || until.0 > before {
            self.renewed_ns.store(now.0, Ordering::Relaxed);
        }
        self.until_ns.store(until.0, Ordering::Release);
        self.term.store(term, Ordering::Release);
    }

    /// Ends it now: its holder leads on and could not renew it.
    pub(crate) fn lapse(&self) {
        if self.term.load(Ordering::Relaxed) != 0 {
            self.lapses.fetch_add(1, Ordering::Relaxed);
        }
        self.void();
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
        lease.grant(4, BootTime(100), BootTime(20));
        assert_eq!(lease.check(BootTime(99)), Some(4));
        assert_eq!(lease.check(BootTime(100)), None);
        assert_eq!(lease.age(BootTime(50)), Some((Duration::from_nanos(50), Duration::from_nanos(30))));
        lease.void();
        assert_eq!(lease.check(BootTime(1)), None);
        assert_eq!(lease.age(BootTime(1)), None);
    }

    #[test]
    fn a_lapse_is_counted_once_however_it_is_noticed() {
        let lease = Lease::default();
        lease.grant(4, BootTime(100), BootTime(0));
        lease.grant(4, BootTime(150), BootTime(50));
        assert_eq!(lease.lapses(), 0, "renewed in time");
        lease.grant(4, BootTime(300), BootTime(200));
        assert_eq!(lease.lapses(), 1, "renewed too late");
        lease.lapse();
        lease.lapse();
        lease.grant(4, BootTime(500), BootTime(400));
        assert_eq!(lease.lapses(), 2, "missed, found again later");
        lease.void();
        lease.grant(5, BootTime(900), BootTime(800));
        assert_eq!(lease.lapses(), 2, "the lead was lost in between");
    }
}
