//! The key space in columns: what a strip or a table of it needs, whatever the number of Regions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Heat of each cell on a logarithmic scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeatLane {
    /// Unit of `min` and `max`.
    pub unit: String,
    /// Least value above nothing.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// One byte a cell, in base64: 0 nothing, 1 to 254 logarithmic between `min` and `max`, 255 not known.
    pub v: String,
}

/// The lanes of heat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heat {
    /// Bytes written a second.
    pub write: HeatLane,
    /// Bytes read a second.
    pub read: HeatLane,
}

/// Regions of a cell that are in trouble, by kind. A Region may count in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// With fewer voters than asked for.
    pub missing: u64,
    /// With a replica that is down or on a Store that is not heard.
    pub down: u64,
    /// With a replica that is far behind.
    pub pending: u64,
    /// With a replica on a Store that is on its way out.
    pub offline: u64,
    /// With a learner, a surplus voter or an open change of membership.
    pub unplaced: u64,
    /// Stretches of keys without a Region.
    pub holes: u64,
    /// Regions in any of these.
    pub regions: u64,
    /// One of them, to ask `why` about; null where there are only holes.
    pub example: Option<u64>,
}

/// The key space, cut into cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyMap {
    /// When it was made, in ms since 1970.
    pub as_of_ms: u64,
    /// Share of the Regions heard by this leader, 0 to 1000.
    pub heard_permille: u16,
    /// Borders of the cells, upper-case hex: one more than there are cells. An empty last one is the end of the key space.
    pub keys: Vec<String>,
    /// Regions that begin in each cell.
    pub regions: Vec<u64>,
    /// Their size in bytes.
    pub bytes: Vec<u64>,
    /// The Store that leads all Regions of the cell; 0 when several do.
    pub leader: Vec<u64>,
    /// Share of the Regions that the Store which leads most of the cell leads, 0 to 1000.
    pub leader_permille: Vec<u16>,
    /// Heat.
    pub heat: Heat,
    /// The rule of each cell, by its place in `rules`.
    pub rule: Vec<u32>,
    /// The rules.
    pub rules: Vec<String>,
    /// Trouble, by the cell's number.
    pub trouble: BTreeMap<u64, Trouble>,
    /// Operators under way, by the cell's number.
    pub ops: BTreeMap<u64, u64>,
}
