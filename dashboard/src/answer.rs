//! Answers: headers that hold for all of them, JSON, errors, compression.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::model::ApiError;

/// What a page of ours may do: load from its own server, and nothing else. Keys, labels and addresses are what users
/// chose, and none of it may ever run.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src \
                          'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                          require-trusted-types-for 'script'";
/// Largest answer: a thousand rows are a tenth of it.
pub const BYTES_MAX: usize = 8 << 20;
/// Smaller ones are sent as they are: they fit into one packet.
const COMPRESS_MIN: usize = 1_400;

/// Tells the page whether it is of another version than the server.
pub const HASH_HEADER: HeaderName = HeaderName::from_static("pd-dashboard-hash");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Puts the headers of every answer of the dashboard. A policy that is there already stays: the page that browses the API
/// has one of its own.
pub fn secure(headers: &mut HeaderMap) {
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
}

/// An answer in JSON.
pub fn json<T: Serialize>(value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(StatusCode::OK, "application/json; charset=utf-8", body),
        Err(cause) => {
            let text = format!("the answer cannot be encoded: {cause}");
            error(StatusCode::INTERNAL_SERVER_ERROR, &ApiError::new("INTERNAL", text))
        }
    }
}

/// The same, compressed for those who take that.
pub fn packed_json<T: Serialize>(value: &T, headers: &HeaderMap) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => text("application/json; charset=utf-8", body, takes_gzip(headers)),
        Err(_) => json(value),
    }
}

/// An error in JSON.
pub fn error(status: StatusCode, error: &ApiError) -> Response<Body> {
    let body = serde_json::to_vec(error).unwrap_or_default();
    let mut response = with_type(status, "application/json; charset=utf-8", body);
    if let Some(ms) = error.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
    response
}

/// The answer to a method that a route does not have.
pub async fn only_get() -> Response<Body> {
    let text = "this route only reads: GET";
    error(StatusCode::METHOD_NOT_ALLOWED, &ApiError::new("METHOD_NOT_ALLOWED", text))
}

/// A body of the given type.
pub fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    if body.len() > BYTES_MAX {
        let text =
            format!("the answer has {} bytes, at most {BYTES_MAX} are sent: ask for fewer rows", body.len());
        return error(StatusCode::INTERNAL_SERVER_ERROR, &ApiError::new("ANSWER_TOO_LARGE", text));
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Whether the client takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|weight| weight.strip_prefix("q=").is_some_and(|q| q.parse::<f32>() == Ok(0.0)))
    })
}

/// Compresses text that was made for this request, if it is worth it.
pub fn text(kind: &'static str, body: Vec<u8>, gzip: bool) -> Response<Body> {
    if !gzip || body.len() < COMPRESS_MIN || body.len() > BYTES_MAX {
        return with_type(StatusCode::OK, kind, body);
    }
    let packed = compressed(&body, Compression::fast());
    let mut response = with_type(StatusCode::OK, kind, packed);
    mark_gzip(response.headers_mut());
    response
}

/// Says that a body is compressed.
pub(crate) fn mark_gzip(headers: &mut HeaderMap) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
}

/// The bytes in gzip's form.
pub(crate) fn compressed(body: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), level);
    // Writing to memory cannot fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        for (value, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("identity", false),
        ] {
            assert_eq!(takes_gzip(&headers(value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn too_large_an_answer_is_refused() {
        let response = with_type(StatusCode::OK, "text/plain", vec![b'a'; BYTES_MAX + 1]);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
