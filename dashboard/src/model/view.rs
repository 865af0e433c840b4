//! A leader's whole view of the cluster: what members tell each other, so that each can show it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Figure, Health, OperatorRow, StoreRow, TimestampState};

/// The cluster as its leader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// When it looked.
    pub as_of_ms: u64,
    /// Its name.
    pub from: String,
    /// Since when it leads, in ms since 1970.
    #[serde(default)]
    pub leads_since_ms: Option<u64>,
    /// The verdict.
    pub health: Health,
    /// The figures; their series stay empty: each member keeps its own.
    pub figures: Vec<Figure>,
    /// How timestamps stand.
    pub timestamps: Option<TimestampState>,
    /// All stores by id; none when only figures were asked for.
    pub stores: Option<Vec<StoreRow>>,
    /// Operators: running first, then ended, newest first; none when only figures were asked for.
    pub operators: Option<Vec<OperatorRow>>,
}
