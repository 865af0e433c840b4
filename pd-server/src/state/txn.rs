//! Transactions: conditions, and what to do if they all hold and if not.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::KvError;
use super::model::{KeyRange, KeyValue, RangeResult, Revision};

/// Most operations of one transaction, counted over conditions, then and else (etcd's own default): it keeps an
/// entry of the log and its batches small.
pub const TXN_OPERATIONS_MAX: usize = 128;

/// Most bytes of keys and values in one transaction (etcd's own default for a request): heartbeats and timestamps wait for
/// an entry that is being written, and with some of 8 MiB the lead was lost.
pub const TXN_BYTES_MAX: usize = 3 << 19;

/// A transaction: evaluated and written as one, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `then`.
    pub compares: Vec<Compare>,
    /// Done if all conditions hold.
    pub then: Vec<Op>,
    /// Done if one does not.
    pub otherwise: Vec<Op>,
}

/// A condition on one key. An absent key has create revision, mod revision and version 0; a condition on its value
/// never holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// How what is found must relate to `target`.
    pub relation: Relation,
    /// What it is compared with.
    pub target: Target,
}

/// How what is found must relate to what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Found is less than named.
    Less,
    /// Found is greater than named.
    Greater,
}

/// The side of a key that is compared, with the value it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The value, byte by byte.
    Value(Bytes),
    /// The create revision; `Equal` to 0 means absent.
    Create(Revision),
    /// The mod revision.
    Mod(Revision),
    /// The version.
    Version(u64),
    /// The lease.
    Lease(u64),
}

/// One operation of a transaction. Later operations see what earlier ones did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key, not empty.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The lease that it hangs on; 0 for none.
        lease: u64,
        /// Answer with what was there before.
        prev_kv: bool,
    },
    /// Deletes all keys of a range.
    Delete {
        /// The range.
        range: KeyRange,
        /// Answer with what was there before.
        prev_kv: bool,
    },
    /// Reads a range.
    Range {
        /// The range.
        range: KeyRange,
        /// Most keys to return; 0 for all.
        limit: u64,
    },
}

/// What became of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnResult {
    /// All conditions held.
    pub succeeded: bool,
    /// The revision after it.
    pub revision: Revision,
    /// One for each operation that was done.
    pub results: Vec<OpResult>,
}

/// What one operation answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// Of a put.
    Put {
        /// What was there, if asked for.
        previous: Option<KeyValue>,
    },
    /// Of a delete.
    Delete {
        /// How many keys were deleted.
        deleted: u64,
        /// What was there, if asked for.
        previous: Vec<KeyValue>,
    },
    /// Of a range read.
    Range(RangeResult),
}

impl Txn {
    /// A transaction of writes without conditions.
    pub fn of(then: Vec<Op>) -> Self {
        Self { then, ..Self::default() }
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds an operation for when all conditions hold.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.then.push(op);
        self
    }

    /// Adds an operation for when a condition does not hold.
    #[must_use]
    pub fn otherwise(mut self, op: Op) -> Self {
        self.otherwise.push(op);
        self
    }

    /// Refuses what the machine would not take, before anything is proposed.
    pub(crate) fn check(&self) -> Result<(), KvError> {
        let operations = self.compares.len().max(self.then.len()).max(self.otherwise.len());
        if operations > TXN_OPERATIONS_MAX {
            return Err(KvError::TooManyOperations { found: operations });
        }
        if self.compares.iter().any(|compare| compare.key.is_empty()) {
            return Err(KvError::EmptyKey);
        }
        check_branch(&self.then)?;
        check_branch(&self.otherwise)?;
        let bytes = self.bytes();
        if bytes > TXN_BYTES_MAX {
            return Err(KvError::TooManyBytes { found: bytes });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let compares = self.compares.iter().map(|compare| match &compare.target {
            Target::Value(value) => compare.key.len() + value.len(),
            Target::Create(_) | Target::Mod(_) | Target::Version(_) | Target::Lease(_) => compare.key.len(),
        });
        let ops = self.then.iter().chain(&self.otherwise).map(|op| match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { range, .. } | Op::Range { range, .. } => {
                range.start.len() + range.end.as_ref().map_or(0, Bytes::len)
            }
        });
        compares.chain(ops).sum()
    }
}

impl Compare {
    /// Holds if the key is absent.
    pub fn absent(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), relation: Relation::Equal, target: Target::Create(Revision(0)) }
    }

    /// Holds if the key is there.
    pub fn present(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), relation: Relation::Greater, target: Target::Create(Revision(0)) }
    }

    /// Holds if the key has this value.
    pub fn value(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), relation: Relation::Equal, target: Target::Value(value.into()) }
    }

    /// Holds if the key has this value, or is absent where `None` is expected.
    pub fn unchanged(key: impl Into<Bytes>, seen: Option<Bytes>) -> Self {
        match seen {
            Some(value) => Self::value(key, value),
            None => Self::absent(key),
        }
    }
}

impl Op {
    /// Writes a key, without a lease and without asking for what was there.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: 0, prev_kv: false }
    }

    /// Deletes one key, without asking for what was there.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete { range: KeyRange::single(key), prev_kv: false }
    }

    /// Reads one key.
    pub fn get(key: impl Into<Bytes>) -> Self {
        Self::Range { range: KeyRange::single(key), limit: 0 }
    }
}

/// No empty keys, no empty ranges; as in etcd, a key is written at most once in a transaction, else its counters
/// would say little.
fn check_branch(ops: &[Op]) -> Result<(), KvError> {
    let mut written = BTreeSet::new();
    for op in ops {
        match op {
            Op::Put { key, .. } if key.is_empty() => return Err(KvError::EmptyKey),
            Op::Put { key, .. } => {
                if !written.insert(key) {
                    return Err(KvError::DuplicateKey { key: key.clone() });
                }
            }
            Op::Delete { range, .. } | Op::Range { range, .. } => {
                if range.start.is_empty() && range.end.is_some() && range.end.as_deref() == Some(b"\0") {
                    return Err(KvError::EmptyKey);
                }
            }
        }
    }
    for op in ops {
        if let Op::Delete { range, .. } = op
            && let Some(key) = written.iter().find(|key| range.contains(key))
        {
            return Err(KvError::DuplicateKey { key: (*key).clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_transactions_are_refused_before_they_are_proposed() {
        assert_eq!(Txn::of(vec![Op::put("", "v")]).check(), Err(KvError::EmptyKey));
        assert_eq!(Txn::of(vec![Op::delete("")]).check(), Err(KvError::EmptyKey));
        assert_eq!(Txn::default().when(Compare::absent("")).check(), Err(KvError::EmptyKey));
        let twice = Txn::of(vec![Op::put("k", "1"), Op::put("k", "2")]);
        assert_eq!(twice.check(), Err(KvError::DuplicateKey { key: "k".into() }));
        let both = Txn::default().otherwise(Op::put("k", "1")).otherwise(Op::delete("k"));
        assert_eq!(both.check(), Err(KvError::DuplicateKey { key: "k".into() }));
        let many = |n: usize| Txn::of((0..n).map(|i| Op::put(format!("k{i}"), "v")).collect());
        assert_eq!(many(128).check(), Ok(()));
        assert_eq!(many(129).check(), Err(KvError::TooManyOperations { found: 129 }));
        let large = Txn::of(vec![Op::put("k", vec![0; TXN_BYTES_MAX])]);
        assert_eq!(large.check(), Err(KvError::TooManyBytes { found: TXN_BYTES_MAX + 1 }));
    }
}
