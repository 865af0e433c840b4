//! Query parameters: each is known, given once and of the right kind, or refused by name.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Body;
use http::{Response, StatusCode};

use crate::answer;
use crate::model::ApiError;

/// Longest query that is looked at: ours are short.
const BYTES_MAX: usize = 4_096;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(BTreeMap<String, String>);

/// A parameter that is not right; the text names what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter(ApiError);

impl BadParameter {
    /// With its field and text.
    pub fn new(field: &str, text: impl Into<String>) -> Self {
        Self(ApiError::new("BAD_PARAMETER", text).of_field(field))
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        answer::error(StatusCode::BAD_REQUEST, &self.0)
    }
}

impl Query {
    /// Reads the query. All parameters must be among `known`, none twice.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, BadParameter> {
        let query = query.unwrap_or_default();
        if query.len() > BYTES_MAX {
            return Err(BadParameter::new("query", format!("longer than {BYTES_MAX} bytes")));
        }
        let mut found = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                let text = match known {
                    [] => format!("{name} is not known here: there are no parameters"),
                    _ => format!("{name} is not known here; known are {}", known.join(", ")),
                };
                return Err(BadParameter::new(&name, text));
            }
            if found.insert(name.to_string(), value.to_string()).is_some() {
                return Err(BadParameter::new(&name, format!("{name} is given twice")));
            }
        }
        Ok(Self(found))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number.
    pub fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, BadParameter> {
        let parse = |text: &str| {
            let wrong = |_| BadParameter::new(name, format!("{name} is {text:?}, it must be a whole number"));
            text.parse().map_err(wrong)
        };
        self.text(name).map(parse).transpose()
    }

    /// One of the words of a closed list.
    pub fn word<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = all.iter().copied().find(|one| word(*one).eq_ignore_ascii_case(text));
        let words = || all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| {
            BadParameter::new(name, format!("{name} is {text:?}, it must be one of {}", words()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_named() {
        let read = |query| Query::read(Some(query), &["limit", "state"]);
        assert_eq!(read("limit=7").unwrap().number("limit"), Ok(Some(7)));
        assert_eq!(read("").unwrap().number::<u64>("limit"), Ok(None));
        for (query, field) in [("limits=7", "limits"), ("limit=1&limit=2", "limit"), ("%ff=1", "\u{fffd}")] {
            assert_eq!(read(query).unwrap_err().0.field.as_deref(), Some(field), "{query}");
        }
        let limit = read("limit=-1").unwrap().number::<u64>("limit").unwrap_err();
        assert_eq!(limit.0.message, "limit is \"-1\", it must be a whole number");
        let state = read("state=x").unwrap().word("state", &[1, 2], |n| if n == 1 { "up" } else { "down" });
        assert_eq!(state.unwrap_err().0.message, "state is \"x\", it must be one of up, down");
        assert!(read(&"a".repeat(BYTES_MAX + 1)).is_err());
    }
}
