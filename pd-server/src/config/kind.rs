//! Kinds of values, and the one form in which a value of each is kept and shown: tikv/pd's JSON, where many booleans,
//! all durations and all sizes are text.

use serde_json::{Number, Value};
use toml::Value as Toml;

use super::items::Item;
use super::setting::SettingError;
use super::value::{format_duration, format_size, parse_bool, parse_duration, parse_size};

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// True or false, as text in JSON.
    Flag,
    /// True or false.
    Bool,
    /// A whole number, not negative.
    Whole,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// A duration such as `1h30m`.
    Duration,
    /// A size such as `8GiB`, or a number of bytes.
    Size,
    /// A list, as text with commas in JSON.
    List,
    /// A list.
    Array,
    /// Not looked into.
    Any,
}

impl Kind {
    /// Reads its name in the table.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "flag" => Self::Flag,
            "bool" => Self::Bool,
            "whole" => Self::Whole,
            "int" => Self::Int,
            "number" => Self::Number,
            "duration" => Self::Duration,
            "size" => Self::Size,
            "list" => Self::List,
            "array" => Self::Array,
            "any" => Self::Any,
            _ => return None,
        })
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Flag | Self::Bool => "true or false",
            Self::Whole | Self::Int => "whole number",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List | Self::Array => "list",
            Self::Any => "object",
        }
    }

    /// Takes a value that was sent as JSON, and gives it the form in which it is kept. Kinder than tikv/pd with booleans:
    /// text, numbers and bare ones will all do.
    ///
    /// # Errors
    /// Another kind of value.
    pub fn accept(self, item: &Item, value: &Value) -> Result<Value, SettingError> {
        let form = |reason| SettingError::Form { item: item.short(), reason };
        let mismatch = || Err(self.mismatch(item, value));
        match (self, value) {
            (Self::Any, _) | (Self::Text, Value::String(_)) => Ok(value.clone()),
            (Self::Flag, _) => match boolean(value) {
                Some(flag) => Ok(Value::String(flag.to_string())),
                None => Err(form(format!("{value} is neither true nor false"))),
            },
            (Self::Bool, _) => match boolean(value) {
                Some(flag) => Ok(Value::Bool(flag)),
                None => Err(form(format!("{value} is neither true nor false"))),
            },
            (Self::Whole, Value::Number(number)) => match integral(number) {
                Some(whole) if whole >= 0 => Ok(whole_value(whole)),
                Some(_) | None => mismatch(),
            },
            (Self::Int, Value::Number(number)) => match integral(number).map(i64::try_from) {
                Some(Ok(whole)) => Ok(Value::from(whole)),
                Some(Err(_)) | None => mismatch(),
            },
            (Self::Number, Value::Number(number)) => Ok(Value::Number(shortest(number))),
            (Self::Duration, Value::String(text)) => {
                parse_duration(text).map(|duration| Value::String(format_duration(duration))).map_err(form)
            }
            (Self::Size, Value::String(text)) => {
                parse_size(text).map(|bytes| Value::String(format_size(bytes))).map_err(form)
            }
            (Self::List, Value::String(text)) => Ok(Value::String(joined(text.split(',')))),
            (Self::List, Value::Array(list)) => match texts(list) {
                Some(texts) => Ok(Value::String(joined(texts))),
                None => mismatch(),
            },
            (Self::Array, Value::Array(list)) if texts(list).is_some() => Ok(value.clone()),
            (Self::Array, Value::Null) => Ok(Value::Null),
            _ => mismatch(),
        }
    }

    /// Takes a value of the file.
    ///
    /// # Errors
    /// Another kind of value; says what is expected.
    pub(super) fn read_toml(self, value: &Toml) -> Result<Value, String> {
        let expected = |what: &str| Err(format!("{what} is expected, not {value}"));
        match (self, value) {
            (Self::Any, _) => Ok(to_json(value)),
            (Self::Text, Toml::String(text)) => Ok(Value::String(text.clone())),
            (Self::Flag, Toml::Boolean(flag)) => Ok(Value::String(flag.to_string())),
            (Self::Flag, Toml::String(text)) => parse_bool(text).map(|flag| Value::String(flag.to_string())),
            (Self::Bool, Toml::Boolean(flag)) => Ok(Value::Bool(*flag)),
            (Self::Bool, Toml::String(text)) => parse_bool(text).map(Value::Bool),
            (Self::Whole, Toml::Integer(number)) if *number >= 0 => Ok(Value::from(*number)),
            (Self::Int | Self::Number, Toml::Integer(number)) => Ok(Value::from(*number)),
            (Self::Number, Toml::Float(number)) => match Number::from_f64(*number) {
                Some(number) => Ok(Value::Number(shortest(&number))),
                None => expected("a number"),
            },
            (Self::Duration, Toml::String(text)) => {
                parse_duration(text).map(|duration| Value::String(format_duration(duration)))
            }
            (Self::Size, Toml::String(text)) => {
                parse_size(text).map(|bytes| Value::String(format_size(bytes)))
            }
            (Self::Size, Toml::Integer(bytes)) if *bytes >= 0 => {
                Ok(Value::String(format_size(bytes.unsigned_abs())))
            }
            (Self::List, Toml::String(text)) => Ok(Value::String(joined(text.split(',')))),
            (Self::Array, Toml::String(text)) => {
                Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect())
            }
            (Self::List | Self::Array, Toml::Array(list)) => {
                let Some(texts) = list.iter().map(Toml::as_str).collect::<Option<Vec<_>>>() else {
                    return expected("a list of texts");
                };
                Ok(if self == Self::List {
                    Value::String(joined(texts))
                } else {
                    texts.into_iter().collect()
                })
            }
            (Self::Text, _) => expected("text"),
            (Self::Flag | Self::Bool, _) => expected("true or false"),
            (Self::Whole, _) => expected("a whole number of at least 0"),
            (Self::Int, _) => expected("a whole number"),
            (Self::Number, _) => expected("a number"),
            (Self::Duration, _) => expected("a duration such as \"30m\""),
            (Self::Size, _) => expected("a size such as \"8GiB\""),
            (Self::List | Self::Array, _) => expected("a list"),
        }
    }

    /// The refusal of a value of another kind, in the words that tools know.
    fn mismatch(self, item: &Item, value: &Value) -> SettingError {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            // With the number where the number is the reason.
            Value::Number(number) if matches!(self, Self::Whole | Self::Int) => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let expected = match self {
            Self::Text => "string",
            Self::Flag | Self::Bool => "bool",
            Self::Whole => "uint64",
            Self::Int => "int",
            Self::Number => "float64",
            Self::Duration => "typeutil.Duration",
            Self::Size => "typeutil.ByteSize",
            Self::List => "typeutil.StringSlice",
            Self::Array => "[]string",
            Self::Any => "object",
        };
        SettingError::Kind { found, section: section(item.section()), item: item.short(), expected }
    }
}

