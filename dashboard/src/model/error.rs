//! Answers that say why there is none.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error of a v2 route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// For programs, a word that stays the same: `BAD_PARAMETER`, `NOT_FOUND`, `NO_LEADER`, `NO_VIEW`, `NOT_BOOTSTRAPPED`,
    /// `BUSY`, `INTERNAL`.
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
