//! The figures of the Overview.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Figures with their last hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// When `from` looked.
    pub as_of_ms: u64,
    /// The member whose view it is.
    pub from: String,
    /// The figures, in the order in which they are shown.
    pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figure {
    /// Its name, which stays the same.
    pub name: String,
    /// For people.
    pub label: String,
    /// `/s`, `bytes`, or nothing for a count.
    pub unit: String,
    /// Now.
    pub value: Option<f64>,
    /// What belongs beside it, such as the worst.
    pub note: Option<String>,
    /// The last hour, oldest first; null where nothing was known. In a stream it is null itself between two samples: the
    /// one that came before still holds.
    pub series: Option<Vec<Option<f64>>>,
    /// Time between two entries of it, in milliseconds.
    pub step_ms: u64,
}
