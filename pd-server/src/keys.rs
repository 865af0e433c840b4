//! Where each record of PD's state lies and how it is written: the one place that knows paths and encodings.
//!
//! The paths are those of tikv/pd, so that tools which read them find what they expect. Numbers are written in three
//! ways, per key: 8 bytes big-endian, lower-case hexadecimal text without padding, or decimal text.

use bytes::Bytes;

/// The cluster id: 8 bytes big-endian. The only key of PD that does not lie under the id's root.
pub const CLUSTER_ID: &[u8] = b"/pd/cluster_id";

/// Settings of the resource group that everything falls into: protobuf `ResourceGroup`.
pub const RESOURCE_GROUP_DEFAULT: &[u8] = b"resource_group/settings/default";

/// Configuration of the clients' resource control: JSON.
pub const RESOURCE_GROUP_CONTROLLER: &[u8] = b"resource_group/controller";

/// The safe point of transactions of unified garbage collection: decimal text. TiDB reads and wrote it under this name.
pub const TXN_SAFE_POINT: &[u8] = b"/tidb/store/gcworker/saved_safe_point";

/// Whether a key is about members of the group, whichever the cluster: their records, facts, and those that were removed.
pub fn is_about_members(key: &[u8]) -> bool {
    path(key).is_some_and(|path| path.starts_with(b"member/") || path.starts_with(b"removed_member/"))
}

/// Whether a key is the replicated configuration or its record, whichever the cluster; or the cluster's id, without which
/// they are not found.
pub fn is_about_config(key: &[u8]) -> bool {
    key == CLUSTER_ID || path(key).is_some_and(|path| path == b"config" || path == b"config/record")
}

/// What stands behind the root of a cluster.
fn path(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"/pd/").and_then(|rest| rest.splitn(2, |byte| *byte == b'/').nth(1))
}

/// The keys under the root of one cluster, `/pd/{cluster id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    root: String,
}

impl Keys {
    /// The keys of the cluster with this id.
    pub fn new(cluster_id: u64) -> Self {
        Self { root: format!("/pd/{cluster_id}") }
    }

    /// Whether a key is a record of this placement driver's own.
    pub fn is_own(&self, key: &[u8]) -> bool {
        let below = |root: &[u8]| key.strip_prefix(root).is_some_and(|rest| rest.first() == Some(&b'/'));
        key == CLUSTER_ID || below(self.root.as_bytes())
    }

    /// End of the reserved window of ids, the last that may be handed out: 8 bytes big-endian.
    pub fn alloc_id(&self) -> Bytes {
        self.under("alloc_id")
    }

    /// Upper bound of the granted window of timestamps, in nanoseconds of wall time: 8 bytes big-endian.
    pub fn timestamp(&self) -> Bytes {
        self.under("timestamp")
    }

    /// The cluster's own record, protobuf `metapb.Cluster`; its presence means bootstrapped.
    pub fn cluster(&self) -> Bytes {
        self.under("raft")
    }

    /// When the cluster was bootstrapped, in nanoseconds of wall time: 8 bytes big-endian.
    pub fn bootstrap_time(&self) -> Bytes {
        self.under("raft/status/raft_bootstrap_time")
    }

    /// A store's record, protobuf `metapb.Store`.
    pub fn store(&self, store_id: u64) -> Bytes {
        self.under(&format!("raft/s/{store_id:020}"))
    }

    /// Start of the stores' records; the range ends before [`Keys::stores_end`].
    pub fn stores(&self) -> Bytes {
        self.under("raft/s/")
    }

    /// End (exclusive) of the stores' records.
    pub fn stores_end(&self) -> Bytes {
        self.under("raft/s0")
    }

    /// How much a store shall lead, compared with others: a decimal number as text.
    pub fn store_leader_weight(&self, store_id: u64) -> Bytes {
        self.under(&format!("schedule/store_weight/{store_id:020}/leader"))
    }

    /// How much a store shall hold, compared with others: a decimal number as text.
    pub fn store_region_weight(&self, store_id: u64) -> Bytes {
        self.under(&format!("schedule/store_weight/{store_id:020}/region"))
    }

