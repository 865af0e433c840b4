//! Allocation itself: pure, so that every corner of it can be tested without a clock or a thread.

use super::{LOGICAL_END, Timestamp};
use crate::state::Bound;

const NS_PER_MS: u64 = 1_000_000;

/// The milliseconds from which a leader may give timestamps in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The term that it belongs to.
    pub term: u64,
    /// The first millisecond: nobody has given a timestamp in it or after it.
    pub start_ms: i64,
    /// The first millisecond that must not be used.
    pub bound_ms: i64,
}

impl Window {
    /// The whole milliseconds inside a bound.
    pub(crate) fn new(term: u64, bound: Bound) -> Self {
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            term,
            start_ms: ms(bound.start_ns.div_ceil(NS_PER_MS)),
            bound_ms: ms(bound.bound_ns / NS_PER_MS),
        }
    }
}

/// Remembers the last timestamp, so that the next one is above it whatever the clock says.
#[derive(Debug, Default)]
pub(super) struct Allocator {
    last: Timestamp,
}

impl Allocator {
    /// The last timestamp given out.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// Takes `count` timestamps in a row and returns the highest; `None` if they do not fit below the bound.
    ///
    /// The physical part follows the clock, never falls, and goes ahead of the clock only when a millisecond's counter
    /// is used up.
    pub(super) fn allocate(&mut self, window: Window, now_ms: i64, count: u32) -> Option<Timestamp> {
        let newest = now_ms.min(window.bound_ms - 1).max(window.start_ms);
        let base = if newest > self.last.physical_ms {
            Timestamp { physical_ms: newest, logical: 0 }
        } else {
            self.last
        };
        let next = if base.logical + count < LOGICAL_END {
            Timestamp { logical: base.logical + count, ..base }
        } else {
            Timestamp { physical_ms: base.physical_ms + 1, logical: count }
        };
        if next.physical_ms >= window.bound_ms {
            return None;
        }
        self.last = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const WINDOW: Window = Window { term: 1, start_ms: 100, bound_ms: 103 };

    #[test]
    fn the_counter_runs_within_a_millisecond_and_spills_into_the_next() {
        let mut allocator = Allocator::default();
        let at = |physical_ms, logical| Some(Timestamp { physical_ms, logical });
        assert_eq!(allocator.allocate(WINDOW, 50, 1), at(100, 1), "not before the start of the window");
        assert_eq!(allocator.allocate(WINDOW, 50, 10), at(100, 11));
        assert_eq!(allocator.allocate(WINDOW, 101, 1), at(101, 1));
        assert_eq!(allocator.allocate(WINDOW, 100, 1), at(101, 2), "the clock fell");
        assert_eq!(allocator.allocate(WINDOW, 101, LOGICAL_END - 1), at(102, LOGICAL_END - 1));
        assert_eq!(allocator.allocate(WINDOW, 101, 1), None, "the bound");
        assert_eq!(allocator.allocate(WINDOW, 900, 1), None, "the bound, whatever the clock says");
        let raised = Window { bound_ms: 105, ..WINDOW };
        assert_eq!(allocator.allocate(raised, 101, 1), at(103, 1));
        assert_eq!(allocator.allocate(raised, 900, 1), at(104, 1));
        let next_term = Window { term: 2, start_ms: 105, bound_ms: 300 };
        assert_eq!(allocator.allocate(next_term, 0, 1), at(105, 1));
    }

    #[test]
    fn windows_hold_whole_milliseconds() {
        let bound = Bound { start_ns: 1_000_001, bound_ns: 9_999_999 };
        assert_eq!(Window::new(7, bound), Window { term: 7, start_ms: 2, bound_ms: 9 });
        let huge = Bound { start_ns: u64::MAX, bound_ns: u64::MAX };
        assert!(Window::new(7, huge).bound_ms <= Window::new(7, huge).start_ms);
    }

    proptest! {
        #[test]
        fn timestamps_rise_over_terms_and_clock_steps(
            steps in prop::collection::vec((-50i64..50, 1u32..LOGICAL_END, any::<prop::sample::Index>()), 1..200)
        ) {
            let mut window = Window { term: 1, start_ms: 1_000, bound_ms: 1_010 };
            let mut leaders = [Allocator::default(), Allocator::default()];
            let mut leading = 0;
            let mut last = Timestamp::default();
            for (drift, count, dice) in steps {
                match dice.index(20) {
                    // Another leader takes over: it starts at the bound.
                    0 => {
                        leading = 1 - leading;
                        window = Window {
                            term: window.term + 1,
                            start_ms: window.bound_ms,
                            bound_ms: window.bound_ms + 10,
                        };
                    }
                    1..=3 => window.bound_ms += 5,
                    _ => {}
                }
                if let Some(highest) = leaders[leading].allocate(window, last.physical_ms + drift, count) {
                    let lowest = Timestamp { logical: highest.logical - count + 1, ..highest };
                    assert!(lowest > last, "{lowest:?} after {last:?}");
                    assert!(highest.logical < LOGICAL_END && highest.logical >= count);
                    assert!(highest.physical_ms < window.bound_ms && highest.physical_ms >= window.start_ms);
                    last = highest;
                }
            }
        }
    }
}
