//! A change of the replicated configuration while it is being made: all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use semver::Version;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::items::{self, Duty, Item};
use super::record::{Change, Temporary, caller};
use super::setting::SettingError;
use super::settings::{LabelProperty, SchedulerEntry, Settings, StoreLimit};
use super::{document, own};
use crate::COMPATIBLE_VERSION;
use crate::cluster::parse_version;

/// The configuration as it is to become. Reads as [`Settings`].
pub struct Draft {
    /// As it was.
    before: Settings,
    settings: Settings,
    touched: BTreeSet<&'static str>,
    by: String,
    now_ms: u64,
}

impl Deref for Draft {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Draft {
    pub(super) fn new(settings: Settings, by: &str, now_ms: u64) -> Self {
        Self { before: settings.clone(), settings, touched: BTreeSet::new(), by: caller(by), now_ms }
    }

    /// Sets an item, by its whole name in JSON or by the last part of it.
    ///
    /// # Errors
    /// No such item, another kind of value, a value outside of the range, or one that is changed in another way.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), SettingError> {
        let (name, item) = find(name)?;
        match item.duty {
            Duty::Live | Duty::Kept => {}
            Duty::Own => return Err(SettingError::OtherWay { item: name, instead: own_way(name) }),
            // Not replicated.
            Duty::Start | Duty::Idle | Duty::Here | Duty::Blank => {
                return Err(SettingError::UnknownPrefix(item.section().to_owned()));
            }
        }
        if value.is_null() {
            // As in tikv/pd: nothing is said, nothing is changed.
            return Ok(());
        }
        let value = item.accept(value)?;
        if self.is(name, &value) {
            return Ok(());
        }
        if self.settings.temporary(name).is_some() {
            return Err(SettingError::Temporary(name));
        }
        self.put(name, value);
        Ok(())
    }

