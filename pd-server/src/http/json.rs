//! Answers as the ecosystem's tools expect them: JSON with an indent of two spaces and a newline at the end, errors as
//! a JSON string.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::json_body::Malformed;

/// The content type of every JSON answer.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
/// The content type of plain words.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// The content type of lists of Regions, as tikv/pd has it.
const STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An answer with status 200.
pub fn ok<T: Serialize>(value: &T) -> Response<Body> {
    answer(StatusCode::OK, value)
}

/// An error: its text as a JSON string.
pub fn error(status: StatusCode, text: &str) -> Response<Body> {
    answer(status, &text)
}

/// What cannot be read: the caller's mistake.
pub fn bad_request(text: &str) -> Response<Body> {
    error(StatusCode::BAD_REQUEST, text)
}

/// A mistake in the input, in the form that some of tikv/pd's routes have: an object with a code.
pub fn bad_input(text: &str) -> Response<Body> {
    answer(
        StatusCode::BAD_REQUEST,
        &InputError { code: "input", msg: text, data: InputData { offset: None } },
    )
}

/// A body that is no JSON, in the same form.
pub fn bad_body(malformed: &Malformed) -> Response<Body> {
    let data = InputData { offset: malformed.offset };
    answer(StatusCode::BAD_REQUEST, &InputError { code: "input", msg: &malformed.text, data })
}

/// Plain words, with status 200.
pub fn text(words: &'static str) -> Response<Body> {
    with_type(StatusCode::OK, TEXT, Body::from(words))
}

/// An empty answer with status 200.
pub fn empty() -> Response<Body> {
    Response::new(Body::empty())
}

/// Compact JSON, whole or in pieces.
pub fn stream(body: Body) -> Response<Body> {
    with_type(StatusCode::OK, STREAM, body)
}

/// An answer with any status.
pub fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
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

#[derive(Serialize)]
struct InputError<'a> {
    code: &'static str,
    msg: &'a str,
    data: InputData,
}

#[derive(Serialize)]
struct InputData {
    #[serde(rename = "Offset", skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
}
