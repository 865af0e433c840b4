//! The newest entries of a group in memory: raft-engine decodes a whole block for a single entry, and what followers
//! and the apply thread want is nearly always the tail.

use std::collections::VecDeque;

use raft::eraftpb::Entry;

/// A group's cache holds at most this much, whatever its load.
const MAX_BYTES: usize = 2 << 20;
/// And at most this many entries: an idle group of ten thousand keeps a few probes only.
const MAX_ENTRIES: usize = 4_096;
/// What an entry costs beyond its data.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A gapless tail of the log.
#[derive(Default)]
pub(super) struct Cache {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Cache {
    /// Takes appended entries in; those of the same or higher index are replaced.
    pub fn append(&mut self, new: Vec<Entry>) {
        let Some(first) = new.first().map(|e| e.index) else { return };
        while self.entries.back().is_some_and(|e| e.index >= first) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, cost);
        }
        if self.entries.back().is_some_and(|e| e.index + 1 != first) {
            self.clear();
        }
        for entry in new {
            self.bytes += cost(&entry);
            self.entries.push_back(entry);
        }
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES && self.entries.len() > 1 {
            self.drop_first();
        }
    }

    /// Forgets entries up to `index`.
    pub fn cut(&mut self, index: u64) {
        while self.entries.front().is_some_and(|e| e.index <= index) {
            self.drop_first();
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Index of the oldest cached entry.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|e| e.index)
    }

    pub fn get(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.first()?)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn drop_first(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, cost);
    }
}

fn cost(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::Range<u64>, term: u64, bytes: usize) -> Vec<Entry> {
        range.map(|index| Entry { index, term, data: vec![0; bytes].into(), ..Entry::default() }).collect()
    }

    #[test]
    fn overwritten_and_cut_entries_are_gone() {
        let mut cache = Cache::default();
        cache.append(entries(5..10, 1, 8));
        cache.append(entries(7..9, 2, 8));
        assert_eq!(cache.get(6).unwrap().term, 1);
        assert_eq!(cache.get(7).unwrap().term, 2);
        assert!(cache.get(9).is_none());
        cache.cut(7);
        assert_eq!(cache.first(), Some(8));
        assert!(cache.get(7).is_none());
        assert_eq!(cache.bytes, 8 + ENTRY_OVERHEAD_BYTES);
    }

    #[test]
    fn a_gap_starts_anew() {
        let mut cache = Cache::default();
        cache.append(entries(1..4, 1, 8));
        cache.append(entries(9..11, 2, 8));
        assert_eq!(cache.first(), Some(9));
    }

    #[test]
    fn it_is_bounded_in_bytes_and_entries() {
        let mut cache = Cache::default();
        cache.append(entries(1..100, 1, 256 << 10));
        assert!(cache.bytes <= MAX_BYTES, "{}", cache.bytes);
        assert!(cache.get(99).is_some());
        cache.append(entries(100..20_000, 1, 1));
        assert!(cache.entries.len() <= MAX_ENTRIES);
        assert_eq!(cache.get(19_999).unwrap().index, 19_999);
    }
}
