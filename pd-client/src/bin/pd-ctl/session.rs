//! What holds for all commands of one run.

use std::sync::Arc;

use crate::answer::Form;
use crate::client::Http;

/// Whom to ask and how to show.
#[derive(Debug, Clone)]
pub struct Session {
    /// The members.
    pub http: Arc<Http>,
    /// The form of answers.
    pub form: Form,
}
