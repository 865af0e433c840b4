//! Every item of the configuration: a table, kept as data beside this file. What the file may hold, what is replicated,
//! defaults, ranges and the order in which all is shown come from it.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::kind::Kind;
use super::own;
use super::range::Range;
use super::setting::SettingError;

/// An item of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name in the file, with dots between tables.
    pub path: &'static str,
    /// Its name in JSON, with dots between objects; `None` if it is not shown.
    pub shown: Option<&'static str>,
    /// What its value must be.
    pub kind: Kind,
    /// What it is for.
    pub duty: Duty,
    /// It may be changed for some time only.
    pub temporary: bool,
    /// The value where none is given; null where it depends on the process.
    pub default: Value,
    /// Which values are possible.
    pub range: Range,
    /// What it means, in a few words; empty where it is not shown.
    pub meaning: &'static str,
}

/// What an item is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Read at the start of the process.
    Start,
    /// Known, without effect yet.
    Idle,
    /// Changed online in the process that is asked, and not kept.
    Here,
    /// Replicated; acts at once on all members.
    Live,
    /// Replicated and shown; nothing acts on it yet.
    Kept,
    /// Replicated; changed by routes of its own.
    Own,
    /// Shown and nothing else.
    Blank,
}

const TABLE: &str = include_str!("items.tsv");

/// Longest value of an item, in bytes of JSON: enough for a list of labels or a URL.
const BYTES_MAX: usize = 1 << 10;
/// The same of a list with an entry for each store: some 3,000 stores with limits of their own.
const STORE_LIST_BYTES_MAX: usize = 128 << 10;
/// The same of other lists: hundreds of entries.
const LIST_BYTES_MAX: usize = 16 << 10;

static ITEMS: LazyLock<Vec<Item>> =
    LazyLock::new(|| TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect());

static BY_PATH: LazyLock<HashMap<&'static str, &'static Item>> =
    LazyLock::new(|| ITEMS.iter().map(|item| (item.path, item)).collect());

static BY_SHOWN: LazyLock<HashMap<&'static str, &'static Item>> =
    LazyLock::new(|| ITEMS.iter().filter_map(|item| Some((item.shown?, item))).collect());

/// All items, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Item> {
    ITEMS.iter()
}

/// The items that the group replicates, in the order in which they are shown, with their names in JSON.
pub fn replicated() -> impl Iterator<Item = (&'static str, &'static Item)> {
    ITEMS.iter().filter(|item| item.duty.is_replicated()).filter_map(|item| Some((item.shown?, item)))
}

/// The item that has this name in JSON.
pub fn shown(name: &str) -> Option<&'static Item> {
    BY_SHOWN.get(name).copied()
}

/// The item that the file may hold under this path.
pub(super) fn in_file(path: &str) -> Option<&'static Item> {
    BY_PATH.get(path).copied().filter(|item| item.duty != Duty::Blank)
}

/// Whether items lie below this path, so that it is a table to look into.
pub(super) fn is_table(path: &str) -> bool {
    let below = |item: &Item| item.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    ITEMS.iter().any(below)
}

/// The item of the file that an unknown one most likely stands for.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().replace('_', "-");
    let wanted = path.replace('_', "-");
    ITEMS
        .iter()
        .filter(|item| item.duty != Duty::Blank)
        .map(|item| {
            // The right name in the wrong table is likelier than another name in the right one.
            let whole = distance(&wanted, item.path);
            let name = distance(&last(path), &last(item.path));
            (whole.min(name + 1), item.path)
        })
        .filter(|(distance, _)| *distance <= 1 + wanted.len() / 3)
        .min()
        .map(|(_, path)| path)
}

impl Item {
    /// It does something in this version.
    pub fn has_effect(&self) -> bool {
        match self.duty {
            Duty::Start | Duty::Here | Duty::Live => true,
            Duty::Own => matches!(self.path, "schedule.store-limit" | "schedule.schedulers"),
            Duty::Idle | Duty::Kept | Duty::Blank => false,
        }
    }

