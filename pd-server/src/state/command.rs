//! What travels through the log, and what applying it answers. Its form is part of the format on disk: fields are
//! added, never changed.

use bytes::Bytes;
use prost::Message;

use super::model::{KeyRange, KeyValue, RangeResult, Revision};
use super::txn::{Compare, Op, OpResult, Relation, Target, Txn, TxnResult};

/// One entry of the log. Times and ids in it were filled in by the proposer: applying knows no clock and no chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The proposer's term; an entry of another term is refused (rule 4).
    pub term: u64,
    /// What to do.
    pub action: Action,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A transaction.
    Txn(Txn),
    /// Raises the bound of timestamps kept at `key` (rule 6).
    Bound {
        /// Where the bound is kept.
        key: Bytes,
        /// The proposer's wall time.
        now_ns: u64,
    },
    /// Gives up the history before a revision.
    Compact(Revision),
}

/// What applying an entry answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Of another term than its proposer's: nothing was done.
    Fenced {
        /// The proposer's term.
        asked: u64,
        /// The entry's term.
        term: u64,
    },
    /// Of a transaction.
    Txn(TxnResult),
    /// Of a raised bound.
    Bound(Bound),
    /// The first revision that can be read now.
    Compacted(Revision),
    /// Not understood: nothing was done.
    Malformed(String),
}

/// A window of timestamps, in nanoseconds of wall time: from `start_ns` (inclusive) to `bound_ns` (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// No leader before has given a timestamp at or above it.
    pub start_ns: u64,
    /// No timestamp at or above it may be given.
    pub bound_ns: u64,
}

impl Command {
    pub(crate) fn encode(&self) -> Bytes {
        let action = match &self.action {
            Action::Txn(txn) => wire::Action::Txn(wire::Txn::from(txn)),
            Action::Bound { key, now_ns } => {
                wire::Action::Bound(wire::RaiseBound { key: key.clone(), now_ns: *now_ns })
            }
            Action::Compact(revision) => wire::Action::Compact(revision.0),
        };
        wire::Command { term: self.term, action: Some(action) }.encode_to_vec().into()
    }

    pub(crate) fn decode(data: &[u8]) -> Result<Self, String> {
        let command = wire::Command::decode(data).map_err(|e| e.to_string())?;
        let action = match command.action.ok_or("a command without action")? {
            wire::Action::Txn(txn) => Action::Txn(txn.try_into()?),
            wire::Action::Bound(raise) => Action::Bound { key: raise.key, now_ns: raise.now_ns },
            wire::Action::Compact(revision) => Action::Compact(Revision(revision)),
        };
        Ok(Self { term: command.term, action })
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        let kind = match self {
            Self::Fenced { asked, term } => wire::Kind::Fenced(wire::Fenced { asked: *asked, term: *term }),
            Self::Txn(result) => wire::Kind::Txn(wire::TxnResult::from(result)),
            Self::Bound(bound) => {
                wire::Kind::Bound(wire::Bound { start_ns: bound.start_ns, bound_ns: bound.bound_ns })
            }
            Self::Compacted(revision) => wire::Kind::Compacted(revision.0),
            Self::Malformed(reason) => wire::Kind::Malformed(reason.clone()),
        };
        wire::Answer { kind: Some(kind) }.encode_to_vec().into()
    }

    pub(crate) fn decode(data: &[u8]) -> Result<Self, String> {
        let answer = wire::Answer::decode(data).map_err(|e| e.to_string())?;
        Ok(match answer.kind.ok_or("an empty answer")? {
            wire::Kind::Fenced(fenced) => Self::Fenced { asked: fenced.asked, term: fenced.term },
            wire::Kind::Txn(result) => Self::Txn(result.try_into()?),
            wire::Kind::Bound(bound) => {
                Self::Bound(Bound { start_ns: bound.start_ns, bound_ns: bound.bound_ns })
            }
            wire::Kind::Compacted(revision) => Self::Compacted(Revision(revision)),
            wire::Kind::Malformed(reason) => Self::Malformed(reason),
        })
    }
}

