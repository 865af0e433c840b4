//! What is said where no handler answers: in plain words, as tikv/pd's redirector does; below `/pd/api/v2` as that API's error.

use axum::body::Body;
use dashboard::answer;
use dashboard::model::ApiError;
use http::{HeaderValue, Response, StatusCode, Uri};

use super::json;

/// When to try again where there is no leader to ask.
const RETRY_MS: u64 = 1_000;

/// Whether an address belongs to the second API.
pub fn is_v2(uri: &Uri) -> bool {
    uri.path().starts_with("/pd/api/v2/")
}

/// The answer to a request that reaches no handler.
pub fn refusal(uri: &Uri, status: StatusCode, text: &str) -> Response<Body> {
    if !is_v2(uri) {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        return json::with_type(status, kind, Body::from(format!("{text}\n")));
    }
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new("TOO_LARGE", text),
        status if status.is_client_error() => ApiError::new("BAD_BODY", text),
        _ => ApiError { retry_after_ms: Some(RETRY_MS), ..ApiError::new("NO_LEADER", text) },
    };
    answer::error(status, &error)
}
