//! When a disk will be full, from how it filled in the last hour.

use std::collections::{BTreeMap, VecDeque};

/// Between two samples of a store.
const APART_MS: u64 = 60_000;
/// Samples kept: an hour.
const KEPT: usize = 61;
/// A shorter time says nothing.
const SPAN_MS_MIN: u64 = 5 * 60_000;
/// Beyond a year it does not fill.
const FULL_S_MAX: u64 = 365 * 86_400;

/// Used bytes of each store over time.
#[derive(Debug, Default)]
pub struct Fullness(BTreeMap<u64, VecDeque<(u64, u64)>>);

impl Fullness {
    /// Forgets stores that are not there any more.
    pub fn keep(&mut self, is_there: impl Fn(u64) -> bool) {
        self.0.retain(|store, _| is_there(*store));
    }

    /// Notes what a store uses at `now_ms`. Seconds until `available` bytes are used up; none when that is not known or
    /// far.
    pub fn note(&mut self, store: u64, now_ms: u64, used: u64, available: u64) -> Option<u64> {
        let samples = self.0.entry(store).or_default();
        if samples.back().is_none_or(|(at, _)| now_ms >= at + APART_MS) {
            samples.push_back((now_ms, used));
            if samples.len() > KEPT {
                samples.pop_front();
            }
        }
        let (since, before) = *samples.front()?;
        let span_ms = now_ms.checked_sub(since).filter(|span| *span >= SPAN_MS_MIN)?;
        let grown = used.checked_sub(before).filter(|grown| *grown > 0)?;
        let seconds = u128::from(available) * u128::from(span_ms) / u128::from(grown) / 1_000;
        u64::try_from(seconds).ok().filter(|seconds| *seconds <= FULL_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_is_full_in_time() {
        let mut fullness = Fullness::default();
        assert_eq!(fullness.note(1, 0, 1_000, 500), None, "one sample");
        assert_eq!(fullness.note(1, 60_000, 1_100, 400), None, "too short a time");
        assert_eq!(fullness.note(1, 600_000, 2_000, 500), Some(300));
        assert_eq!(fullness.note(2, 600_000, 2_000, 500), None);
        fullness.note(3, 0, 1_000, 500);
        assert_eq!(fullness.note(3, 600_000, 900, 600), None, "it empties");
        fullness.keep(|store| store == 2);
        assert_eq!(fullness.0.len(), 1);
        for minute in 0..200 {
            fullness.note(2, minute * 60_000, 1, 1);
        }
        assert_eq!(fullness.0[&2].len(), KEPT);
    }
}
