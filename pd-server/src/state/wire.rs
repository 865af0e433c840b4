//! Commands and answers as prost messages, and the way between them and the types that the machine works with.

use bytes::Bytes;

use super::{model, txn};

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

impl From<&txn::Txn> for Txn {
    fn from(txn: &txn::Txn) -> Self {
        Self {
            compares: txn.compares.iter().map(Compare::from).collect(),
            then: txn.then.iter().map(Op::from).collect(),
            otherwise: txn.otherwise.iter().map(Op::from).collect(),
        }
    }
}

impl TryFrom<Txn> for txn::Txn {
    type Error = String;

    fn try_from(txn: Txn) -> Result<Self, String> {
        Ok(Self {
            compares: txn.compares.into_iter().map(txn::Compare::try_from).collect::<Result<_, _>>()?,
            then: txn.then.into_iter().map(txn::Op::try_from).collect::<Result<_, _>>()?,
            otherwise: txn.otherwise.into_iter().map(txn::Op::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&txn::Compare> for Compare {
    fn from(compare: &txn::Compare) -> Self {
        let relation = match compare.relation {
            txn::Relation::Equal => 1,
            txn::Relation::NotEqual => 2,
            txn::Relation::Less => 3,
            txn::Relation::Greater => 4,
        };
        let (target, number, value) = match &compare.target {
            txn::Target::Value(value) => (1, 0, value.clone()),
            txn::Target::Create(revision) => (2, revision.0, Bytes::new()),
            txn::Target::Mod(revision) => (3, revision.0, Bytes::new()),
            txn::Target::Version(version) => (4, *version, Bytes::new()),
            txn::Target::Lease(lease) => (5, *lease, Bytes::new()),
        };
        Self { key: compare.key.clone(), relation, target, number, value }
    }
}

impl TryFrom<Compare> for txn::Compare {
    type Error = String;

    fn try_from(compare: Compare) -> Result<Self, String> {
        let relation = match compare.relation {
            1 => txn::Relation::Equal,
            2 => txn::Relation::NotEqual,
            3 => txn::Relation::Less,
            4 => txn::Relation::Greater,
            other => return Err(format!("unknown relation {other}")),
        };
        let target = match compare.target {
            1 => txn::Target::Value(compare.value),
            2 => txn::Target::Create(model::Revision(compare.number)),
            3 => txn::Target::Mod(model::Revision(compare.number)),
            4 => txn::Target::Version(compare.number),
            5 => txn::Target::Lease(compare.number),
            other => return Err(format!("unknown target {other}")),
        };
        Ok(Self { key: compare.key, relation, target })
    }
}

impl From<&txn::Op> for Op {
    fn from(op: &txn::Op) -> Self {
        match op.clone() {
            txn::Op::Put { key, value, lease, prev_kv } => {
                Self { kind: PUT, key, value, lease, prev_kv, ..Self::default() }
            }
            txn::Op::Delete { range, prev_kv } => {
                Self { kind: DELETE, key: range.start, range_end: range.end, prev_kv, ..Self::default() }
            }
            txn::Op::Range { range, limit } => {
                Self { kind: RANGE, key: range.start, range_end: range.end, limit, ..Self::default() }
            }
        }
    }
}

impl TryFrom<Op> for txn::Op {
    type Error = String;

    fn try_from(op: Op) -> Result<Self, String> {
        let range = model::KeyRange { start: op.key.clone(), end: op.range_end };
        match op.kind {
            PUT => Ok(Self::Put { key: op.key, value: op.value, lease: op.lease, prev_kv: op.prev_kv }),
            DELETE => Ok(Self::Delete { range, prev_kv: op.prev_kv }),
            RANGE => Ok(Self::Range { range, limit: op.limit }),
            other => Err(format!("unknown operation {other}")),
        }
    }
}

impl From<&model::KeyValue> for KeyValue {
    fn from(kv: &model::KeyValue) -> Self {
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

impl From<KeyValue> for model::KeyValue {
    fn from(kv: KeyValue) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            create_revision: model::Revision(kv.create_revision),
            mod_revision: model::Revision(kv.mod_revision),
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<&txn::TxnResult> for TxnResult {
    fn from(result: &txn::TxnResult) -> Self {
        let results = result.results.iter().map(|result| match result {
            txn::OpResult::Put { previous } => OpResult {
                kind: PUT,
                kvs: previous.iter().map(KeyValue::from).collect(),
                ..OpResult::default()
            },
            txn::OpResult::Delete { deleted, previous } => OpResult {
                kind: DELETE,
                kvs: previous.iter().map(KeyValue::from).collect(),
                count: *deleted,
                ..OpResult::default()
            },
            txn::OpResult::Range(range) => OpResult {
                kind: RANGE,
                kvs: range.kvs.iter().map(KeyValue::from).collect(),
                count: range.count,
                more: range.more,
                revision: range.revision.0,
            },
        });
        Self { succeeded: result.succeeded, revision: result.revision.0, results: results.collect() }
    }
}

impl TryFrom<TxnResult> for txn::TxnResult {
    type Error = String;

    fn try_from(result: TxnResult) -> Result<Self, String> {
        let results = result.results.into_iter().map(|result| {
            let mut kvs = result.kvs.into_iter().map(model::KeyValue::from);
            match result.kind {
                PUT => Ok(txn::OpResult::Put { previous: kvs.next() }),
                DELETE => Ok(txn::OpResult::Delete { deleted: result.count, previous: kvs.collect() }),
                RANGE => Ok(txn::OpResult::Range(model::RangeResult {
                    revision: model::Revision(result.revision),
                    kvs: kvs.collect(),
                    count: result.count,
                    more: result.more,
                })),
                other => Err(format!("unknown result {other}")),
            }
        });
        Ok(Self {
            succeeded: result.succeeded,
            revision: model::Revision(result.revision),
            results: results.collect::<Result<_, _>>()?,
        })
    }
}
