//! Parsers of requests to the page, fed with anything. `fuzz/` has programs for them. Not part of the crate's work.

use http::{HeaderMap, HeaderValue};

use crate::lists;
use crate::query::Query;
use crate::stream::Wish;

/// What stands behind the question mark, cursors of lists, and what a stream is to go on from.
pub fn page_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(query) = Query::read(Some(&text), &["limit", "cursor"]) {
        let _ = (query.number::<u64>("limit"), query.text("cursor"));
    }
    if let Some(place) = lists::decode(&text) {
        assert_eq!(lists::decode(&lists::encode(place)), Some(place), "{text:?}");
    }
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        headers.insert("last-event-id", value);
    }
    let _ = (Wish::read(Some(&text), &headers), Wish::read(None, &headers));
}

/// A path under which the page is to be.
pub fn page_prefix(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if crate::check_prefix(&text).is_ok() {
        assert!(text.starts_with('/') && !text.contains([' ', '"', '<', '\\']), "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_request_makes_a_parser_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            text in "(limit|cursor|topics|last_event_id|x)=[0-9a-f.%+,-]{0,20}",
            cursor in "[0-9a-f]{0,18}\\.[0-9a-f]{0,18}\\.[0-9a-f]{0,18}",
            prefix in "/[a-z./%<\" -]{0,12}",
        ) {
            for data in [&bytes[..], text.as_bytes(), cursor.as_bytes(), prefix.as_bytes()] {
                super::page_request(data);
                super::page_prefix(data);
            }
        }
    }
}
