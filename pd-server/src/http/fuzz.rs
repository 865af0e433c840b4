//! Parsers of requests, fed with anything.

use serde_json::{Map, Value};

use super::query::{Query, id, read_key, whole};
use super::v2::parameters::Parameters;
use super::{checkers, json_body, operators};
use crate::fuzz::text;

/// What stands behind the question mark, for v1 and v2.
pub fn http_query(data: &[u8]) {
    let text = text(data);
    let query = Query::parse(&text);
    for name in ["limit", "key", "format", ""] {
        let _ = (
            query.has(name),
            query.text(name),
            query.key(name),
            query.whole(name, 0),
            query.all(name).count(),
        );
    }
    let _ = (read_key(data, &query), whole(&text), id(&text));
    if let Ok(given) = Parameters::parse(Some(&text), &["start", "cells"]) {
        let _ = (given.key("start"), given.whole("cells", 1, 9));
    }
}

/// Bodies in JSON: what is taken is what the JSON parser takes, and all else is named wrong.
pub fn json_body(data: &[u8]) {
    let read = json_body::parse::<Value>(data);
    match serde_json::from_slice::<Value>(data) {
        Ok(value) => assert_eq!(read.ok(), Some(value)),
        Err(_) => assert!(read.is_err_and(|malformed| !malformed.text.is_empty())),
    }
}

/// Operators by hand, and pauses.
pub fn operator_body(data: &[u8]) {
    let _ = checkers::read_delay(data);
    if let Ok(input) = serde_json::from_slice::<Map<String, Value>>(data) {
        let _ = operators::read(&input, 3);
    }
}
