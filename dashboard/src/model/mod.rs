//! What the API and the page say: the shapes of the answers, one module a resource.
//!
//! Moments are milliseconds since the epoch (`_ms`). What is not known is `null`, never 0. Ids of members and of the
//! cluster are text: they are random numbers of 64 bits, and a browser's numbers hold 53.

mod code;
pub mod health;
pub mod map;
mod member;
mod operator;
mod stats;
mod store;
mod view;
pub mod why;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use code::Code;
pub use health::{Check, CheckCause, Health, Heard, Severity, Subject};
pub use map::{Heat, HeatLane, KeyMap, Trouble};
pub use member::{LeaderChange, MemberList, MemberRole, MemberRow, SafePoint, TimestampState};
pub use operator::{OperatorList, OperatorRow, OperatorState};
pub use stats::{Figure, Stats};
pub use store::{Blast, LimitRow, Liveness, NodeState, StoreList, StoreRow, StoreState};
pub use view::View;
pub use why::{Reason, Why, WhyOperator, WhyPeer, WhyRegion, WhyStore};

/// An answer that says why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// What went wrong, in one upper-case word that stays the same, such as `BAD_PARAMETER`.
    pub code: String,
    /// The same for people, naming the thing and what would be right.
    pub message: String,
    /// The parameter or field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do, as a command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error with no more than a code and a text.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), field: None, next: None, retry_after_ms: None }
    }

    /// The same, naming what is wrong.
    #[must_use]
    pub fn of_field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// The same, saying when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}
