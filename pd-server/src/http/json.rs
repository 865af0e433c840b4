//! Answers as the ecosystem's tools expect them: JSON with an indent of two spaces and a newline at the end, errors as
//! a JSON string.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// The content type of every JSON answer.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// An answer with status 200.
pub fn ok<T: Serialize>(value: &T) -> Response<Body> {
    answer(StatusCode::OK, value)
}

/// An error: its text as a JSON string.
pub fn error(status: StatusCode, text: &str) -> Response<Body> {
    answer(status, &text)
}

fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_string_pretty(value) {
        Ok(mut text) => {
            text.push('\n');
            with_type(status, JSON, Body::from(text))
        }
        Err(error) => with_type(
            StatusCode::INTERNAL_SERVER_ERROR,
            JSON,
            Body::from(format!("\"cannot encode the answer: {error}\"\n")),
        ),
    }
}

/// An answer of any content type.
pub fn with_type(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
