//! Ids reserved by the caller, used in order. The planner cannot draw ids itself: that takes a durable counter.

use std::collections::VecDeque;

use crate::model::Time;

/// Below this many ids more are asked for.
const LOW_WATER: u64 = 128;
/// How many are asked for at a time.
const REQUEST: u64 = 512;
/// An answer that has not come after this long is asked for again.
const ASK_AGAIN_MS: u64 = 5_000;

/// Ids reserved by the caller: `first`, `first + 1`, ... `count` of them. Used for Peers and for Regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first; never 0.
    pub first: u64,
    /// How many.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(super) struct IdPool {
    ranges: VecDeque<IdRange>,
    available: u64,
    asked: Option<Time>,
}

impl IdPool {
    pub fn add(&mut self, range: IdRange) {
        self.asked = None;
        if range.count > 0 && range.first > 0 {
            self.available += range.count;
            self.ranges.push_back(range);
        }
    }

    pub fn available(&self) -> u64 {
        self.available
    }

    pub fn take(&mut self) -> Option<u64> {
        let range = self.ranges.front_mut()?;
        let id = range.first;
        range.first += 1;
        range.count -= 1;
        self.available -= 1;
        if range.count == 0 {
            self.ranges.pop_front();
        }
        Some(id)
    }

    /// How many to ask for now, if any.
    pub fn ask(&mut self, now: Time) -> Option<u64> {
        if self.available >= LOW_WATER || self.asked.is_some_and(|at| now.ms_since(at) < ASK_AGAIN_MS) {
            return None;
        }
        self.asked = Some(now);
        Some(REQUEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_order_and_more_are_asked_for_once() {
        let mut pool = IdPool::default();
        assert_eq!(pool.ask(Time(0)), Some(REQUEST));
        assert_eq!(pool.ask(Time(ASK_AGAIN_MS - 1)), None);
        assert_eq!(pool.ask(Time(ASK_AGAIN_MS)), Some(REQUEST));
        pool.add(IdRange { first: 7, count: 2 });
        pool.add(IdRange { first: 100, count: LOW_WATER });
        assert_eq!(pool.ask(Time(0)), None);
        assert_eq!([pool.take(), pool.take(), pool.take()], [Some(7), Some(8), Some(100)]);
        assert_eq!(pool.available(), LOW_WATER - 1);
        assert_eq!(pool.ask(Time(0)), Some(REQUEST));
    }
}
