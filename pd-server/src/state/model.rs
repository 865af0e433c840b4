//! The data model, which is etcd's: keys with three counters each, one revision for the whole, ranges of keys.

use bytes::Bytes;

/// A state of the whole machine: rises by one with each transaction that writes. 0 is the empty machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A key with its value and counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key (since it was last absent).
    pub create_revision: Revision,
    /// The revision that wrote this value.
    pub mod_revision: Revision,
    /// How often the key was written since it was created; the first write makes it 1.
    pub version: u64,
    /// The lease that the key hangs on; 0 for none.
    pub lease: u64,
}

/// A range of keys, start inclusive, end exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be in it.
    pub start: Bytes,
    /// The first key behind it; `None` for no end.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Exactly one key.
    pub fn single(key: impl Into<Bytes>) -> Self {
        let start = key.into();
        let mut end = Vec::with_capacity(start.len() + 1);
        end.extend_from_slice(&start);
        end.push(0);
        Self { start, end: Some(end.into()) }
    }

    /// From `start` to before `end`.
    pub fn between(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { start, end: Some(end.into()) };
            }
        }
        Self { start, end: None }
    }

    /// As etcd's requests spell it: no end is the single key, an end of one zero byte is everything from `key` on.
    pub fn from_etcd(key: Bytes, range_end: Bytes) -> Self {
        match range_end.as_ref() {
            b"" => Self::single(key),
            b"\0" => Self { start: key, end: None },
            _ => Self { start: key, end: Some(range_end) },
        }
    }

    /// Whether the key lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }
}

/// What a range read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResult {
    /// The revision that was current while it was read: goes into the headers of answers.
    pub revision: Revision,
    /// The keys in order, at most as many as asked for.
    pub kvs: Vec<KeyValue>,
    /// How many keys the whole range holds.
    pub count: u64,
    /// There are more keys than were returned.
    pub more: bool,
}

/// What a write did to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Put or delete.
    pub kind: EventKind,
    /// The key after it; for a delete only `key` and `mod_revision` are set.
    pub kv: KeyValue,
    /// The key before it, unless it was absent or its former value is compacted away.
    pub prev_kv: Option<KeyValue>,
}

/// The kind of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Written.
    Put,
    /// Deleted.
    Delete,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_etcd_says() {
        let single = KeyRange::single("a");
        assert!(
            single.contains(b"a")
                && !single.contains(b"a\0")
                && !single.contains(b"")
                && !single.contains(b"b")
        );
        let prefix = KeyRange::prefix("a/");
        assert!(prefix.contains(b"a/") && prefix.contains(b"a/\xff\xff") && !prefix.contains(b"a0"));
        let top = KeyRange::prefix(&b"a\xff"[..]);
        assert_eq!(top.end.as_deref(), Some(&b"b"[..]));
        assert_eq!(KeyRange::prefix(&b"\xff\xff"[..]).end, None);
        assert_eq!(KeyRange::from_etcd("k".into(), Bytes::new()), KeyRange::single("k"));
        assert!(KeyRange::from_etcd("k".into(), Bytes::from_static(b"\0")).contains(b"\xff\xff"));
        assert_eq!(KeyRange::from_etcd("k".into(), "m".into()), KeyRange::between("k", "m"));
    }
}
