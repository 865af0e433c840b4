//! The configuration file: TOML, known keys only.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::Table;

use super::ConfigError;
use super::items;
use super::settings::Stated;

/// The file's values by their paths, each of the right kind and in the form in which it is shown.
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
        let idle = |path: &&String| items::in_file(path).is_some_and(|item| !item.has_effect());
        self.values.keys().filter(idle).cloned().collect()
    }

    /// What it gives, by names in JSON. An empty text gives nothing.
    pub(super) fn stated(&self) -> Stated {
        let given = self.values.iter().filter(|(_, value)| value.as_str() != Some(""));
        given.filter_map(|(path, value)| Some((items::in_file(path)?.shown?, value.clone()))).collect()
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).and_then(Value::as_str)
    }

    fn take_table(&mut self, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match (items::in_file(&path), value) {
                (Some(item), value) => {
                    let value = item
                        .accept_toml(&value)
                        .map_err(|reason| ConfigError::Value { key: path.clone(), reason })?;
                    self.values.insert(path, value);
                }
                (None, toml::Value::Table(inner)) if items::is_table(&path) => {
                    self.take_table(&path, inner)?;
                }
                (None, _) => {
                    let nearest = items::nearest(&path);
                    return Err(ConfigError::UnknownKey { key: path, nearest });
                }
            }
        }
        Ok(())
    }
}
