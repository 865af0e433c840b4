//! What travels through the log, and what applying it answers. Its form is part of the format on disk: fields are
//! added, never changed.

use bytes::Bytes;
use prost::Message;

use super::model::Revision;
use super::txn::{Txn, TxnResult};
use super::wire;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Compare, KeyRange, KeyValue, Op, OpResult, RangeResult, Relation, Target};

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
