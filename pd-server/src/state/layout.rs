//! How the machine lies in sled: one tree, three kinds of keys.
//!
//! ```text
//! m <name>                       -> what is not versioned: the mark, the revision, the start of the history
//! d <key, escaped> <rev> <sub>   -> one version of a key: counters and value, or that it was deleted
//! r <rev> <sub>                  -> the key that this write touched: the history in order, for watches and compaction
//! ```
//! `rev` is 8 bytes and `sub` 4, big-endian; `sub` counts the writes of one revision. A key is escaped so that the order
//! of bytes stays the order of keys: a zero byte becomes `00 ff`, and `00 01` ends it.

use bytes::Bytes;
use prost::Message;

use super::model::{KeyValue, Revision};

/// The machine's mark, a [`MarkRecord`].
pub(super) const MARK: &[u8] = b"m/mark";
/// The newest revision: 8 bytes big-endian.
pub(super) const REVISION: &[u8] = b"m/revision";
/// The first revision that can be read: 8 bytes big-endian.
pub(super) const COMPACTED: &[u8] = b"m/compacted";

const DATA: u8 = b'd';
const HISTORY: u8 = b'r';
const TERMINATOR: [u8; 2] = [0, 1];
/// The least that is greater than any version of a key.
const AFTER_TERMINATOR: [u8; 2] = [0, 2];

/// Where a write stands in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub revision: Revision,
    pub sub: u32,
}

/// One version of a key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Version {
    #[prost(uint64, tag = "1")]
    pub create_revision: u64,
    /// 0 if the key was deleted.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    #[prost(uint64, tag = "3")]
    pub lease: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub value: Bytes,
}

/// The mark on disk.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MarkRecord {
    #[prost(uint64, tag = "1")]
    pub index: u64,
    #[prost(uint64, tag = "2")]
    pub term: u64,
    #[prost(message, optional, tag = "3")]
    pub conf_state: Option<proto::eraftpb::ConfState>,
}

impl Version {
    pub(super) fn of(kv: &KeyValue) -> Self {
        Self {
            create_revision: kv.create_revision.0,
            version: kv.version,
            lease: kv.lease,
            value: kv.value.clone(),
        }
    }

    pub(super) fn is_deletion(&self) -> bool {
        self.version == 0
    }

    pub(super) fn into_key_value(self, key: Bytes, mod_revision: Revision) -> KeyValue {
        KeyValue {
            key,
            value: self.value,
            create_revision: Revision(self.create_revision),
            mod_revision,
            version: self.version,
            lease: self.lease,
        }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

/// The start of all versions of a key, and (exclusive) of all keys before it.
pub(super) fn data_start(key: &[u8]) -> Vec<u8> {
    escaped(key, TERMINATOR, 0)
}

/// The end (exclusive) of all versions of a key.
pub(super) fn data_end(key: &[u8]) -> Vec<u8> {
    escaped(key, AFTER_TERMINATOR, 0)
}

/// The end (exclusive) of the versions of all keys.
pub(super) fn all_data_end() -> Vec<u8> {
    vec![DATA + 1]
}

/// The start of the versions of all keys.
pub(super) fn all_data_start() -> Vec<u8> {
    vec![DATA]
}

/// One version of a key.
pub(super) fn data_key(key: &[u8], at: Position) -> Vec<u8> {
    let mut out = escaped(key, TERMINATOR, 12);
    push_position(&mut out, at);
    out
}

/// Splits a data key.
pub(super) fn parse_data_key(data_key: &[u8]) -> Option<(Bytes, Position)> {
    let (head, position) = data_key.split_at_checked(data_key.len().checked_sub(12)?)?;
    let body = head.strip_prefix(&[DATA])?.strip_suffix(&TERMINATOR)?;
    let mut key = Vec::with_capacity(body.len());
    let mut bytes = body.iter();
    while let Some(&byte) = bytes.next() {
        if byte == 0 && bytes.next() != Some(&0xff) {
            return None;
        }
        key.push(byte);
    }
    Some((key.into(), parse_position(position)?))
}

/// A write's place in the history.
pub(super) fn history_key(at: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(13);
    out.push(HISTORY);
    push_position(&mut out, at);
    out
}

/// The start of a revision in the history.
pub(super) fn history_start(revision: Revision) -> Vec<u8> {
    history_key(Position { revision, sub: 0 })
}

/// The end (exclusive) of the history.
pub(super) fn history_end() -> Vec<u8> {
    vec![HISTORY + 1]
}

/// Splits a history key.
pub(super) fn parse_history_key(key: &[u8]) -> Option<Position> {
    parse_position(key.strip_prefix(&[HISTORY])?)
}

fn escaped(key: &[u8], terminator: [u8; 2], spare: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 3 + spare);
    out.push(DATA);
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&terminator);
    out
}

fn push_position(out: &mut Vec<u8>, at: Position) {
    out.extend_from_slice(&at.revision.0.to_be_bytes());
    out.extend_from_slice(&at.sub.to_be_bytes());
}

fn parse_position(bytes: &[u8]) -> Option<Position> {
    let (revision, sub) = bytes.split_at_checked(8)?;
    Some(Position {
        revision: Revision(u64::from_be_bytes(revision.try_into().ok()?)),
        sub: u32::from_be_bytes(sub.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    proptest! {
        #[test]
        fn keys_keep_their_order_and_come_back(
            a in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 254, 255]), 0..5),
            b in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 254, 255]), 0..5),
            revisions in (any::<u64>(), any::<u64>()),
            subs in (any::<u32>(), any::<u32>()),
        ) {
            let at = Position { revision: Revision(revisions.0), sub: subs.0 };
            let bt = Position { revision: Revision(revisions.1), sub: subs.1 };
            assert_eq!(data_key(&a, at).cmp(&data_key(&b, bt)), (&a, at).cmp(&(&b, bt)));
            assert_eq!(parse_data_key(&data_key(&a, at)), Some((Bytes::from(a.clone()), at)));
            assert!(data_start(&a) < data_key(&a, at) && data_key(&a, at) < data_end(&a));
            if a < b {
                assert!(data_end(&a) < data_start(&b));
            }
            assert_eq!(history_key(at).cmp(&history_key(bt)), at.cmp(&bt));
            assert_eq!(parse_history_key(&history_key(at)), Some(at));
        }
    }
}
