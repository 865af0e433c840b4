//! Operators as rows: what runs, and how what ran has ended.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of operators: those that run, then those that ended, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperatorList {
    /// When `from` looked.
    pub as_of_ms: u64,
    /// The member whose view it is.
    pub from: String,
    /// Rows that match, on all pages.
    pub total: usize,
    /// The page.
    pub rows: Vec<OperatorRow>,
    /// Where the next page begins; none on the last.
    pub next: Option<String>,
}

/// How far an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatorState {
    /// Its step in hand is asked for.
    Running,
    /// Its step in hand waits.
    Waiting,
    /// All its steps are done.
    Finished,
    /// A step became impossible, or its Region changed.
    Failed,
    /// Somebody asked for its end.
    Cancelled,
    /// No heartbeat showed a step's effect in time.
    Timeout,
    /// An operator that a person asked for took its place.
    Replaced,
}

impl OperatorState {
    /// All, in order.
    pub const ALL: [OperatorState; 7] = [
        OperatorState::Running,
        OperatorState::Waiting,
        OperatorState::Finished,
        OperatorState::Failed,
        OperatorState::Cancelled,
        OperatorState::Timeout,
        OperatorState::Replaced,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            OperatorState::Running => "running",
            OperatorState::Waiting => "waiting",
            OperatorState::Finished => "finished",
            OperatorState::Failed => "failed",
            OperatorState::Cancelled => "cancelled",
            OperatorState::Timeout => "timeout",
            OperatorState::Replaced => "replaced",
        }
    }
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperatorRow {
    /// Its number, counted by the leader of this term.
    pub id: u64,
    /// For which Region.
    pub region: u64,
    /// What it counts as: `admin`, `replica`, `region`, `leader`.
    pub kind: String,
    /// Why it was made.
    pub desc: String,
    /// How far it is.
    pub state: OperatorState,
    /// When it was made.
    pub created_ms: u64,
    /// When the step in hand began (of an ended one: none).
    pub started_ms: Option<u64>,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// When the step in hand times out.
    pub limit_ms: Option<u64>,
    /// Its steps in words.
    pub steps: Vec<String>,
    /// The place of the step in hand, from 0; their number once all are done.
    pub step: usize,
    /// Why it ended, unless it finished.
    pub reason: Option<String>,
    /// Why the step in hand is not asked for.
    pub waiting_for: Option<String>,
    /// Stores that its steps name.
    pub stores: Vec<u64>,
}