    /// Settings of one scheduler, JSON.
    pub fn scheduler_config(&self, name: &str) -> Bytes {
        self.under(&format!("scheduler_config/{name}"))
    }

    /// Start of the Regions' records.
    pub fn regions(&self) -> Bytes {
        self.under("raft/r/")
    }

    /// A Region's record as the bootstrap writes it, protobuf `metapb.Region`.
    pub fn region(&self, region_id: u64) -> Bytes {
        self.under(&format!("raft/r/{region_id:020}"))
    }

    /// The smallest resolved timestamp over all stores: hexadecimal text.
    pub fn min_resolved_ts(&self) -> Bytes {
        self.under("raft/min_resolved_ts")
    }

    /// A timestamp kept for clients outside the cluster: hexadecimal text.
    pub fn external_timestamp(&self) -> Bytes {
        self.under("raft/external_timestamp")
    }

    /// Present while the cluster is being restored from a snapshot of its disks: any value.
    pub fn snapshot_recovering(&self) -> Bytes {
        self.under("cluster/markers/snapshot-recovering")
    }

    /// The replicated configuration: JSON.
    pub fn config(&self) -> Bytes {
        self.under("config")
    }

    /// Who changed what in the configuration when, and what is changed for some time only: JSON, a key of our own.
    pub fn config_record(&self) -> Bytes {
        self.under("config/record")
    }

    /// End (exclusive) of the configuration and its record; the range begins at [`Keys::config`].
    pub fn config_end(&self) -> Bytes {
        self.under("config0")
    }

    /// The safe point of unified garbage collection: hexadecimal text.
    pub fn gc_safe_point(&self) -> Bytes {
        self.under("gc/safe_point")
    }

    /// A keyspace's record, protobuf `keyspacepb.KeyspaceMeta`.
    pub fn keyspace_meta(&self, keyspace_id: u32) -> Bytes {
        self.under(&format!("keyspaces/meta/{keyspace_id:08}"))
    }

    /// The id of the keyspace with this name: decimal text.
    pub fn keyspace_id(&self, name: &str) -> Bytes {
        self.under(&format!("keyspaces/id/{name}"))
    }

    /// A rule that labels a range of keys: JSON.
    pub fn region_label(&self, rule_id: &str) -> Bytes {
        self.under(&format!("region_label/{rule_id}"))
    }

    /// The leader's record, protobuf `pdpb.Member`, written by each new leader.
    pub fn leader(&self) -> Bytes {
        self.under("leader")
    }

    /// A member's record: protobuf `pdpb.Member` with name, id, peer and client URLs.
    pub fn member(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}"))
    }

    /// Start of all that is kept of members; the range ends before [`Keys::members_end`].
    pub fn members(&self) -> Bytes {
        self.under("member/")
    }

    /// End (exclusive) of all that is kept of members.
    pub fn members_end(&self) -> Bytes {
        self.under("member0")
    }

    /// The version of a member's program: text.
    pub fn member_binary_version(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/binary_version"))
    }

    /// The folder of a member's program: text.
    pub fn member_deploy_path(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/deploy_path"))
    }

    /// The commit that a member's program was built from: text.
    pub fn member_git_hash(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/git_hash"))
    }

    /// What tells a member's data folder from any other: text. Ours alone, as everything that follows.
    pub fn member_incarnation(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/incarnation"))
    }

    /// How much a member is wanted as leader: decimal text, may be negative; absent is 0. (tikv/pd's own path.)
    pub fn member_leader_priority(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/leader_priority"))
    }

    /// Start of the single facts about a member, which lie below its record.
    pub fn member_facts(&self, member_id: u64) -> Bytes {
        self.under(&format!("member/{member_id}/"))
    }

    /// The record of a member that was removed for good: protobuf `pdpb.Member` as it was last known.
    pub fn removed_member(&self, member_id: u64) -> Bytes {
        self.under(&format!("removed_member/{member_id}"))
    }

    /// Start of the records of removed members; the range ends before [`Keys::removed_members_end`].
    pub fn removed_members(&self) -> Bytes {
        self.under("removed_member/")
    }

    /// End (exclusive) of the records of removed members.
    pub fn removed_members_end(&self) -> Bytes {
        self.under("removed_member0")
    }

    fn under(&self, path: &str) -> Bytes {
        Bytes::from(format!("{}/{path}", self.root))
    }
}