mod wire {
    //! The messages, as prost writes them.

    use bytes::Bytes;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Command {
        #[prost(uint64, tag = "1")]
        pub term: u64,
        #[prost(oneof = "Action", tags = "2, 3, 4")]
        pub action: Option<Action>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Action {
        #[prost(message, tag = "2")]
        Txn(Txn),
        #[prost(message, tag = "3")]
        Bound(RaiseBound),
        #[prost(uint64, tag = "4")]
        Compact(u64),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RaiseBound {
        #[prost(bytes = "bytes", tag = "1")]
        pub key: Bytes,
        #[prost(uint64, tag = "2")]
        pub now_ns: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Txn {
        #[prost(message, repeated, tag = "1")]
        pub compares: Vec<Compare>,
        #[prost(message, repeated, tag = "2")]
        pub then: Vec<Op>,
        #[prost(message, repeated, tag = "3")]
        pub otherwise: Vec<Op>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Compare {
        #[prost(bytes = "bytes", tag = "1")]
        pub key: Bytes,
        #[prost(uint32, tag = "2")]
        pub relation: u32,
        #[prost(uint32, tag = "3")]
        pub target: u32,
        #[prost(uint64, tag = "4")]
        pub number: u64,
        #[prost(bytes = "bytes", tag = "5")]
        pub value: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Op {
        #[prost(uint32, tag = "1")]
        pub kind: u32,
        #[prost(bytes = "bytes", tag = "2")]
        pub key: Bytes,
        #[prost(bytes = "bytes", optional, tag = "3")]
        pub range_end: Option<Bytes>,
        #[prost(bytes = "bytes", tag = "4")]
        pub value: Bytes,
        #[prost(uint64, tag = "5")]
        pub lease: u64,
        #[prost(bool, tag = "6")]
        pub prev_kv: bool,
        #[prost(uint64, tag = "7")]
        pub limit: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KeyValue {
        #[prost(bytes = "bytes", tag = "1")]
        pub key: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub value: Bytes,
        #[prost(uint64, tag = "3")]
        pub create_revision: u64,
        #[prost(uint64, tag = "4")]
        pub mod_revision: u64,
        #[prost(uint64, tag = "5")]
        pub version: u64,
        #[prost(uint64, tag = "6")]
        pub lease: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Answer {
        #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
        pub kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Kind {
        #[prost(message, tag = "1")]
        Fenced(Fenced),
        #[prost(message, tag = "2")]
        Txn(TxnResult),
        #[prost(message, tag = "3")]
        Bound(Bound),
        #[prost(uint64, tag = "4")]
        Compacted(u64),
        #[prost(string, tag = "5")]
        Malformed(String),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Fenced {
        #[prost(uint64, tag = "1")]
        pub asked: u64,
        #[prost(uint64, tag = "2")]
        pub term: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Bound {
        #[prost(uint64, tag = "1")]
        pub start_ns: u64,
        #[prost(uint64, tag = "2")]
        pub bound_ns: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TxnResult {
        #[prost(bool, tag = "1")]
        pub succeeded: bool,
        #[prost(uint64, tag = "2")]
        pub revision: u64,
        #[prost(message, repeated, tag = "3")]
        pub results: Vec<OpResult>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct OpResult {
        #[prost(uint32, tag = "1")]
        pub kind: u32,
        #[prost(message, repeated, tag = "2")]
        pub kvs: Vec<KeyValue>,
        #[prost(uint64, tag = "3")]
        pub count: u64,
        #[prost(bool, tag = "4")]
        pub more: bool,
        #[prost(uint64, tag = "5")]
        pub revision: u64,
    }

    pub(super) const PUT: u32 = 1;
    pub(super) const DELETE: u32 = 2;
    pub(super) const RANGE: u32 = 3;
}

impl From<&Txn> for wire::Txn {
    fn from(txn: &Txn) -> Self {
        Self {
            compares: txn.compares.iter().map(wire::Compare::from).collect(),
            then: txn.then.iter().map(wire::Op::from).collect(),
            otherwise: txn.otherwise.iter().map(wire::Op::from).collect(),
        }
    }
}

impl TryFrom<wire::Txn> for Txn {
    type Error = String;

    fn try_from(txn: wire::Txn) -> Result<Self, String> {
        Ok(Self {
            compares: txn.compares.into_iter().map(Compare::try_from).collect::<Result<_, _>>()?,
            then: txn.then.into_iter().map(Op::try_from).collect::<Result<_, _>>()?,
            otherwise: txn.otherwise.into_iter().map(Op::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Compare> for wire::Compare {
    fn from(compare: &Compare) -> Self {
        let relation = match compare.relation {
            Relation::Equal => 1,
            Relation::NotEqual => 2,
            Relation::Less => 3,
            Relation::Greater => 4,
        };
        let (target, number, value) = match &compare.target {
            Target::Value(value) => (1, 0, value.clone()),
            Target::Create(revision) => (2, revision.0, Bytes::new()),
            Target::Mod(revision) => (3, revision.0, Bytes::new()),
            Target::Version(version) => (4, *version, Bytes::new()),
            Target::Lease(lease) => (5, *lease, Bytes::new()),
        };
        Self { key: compare.key.clone(), relation, target, number, value }
    }
}

impl TryFrom<wire::Compare> for Compare {
    type Error = String;

    fn try_from(compare: wire::Compare) -> Result<Self, String> {
        let relation = match compare.relation {
            1 => Relation::Equal,
            2 => Relation::NotEqual,
            3 => Relation::Less,
            4 => Relation::Greater,
            other => return Err(format!("unknown relation {other}")),
        };
        let target = match compare.target {
            1 => Target::Value(compare.value),
            2 => Target::Create(Revision(compare.number)),
            3 => Target::Mod(Revision(compare.number)),
            4 => Target::Version(compare.number),
            5 => Target::Lease(compare.number),
            other => return Err(format!("unknown target {other}")),
        };
        Ok(Self { key: compare.key, relation, target })
    }
}

impl From<&Op> for wire::Op {
    fn from(op: &Op) -> Self {
        match op.clone() {
            Op::Put { key, value, lease, prev_kv } => {
                Self { kind: wire::PUT, key, value, lease, prev_kv, ..Self::default() }
            }
            Op::Delete { range, prev_kv } => Self {
                kind: wire::DELETE,
                key: range.start,
                range_end: range.end,
                prev_kv,
                ..Self::default()
            },
            Op::Range { range, limit } => {
                Self { kind: wire::RANGE, key: range.start, range_end: range.end, limit, ..Self::default() }
            }
        }
    }
}

impl TryFrom<wire::Op> for Op {
    type Error = String;

    fn try_from(op: wire::Op) -> Result<Self, String> {
        let range = KeyRange { start: op.key.clone(), end: op.range_end };
        match op.kind {
            wire::PUT => Ok(Self::Put { key: op.key, value: op.value, lease: op.lease, prev_kv: op.prev_kv }),
            wire::DELETE => Ok(Self::Delete { range, prev_kv: op.prev_kv }),
            wire::RANGE => Ok(Self::Range { range, limit: op.limit }),
            other => Err(format!("unknown operation {other}")),
        }
    }
}

impl From<&KeyValue> for wire::KeyValue {
    fn from(kv: &KeyValue) -> Self {
        Self {
            key: kv.key.clone(),
            value: kv.value.clone(),
            create_revision: kv.create_revision.0,
            mod_revision: kv.mod_revision.0,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<wire::KeyValue> for KeyValue {
    fn from(kv: wire::KeyValue) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            create_revision: Revision(kv.create_revision),
            mod_revision: Revision(kv.mod_revision),
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<&TxnResult> for wire::TxnResult {
    fn from(result: &TxnResult) -> Self {
        let results = result.results.iter().map(|result| match result {
            OpResult::Put { previous } => wire::OpResult {
                kind: wire::PUT,
                kvs: previous.iter().map(wire::KeyValue::from).collect(),
                ..wire::OpResult::default()
            },
            OpResult::Delete { deleted, previous } => wire::OpResult {
                kind: wire::DELETE,
                kvs: previous.iter().map(wire::KeyValue::from).collect(),
                count: *deleted,
                ..wire::OpResult::default()
            },
            OpResult::Range(range) => wire::OpResult {
                kind: wire::RANGE,
                kvs: range.kvs.iter().map(wire::KeyValue::from).collect(),
                count: range.count,
                more: range.more,
                revision: range.revision.0,
            },
        });
        Self { succeeded: result.succeeded, revision: result.revision.0, results: results.collect() }
    }
}

impl TryFrom<wire::TxnResult> for TxnResult {
    type Error = String;

    fn try_from(result: wire::TxnResult) -> Result<Self, String> {
        let results = result.results.into_iter().map(|result| {
            let mut kvs = result.kvs.into_iter().map(KeyValue::from);
            match result.kind {
                wire::PUT => Ok(OpResult::Put { previous: kvs.next() }),
                wire::DELETE => Ok(OpResult::Delete { deleted: result.count, previous: kvs.collect() }),
                wire::RANGE => Ok(OpResult::Range(RangeResult {
                    revision: Revision(result.revision),
                    kvs: kvs.collect(),
                    count: result.count,
                    more: result.more,
                })),
                other => Err(format!("unknown result {other}")),
            }
        });
        Ok(Self {
            succeeded: result.succeeded,
            revision: Revision(result.revision),
            results: results.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_log() {
        let txn = Txn::of(vec![
            Op::Put { key: "a".into(), value: "1".into(), lease: 7, prev_kv: true },
            Op::Delete { range: KeyRange::prefix("b"), prev_kv: true },
            Op::Range { range: KeyRange { start: "c".into(), end: None }, limit: 3 },
        ])
        .otherwise(Op::get("d"))
        .when(Compare::value("v", "x"))
        .when(Compare { key: "m".into(), relation: Relation::Less, target: Target::Mod(Revision(5)) })
        .when(Compare { key: "n".into(), relation: Relation::NotEqual, target: Target::Version(1) })
        .when(Compare { key: "l".into(), relation: Relation::Greater, target: Target::Lease(9) })
        .when(Compare::absent("z"));
        for action in [
            Action::Txn(txn),
            Action::Bound { key: "t".into(), now_ns: u64::MAX },
            Action::Compact(Revision(12)),
        ] {
            let command = Command { term: 3, action };
            assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn answers_survive_the_way_back() {
        let kv = KeyValue {
            key: "k".into(),
            value: "v".into(),
            create_revision: Revision(1),
            mod_revision: Revision(2),
            version: 2,
            lease: 4,
        };
        let range =
            RangeResult { revision: Revision(9), kvs: vec![kv.clone(), kv.clone()], count: 5, more: true };
        let results = vec![
            OpResult::Put { previous: None },
            OpResult::Put { previous: Some(kv.clone()) },
            OpResult::Delete { deleted: 1, previous: vec![kv] },
            OpResult::Range(range),
        ];
        for answer in [
            Answer::Fenced { asked: 1, term: 2 },
            Answer::Txn(TxnResult { succeeded: true, revision: Revision(3), results }),
            Answer::Bound(Bound { start_ns: 1, bound_ns: 2 }),
            Answer::Compacted(Revision(8)),
            Answer::Malformed("why".into()),
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Command::decode(b"\xff\xff").is_err());
        assert!(Command::decode(b"").is_err());
        let unknown = wire::Command {
            term: 1,
            action: Some(wire::Action::Txn(wire::Txn {
                then: vec![wire::Op { kind: 99, ..wire::Op::default() }],
                ..wire::Txn::default()
            })),
        };
        assert_eq!(Command::decode(&unknown.encode_to_vec()), Err("unknown operation 99".into()));
    }
}