    /// The last part of its name in JSON.
    pub fn short(&self) -> &'static str {
        let name = self.shown.unwrap_or(self.path);
        name.rsplit('.').next().unwrap_or(name)
    }

    /// Takes a value that was sent as JSON: gives it the form in which it is kept, and checks it.
    ///
    /// # Errors
    /// Another kind or form of value, or one outside of the range.
    pub fn accept(&self, value: &Value) -> Result<Value, SettingError> {
        self.check(&self.kind.accept(self, value)?)
    }

    /// Takes a value of the file.
    pub(super) fn accept_toml(&self, value: &toml::Value) -> Result<Value, String> {
        let value = self.kind.read_toml(value)?;
        // An empty text stands for the default.
        if value.as_str() == Some("") {
            return Ok(value);
        }
        let value = self.check(&value).map_err(|error| error.to_string())?;
        Ok(own::of_file(self, value))
    }

    fn check(&self, value: &Value) -> Result<Value, SettingError> {
        let value = own::form(self, value)?;
        self.range.check(self, &value)?;
        let (found, max) = (value.to_string().len(), self.bytes_max());
        if self.duty.is_replicated() && found > max {
            return Err(SettingError::TooLong { item: self.short(), max, found });
        }
        Ok(value)
    }

    /// Longest value of an item that is replicated, in bytes of JSON. All such items together make one record, written whole with each change: with these
    /// bounds no item can make it so large that another cannot be changed any more.
    pub fn bytes_max(&self) -> usize {
        match self.shown {
            Some("schedule.store-limit") => STORE_LIST_BYTES_MAX,
            Some(_) | None if self.kind == Kind::Any => LIST_BYTES_MAX,
            Some(_) | None => BYTES_MAX,
        }
    }

    /// The first part of its name.
    pub fn section(&self) -> &'static str {
        self.path.split('.').next().unwrap_or(self.path)
    }
}

impl Duty {
    /// The group keeps it.
    pub fn is_replicated(self) -> bool {
        match self {
            Self::Live | Self::Kept | Self::Own => true,
            Self::Start | Self::Idle | Self::Here | Self::Blank => false,
        }
    }
}

fn parse(line: &'static str) -> Option<Item> {
    let columns: Vec<&'static str> = line.split('\t').collect();
    let [path, shown, kind, duty, temporary, default, range, meaning] = columns.as_slice() else {
        return None;
    };
    let kind = Kind::parse(kind)?;
    let duty = match *duty {
        "start" => Duty::Start,
        "idle" => Duty::Idle,
        "here" => Duty::Here,
        "live" => Duty::Live,
        "kept" => Duty::Kept,
        "own" => Duty::Own,
        "blank" => Duty::Blank,
        _ => return None,
    };
    Some(Item {
        path,
        shown: match *shown {
            "=" => Some(path),
            "-" => None,
            name => Some(name),
        },
        kind,
        duty,
        temporary: *temporary == "ttl",
        default: if *default == "-" { Value::Null } else { serde_json::from_str(default).ok()? },
        range: Range::parse(range, kind)?,
        meaning: if *meaning == "-" { "" } else { meaning },
    })
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
        let lines: Vec<_> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
        for line in &lines {
            assert!(parse(line).is_some(), "{line}");
        }
        let paths: BTreeSet<_> = all().map(|item| item.path).collect();
        assert_eq!(paths.len(), lines.len(), "an item stands twice");
        let double = all().find(|item| item.duty != Duty::Blank && is_table(item.path));
        assert_eq!(double.map(|item| item.path), None, "an item is also a table");
        assert!(all().filter(|item| item.shown.is_some()).all(|item| !item.meaning.is_empty()));
    }

    #[test]
    fn defaults_are_possible_values_in_the_form_in_which_they_are_kept() {
        for (name, item) in replicated() {
            if item.default.is_null() {
                continue;
            }
            assert_eq!(item.accept(&item.default).as_ref(), Ok(&item.default), "{name}");
        }
    }

    #[test]
    fn the_whole_is_bounded_whatever_is_set() {
        // A number is written with at most 24 characters, a flag or a duration with fewer.
        let most = |item: &Item| match item.kind {
            Kind::Text | Kind::List | Kind::Array | Kind::Any => item.bytes_max(),
            Kind::Flag
            | Kind::Bool
            | Kind::Whole
            | Kind::Int
            | Kind::Number
            | Kind::Duration
            | Kind::Size => 24,
        };
        let whole: usize = replicated().map(|(name, item)| name.len() + 8 + most(item)).sum();
        assert!(whole < 256 << 10, "{whole} bytes");
        for (name, value) in [
            ("pd-server.metric-storage", serde_json::json!("x".repeat(1_023))),
            ("replication-mode.dr-auto-sync.label-key", serde_json::json!("x".repeat(1_023))),
            ("keyspace.pre-alloc", serde_json::json!(["x".repeat(1_021)])),
            ("keyspace.meta-service-groups", serde_json::json!({"x": "x".repeat(16 << 10)})),
            ("schedule.schedulers-v2", serde_json::json!([{"type": "x", "args": ["x".repeat(16 << 10)]}])),
        ] {
            let refused = shown(name).unwrap().accept(&value);
            assert!(matches!(refused, Err(SettingError::TooLong { .. })), "{name}: {refused:?}");
        }
        assert!(shown("pd-server.metric-storage").unwrap().accept(&"x".repeat(1_022).into()).is_ok());
    }

    #[test]
    fn the_nearest_item_is_named() {
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
