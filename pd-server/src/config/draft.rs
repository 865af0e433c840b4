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

/// The configuration as it is to become. Reads as [`Settings`].
pub struct Draft {
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
        Self { settings, touched: BTreeSet::new(), by: caller(by), now_ms }
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
        if self.kept(name) == Some(&value) {
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
                // What was read is sent back: nothing changes.
                (Some(item), _) if item.duty == Duty::Own && self.kept(&name) == Some(value) => {}
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

    /// Sets the limit of stores that have none of their own; 0 or more.
    pub fn set_default_store_limit(&mut self, limit: StoreLimit) -> Result<(), SettingError> {
        let StoreLimit { add_peer, remove_peer } = limit;
        self.set("schedule.default-store-limit.add-peer", &Value::from(add_peer))?;
        self.set("schedule.default-store-limit.remove-peer", &Value::from(remove_peer))
    }

    /// Gives a store a limit of its own.
    ///
    /// # Errors
    /// Below 0, or too many stores have one.
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
            if limit != self.store_limit(store) {
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

    fn put(&mut self, name: &'static str, value: Value) {
        if self.kept(name) == Some(&value) {
            return;
        }
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
mod tests {
    use serde_json::json;

    use super::super::record::Record;
    use super::super::settings::Stated;
    use super::*;
    use crate::state::Revision;

    fn draft() -> Draft {
        Draft::new(Settings::first(&Stated::new()), "tester", 1_000)
    }

    /// What another member reads of it.
    fn read_back(settings: &Settings, now_ms: u64) -> Settings {
        let text = serde_json::to_string(&settings.kept).unwrap();
        let record: Record = serde_json::from_str(&serde_json::to_string(&settings.record).unwrap()).unwrap();
        Settings::read(&serde_json::from_str(&text).unwrap(), record, Revision(7), &Stated::new(), now_ms)
    }

    #[test]
    fn items_are_set_by_their_whole_name_or_its_last_part() {
        let mut draft = draft();
        for (name, value) in [
            ("leader-schedule-limit", json!(8)),
            ("schedule.region-schedule-limit", json!(16)),
            ("replication.location-labels", json!("zone,host")),
            ("isolation-level", json!("zone")),
            ("replication-mode.dr-auto-sync.label-key", json!("zone")),
            ("cluster-version", json!("v8.5.0")),
            ("pd-server.flow-round-by-digit", json!(4)),
        ] {
            draft.set(name, &value).unwrap();
        }
        draft.check().unwrap();
        assert_eq!(draft.touched().count(), 7);
        let read = read_back(&draft.into_settings(), 1_000);
        assert_eq!(read.planner_config().leader_schedule_limit, 8);
        assert_eq!(read.whole("schedule.region-schedule-limit"), 16);
        assert_eq!(
            (read.location_labels(), read.isolation_level()),
            (vec!["zone".into(), "host".into()], "zone")
        );
        assert_eq!(read.cluster_version(), Version::new(8, 5, 0));
        let change = &read.record().changed["schedule.leader-schedule-limit"];
        assert_eq!((change.at_ms, change.by.as_str(), change.from_file), (1_000, "tester", false));
        assert!(!read.record().changed.contains_key("schedule.merge-schedule-limit"));
    }

    #[test]
    fn what_is_set_to_what_it_is_does_not_count_as_changed() {
        let mut draft = draft();
        draft.set("leader-schedule-limit", &json!(4.0)).unwrap();
        draft.set("halt-scheduling", &json!(false)).unwrap();
        draft.set("max-store-down-time", &json!("30m")).unwrap();
        draft.set("merge-schedule-limit", &Value::Null).unwrap();
        assert_eq!(draft.touched().count(), 0);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        for (name, value, words) in [
            ("no-such-key", json!(1), "config item no-such-key not found"),
            ("schedule.no-such-key", json!(1), "config item no-such-key not found"),
            ("nowhere.key", json!(1), "config prefix nowhere not found"),
            ("name", json!("x"), "config prefix name not found"),
            ("lease", json!(3), "config prefix lease not found"),
            ("low-space-ratio", json!(2), "low-space-ratio should between 0 and 1"),
            ("schedulers-v2", json!([]), "schedule.schedulers-v2 is not changed here"),
            ("label-property", json!({}), "label-property is not changed here"),
            ("cluster-version", json!("bogus"), "bogus is not in dotted-tri format"),
            ("max-replicas", json!(65), "max-replicas should between 1 and 64"),
        ] {
            let mut draft = draft();
            let refused = draft.set(name, &value).unwrap_err().to_string();
            assert!(refused.contains(words), "{name}: {refused}");
            assert_eq!(draft.touched().count(), 0, "{name}");
        }
        let mut isolated = draft();
        isolated.set("isolation-level", &json!("rack")).unwrap();
        assert_eq!(isolated.check(), Err(SettingError::Isolation));
        let mut upside_down = draft();
        upside_down.set("high-space-ratio", &json!(0.9)).unwrap();
        assert_eq!(upside_down.check(), Err(SettingError::SpaceRatios));
    }

    #[test]
    fn a_temporary_value_is_in_force_until_its_time_and_guards_the_item() {
        let mut first = draft();
        first.set_until("schedule.leader-schedule-limit", &json!(1), 5_000).unwrap();
        let refused =
            first.set_until("schedule.halt-scheduling", &json!("true"), 5_000).unwrap_err().to_string();
        assert_eq!(refused, "unsupported ttl config schedule.halt-scheduling");
        let settings = read_back(&first.into_settings(), 4_999);
        assert_eq!(settings.whole("schedule.leader-schedule-limit"), 1);
        assert_eq!(settings.kept("schedule.leader-schedule-limit"), Some(&json!(4)), "what is shown");
        assert_eq!(settings.next_expiry_ms(), Some(5_000));
        assert_eq!(settings.as_of(5_000).planner_config().leader_schedule_limit, 4);
        assert_eq!(settings.as_of(5_000).next_expiry_ms(), None);

        let mut second = Draft::new(settings.clone(), "tester", 4_000);
        let refused = second.set("leader-schedule-limit", &json!(9)).unwrap_err().to_string();
        assert_eq!(refused, "need to clean up TTL first for schedule.leader-schedule-limit");
        second.end_temporary("leader-schedule-limit").unwrap();
        let ended = read_back(&second.into_settings(), 4_000);
        assert_eq!(ended.whole("schedule.leader-schedule-limit"), 4);
        let late = Draft::new(settings, "tester", 9_000).into_settings();
        assert!(late.record().temporary.is_empty(), "what is over is not written again");
    }

    #[test]
    fn a_section_that_was_read_can_be_sent_back() {
        let mut draft = draft();
        let shown = super::super::shown::schedule_section(&draft, &[1, 2]);
        draft.set_section("schedule", &shown).unwrap();
        let touched: Vec<_> = draft.touched().collect();
        // Shown worked out, as by tikv/pd; sent back it is set.
        assert_eq!(touched, ["schedule.max-merge-region-keys"]);
        let mut limits = shown;
        limits["store-limit"]["2"]["add-peer"] = json!(20.5);
        draft.set_section("schedule", &limits).unwrap();
        assert_eq!(draft.store_limits(), [(2, StoreLimit { add_peer: 20.5, remove_peer: 15.0 })].into());
        let mut wrong = Map::new();
        wrong.insert("store-limit".into(), json!({"2": {"add-peer": -1, "remove-peer": 1}}));
        assert!(draft.set_section("schedule", &wrong).is_err());
    }

    #[test]
    fn lists_keep_their_form() {
        let mut draft = draft();
        let mut entries = draft.schedulers();
        entries.retain(|entry| entry.kind == "balance-leader");
        entries[0].disable = true;
        draft.set_schedulers(&entries).unwrap();
        draft
            .set_label_property("reject-leader", LabelProperty { key: "zone".into(), value: "z9".into() })
            .unwrap();
        draft.set_store_limit(10, StoreLimit { add_peer: 30.0, remove_peer: 15.0 }).unwrap();
        let read = read_back(&draft.into_settings(), 0);
        let text = serde_json::to_string(&read.kept).unwrap();
        for part in [
            r#""schedulers-v2":[{"type":"balance-leader","args":null,"disable":true,"args-payload":""}]"#,
            r#""label-property":{"reject-leader":[{"key":"zone","value":"z9"}]}"#,
            r#""store-limit":{"10":{"add-peer":30,"remove-peer":15}}"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let mut again = Draft::new(read, "tester", 0);
        again.forget_label_property(
            "reject-leader",
            &LabelProperty { key: "zone".into(), value: "z9".into() },
        );
        again.forget_store_limit(10);
        assert!(again.label_properties().is_empty() && again.store_limits().is_empty());
    }

    #[test]
    fn what_another_version_wrote_is_kept_and_what_cannot_be_is_replaced() {
        let found = json!({
            "schedule": {"leader-schedule-limit": 9, "low-space-ratio": 7, "from-the-future": [1]},
            "store": {"engine": "x"},
        });
        let stated = Stated::from([("schedule.region-schedule-limit", json!(5))]);
        let Value::Object(found) = found else { unreachable!() };
        let read = Settings::read(&found, Record::default(), Revision(3), &stated, 0);
        assert_eq!(read.whole("schedule.leader-schedule-limit"), 9);
        assert_eq!(read.whole("schedule.region-schedule-limit"), 5, "the file stands in for what lacks");
        assert_eq!(read.kept("schedule.low-space-ratio"), Some(&json!(0.8)));
        assert_eq!(read.kept("schedule.from-the-future"), Some(&json!([1])));
        assert_eq!(read.kept("store.engine"), Some(&json!("x")));
    }
}
