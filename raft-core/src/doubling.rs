//! A histogram without a lock, whose bounds double: for hot paths, read by whoever exports it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bounds. With a first one of 62.5 us they reach 8.2 s and hit each bound of the histograms that boards of the ecosystem
/// know (0.5 ms and 1 ms, doubled).
const BOUNDS: usize = 18;

/// Times, in nanoseconds from 62.5 us on.
pub type Durations = Doubling<62_500>;
/// Sizes of batches, from 1 on.
pub type Sizes = Doubling<1>;

/// Counts values in buckets up to `FIRST`, twice that, and so on; beyond the last bound there is one bucket more.
#[derive(Debug, Default)]
pub struct Doubling<const FIRST: u64> {
    buckets: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// What was counted up to some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Bounds, and how many values lie at or below each.
    pub up_to: Vec<(u64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum, in the unit of the bounds.
    pub sum: u64,
}

impl<const FIRST: u64> Doubling<FIRST> {
    /// The same value, so many times.
    pub fn record(&self, value: u64, times: u64) {
        // The least power of two that is not below this many first bounds.
        let bounds = value.div_ceil(FIRST);
        let bucket = (u64::BITS - bounds.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(BOUNDS)].fetch_add(times, Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Relaxed);
    }

    /// What is counted by now. Values that come in meanwhile are in it or not; the buckets agree with the count.
    pub fn tally(&self) -> Tally {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(BOUNDS);
        for (place, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Relaxed);
            if place < BOUNDS {
                up_to.push((FIRST << place, count));
            }
        }
        Tally { up_to, count, sum: self.sum.load(Relaxed) }
    }
}

impl Durations {
    /// The same time, so many times.
    pub fn record_time(&self, time: Duration, times: u64) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let sizes = Sizes::default();
        for (value, times) in [(0, 1), (1, 1), (2, 2), (3, 1), (4, 1), (u64::MAX, 0), (1 << 40, 1)] {
            sizes.record(value, times);
        }
        let tally = sizes.tally();
        assert_eq!(tally.up_to[..4], [(1, 2), (2, 4), (4, 6), (8, 6)]);
        assert_eq!((tally.up_to.len(), tally.count, tally.sum), (BOUNDS, 7, 1 + 4 + 3 + 4 + (1 << 40)));
    }

    #[test]
    fn times_have_the_bounds_that_boards_ask_for() {
        let times = Durations::default();
        times.record_time(Duration::from_micros(500), 3);
        let bounds: Vec<u64> = times.tally().up_to.iter().map(|(bound, _)| *bound).collect();
        assert!(bounds.contains(&500_000) && bounds.contains(&1_000_000) && bounds.contains(&8_192_000_000));
        let (_, below) = times.tally().up_to.into_iter().find(|(bound, _)| *bound == 500_000).unwrap();
        assert_eq!(below, 3, "a time of exactly a bound is within it");
    }
}
