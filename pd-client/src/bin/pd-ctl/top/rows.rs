//! Rows as the second API tells them. What is missing is not known; words that only a newer member uses are kept.

use serde::Deserialize;

/// A store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct StoreRow {
    pub id: u64,
    pub address: String,
    pub state: String,
    pub node_state: String,
    pub liveness: String,
    pub used_bytes: Option<u64>,
    pub capacity_bytes: Option<u64>,
    pub full_in_s: Option<u64>,
    pub regions: Option<u64>,
    pub leaders: Option<u64>,
    pub sending_snaps: Option<u64>,
    pub receiving_snaps: Option<u64>,
}

/// An operator.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct OperatorRow {
    pub id: u64,
    pub region: u64,
    pub kind: String,
    pub desc: String,
    pub state: String,
    pub created_ms: u64,
    pub started_ms: Option<u64>,
    pub steps: Vec<String>,
    pub step: usize,
    pub waiting_for: Option<String>,
}

/// A member.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct MemberRow {
    pub id: String,
    pub name: String,
    pub role: String,
    pub client_urls: Vec<String>,
    pub healthy: Option<bool>,
    pub term: Option<u64>,
    pub applied: Option<u64>,
    pub lag: Option<u64>,
    pub clock_offset_ms: Option<i64>,
    pub version: String,
}

/// The key space in columns.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct KeyMap {
    pub keys: Vec<String>,
    pub regions: Vec<u64>,
    pub leader: Vec<u64>,
    pub heat: Heat,
    pub trouble: std::collections::BTreeMap<u64, Trouble>,
    pub ops: std::collections::BTreeMap<u64, u64>,
}

/// Its lanes of heat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Heat {
    pub write: HeatLane,
}

/// One byte a cell in base64: 0 nothing, 1 to 254 logarithmic, 255 not known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct HeatLane {
    pub v: String,
}

/// What is wrong in a cell.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Trouble {
    pub regions: u64,
    pub holes: u64,
    pub example: Option<u64>,
}

impl StoreRow {
    /// Whether it is gone for good, and of no interest.
    pub fn is_gone(&self) -> bool {
        self.state == "Tombstone" || self.node_state == "Removed"
    }

    /// How much of its disk is used, in per cent; nothing when that is not known.
    pub fn used_percent(&self) -> Option<u64> {
        let (used, capacity) = (self.used_bytes?, self.capacity_bytes?);
        used.saturating_mul(100).checked_div(capacity)
    }
}

impl OperatorRow {
    /// Whether it is under way.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "running" | "waiting")
    }
}