/// A value that does not have the form that its key asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value is not {expected}: {found}")]
pub struct DecodeError {
    /// The form that was expected.
    pub expected: &'static str,
    /// What was found, shortened, in hexadecimal.
    pub found: String,
}

/// Writes a number as 8 bytes big-endian.
pub fn encode_be(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Reads a number of 8 bytes big-endian.
///
/// # Errors
/// The value has another length.
pub fn decode_be(value: &[u8]) -> Result<u64, DecodeError> {
    let bytes = value.try_into().map_err(|_| wrong("a big-endian number of 8 bytes", value))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Writes a number as lower-case hexadecimal text without padding.
pub fn encode_hex(number: u64) -> Bytes {
    Bytes::from(format!("{number:x}"))
}

/// Reads a number of lower-case hexadecimal text.
///
/// # Errors
/// The value is empty, too long or holds another character.
pub fn decode_hex(value: &[u8]) -> Result<u64, DecodeError> {
    let strict = value.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    std::str::from_utf8(value)
        .ok()
        .filter(|_| strict)
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| wrong("a hexadecimal number", value))
}

/// Writes a number as decimal text.
pub fn encode_decimal(number: u64) -> Bytes {
    Bytes::from(number.to_string())
}

/// Reads a number of decimal text.
///
/// # Errors
/// The value is empty, too large or holds another character.
pub fn decode_decimal(value: &[u8]) -> Result<u64, DecodeError> {
    let strict = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| strict)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wrong("a decimal number", value))
}

