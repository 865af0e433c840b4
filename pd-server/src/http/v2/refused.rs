//! Why a v2 route gives no answer: a status and an error that names the thing.

use axum::body::Body;
use dashboard::answer;
use dashboard::model::ApiError;
use http::{Response, StatusCode};

use crate::grpc::Gate;

/// When to try again after "busy" or "no leader".
const RETRY_MS: u64 = 1_000;

/// See the top of the file.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    error: Box<ApiError>,
}

impl Refused {
    /// A parameter is wrong: status 400, naming it.
    pub fn parameter(field: &str, text: String) -> Self {
        let error = ApiError { field: Some(field.to_owned()), ..ApiError::new("BAD_PARAMETER", text) };
        Self::of(StatusCode::BAD_REQUEST, error)
    }

    /// There is no such thing: status 404, with the command that lists what there is.
    pub fn not_found(what: &str, id: u64, next: &str) -> Self {
        let error = ApiError::new("NOT_FOUND", format!("there is no {what} {id}, as far as was heard"));
        let error = ApiError { field: Some("id".to_owned()), next: Some(next.to_owned()), ..error };
        Self::of(StatusCode::NOT_FOUND, error)
    }

    /// Too much is asked at once: status 503.
    pub fn busy(text: String) -> Self {
        Self::unavailable("BUSY", text)
    }

    /// This member does not lead, or no longer: status 503.
    pub fn no_leader(gate: &Gate) -> Self {
        let leader = gate.pd.leadership.state().leader.filter(|l| l.id != gate.pd.members.own().id);
        let text = match leader {
            Some(leader) => format!("this member does not lead, {} does: try again", leader.name),
            None => "there is no leader at the moment".to_owned(),
        };
        Self::unavailable("NO_LEADER", text)
    }

    /// Nothing was ever begun here: status 503.
    pub fn not_bootstrapped() -> Self {
        let text = "no store has ever started here: start one with this member's client URL";
        Self::unavailable("NOT_BOOTSTRAPPED", text.to_owned())
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        answer::error(self.status, &self.error)
    }

    fn unavailable(code: &str, text: String) -> Self {
        let error = ApiError { retry_after_ms: Some(RETRY_MS), ..ApiError::new(code, text) };
        Self::of(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    fn of(status: StatusCode, error: ApiError) -> Self {
        Self { status, error: Box::new(error) }
    }
}
