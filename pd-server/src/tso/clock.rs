//! The wall clock, held back where it runs ahead of the other members' (rule 6): a clock that jumped would otherwise
//! carry timestamps far into the future, and nobody could bring them back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use raft_core::BootTime;
use tokio::sync::watch;

/// How far this clock may be ahead of the median of the members' clocks.
const AHEAD_MAX_MS: i64 = 500;

const NS_PER_MS: u64 = 1_000_000;

/// Wall time in milliseconds, guarded by what the others read.
#[derive(Debug)]
pub struct WallClock {
    /// The latest wall time that is believed, relative to the time since boot (which no one sets): a step of the own
    /// wall clock does not move it.
    limit_ms: AtomicI64,
    /// How many other members' clocks are known.
    others: watch::Sender<usize>,
    /// Added to what the system's clock shows: a wrong clock, for tests.
    shift_ms: i64,
}

/// What another member's clock showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Its wall time.
    pub wall_ms: i64,
    /// Our time since boot in the middle of asking it.
    pub at: BootTime,
}

impl Default for WallClock {
    fn default() -> Self {
        Self { limit_ms: AtomicI64::new(i64::MAX), others: watch::Sender::default(), shift_ms: 0 }
    }
}

impl WallClock {
    /// A clock that goes wrong by `shift_ms`, to see that the others hold it back.
    pub fn wrong_by(shift_ms: i64) -> Self {
        Self { shift_ms, ..Self::default() }
    }

    /// Milliseconds since 1970: the wall clock, but at most 500 ms ahead of the median of the members' clocks.
    pub fn now_ms(&self) -> i64 {
        self.guarded(self.unguarded_ms(), BootTime::now())
    }

    /// As [`WallClock::now_ms`], in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.now_ms()).unwrap_or(0).saturating_mul(NS_PER_MS)
    }

    /// Takes what the other members' clocks showed, one reading each.
    pub(crate) fn set_readings(&self, others: &[Reading]) {
        self.limit_ms.store(limit(others), Ordering::Relaxed);
        self.others.send_if_modified(|count| std::mem::replace(count, others.len()) != others.len());
    }

    /// What this clock shows by itself: what is told to the others.
    pub(crate) fn unguarded_ms(&self) -> i64 {
        wall_ms().saturating_add(self.shift_ms)
    }

    /// Whether the clocks of a majority of `members` are known, the own one included.
    pub(crate) fn is_compared(&self, members: usize) -> bool {
        *self.others.borrow() >= members / 2
    }

    /// Resolves once [`WallClock::is_compared`].
    pub(crate) async fn compared(&self, members: usize) {
        // An error would mean that the sender is gone, and it is ours.
        let _ = self.others.subscribe().wait_for(|others| *others >= members / 2).await;
    }

    fn guarded(&self, wall_ms: i64, boot: BootTime) -> i64 {
        wall_ms.min(self.limit_ms.load(Ordering::Relaxed).saturating_add(boot_ms(boot)))
    }
}

/// Wall time in milliseconds, as it is.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the others allow, relative to the time since boot. With the own reading the highest, the median of all is the
/// others' upper middle; of two readings it is the smaller.
fn limit(others: &[Reading]) -> i64 {
    let mut relative: Vec<i64> = others.iter().map(|reading| reading.wall_ms - boot_ms(reading.at)).collect();
    relative.sort_unstable();
    relative.get(relative.len() / 2).map_or(i64::MAX, |median| median.saturating_add(AHEAD_MAX_MS))
}

fn boot_ms(at: BootTime) -> i64 {
    i64::try_from(at.0 / NS_PER_MS).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_compared_with_half_of_the_others() {
        let reading = Reading { wall_ms: 1, at: BootTime(0) };
        for (members, needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
            for known in 0..members {
                let clock = WallClock::default();
                clock.set_readings(&vec![reading; known]);
                assert_eq!(clock.is_compared(members), known >= needed, "{known} others of {members}");
            }
        }
    }

    #[test]
    fn a_clock_ahead_of_the_others_is_held_back() {
        let at = BootTime(1_000 * NS_PER_MS);
        let later = BootTime(3_000 * NS_PER_MS);
        let reading = |wall_ms| Reading { wall_ms, at };
        let clock = WallClock::default();
        assert_eq!(clock.guarded(i64::MAX, at), i64::MAX, "alone nothing holds it back");
        for (others, limit) in [
            (vec![50_000], 50_500),
            (vec![50_000, 60_000], 60_500),
            (vec![60_000, 50_000, 40_000], 50_500),
            (vec![1, 50_000, 50_001, 99_000], 50_501),
        ] {
            clock.set_readings(&others.iter().map(|wall| reading(*wall)).collect::<Vec<_>>());
            assert_eq!(clock.guarded(10_000_000, at), limit, "{others:?}");
            assert_eq!(clock.guarded(10_000_000, later), limit + 2_000, "the limit goes on with time");
            assert_eq!(clock.guarded(3, at), 3, "a clock that lies behind is left alone");
        }
    }
}