fn wrong(expected: &'static str, value: &[u8]) -> DecodeError {
    // Enough to recognise the value, little enough for a log line.
    const SHOWN_BYTES: usize = 32;
    DecodeError { expected, found: hex::encode(&value[..value.len().min(SHOWN_BYTES)]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_field() {
        let keys = Keys::new(7_711_470_341_570_131_228);
        let table: &[(Bytes, &str)] = &[
            (keys.alloc_id(), "/pd/7711470341570131228/alloc_id"),
            (keys.timestamp(), "/pd/7711470341570131228/timestamp"),
            (keys.cluster(), "/pd/7711470341570131228/raft"),
            (keys.bootstrap_time(), "/pd/7711470341570131228/raft/status/raft_bootstrap_time"),
            (keys.store(4), "/pd/7711470341570131228/raft/s/00000000000000000004"),
            (keys.store(u64::MAX), "/pd/7711470341570131228/raft/s/18446744073709551615"),
            (keys.region(100), "/pd/7711470341570131228/raft/r/00000000000000000100"),
            (keys.min_resolved_ts(), "/pd/7711470341570131228/raft/min_resolved_ts"),
            (keys.external_timestamp(), "/pd/7711470341570131228/raft/external_timestamp"),
            (keys.snapshot_recovering(), "/pd/7711470341570131228/cluster/markers/snapshot-recovering"),
            (keys.config(), "/pd/7711470341570131228/config"),
            (keys.config_record(), "/pd/7711470341570131228/config/record"),
            (keys.gc_safe_point(), "/pd/7711470341570131228/gc/safe_point"),
            (keys.keyspace_meta(0), "/pd/7711470341570131228/keyspaces/meta/00000000"),
            (keys.keyspace_id("DEFAULT"), "/pd/7711470341570131228/keyspaces/id/DEFAULT"),
            (keys.region_label("keyspaces/0"), "/pd/7711470341570131228/region_label/keyspaces/0"),
            (keys.leader(), "/pd/7711470341570131228/leader"),
            (keys.member(9), "/pd/7711470341570131228/member/9"),
            (keys.member_binary_version(9), "/pd/7711470341570131228/member/9/binary_version"),
            (keys.member_deploy_path(9), "/pd/7711470341570131228/member/9/deploy_path"),
            (keys.member_git_hash(9), "/pd/7711470341570131228/member/9/git_hash"),
            (keys.member_incarnation(9), "/pd/7711470341570131228/member/9/incarnation"),
            (keys.member_leader_priority(9), "/pd/7711470341570131228/member/9/leader_priority"),
            (keys.removed_member(9), "/pd/7711470341570131228/removed_member/9"),
        ];
        for (key, path) in table {
            assert_eq!(key, path.as_bytes());
        }
    }

    #[test]
    fn own_records_are_told_apart() {
        let keys = Keys::new(7);
        for own in [keys.timestamp(), keys.store(1), Bytes::from_static(CLUSTER_ID), "/pd/7/new".into()] {
            assert!(keys.is_own(&own), "{own:?}");
        }
        for foreign in [&b"/pd/77/alloc_id"[..], b"/pd/7", RESOURCE_GROUP_CONTROLLER, TXN_SAFE_POINT, b"/a/1"]
        {
            assert!(!keys.is_own(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn what_is_about_members_is_told_by_the_path() {
        let keys = Keys::new(u64::MAX);
        for about in [keys.member(1), keys.member_leader_priority(1), keys.removed_member(1)] {
            assert!(is_about_members(&about), "{about:?}");
        }
        for other in
            [keys.leader(), keys.store(1), "/pd/member/1".into(), "/pd/1/members".into(), Bytes::new()]
        {
            assert!(!is_about_members(&other), "{other:?}");
        }
    }

    #[test]
    fn what_is_about_the_configuration_is_told_by_the_path() {
        let keys = Keys::new(u64::MAX);
        for about in [keys.config(), keys.config_record(), Bytes::from_static(CLUSTER_ID)] {
            assert!(is_about_config(&about), "{about:?}");
        }
        for other in [keys.config_end(), keys.store(1), "/pd/config".into(), "/pd/1/config/x".into()] {
            assert!(!is_about_config(&other), "{other:?}");
        }
    }

    #[test]
    fn ranges_hold_their_records_and_nothing_else() {
        let keys = Keys::new(1);
        for id in [0, 1, u64::MAX] {
            assert!(keys.stores() <= keys.store(id) && keys.store(id) < keys.stores_end());
            assert!(keys.members() <= keys.member(id) && keys.member(id) < keys.members_end());
            assert!(keys.member_facts(id) < keys.member_incarnation(id));
            let removed = keys.removed_member(id);
            assert!(keys.removed_members() <= removed && removed < keys.removed_members_end());
        }
        assert!(keys.bootstrap_time() > keys.stores_end(), "the bootstrap time is no store");
        assert!(keys.region(1) < keys.stores());
    }

    #[test]
    fn numbers_survive_each_encoding() {
        for number in [0, 1, 255, 1_000, 0x0102_0304_0506_0708, u64::MAX] {
            assert_eq!(decode_be(&encode_be(number)), Ok(number));
            assert_eq!(decode_hex(&encode_hex(number)), Ok(number));
            assert_eq!(decode_decimal(&encode_decimal(number)), Ok(number));
        }
        assert_eq!(encode_be(0x0102_0304_0506_0708), vec![1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(encode_hex(0xabc), "abc");
        assert_eq!(encode_decimal(42), "42");
    }

    #[test]
    fn other_forms_are_refused() {
        for value in [&b""[..], b"1234567", b"123456789"] {
            assert!(decode_be(value).is_err(), "{value:?}");
        }
        for value in [&b""[..], b"0x1", b"AB", b"+1", b" 1", b"11112222333344445"] {
            assert!(decode_hex(value).is_err(), "{value:?}");
        }
        for value in [&b""[..], b"-1", b"+1", b"1 ", b"18446744073709551616", b"\xff"] {
            assert!(decode_decimal(value).is_err(), "{value:?}");
        }
        let error = decode_be(b"ab").unwrap_err();
        assert_eq!(error.to_string(), "value is not a big-endian number of 8 bytes: 6162");
    }
}
