//! What stands behind the question mark, and numbers in words: keys are any bytes, and mistakes have the texts that
//! tools know.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// The parameters of a request, in their order. What is badly escaped is left out, as tikv/pd does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(Vec<u8>, Vec<u8>)>);

impl Query {
    /// Reads a query string.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name).ok()?, decode(value).ok()?))
        });
        Self(pairs.collect())
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The first value as text; empty when it is not there.
    pub fn text(&self, name: &str) -> Cow<'_, str> {
        String::from_utf8_lossy(self.get(name).unwrap_or_default())
    }

    /// Each value of a parameter that may repeat.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A key: any bytes, or upper- or lower-case hex with `format=hex`.
    ///
    /// # Errors
    /// It is not hex.
    pub fn key(&self, name: &str) -> Result<Vec<u8>, String> {
        read_key(self.get(name).unwrap_or_default(), self)
    }

    /// A whole number; `default` when it is missing or empty.
    ///
    /// # Errors
    /// It is not one.
    pub fn whole(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.text(name) {
            text if text.is_empty() => Ok(default),
            text => whole(&text),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A key as it stands in a path or query, by the query's `format`.
///
/// # Errors
/// It is not hex, and `format=hex` says so.
pub fn read_key(given: &[u8], query: &Query) -> Result<Vec<u8>, String> {
    match query.get("format") {
        Some(b"hex") => hex_key(given),
        Some(_) | None => Ok(given.to_vec()),
    }
}

/// A key in hex.
///
/// # Errors
/// It is not hex.
pub fn hex_key(given: &[u8]) -> Result<Vec<u8>, String> {
    let refuse =
        |_| format!("[PD:hex:ErrHexDecodingString]decode string {} error", String::from_utf8_lossy(given));
    hex::decode(given).map_err(refuse)
}

/// Takes percent signs and plus signs out of a part of a URL.
///
/// # Errors
/// A percent sign without two hex digits.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = &bytes[at..bytes.len().min(at + 3)];
                let digits = rest.get(1..3).and_then(|two| hex::decode(two).ok());
                let Some(decoded) = digits else {
                    return Err(format!("invalid URL escape \"{}\"", String::from_utf8_lossy(rest)));
                };
                out.extend_from_slice(&decoded);
                at += 2;
            }
            other => out.push(*other),
        }
        at += 1;
    }
    Ok(out)
}

/// A whole number with a sign.
///
/// # Errors
/// It is not one, or too large.
pub fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error| number_error("Atoi", text, &error))
}

/// A number that is not negative: an id.
///
/// # Errors
/// It is not one, or too large.
pub fn id(text: &str) -> Result<u64, String> {
    if text.starts_with('+') {
        return Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|error| number_error("ParseUint", text, &error))
}

fn number_error(what: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let reason = if matches!(error.kind(), PosOverflow | NegOverflow) {
        "value out of range"
    } else {
        "invalid syntax"
    };
    format!("strconv.{what}: parsing {text:?}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::{Query, decode, id, whole};

    #[test]
    fn keys_are_any_bytes() {
        let query = Query::parse("key=t%00%FD+x&format=&count&end=%zz&state=1&state=2");
        assert_eq!(query.key("key").unwrap(), b"t\0\xfd x");
        assert!(query.has("count") && !query.has("end") && !query.has("nope"));
        assert_eq!(query.all("state").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(decode("a%4").unwrap_err(), "invalid URL escape \"%4\"");
        let hex = Query::parse("key=74fD&format=hex&bad=7");
        assert_eq!(hex.key("key").unwrap(), b"t\xfd");
        assert_eq!(hex.key("bad").unwrap_err(), "[PD:hex:ErrHexDecodingString]decode string 7 error");
    }

    #[test]
    fn numbers_that_are_none_have_the_texts_that_tools_know() {
        assert_eq!(whole("x").unwrap_err(), "strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(whole("-5"), Ok(-5));
        assert_eq!(id("-1").unwrap_err(), "strconv.ParseUint: parsing \"-1\": invalid syntax");
        assert_eq!(id("+1").unwrap_err(), "strconv.ParseUint: parsing \"+1\": invalid syntax");
        assert_eq!(
            id("99999999999999999999").unwrap_err(),
            "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"
        );
    }
}
