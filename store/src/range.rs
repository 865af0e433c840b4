//! Ranges of user keys: half open, an empty end has no bound.

use std::fmt;

use bytes::Bytes;
use proto::metapb::Region;

/// `[start, end)`; an empty `end` reaches to the end of the key space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key inside.
    pub start: Bytes,
    /// The first key behind; empty for none.
    pub end: Bytes,
}

impl KeyRange {
    /// The range from `start` to before `end`.
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: end.into() }
    }

    /// The range of a Region.
    pub fn of(region: &Region) -> Self {
        Self { start: region.start_key.clone(), end: region.end_key.clone() }
    }

    /// Whether `key` lies inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && self.before_end(key)
    }

    /// Whether a Region could be cut at `key`: both parts have room for a key.
    pub fn can_split_at(&self, key: &[u8]) -> bool {
        key > self.start.as_ref() && self.before_end(key)
    }

    /// Whether the two share a key.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.before_end(&other.start) && other.before_end(&self.start)
    }

    /// The common part; an empty result has `start >= end` and `None` is returned.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if !self.overlaps(other) {
            return None;
        }
        let start = self.start.clone().max(other.start.clone());
        let end = match (self.end.is_empty(), other.end.is_empty()) {
            (true, _) => other.end.clone(),
            (_, true) => self.end.clone(),
            (false, false) => self.end.clone().min(other.end.clone()),
        };
        (end.is_empty() || start < end).then_some(Self { start, end })
    }

    fn before_end(&self, key: &[u8]) -> bool {
        self.end.is_empty() || key < self.end.as_ref()
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", hex::encode_upper(&self.start), hex::encode_upper(&self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(start, end)
    }

    #[test]
    fn an_empty_end_has_no_bound() {
        assert!(range("b", "").contains(b"zzz"));
        assert!(!range("b", "").contains(b"a"));
        assert!(range("", "").contains(b""));
        assert!(!range("b", "d").contains(b"d"));
    }

    #[test]
    fn overlaps_and_intersections() {
        let cases = [
            (range("a", "c"), range("c", "e"), None),
            (range("a", "d"), range("c", "e"), Some(range("c", "d"))),
            (range("", ""), range("c", "e"), Some(range("c", "e"))),
            (range("c", ""), range("a", "b"), None),
            (range("c", ""), range("a", ""), Some(range("c", ""))),
            (range("a", "z"), range("b", "c"), Some(range("b", "c"))),
        ];
        for (a, b, want) in cases {
            assert_eq!(a.intersect(&b), want, "{a} and {b}");
            assert_eq!(b.intersect(&a), want, "{b} and {a}");
            assert_eq!(a.overlaps(&b), want.is_some());
        }
    }

    #[test]
    fn a_cut_leaves_two_parts() {
        assert!(!range("b", "d").can_split_at(b"b"));
        assert!(range("b", "d").can_split_at(b"c"));
        assert!(!range("b", "d").can_split_at(b"d"));
        assert!(!range("", "").can_split_at(b""));
    }
}
