//! Rows of a topic with the revision at which each changed: what a stream needs to tell only the changes, wherever it
//! stands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

/// Rows that are gone are remembered so long; who is further behind gets everything anew.
const GONE_MAX: usize = 4_096;

/// Rows by id, each encoded once for all streams.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: BTreeMap<u64, (u64, Arc<str>)>,
    gone: VecDeque<(u64, u64)>,
    /// Changes up to this revision may be forgotten.
    floor: u64,
    /// The first revision with rows, known to be all.
    began: Option<u64>,
}

impl Table {
    /// Takes the rows of a new revision.
    pub fn update<'a, R: Serialize + 'a>(&mut self, revision: u64, rows: impl Iterator<Item = (u64, &'a R)>) {
        self.began.get_or_insert(revision);
        let mut old = std::mem::take(&mut self.rows);
        for (id, row) in rows {
            // A row that cannot be encoded would be a defect of its type; the others stay.
            let Ok(text) = serde_json::to_string(row) else { continue };
            let entry = match old.remove(&id) {
                Some((since, known)) if *known == *text => (since, known),
                Some(_) | None => (revision, Arc::from(text)),
            };
            self.rows.insert(id, entry);
        }
        self.gone.extend(old.into_keys().map(|id| (revision, id)));
        while self.gone.len() > GONE_MAX {
            if let Some((forgotten, _)) = self.gone.pop_front() {
                self.floor = forgotten;
            }
        }
    }

    /// Whether the changes since `revision` are all known.
    pub fn reaches_back_to(&self, revision: u64) -> bool {
        revision >= self.floor
    }

    /// Whether who was told everything up to `revision` was told rows at all.
    pub fn was_known_at(&self, revision: u64) -> bool {
        self.began.is_some_and(|began| began <= revision)
    }

    /// Writes rows and ids of what is gone since `revision` (none: all rows) as members of a JSON object.
    pub fn write_since(&self, revision: Option<u64>, out: &mut String) {
        let since = revision.unwrap_or(0);
        out.push_str("\"rows\":[");
        let changed = self.rows.values().filter(|(at, _)| revision.is_none() || *at > since);
        for (place, (_, row)) in changed.enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(row);
        }
        out.push_str("],\"gone\":[");
        if revision.is_some() {
            let gone = self.gone.iter().filter(|(at, id)| *at > since && !self.rows.contains_key(id));
            for (place, (_, id)) in gone.enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&id.to_string());
            }
        }
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(table: &Table, revision: Option<u64>) -> String {
        let mut out = String::new();
        table.write_since(revision, &mut out);
        out
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut table = Table::default();
        table.update(1, [(1, &"a"), (2, &"b")].into_iter());
        table.update(2, [(1, &"a"), (2, &"c"), (3, &"d")].into_iter());
        assert_eq!(since(&table, None), r#""rows":["a","c","d"],"gone":[]"#);
        assert_eq!(since(&table, Some(1)), r#""rows":["c","d"],"gone":[]"#);
        assert_eq!(since(&table, Some(2)), r#""rows":[],"gone":[]"#);
        table.update(3, [(2, &"c"), (3, &"d")].into_iter());
        assert_eq!(since(&table, Some(1)), r#""rows":["c","d"],"gone":[1]"#);
        table.update(4, [(1, &"x"), (2, &"c"), (3, &"d")].into_iter());
        assert_eq!(since(&table, Some(2)), r#""rows":["x"],"gone":[]"#, "it came back");
    }

    #[test]
    fn what_is_gone_is_not_remembered_for_ever() {
        let mut table = Table::default();
        let many: Vec<(u64, &str)> = (0..=GONE_MAX as u64).map(|id| (id, "row")).collect();
        table.update(1, many.iter().map(|(id, row)| (*id, row)));
        table.update(2, std::iter::empty::<(u64, &&str)>());
        assert!(!table.reaches_back_to(1) && table.reaches_back_to(2));
    }
}
