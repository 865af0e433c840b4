//! What is proposed to a Region's group: messages of our own, since no other program reads them.
//!
//! Each carries the epoch that its proposer saw; a command whose epoch is over by the time it is applied changes
//! nothing (see [`super::EpochCheck`]).

use bytes::Bytes;
use proto::metapb::{self, RegionEpoch};

/// Data of a normal entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// What is to be done.
    #[prost(oneof = "Body", tags = "1, 2")]
    pub body: Option<Body>,
}

/// The kinds of [`Command`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// Sets and removes keys.
    #[prost(message, tag = "1")]
    Write(Write),
    /// Cuts the Region.
    #[prost(message, tag = "2")]
    Split(Split),
}

/// Sets and removes keys of the Region, all or none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Write {
    /// The proposer's epoch; only its version counts.
    #[prost(message, optional, tag = "1")]
    pub epoch: Option<RegionEpoch>,
    /// In order; at most [`Write::MAX_KEYS`].
    #[prost(message, repeated, tag = "2")]
    pub mutations: Vec<Mutation>,
}

impl Write {
    /// Most keys of one entry, so that it fits one batch of the engine together with the Region's record.
    pub const MAX_KEYS: usize = crate::engine::MAX_BATCH_KEYS - 20;
}

/// One key's change.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Mutation {
    /// The user key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The new value; none removes the key.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

impl Mutation {
    /// What it adds to a log entry or a batch, in bytes.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// Cuts the Region at the keys of `parts`; what lies right of the last key keeps the old id.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Split {
    /// The proposer's epoch; both numbers count.
    #[prost(message, optional, tag = "1")]
    pub epoch: Option<RegionEpoch>,
    /// The new Regions from left to right.
    #[prost(message, repeated, tag = "2")]
    pub parts: Vec<SplitPart>,
}

/// One new Region: from the key of the part before (or the Region's start) up to `key`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SplitPart {
    /// Where it ends.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Its id.
    #[prost(uint64, tag = "2")]
    pub region_id: u64,
    /// Its peers' ids, in the order of the Region's peers.
    #[prost(uint64, repeated, tag = "3")]
    pub peer_ids: Vec<u64>,
}

/// The context of a change of membership: what raft does not know about it. Its lack means that a joint change is
/// left by the Raft core itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PeerChange {
    /// The proposer's epoch; both numbers count.
    #[prost(message, optional, tag = "1")]
    pub epoch: Option<RegionEpoch>,
    /// What changes; none leaves a joint change.
    #[prost(message, repeated, tag = "2")]
    pub changes: Vec<OneChange>,
}

/// One peer's change.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct OneChange {
    /// `eraftpb.ConfChangeType`.
    #[prost(enumeration = "proto::eraftpb::ConfChangeType", tag = "1")]
    pub kind: i32,
    /// Whom.
    #[prost(message, optional, tag = "2")]
    pub peer: Option<metapb::Peer>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn an_empty_value_is_not_a_removal() {
        let write = Write {
            epoch: Some(RegionEpoch { conf_ver: 1, version: 2 }),
            mutations: vec![
                Mutation { key: Bytes::from_static(b"a"), value: Some(Bytes::new()) },
                Mutation { key: Bytes::from_static(b"b"), value: None },
            ],
        };
        let command = Command { body: Some(Body::Write(write)) };
        let again = Command::decode(command.encode_to_vec().as_slice()).unwrap();
        assert_eq!(again, command);
    }

    #[test]
    fn no_command_encodes_to_nothing() {
        // Empty data is a new leader's no-op: a command must never look like it.
        let empty = Command { body: Some(Body::Write(Write::default())) };
        assert!(!empty.encode_to_vec().is_empty());
    }
}