    /// Sets items of a section, given as an object with the items' last names. Objects in it are looked into.
    ///
    /// # Errors
    /// As [`Draft::set`]. Names that the section does not have are passed over, as tikv/pd does.
    pub fn set_section(&mut self, section: &str, values: &Map<String, Value>) -> Result<(), SettingError> {
        for (name, value) in values {
            let name = format!("{section}.{name}");
            match (items::shown(&name), value) {
                (Some(_), limits) if name == "schedule.store-limit" => self.set_limits(limits)?,
                // What was read is sent back, as it is kept or as it is worked out: nothing changes.
                (Some(item), _) if item.duty == Duty::Own && self.kept(&name) == Some(value) => {}
                (Some(_), keys)
                    if name == "schedule.max-merge-region-keys"
                        && self.before.kept(&name) == Some(&Value::from(0))
                        && keys.as_u64() == Some(self.before.max_merge_region_keys()) => {}
                (Some(_), _) => self.set(&name, value)?,
                (None, Value::Object(inner)) => self.set_section(&name, inner)?,
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Sets an item until a time, in ms since the epoch. Its kept value comes back by itself then.
    ///
    /// # Errors
    /// As [`Draft::set`], and that the item cannot be changed for some time only.
    pub fn set_until(&mut self, name: &str, value: &Value, until_ms: u64) -> Result<(), SettingError> {
        let (name, item) = find_temporary(name)?;
        let value = item.accept(value)?;
        let temporary = Temporary { value, until_ms, by: self.by.clone() };
        self.settings.record.temporary.insert(name.to_owned(), temporary);
        self.touched.insert(name);
        Ok(())
    }

    /// Ends a temporary value now. That there is none is no error.
    ///
    /// # Errors
    /// The item is never changed for some time only.
    pub fn end_temporary(&mut self, name: &str) -> Result<(), SettingError> {
        let (name, _) = find_temporary(name)?;
        if self.settings.record.temporary.remove(name).is_some() {
            self.touched.insert(name);
        }
        Ok(())
    }

    /// Sets the cluster version, also to a lower one.
    pub fn set_cluster_version(&mut self, version: &Version) {
        self.put("cluster-version", Value::String(version.to_string()));
    }

    /// Sets the limit of stores that have none of their own; 0.001 or more.
    pub fn set_default_store_limit(&mut self, limit: StoreLimit) -> Result<(), SettingError> {
        let StoreLimit { add_peer, remove_peer } = limit;
        self.set("schedule.default-store-limit.add-peer", &Value::from(add_peer))?;
        self.set("schedule.default-store-limit.remove-peer", &Value::from(remove_peer))
    }

    /// Gives a store a limit of its own.
    ///
    /// # Errors
    /// Below 0.001, or too many stores have one.
    pub fn set_store_limit(&mut self, store: u64, limit: StoreLimit) -> Result<(), SettingError> {
        let mut limits = self.store_limits();
        limits.insert(store, limit);
        self.put_own("schedule.store-limit", &own::store_limits(&limits))
    }

    /// Takes a store's own limit away.
    pub fn forget_store_limit(&mut self, store: u64) {
        let mut limits = self.store_limits();
        if limits.remove(&store).is_some() {
            self.put("schedule.store-limit", own::store_limits(&limits));
        }
    }

    /// Replaces the list of schedulers.
    ///
    /// # Errors
    /// Too many.
    pub fn set_schedulers(&mut self, entries: &[SchedulerEntry]) -> Result<(), SettingError> {
        self.put_own("schedule.schedulers-v2", &own::schedulers(entries))
    }

    /// Gives a label a meaning, such as `reject-leader`.
    ///
    /// # Errors
    /// Too many are kept.
    pub fn set_label_property(&mut self, kind: &str, label: LabelProperty) -> Result<(), SettingError> {
        let mut all = self.label_properties();
        let labels = all.entry(kind.to_owned()).or_default();
        if !labels.contains(&label) {
            labels.push(label);
        }
        self.put_own("label-property", &own::label_properties(&all))
    }

    /// Takes a label's meaning away. That it has none is no error.
    pub fn forget_label_property(&mut self, kind: &str, label: &LabelProperty) {
        let mut all = self.label_properties();
        if let Some(labels) = all.get_mut(kind) {
            labels.retain(|known| known != label);
        }
        all.retain(|_, labels| !labels.is_empty());
        if all != self.label_properties() {
            self.put("label-property", own::label_properties(&all));
        }
    }

    /// What must hold between items. Only where one of them is changed: a change is not to be refused for what it has
    /// nothing to do with.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let touches = |names: [&str; 2]| names.iter().any(|name| self.touched.contains(name));
        if touches(["replication.isolation-level", "replication.location-labels"]) {
            self.settings.check_isolation()?;
        }
        if touches(["schedule.low-space-ratio", "schedule.high-space-ratio"]) {
            self.settings.check_ratios()?;
        }
        Ok(())
    }

    /// What must hold by the stores that there are: limits are for those only, and the cluster version is none that would
    /// keep all of them out.
    pub(crate) fn judge_by_stores(
        &self,
        is_there: impl Fn(u64) -> bool,
        newest: Option<Version>,
    ) -> Result<(), SettingError> {
        let before = self.before.store_limits();
        for (store, limit) in self.store_limits() {
            if before.get(&store) != Some(&limit) && !is_there(store) {
                return Err(SettingError::NoStore(store));
            }
        }
        let asked = self.cluster_version();
        let most = parse_version(COMPATIBLE_VERSION).ok().into_iter().chain(newest).max();
        match most {
            Some(most) if asked > most && asked != self.before.cluster_version() => {
                Err(SettingError::VersionAhead { asked, most })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The names of what has changed; none if it is as before.
    pub(super) fn touched(&self) -> impl Iterator<Item = &'static str> {
        self.touched.iter().copied()
    }

    pub(super) fn into_settings(mut self) -> Settings {
        let now_ms = self.now_ms;
        self.settings.record.temporary.retain(|_, temporary| temporary.until_ms > now_ms);
        self.settings
    }

    /// Limits of stores as they are shown: those that say nothing new are passed over, since every store is shown with one.
    fn set_limits(&mut self, limits: &Value) -> Result<(), SettingError> {
        let Some(item) = items::shown("schedule.store-limit") else { return Ok(()) };
        let limits: BTreeMap<u64, StoreLimit> =
            BTreeMap::deserialize(item.accept(limits)?).unwrap_or_default();
        for (store, limit) in limits {
            if limit != self.before.store_limit(store) {
                self.set_store_limit(store, limit)?;
            }
        }
        Ok(())
    }

    /// Puts a value of an item with a form of its own, once that is checked.
    fn put_own(&mut self, name: &'static str, value: &Value) -> Result<(), SettingError> {
        if let Some(item) = items::shown(name) {
            self.put(name, item.accept(value)?);
        }
        Ok(())
    }

    /// The item has this value, and nothing else stands behind it.
    fn is(&self, name: &str, value: &Value) -> bool {
        self.kept(name) == Some(value) && !self.settings.unusable.contains_key(name)
    }

    fn put(&mut self, name: &'static str, value: Value) {
        if self.is(name, &value) {
            return;
        }
        self.settings.unusable.remove(name);
        document::put(&mut self.settings.kept, name, value);
        self.touched.insert(name);
        let change = Change { at_ms: self.now_ms, by: self.by.clone(), from_file: false };
        self.settings.record.changed.insert(name.to_owned(), change);
    }
}

/// The item with this name: the whole one, or its last part alone.
fn find(name: &str) -> Result<(&'static str, &'static Item), SettingError> {
    let unknown = |name: &str| SettingError::Unknown(name.to_owned());
    let Some((section, rest)) = name.split_once('.') else {
        let short = items::replicated().find(|(_, item)| item.short() == name);
        let any = || items::all().find_map(|item| Some((item.shown.filter(|_| item.short() == name)?, item)));
        return short.or_else(any).ok_or_else(|| unknown(name));
    };
    if let Some(found) = items::shown(name).and_then(|item| Some((item.shown?, item))) {
        return Ok(found);
    }
    // In what is replicated the item is unknown, elsewhere the whole section counts as unknown.
    if !items::replicated().any(|(_, item)| item.section() == section) {
        return Err(SettingError::UnknownPrefix(section.to_owned()));
    }
    Err(unknown(rest.rsplit('.').next().unwrap_or(rest)))
}

fn find_temporary(name: &str) -> Result<(&'static str, &'static Item), SettingError> {
    let found = find(name).ok().filter(|(_, item)| item.temporary);
    found.ok_or_else(|| SettingError::NeverTemporary(name.to_owned()))
}

fn own_way(name: &str) -> &'static str {
    match name {
        "schedule.store-limit" => "use POST /pd/api/v1/store/{id}/limit or /pd/api/v1/stores/limit",
        "schedule.schedulers-v2" => "use POST and DELETE /pd/api/v1/schedulers",
        "label-property" => "use POST /pd/api/v1/config/label-property",
        _ => "there is no way yet",
    }
}

#[cfg(test)]
mod tests;
