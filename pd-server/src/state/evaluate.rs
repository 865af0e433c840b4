//! Evaluates a transaction against the state at one revision: what it answers and what it writes, without writing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::KvError;
use super::layout::{Position, Version};
use super::model::{KeyRange, KeyValue, RangeResult, Revision};
use super::tables::Tables;
use super::txn::{Compare, Op, OpResult, Relation, Target, Txn, TxnResult};

/// One write: where it stands in the history, the key, and its new version.
pub(super) struct Write {
    pub at: Position,
    pub key: Bytes,
    pub version: Version,
}

/// Evaluates on top of `base`; writes, if there are any, make the revision after it.
pub(super) fn evaluate(
    tables: &Tables,
    base: Revision,
    txn: &Txn,
) -> Result<(TxnResult, Vec<Write>), KvError> {
    let mut evaluation = Evaluation { tables, base, touched: BTreeMap::new(), writes: Vec::new() };
    let mut succeeded = true;
    for compare in &txn.compares {
        let found = evaluation.get(&compare.key)?;
        succeeded &= holds(compare, found.as_ref());
    }
    let ops = if succeeded { &txn.then } else { &txn.otherwise };
    let mut results = Vec::with_capacity(ops.len());
    for op in ops {
        results.push(evaluation.run(op)?);
    }
    let revision = if evaluation.writes.is_empty() { base } else { base.next() };
    for result in &mut results {
        if let OpResult::Range(range) = result {
            range.revision = revision;
        }
    }
    Ok((TxnResult { succeeded, revision, results }, evaluation.writes))
}

/// Whether a condition holds for what was found.
fn holds(compare: &Compare, found: Option<&KeyValue>) -> bool {
    let ordering = match &compare.target {
        Target::Value(value) => match found {
            Some(kv) => kv.value.cmp(value),
            // An absent key has no value that could be compared.
            None => return false,
        },
        Target::Create(revision) => found.map_or(Revision(0), |kv| kv.create_revision).cmp(revision),
        Target::Mod(revision) => found.map_or(Revision(0), |kv| kv.mod_revision).cmp(revision),
        Target::Version(version) => found.map_or(0, |kv| kv.version).cmp(version),
        Target::Lease(lease) => found.map_or(0, |kv| kv.lease).cmp(lease),
    };
    match compare.relation {
        Relation::Equal => ordering.is_eq(),
        Relation::NotEqual => ordering.is_ne(),
        Relation::Less => ordering.is_lt(),
        Relation::Greater => ordering.is_gt(),
    }
}

struct Evaluation<'a> {
    tables: &'a Tables,
    base: Revision,
    /// What earlier operations left: later ones see it.
    touched: BTreeMap<Bytes, Option<KeyValue>>,
    writes: Vec<Write>,
}

impl Evaluation<'_> {
    fn run(&mut self, op: &Op) -> Result<OpResult, KvError> {
        match op {
            Op::Put { key, value, lease, prev_kv } => {
                let previous = self.get(key)?;
                self.put(key, value, *lease, previous.as_ref());
                Ok(OpResult::Put { previous: previous.filter(|_| *prev_kv) })
            }
            Op::Delete { range, prev_kv } => {
                let found = self.range(range)?;
                for kv in &found {
                    self.delete(&kv.key);
                }
                let deleted = found.len() as u64;
                Ok(OpResult::Delete { deleted, previous: if *prev_kv { found } else { Vec::new() } })
            }
            Op::Range { range, limit } => {
                let mut kvs = self.range(range)?;
                let count = kvs.len() as u64;
                let more = *limit > 0 && count > *limit;
                if let (true, Ok(limit)) = (more, usize::try_from(*limit)) {
                    kvs.truncate(limit);
                }
                Ok(OpResult::Range(RangeResult { revision: self.base, kvs, count, more }))
            }
        }
    }

    fn get(&self, key: &Bytes) -> Result<Option<KeyValue>, KvError> {
        match self.touched.get(key) {
            Some(touched) => Ok(touched.clone()),
            None => self.tables.get_at(key, self.base),
        }
    }

    fn range(&self, range: &KeyRange) -> Result<Vec<KeyValue>, KvError> {
        let mut found = BTreeMap::new();
        self.tables.visit_at(range, self.base, |kv| {
            found.insert(kv.key.clone(), kv);
        })?;
        for (key, touched) in &self.touched {
            if range.contains(key) {
                match touched {
                    Some(kv) => found.insert(key.clone(), kv.clone()),
                    None => found.remove(key),
                };
            }
        }
        Ok(found.into_values().collect())
    }

    fn put(&mut self, key: &Bytes, value: &Bytes, lease: u64, previous: Option<&KeyValue>) {
        let mod_revision = self.base.next();
        let kv = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: previous.map_or(mod_revision, |kv| kv.create_revision),
            mod_revision,
            version: previous.map_or(1, |kv| kv.version + 1),
            lease,
        };
        self.write(key, Version::of(&kv));
        self.touched.insert(key.clone(), Some(kv));
    }

    fn delete(&mut self, key: &Bytes) {
        self.write(key, Version::default());
        self.touched.insert(key.clone(), None);
    }

    fn write(&mut self, key: &Bytes, version: Version) {
        let sub = u32::try_from(self.writes.len()).unwrap_or(u32::MAX);
        let at = Position { revision: self.base.next(), sub };
        self.writes.push(Write { at, key: key.clone(), version });
    }
}
