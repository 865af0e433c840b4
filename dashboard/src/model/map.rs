//! The key space in columns: what a strip or a table of it needs, whatever the number of Regions.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    // Names of an object are texts.
    #[schema(value_type = BTreeMap<String, Trouble>)]
    pub trouble: BTreeMap<u64, Trouble>,
    /// Operators under way, by the cell's number.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub ops: BTreeMap<u64, u64>,
}

impl HeatLane {
    /// One byte a value: nothing stays 0, the rest lies between the least and the most on a logarithmic scale.
    pub fn of(unit: &str, values: impl Iterator<Item = f64> + Clone) -> HeatLane {
        let warm = values.clone().filter(|value| *value > 0.0);
        let (min, max) =
            warm.fold((f64::INFINITY, 0.0_f64), |(min, max), value| (min.min(value), max.max(value)));
        let (min, span) = if max > 0.0 { (min, (max / min).ln()) } else { (0.0, 0.0) };
        let step = |value: f64| {
            if value <= 0.0 {
                0
            } else if span == 0.0 {
                254
            } else {
                // 1 to 254, so it fits.
                (1.0 + 253.0 * ((value / min).ln() / span).clamp(0.0, 1.0)).round() as u8
            }
        };
        let bytes: Vec<u8> = values.map(step).collect();
        HeatLane { unit: unit.to_owned(), min, max, v: STANDARD.encode(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_logarithmic_and_nothing_stays_nothing() {
        let lane = HeatLane::of("bytes/s", [0.0, 1.0, 10.0, 100.0].into_iter());
        assert_eq!(STANDARD.decode(lane.v).unwrap(), [0, 1, 128, 254]);
        assert_eq!((lane.min, lane.max), (1.0, 100.0));
        let cold = HeatLane::of("bytes/s", [0.0; 2].into_iter());
        assert_eq!((STANDARD.decode(cold.v).unwrap(), cold.max), (vec![0, 0], 0.0));
    }
}
