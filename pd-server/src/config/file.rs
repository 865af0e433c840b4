//! The configuration file: TOML, known keys only.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::items::{self, Item};
use super::settings::Stated;

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
        let idle = |path: &&String| items::in_file(path).is_some_and(|item| !item.duty.has_effect());
        self.values.keys().filter(idle).cloned().collect()
    }

    /// What it gives, by names in JSON and in the form in which it is shown. An empty text gives nothing.
    pub(super) fn stated(&self) -> Stated {
        let shown = |(path, value): (&String, &Value)| {
            let item = items::in_file(path)?;
            let value = item.kind.from_toml(value).ok().filter(|value| value.as_str() != Some(""))?;
            Some((item.shown?, value))
        };
        self.values.iter().filter_map(shown).collect()
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).and_then(Value::as_str)
    }

    fn take_table(&mut self, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match (items::in_file(&path), value) {
                (Some(item), value) => {
                    check(item, &value).map_err(|reason| ConfigError::Value { key: path.clone(), reason })?;
                    self.values.insert(path, value);
                }
                (None, Value::Table(inner)) if items::is_table(&path) => self.take_table(&path, inner)?,
                (None, _) => {
                    let nearest = items::nearest(&path);
                    return Err(ConfigError::UnknownKey { key: path, nearest });
                }
            }
        }
        Ok(())
    }
}

fn check(item: &Item, value: &Value) -> Result<(), String> {
    let value = item.kind.from_toml(value)?;
    // An empty text stands for the default.
    if value.as_str() == Some("") {
        return Ok(());
    }
    item.range.check(item, &value).map_err(|error| error.to_string())
}
