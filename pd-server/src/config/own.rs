//! Items with a form of their own: limits of stores, schedulers, meanings of labels, the cluster version. Each is read
//! into a type and written back, so that what is kept has one form and a bound.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::items::Item;
use super::label;
use super::setting::SettingError;
use super::settings::{LabelProperty, SchedulerEntry, StoreLimit};
use crate::cluster::parse_version;

/// Store limits that are kept: more stores than a cluster has, gone ones included.
const STORE_LIMITS_MAX: usize = 10_000;
/// Schedulers that are listed: far more than there are kinds.
const SCHEDULERS_MAX: usize = 256;
/// Labels with one meaning.
const LABELS_PER_MEANING_MAX: usize = 64;
/// The least limit of a store a minute, and what it is counted in. 0 would stand for no limit, while whoever writes it
/// means that nothing is to move.
const RATE_MIN: f64 = 0.001;

/// Gives a value its kept form; of items without a form of their own it is left as it is.
///
/// # Errors
/// Another form, or more than is kept.
pub(super) fn form(item: &Item, value: &Value) -> Result<Value, SettingError> {
    let reason = |reason: String| SettingError::Form { item: item.short(), reason };
    let wrong = |expected: &str| reason(format!("{expected} is expected"));
    match item.shown {
        Some("schedule.store-limit") => {
            let limits = "an object with add-peer and remove-peer, numbers of at least 0.001, by store id";
            let limits: BTreeMap<u64, StoreLimit> =
                BTreeMap::deserialize(value).ok().filter(are_limits).ok_or_else(|| wrong(limits))?;
            bounded(item, limits.len(), STORE_LIMITS_MAX)?;
            Ok(store_limits(&limits))
        }
        Some("schedule.schedulers-v2") => {
            let entries = "a list of objects with type, and args, disable and args-payload where needed,";
            let entries: Vec<SchedulerEntry> = Vec::deserialize(value).map_err(|_| wrong(entries))?;
            bounded(item, entries.len(), SCHEDULERS_MAX)?;
            Ok(schedulers(&entries))
        }
        Some("label-property") if value.is_null() => Ok(Value::Null),
        Some("label-property") => {
            let lists = "an object of lists of objects with key and value";
            let all: BTreeMap<String, Vec<LabelProperty>> =
                BTreeMap::deserialize(value).map_err(|_| wrong(lists))?;
            for (meaning, labels) in &all {
                bounded(item, labels.len(), LABELS_PER_MEANING_MAX)?;
                label::check_key(meaning).map_err(reason)?;
                for LabelProperty { key, value } in labels {
                    label::check_key(key).and_then(|()| label::check_value(value)).map_err(reason)?;
                }
            }
            Ok(label_properties(&all))
        }
        Some("replication.location-labels") => {
            let mut seen = Vec::new();
            for key in value.as_str().unwrap_or_default().split(',').filter(|key| !key.is_empty()) {
                label::check_key(key).map_err(reason)?;
                if seen.contains(&key) {
                    return Err(reason(format!("{key} stands twice")));
                }
                seen.push(key);
            }
            Ok(value.clone())
        }
        Some("cluster-version") => {
            let version = parse_version(value.as_str().unwrap_or_default())?;
            Ok(Value::String(version.to_string()))
        }
        Some(_) | None => Ok(value.clone()),
    }
}

/// What a file means by a value: a list of schedulers adds to the default ones, as in tikv/pd.
pub(super) fn of_file(item: &Item, value: Value) -> Value {
    if item.shown != Some("schedule.schedulers-v2") {
        return value;
    }
    let Value::Array(mut listed) = value else { return value };
    for entry in item.default.as_array().into_iter().flatten() {
        if !listed.iter().any(|known| known["type"] == entry["type"]) {
            listed.push(entry.clone());
        }
    }
    Value::Array(listed)
}

/// Limits of stores as they are kept.
pub(super) fn store_limits(limits: &BTreeMap<u64, StoreLimit>) -> Value {
    limits.iter().map(|(id, limit)| (id.to_string(), limit.to_value())).collect()
}

/// Schedulers as they are kept.
pub(super) fn schedulers(entries: &[SchedulerEntry]) -> Value {
    let entry = |entry: &SchedulerEntry| {
        object([
            ("type", Value::from(entry.kind.as_str())),
            ("args", entry.args.as_deref().map_or(Value::Null, Value::from)),
            ("disable", Value::Bool(entry.disable)),
            ("args-payload", Value::from(entry.args_payload.as_str())),
        ])
    };
    entries.iter().map(entry).collect()
}

/// Meanings of labels as they are kept.
pub(super) fn label_properties(all: &BTreeMap<String, Vec<LabelProperty>>) -> Value {
    let label = |label: &LabelProperty| {
        object([("key", Value::from(label.key.as_str())), ("value", Value::from(label.value.as_str()))])
    };
    all.iter().map(|(kind, labels)| (kind.clone(), labels.iter().map(label).collect::<Value>())).collect()
}

impl StoreLimit {
    /// As the configuration shows it: whole numbers without a fraction.
    pub fn to_value(self) -> Value {
        let rate = |rate: f64| {
            // Whole and far below what a float tells apart: the cast is exact.
            if rate.fract() == 0.0 && rate.abs() < 1e15 {
                Value::from(rate as i64)
            } else {
                Value::from(rate)
            }
        };
        object([("add-peer", rate(self.add_peer)), ("remove-peer", rate(self.remove_peer))])
    }
}

fn are_limits(limits: &BTreeMap<u64, StoreLimit>) -> bool {
    limits.values().all(|limit| limit.add_peer >= RATE_MIN && limit.remove_peer >= RATE_MIN)
}

fn bounded(item: &Item, found: usize, max: usize) -> Result<(), SettingError> {
    if found > max { Err(SettingError::TooMany { item: item.short(), max }) } else { Ok(()) }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
