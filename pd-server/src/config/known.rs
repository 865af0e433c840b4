//! The keys of the configuration file: a table, kept as data beside this file.

/// A key that the file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// Its path, with dots between tables.
    pub path: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// It has an effect in this version.
    pub has_effect: bool,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// True or false, also as text.
    Bool,
    /// A whole number, not negative.
    Whole,
    /// A number.
    Number,
    /// A duration such as `1h30m`.
    Duration,
    /// A size such as `8GiB`, or a number of bytes.
    Size,
    /// A list, or text with commas.
    List,
    /// Not looked into.
    Any,
}

const TABLE: &str = include_str!("known.tsv");

/// All known keys, in the order of the table.
pub(super) fn known_keys() -> impl Iterator<Item = KnownKey> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(parse)
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<KnownKey> {
    known_keys().find(|key| key.path == path)
}

/// Whether keys lie below this path, so that it is a table to look into.
pub(super) fn is_table(path: &str) -> bool {
    known_keys().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The known key that an unknown one most likely stands for.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().replace('_', "-");
    let wanted = path.replace('_', "-");
    known_keys()
        .map(|key| {
            // The right name in the wrong table is likelier than another name in the right one.
            let whole = distance(&wanted, key.path);
            let name = distance(&last(path), &last(key.path));
            (whole.min(name + 1), key.path)
        })
        .filter(|(distance, _)| *distance <= 1 + wanted.len() / 3)
        .min()
        .map(|(_, path)| path)
}

fn parse(line: &'static str) -> Option<KnownKey> {
    let mut columns = line.split('\t');
    let path = columns.next()?;
    let kind = match columns.next()? {
        "text" => Kind::Text,
        "bool" => Kind::Bool,
        "whole" => Kind::Whole,
        "number" => Kind::Number,
        "duration" => Kind::Duration,
        "size" => Kind::Size,
        "list" => Kind::List,
        "any" => Kind::Any,
        _ => return None,
    };
    Some(KnownKey { path, kind, has_effect: columns.next()? == "yes" })
}

/// How many letters must be put in, taken out or replaced to make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(known_keys().count(), lines);
        let paths: BTreeSet<_> = known_keys().map(|key| key.path).collect();
        assert_eq!(paths.len(), lines, "a key stands twice");
        assert!(paths.iter().all(|path| !is_table(path)), "a key is also a table");
    }

    #[test]
    fn the_nearest_key_is_named() {
        for (wrong, right) in [
            ("max-replicas", Some("replication.max-replicas")),
            ("replication.max_replicas", Some("replication.max-replicas")),
            ("schedule.max-replicas", Some("replication.max-replicas")),
            ("schedule.halt-schedulin", Some("schedule.halt-scheduling")),
            ("client-url", Some("client-urls")),
            ("Name", Some("name")),
            ("schedule.zzzzzzzzzzzzzzzzzzzzz", None),
        ] {
            assert_eq!(nearest(wrong), right, "{wrong}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
