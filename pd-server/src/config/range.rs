//! Which values of its kind an item may have.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::items::Item;
use super::kind::Kind;
use super::setting::SettingError;
use super::value::{format_duration, parse_duration};

/// Which values are possible.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// All of the kind.
    All,
    /// Numbers from a least to a greatest.
    Numbers(f64, Option<f64>),
    /// Durations from a shortest to a longest.
    Durations(Duration, Option<Duration>),
    /// One of these words, with `|` between them.
    Words(&'static str),
}

impl Range {
    /// Reads a column of the table.
    pub(super) fn parse(text: &'static str, kind: Kind) -> Option<Self> {
        if text == "-" {
            return Some(Self::All);
        }
        let Some((from, to)) = text.split_once("..") else { return Some(Self::Words(text)) };
        let to = Some(to).filter(|to| !to.is_empty());
        Some(if kind == Kind::Duration {
            Self::Durations(parse_duration(from).ok()?, to.map(parse_duration).transpose().ok()?)
        } else {
            Self::Numbers(from.parse().ok()?, to.map(str::parse).transpose().ok()?)
        })
    }

    /// Whether a value in its kept form is possible.
    ///
    /// # Errors
    /// It is not; the text names item and range.
    pub fn check(&self, item: &Item, value: &Value) -> Result<(), SettingError> {
        let inside = match self {
            Self::All => true,
            Self::Numbers(from, to) => {
                value.as_f64().is_some_and(|number| number >= *from && to.is_none_or(|to| number <= to))
            }
            Self::Durations(from, to) => value
                .as_str()
                .and_then(|text| parse_duration(text).ok())
                .is_some_and(|duration| duration >= *from && to.is_none_or(|to| duration <= to)),
            Self::Words(words) => {
                value.as_str().is_some_and(|text| words.split('|').any(|word| word == text))
            }
        };
        if inside {
            return Ok(());
        }
        let wanted = match self {
            Self::Numbers(from, Some(to)) => format!("between {from} and {to}"),
            Self::Durations(from, Some(to)) => {
                format!("between {} and {}", format_duration(*from), format_duration(*to))
            }
            Self::All | Self::Numbers(_, None) | Self::Durations(_, None) | Self::Words(_) => {
                format!("be {self}")
            }
        };
        Err(SettingError::Range(format!("{} should {wanted}", item.short())))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => write!(f, "any"),
            Self::Numbers(from, None) => write!(f, "at least {from}"),
            Self::Numbers(from, Some(to)) => write!(f, "{from} to {to}"),
            Self::Durations(from, None) => write!(f, "at least {}", format_duration(*from)),
            Self::Durations(from, Some(to)) => {
                write!(f, "{} to {}", format_duration(*from), format_duration(*to))
            }
            Self::Words(words) => write!(f, "one of {}", words.replace('|', ", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::items;

    #[test]
    fn what_lies_outside_is_refused_with_item_and_range() {
        for (name, value, refusal) in [
            ("schedule.low-space-ratio", json!(0.9), None),
            ("schedule.low-space-ratio", json!(1), None),
            ("schedule.low-space-ratio", json!(2), Some("low-space-ratio should between 0 and 1")),
            ("schedule.tolerant-size-ratio", json!(-1), Some("tolerant-size-ratio should be at least 0")),
            ("replication.max-replicas", json!(0), Some("max-replicas should between 1 and 64")),
            ("pd-server.key-type", json!("raw"), None),
            ("pd-server.key-type", json!("x"), Some("key-type should be one of table, raw, txn")),
            (
                "keyspace.check-region-split-interval",
                json!("1s"),
                Some("check-region-split-interval should between 1ms and 100ms"),
            ),
            ("schedule.max-store-down-time", json!("0s"), Some("max-store-down-time should be at least 1ms")),
        ] {
            let item = items::shown(name).unwrap();
            let refused = item.range.check(item, &value).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), refusal, "{name} {value}");
        }
    }
}
