//! What is kept beside the replicated configuration: who changed which item when, and what is changed for some time only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest name of a caller that is kept, in bytes: enough for a program and its address.
const CALLER_BYTES_MAX: usize = 128;

/// The record: JSON under a key of its own. At most one entry an item in each map, so that it is bounded by the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Record {
    /// The last change of each item that was ever changed, or given by a file.
    pub changed: BTreeMap<String, Change>,
    /// Values that hold for some time only.
    pub temporary: BTreeMap<String, Temporary>,
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// When, in ms since the epoch.
    pub at_ms: u64,
    /// By whom: as the caller named itself, or the member whose file gave it.
    pub by: String,
    /// The value came with a member's file when the group's configuration was first written.
    #[serde(default)]
    pub from_file: bool,
}

/// A value that holds for some time only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Temporary {
    /// The value, in its kept form.
    pub value: Value,
    /// Until when, in ms since the epoch.
    pub until_ms: u64,
    /// By whom.
    pub by: String,
}

/// A caller's name as it is kept: printable and short.
pub(super) fn caller(name: &str) -> String {
    let mut kept = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > CALLER_BYTES_MAX {
            break;
        }
        kept.push(c);
    }
    kept
}
