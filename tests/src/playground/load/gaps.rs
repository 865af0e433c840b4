//! How long something was waited for, looked at around one moment.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shorter waits are of no interest, so that what is kept stays small.
const KEPT_FROM: Duration = Duration::from_millis(2);
/// Waits kept; the shortest half is forgotten when full.
const KEPT_MAX: usize = 8_192;

/// Waits that have ended.
#[derive(Debug, Default)]
pub struct Gaps {
    ended: Mutex<Vec<Wait>>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    from: Instant,
    to: Instant,
}

/// A span of time that waits must touch.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Its beginning: a fault, for example.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
}

impl Gaps {
    /// A wait has ended.
    pub fn waited(&self, from: Instant, to: Instant) {
        if to - from < KEPT_FROM {
            return;
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() == KEPT_MAX {
            ended.sort_by_key(|wait| std::cmp::Reverse(wait.to - wait.from));
            ended.truncate(KEPT_MAX / 2);
        }
        ended.push(Wait { from, to });
    }

    /// The longest wait that touches `window`.
    pub fn longest(&self, window: Window) -> Duration {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let touching = ended.iter().filter(|wait| wait.to >= window.from && wait.from <= window.to);
        touching.map(|wait| wait.to - wait.from).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waits_that_touch_the_window_count() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let gaps = Gaps::default();
        for (from, to) in [(0, 90), (95, 145), (150, 151), (160, 200), (300, 900)] {
            gaps.waited(at(from), at(to));
        }
        let longest = |from, to| gaps.longest(Window { from: at(from), to: at(to) }).as_millis();
        assert_eq!(longest(100, 250), 50);
        assert_eq!(longest(250, 299), 0);
        assert_eq!(longest(0, 1_000), 600);
    }

    #[test]
    fn the_longest_survive_when_it_is_full() {
        let start = Instant::now();
        let gaps = Gaps::default();
        for n in 0..3 * KEPT_MAX {
            let length = if n == 5 { 60_000 } else { 3 };
            gaps.waited(start, start + Duration::from_millis(length));
        }
        let window = Window { from: start, to: start };
        assert_eq!(gaps.longest(window), Duration::from_mins(1));
        assert!(gaps.ended.lock().unwrap().len() <= KEPT_MAX);
    }
}
