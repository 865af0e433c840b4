//! Timestamps as values: ordered, and cut out of an answer by the rule of the wire.

use std::fmt;

/// One timestamp of the cluster: strictly above every one that was answered before it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Milliseconds since 1970.
    pub physical_ms: i64,
    /// Counts within the millisecond, 0 to 2^18 - 1.
    pub logical: i64,
}

impl Timestamp {
    /// Bits of the logical part in the packed form.
    pub const LOGICAL_BITS: u32 = 18;
    /// The first logical value that does not exist.
    pub const LOGICAL_END: i64 = 1 << Self::LOGICAL_BITS;

    /// The packed form that TiKV uses as a version: `physical << 18 | logical`. It keeps the order.
    pub fn version(self) -> u64 {
        (self.physical_ms.cast_unsigned() << Self::LOGICAL_BITS) | self.logical.cast_unsigned()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.physical_ms, self.logical)
    }
}

/// `count` timestamps of one answer: same millisecond, consecutive logical parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampRange {
    /// The highest, the one that the wire carries.
    pub last: Timestamp,
    /// How many, at least 1.
    pub count: u32,
}

impl TimestampRange {
    /// The lowest.
    pub fn first(self) -> Timestamp {
        Timestamp {
            physical_ms: self.last.physical_ms,
            logical: self.last.logical - i64::from(self.count) + 1,
        }
    }

    /// From the lowest to the highest.
    pub fn iter(self) -> impl Iterator<Item = Timestamp> {
        let Timestamp { physical_ms, logical } = self.first();
        (0..i64::from(self.count)).map(move |i| Timestamp { physical_ms, logical: logical + i })
    }

    /// Takes the lowest `count` away as a range of their own; the caller asked for no more than there are.
    pub(crate) fn split_off_first(&mut self, count: u32) -> TimestampRange {
        debug_assert!(count <= self.count);
        let first = self.first();
        self.count -= count;
        let last =
            Timestamp { physical_ms: first.physical_ms, logical: first.logical + i64::from(count) - 1 };
        TimestampRange { last, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(physical_ms: i64, logical: i64) -> Timestamp {
        Timestamp { physical_ms, logical }
    }

    #[test]
    fn caller_i_of_n_gets_logical_minus_n_plus_1_plus_i() {
        let range = TimestampRange { last: at(7, 104), count: 5 };
        let all: Vec<_> = range.iter().collect();
        assert_eq!(all, [at(7, 100), at(7, 101), at(7, 102), at(7, 103), at(7, 104)]);
    }

    #[test]
    fn shares_are_cut_from_the_low_end_without_gap_or_overlap() {
        let mut rest = TimestampRange { last: at(7, 104), count: 5 };
        let a = rest.split_off_first(2);
        let b = rest.split_off_first(3);
        assert_eq!(a, TimestampRange { last: at(7, 101), count: 2 });
        assert_eq!(b, TimestampRange { last: at(7, 104), count: 3 });
        assert_eq!(rest.count, 0);
    }

    #[test]
    fn the_packed_form_keeps_the_order() {
        let steps = [at(1, 0), at(1, 1), at(1, Timestamp::LOGICAL_END - 1), at(2, 0), at(2, 5)];
        for pair in steps.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].version() < pair[1].version());
        }
        assert_eq!(at(1, 2).version(), 262_146);
    }
}
