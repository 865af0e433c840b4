//! The configuration file: TOML, known keys only.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::ConfigError;
use super::known::{self, Kind};
use super::value::{parse_bool, parse_duration, parse_size};

/// The file's values by their paths, each of the right kind.
#[derive(Debug, Default)]
pub(super) struct File {
    values: BTreeMap<String, Value>,
}

impl File {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        Self::parse(&text).map_err(|error| match error {
            ConfigError::Malformed { reason, .. } => {
                ConfigError::Malformed { path: path.to_path_buf(), reason }
            }
            other => other,
        })
    }

    /// Checks a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Malformed {
            path: "configuration".into(),
            reason: error.to_string(),
        })?;
        let mut file = Self::default();
        file.take_table("", table)?;
        Ok(file)
    }

    /// The keys that are known and have no effect yet.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let idle = |path: &&String| known::find(path).is_some_and(|key| !key.has_effect);
        self.values.keys().filter(idle).cloned().collect()
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).and_then(Value::as_str)
    }

    pub(super) fn whole(&self, path: &str) -> Option<u64> {
        self.values.get(path).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok())
    }

    pub(super) fn bool(&self, path: &str) -> Option<bool> {
        match self.values.get(path)? {
            Value::Boolean(value) => Some(*value),
            Value::String(text) => parse_bool(text).ok(),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                None
            }
        }
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        self.text(path).and_then(|text| parse_duration(text).ok())
    }

    fn take_table(&mut self, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match (known::find(&path), value) {
                (Some(key), value) => {
                    check(key.kind, &value)
                        .map_err(|reason| ConfigError::Value { key: path.clone(), reason })?;
                    self.values.insert(path, value);
                }
                (None, Value::Table(inner)) if known::is_table(&path) => self.take_table(&path, inner)?,
                (None, _) => {
                    let nearest = known::nearest(&path);
                    return Err(ConfigError::UnknownKey { key: path, nearest });
                }
            }
        }
        Ok(())
    }
}

fn check(kind: Kind, value: &Value) -> Result<(), String> {
    let expected = |what: &str| Err(format!("{what} is expected, not {value}"));
    match (kind, value) {
        (Kind::Any, _)
        | (Kind::Text, Value::String(_))
        | (Kind::Bool, Value::Boolean(_))
        | (Kind::Number, Value::Integer(_) | Value::Float(_))
        | (Kind::List, Value::String(_) | Value::Array(_)) => Ok(()),
        (Kind::Bool, Value::String(text)) => parse_bool(text).map(|_| ()),
        (Kind::Duration, Value::String(text)) => parse_duration(text).map(|_| ()),
        (Kind::Size, Value::String(text)) => parse_size(text).map(|_| ()),
        (Kind::Whole | Kind::Size, Value::Integer(number)) if *number >= 0 => Ok(()),
        (Kind::Text, _) => expected("text"),
        (Kind::Bool, _) => expected("true or false"),
        (Kind::Whole, _) => expected("a whole number of at least 0"),
        (Kind::Number, _) => expected("a number"),
        (Kind::Duration, _) => expected("a duration such as \"30m\""),
        (Kind::Size, _) => expected("a size such as \"8GiB\""),
        (Kind::List, _) => expected("a list"),
    }
}
