//! What was written, what of it was acknowledged, and what a read may therefore find.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After an attempt whose outcome is unknown, its key is not written anew for this long: the attempt may still be on
/// its way, and would undo a newer write that we count on. Twice the client's own timeout of a request.
const QUIET: Duration = Duration::from_secs(4);

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// Nothing: never written, or deleted.
    Absent,
    /// The value of this number.
    Value(u64),
}

/// One key's history, as far as a reader must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    acknowledged: Content,
    /// Later attempts whose outcome is unknown.
    attempts: Vec<Content>,
    quiet_until: Option<Instant>,
}

/// The keys of one writer, which nobody else writes.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<u64, Entry>,
    acknowledged: u64,
}

impl Ledger {
    /// Before the first attempt of a write.
    pub fn attempt(&mut self, key: u64, content: Content) {
        let entry = self.entry(key);
        if !entry.attempts.contains(&content) {
            entry.attempts.push(content);
        }
    }

    /// After an error: the attempt may have happened, or may happen yet.
    pub fn unknown(&mut self, key: u64, now: Instant) {
        self.entry(key).quiet_until = Some(now + QUIET);
    }

    /// After Ok.
    pub fn acknowledge(&mut self, key: u64, content: Content) {
        let entry = self.entry(key);
        entry.acknowledged = content;
        entry.attempts.clear();
        self.acknowledged += 1;
    }

    /// Whether a new content may be written to `key` now.
    pub fn may_write(&self, key: u64, now: Instant) -> bool {
        let Some(entry) = self.entries.get(&key) else { return true };
        entry.attempts.is_empty() && entry.quiet_until.is_none_or(|until| until <= now)
    }

    /// Whether a read of `key` may find this: the last acknowledged content, or a later attempt of unknown outcome.
    pub fn allows(&self, key: u64, found: Content) -> bool {
        match self.entries.get(&key) {
            Some(entry) => entry.acknowledged == found || entry.attempts.contains(&found),
            None => found == Content::Absent,
        }
    }

    /// For messages: what [`Ledger::allows`] would have accepted.
    pub fn expected(&self, key: u64) -> String {
        match self.entries.get(&key) {
            Some(entry) => format!("{:?} or one of {:?}", entry.acknowledged, entry.attempts),
            None => format!("{:?}", Content::Absent),
        }
    }

    /// All keys that were ever written.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// The keys in `range` whose content is certain.
    pub fn certain(&self, range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, Content)> {
        let certain = |entry: &Entry| entry.attempts.is_empty();
        self.entries.range(range).filter(move |(_, e)| certain(e)).map(|(key, e)| (*key, e.acknowledged))
    }

    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Sabotage: books a write as acknowledged that was never sent. False if there is no key for it.
    pub fn book_a_lie(&mut self) -> bool {
        let Some(entry) = self.entries.values_mut().find(|entry| entry.attempts.is_empty()) else {
            return false;
        };
        entry.acknowledged = Content::Value(u64::MAX);
        self.acknowledged += 1;
        true
    }

    fn entry(&mut self, key: u64) -> &mut Entry {
        self.entries.entry(key).or_insert_with(|| Entry {
            acknowledged: Content::Absent,
            attempts: Vec::new(),
            quiet_until: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_may_find_the_last_acknowledged_or_a_later_unknown() {
        let mut ledger = Ledger::default();
        let now = Instant::now();
        assert!(ledger.allows(1, Content::Absent) && !ledger.allows(1, Content::Value(1)));
        ledger.attempt(1, Content::Value(1));
        assert!(ledger.allows(1, Content::Absent) && ledger.allows(1, Content::Value(1)));
        ledger.acknowledge(1, Content::Value(1));
        assert!(!ledger.allows(1, Content::Absent) && ledger.allows(1, Content::Value(1)));
        ledger.attempt(1, Content::Absent);
        ledger.unknown(1, now);
        assert!(ledger.allows(1, Content::Absent) && ledger.allows(1, Content::Value(1)));
        assert!(!ledger.may_write(1, now) && !ledger.allows(1, Content::Value(2)));
        assert_eq!(ledger.certain(0..=9).count(), 0);
        ledger.acknowledge(1, Content::Absent);
        assert!(!ledger.allows(1, Content::Value(1)));
        assert!(!ledger.may_write(1, now), "the first attempt may come late");
        assert!(ledger.may_write(1, now + QUIET));
        assert_eq!(ledger.acknowledged(), 2);
    }

    #[test]
    fn a_lie_is_nothing_that_a_read_can_find() {
        let mut ledger = Ledger::default();
        assert!(!ledger.book_a_lie());
        ledger.attempt(1, Content::Value(1));
        ledger.acknowledge(1, Content::Value(1));
        assert!(ledger.book_a_lie());
        assert!(!ledger.allows(1, Content::Value(1)));
    }
}