/// What tikv/pd calls a section in its errors.
fn section(name: &str) -> &'static str {
    match name {
        "schedule" => "ScheduleConfig",
        "replication" => "ReplicationConfig",
        "pd-server" => "PDServerConfig",
        "replication-mode" => "ReplicationModeConfig",
        "keyspace" => "KeyspaceConfig",
        "micro-service" => "MicroserviceConfig",
        _ => "Config",
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            Some(_) | None => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number without a fraction, however it was written: tools send `8` as `8.0`.
fn integral(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_u64() {
        return Some(whole.into());
    }
    if let Some(whole) = number.as_i64() {
        return Some(whole.into());
    }
    // Beyond 2^53 a float does not tell whole numbers apart.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT_MAX)?;
    format!("{float:.0}").parse().ok()
}

fn whole_value(whole: i128) -> Value {
    // It came out of a u64, or out of a float far below.
    u64::try_from(whole).map_or(Value::Null, Value::from)
}

/// A number without a fraction is written without one.
fn shortest(number: &Number) -> Number {
    integral(number).and_then(|whole| i64::try_from(whole).ok()).map_or_else(|| number.clone(), Number::from)
}

fn texts(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(Value::as_str).collect()
}

fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<_> = parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(",")
}

fn to_json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => Value::String(text.clone()),
        Toml::Integer(number) => Value::from(*number),
        Toml::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Toml::Boolean(flag) => Value::Bool(*flag),
        Toml::Datetime(time) => Value::String(time.to_string()),
        Toml::Array(list) => list.iter().map(to_json).collect(),
        Toml::Table(table) => table.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::items;
    use super::*;

    fn accept(name: &str, value: Value) -> Result<Value, String> {
        let item = items::shown(name).unwrap();
        item.kind.accept(item, &value).map_err(|error| error.to_string())
    }

    #[test]
    fn values_take_the_form_in_which_they_are_shown() {
        for (name, sent, kept) in [
            ("schedule.leader-schedule-limit", json!(8), json!(8)),
            ("schedule.leader-schedule-limit", json!(8.0), json!(8)),
            ("schedule.leader-schedule-limit", json!(u64::MAX), json!(u64::MAX)),
            ("schedule.low-space-ratio", json!(0.9), json!(0.9)),
            ("schedule.low-space-ratio", json!(1.0), json!(1)),
            ("schedule.halt-scheduling", json!(true), json!("true")),
            ("schedule.halt-scheduling", json!("false"), json!("false")),
            ("schedule.halt-scheduling", json!(1), json!("true")),
            ("keyspace.wait-region-split", json!("0"), json!(false)),
            ("schedule.max-store-down-time", json!("90m"), json!("1h30m0s")),
            ("schedule.patrol-region-interval", json!("0.1s"), json!("100ms")),
            ("replication.location-labels", json!(" zone, host,"), json!("zone,host")),
            ("replication.location-labels", json!(["zone", "host"]), json!("zone,host")),
            ("pd-server.flow-round-by-digit", json!(-1), json!(-1)),
        ] {
            assert_eq!(accept(name, sent.clone()), Ok(kept), "{name} {sent}");
        }
    }

    #[test]
    fn another_kind_is_refused_in_the_words_of_the_field() {
        let whole = "into Go struct field ScheduleConfig.leader-schedule-limit of type uint64";
        for (sent, found) in [
            (json!("abc"), "string"),
            (json!("16"), "string"),
            (json!(-1), "number -1"),
            (json!(4.5), "number 4.5"),
            (json!(true), "bool"),
            (json!([]), "array"),
            (json!({}), "object"),
        ] {
            let refused = accept("schedule.leader-schedule-limit", sent).unwrap_err();
            assert_eq!(refused, format!("json: cannot unmarshal {found} {whole}"));
        }
        for (name, sent, words) in [
            ("schedule.halt-scheduling", json!("yes"), "halt-scheduling: \"yes\" is neither true nor false"),
            ("schedule.halt-scheduling", json!(2), "halt-scheduling: 2 is neither"),
            ("schedule.max-store-down-time", json!("30"), "max-store-down-time: \"30\" is no duration"),
            ("schedule.max-store-down-time", json!(30), "number into Go struct field"),
            ("replication.location-labels", json!([1]), "ReplicationConfig.location-labels"),
            ("replication.isolation-level", json!(1), "of type string"),
        ] {
            let refused = accept(name, sent).unwrap_err();
            assert!(refused.contains(words), "{name}: {refused}");
        }
    }
}
