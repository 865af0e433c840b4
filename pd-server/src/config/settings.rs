//! The replicated configuration at one revision, as a value: what every member reads.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::{Rate, SchedulerName, StoreId};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::record::{Record, Temporary};
use super::setting::SettingError;
use super::value::parse_duration;
use super::{document, items};
use crate::state::Revision;

/// Values that a member's file gives, by their names in JSON, each in its kept form.
pub type Stated = BTreeMap<&'static str, Value>;

/// The configuration that the group shares. Complete: what nobody has set has its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The revision that wrote it; 0 before the group has one, when file and defaults stand in.
    pub revision: Revision,
    /// Nested, in tikv/pd's form and order.
    pub(super) kept: Map<String, Value>,
    pub(super) record: Record,
    /// Values that this version cannot use: something stands in for each, and they stay until the item is set.
    pub(super) unusable: BTreeMap<&'static str, Value>,
    /// Values that hold for some time, as far as that was not over when this was made.
    in_force: BTreeMap<String, Value>,
}

/// How many peers a minute a store may get and lose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreLimit {
    /// Peers that it may get a minute.
    pub add_peer: f64,
    /// Peers that may be taken off it a minute.
    pub remove_peer: f64,
}

/// A scheduler as the configuration lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SchedulerEntry {
    /// Its kind, such as `balance-leader`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it was given; null for nothing.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// It does not run.
    #[serde(default)]
    pub disable: bool,
    /// Further arguments.
    #[serde(default)]
    pub args_payload: String,
}

/// A label with a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelProperty {
    /// The label's key.
    pub key: String,
    /// The label's value.
    pub value: String,
}

impl Settings {
    /// What stands in before the group has a configuration: the file, then defaults.
    pub(super) fn first(stated: &Stated) -> Self {
        Self::read(&Map::new(), Record::default(), Revision(0), stated, 0)
    }

    /// Completes what is kept. For values that cannot be used others stand in, and the log says so.
    pub(super) fn read(
        found: &Map<String, Value>,
        record: Record,
        revision: Revision,
        stated: &Stated,
        now_ms: u64,
    ) -> Self {
        let mut kept = Map::new();
        let mut unusable = BTreeMap::new();
        for (name, item) in items::replicated() {
            let usable = document::get(found, name).and_then(|value| {
                let accepted = item.accept(value).ok();
                accepted.or_else(|| (*value == item.default).then(|| value.clone()))
            });
            if usable.is_none()
                && let Some(value) = document::get(found, name)
            {
                warn!(
                    item = name,
                    "the replicated configuration holds a value that this version cannot use; this member's file, or the \
                     default, stands in until the item is set"
                );
                unusable.insert(name, value.clone());
            }
            let given = usable.or_else(|| stated.get(name).cloned());
            document::put(&mut kept, name, given.unwrap_or_else(|| item.default.clone()));
        }
        document::complete(&mut kept, found);
        let mut settings = Self { revision, kept, record, unusable, in_force: BTreeMap::new() };
        settings.judge_temporary(now_ms);
        settings
    }

    /// What must hold between items.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        self.check_isolation()?;
        self.check_ratios()
    }

    pub(super) fn check_isolation(&self) -> Result<(), SettingError> {
        let isolation = self.text("replication.isolation-level");
        if !isolation.is_empty() && !self.location_labels().iter().any(|label| label == isolation) {
            return Err(SettingError::Isolation);
        }
        Ok(())
    }

    pub(super) fn check_ratios(&self) -> Result<(), SettingError> {
        if self.number("schedule.low-space-ratio") <= self.number("schedule.high-space-ratio") {
            return Err(SettingError::SpaceRatios);
        }
        Ok(())
    }

    /// What is written: what is kept, and what this version cannot use.
    pub(super) fn document(&self) -> Map<String, Value> {
        let mut document = self.kept.clone();
        for (name, value) in &self.unusable {
            document::put(&mut document, name, value.clone());
        }
        document
    }

    /// The items that `found` lacks.
    pub(super) fn lacking(found: &Map<String, Value>) -> Vec<&'static str> {
        let lacks = |name: &&'static str| document::get(found, name).is_none();
        items::replicated().map(|(name, _)| name).filter(lacks).collect()
    }

    /// The same, as of another time: temporary values that are over no longer count.
    pub(super) fn as_of(&self, now_ms: u64) -> Self {
        let mut settings = self.clone();
        settings.judge_temporary(now_ms);
        settings
    }

    pub(super) fn judge_temporary(&mut self, now_ms: u64) {
        let alive = self.record.temporary.iter().filter(|(_, temporary)| temporary.until_ms > now_ms);
        self.in_force = alive.map(|(name, temporary)| (name.clone(), temporary.value.clone())).collect();
    }

    /// When the next temporary value is over, in ms since the epoch.
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        self.record
            .temporary
            .iter()
            .filter(|(name, _)| self.in_force.contains_key(*name))
            .map(|(_, temporary)| temporary.until_ms)
            .min()
    }

    /// The temporary value of an item, while it is in force.
    pub fn temporary(&self, name: &str) -> Option<&Temporary> {
        self.record.temporary.get(name).filter(|_| self.in_force.contains_key(name))
    }

    /// Who changed what when.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The value in force, by the item's name in JSON, such as `schedule.leader-schedule-limit`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.in_force.get(name).or_else(|| self.kept(name))
    }

    /// The value that is kept: what is shown, and in force once temporary values are over.
    pub fn kept(&self, name: &str) -> Option<&Value> {
        document::get(&self.kept, name)
    }

    /// A whole number; 0 where the item is none.
    pub fn whole(&self, name: &str) -> u64 {
        self.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// A number; 0 where the item is none.
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).and_then(Value::as_f64).unwrap_or_default()
    }

    /// A boolean, in whichever form it is kept.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_bool().unwrap_or(value.as_str() == Some("true")))
    }

    /// Text; empty where the item is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A duration; 0 where the item is none.
    pub fn duration(&self, name: &str) -> Duration {
        parse_duration(self.text(name)).unwrap_or_default()
    }

    /// No operator is made and no split granted.
    pub fn halt_scheduling(&self) -> bool {
        self.flag("schedule.halt-scheduling")
    }

    /// Silence after which a store counts as down.
    pub fn max_store_down_time(&self) -> Duration {
        self.duration("schedule.max-store-down-time")
    }

    /// Voters of a Region under the default rule, 1 to 64.
    pub fn max_replicas(&self) -> u64 {
        self.whole("replication.max-replicas")
    }

    /// Labels of places, from the widest to the narrowest.
    pub fn location_labels(&self) -> Vec<String> {
        let labels = self.text("replication.location-labels");
        labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect()
    }

    /// The place that two replicas never share; empty for none.
    pub fn isolation_level(&self) -> &str {
        self.text("replication.isolation-level")
    }

    /// The least version of all stores.
    pub fn cluster_version(&self) -> Version {
        Version::parse(self.text("cluster-version")).unwrap_or(Version::new(0, 0, 0))
    }

    /// Keys up to which a Region is merged: where none are set, 10,000 a MiB of the size.
    pub fn max_merge_region_keys(&self) -> u64 {
        const KEYS_PER_MIB: u64 = 10_000;
        match self.whole("schedule.max-merge-region-keys") {
            0 => self.whole("schedule.max-merge-region-size").saturating_mul(KEYS_PER_MIB),
            keys => keys,
        }
    }

    /// The limit of stores that have none of their own.
    pub fn default_store_limit(&self) -> StoreLimit {
        StoreLimit {
            add_peer: self.number("schedule.default-store-limit.add-peer"),
            remove_peer: self.number("schedule.default-store-limit.remove-peer"),
        }
    }

    /// The limit of a store: its own, or the default.
    pub fn store_limit(&self, store: u64) -> StoreLimit {
        let own = self.kept("schedule.store-limit").and_then(|limits| limits.get(store.to_string()));
        own.and_then(|limit| StoreLimit::deserialize(limit).ok())
            .unwrap_or_else(|| self.default_store_limit())
    }

    /// The stores with limits of their own.
    pub fn store_limits(&self) -> BTreeMap<u64, StoreLimit> {
        let own = self.kept("schedule.store-limit").and_then(Value::as_object);
        own.into_iter()
            .flatten()
            .filter_map(|(id, limit)| Some((id.parse().ok()?, StoreLimit::deserialize(limit).ok()?)))
            .collect()
    }

    /// The schedulers, in their order.
    pub fn schedulers(&self) -> Vec<SchedulerEntry> {
        let listed = self.kept("schedule.schedulers-v2").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(|entry| SchedulerEntry::deserialize(entry).ok()).collect()
    }

    /// What labels of stores mean, by kind of meaning.
    pub fn label_properties(&self) -> BTreeMap<String, Vec<LabelProperty>> {
        self.kept("label-property").and_then(|kept| BTreeMap::deserialize(kept).ok()).unwrap_or_default()
    }

    /// A section as it is kept, in tikv/pd's form.
    pub fn section(&self, name: &str) -> Map<String, Value> {
        self.kept(name).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// What the planner is told of it.
    pub fn planner_config(&self) -> scheduler::Config {
        let limit = |name| usize::try_from(self.whole(name)).unwrap_or(usize::MAX);
        let rates = |limit: StoreLimit| scheduler::StoreLimit {
            add_peer: Rate::per_minute(limit.add_peer),
            remove_peer: Rate::per_minute(limit.remove_peer),
        };
        let runs = |entry: &SchedulerEntry| SchedulerName::of_kind(&entry.kind).filter(|_| !entry.disable);
        scheduler::Config {
            max_replicas: limit("replication.max-replicas"),
            max_store_down_time_ms: u64::try_from(self.max_store_down_time().as_millis()).unwrap_or(u64::MAX),
            halt_scheduling: self.halt_scheduling(),
            leader_schedule_limit: limit("schedule.leader-schedule-limit"),
            region_schedule_limit: limit("schedule.region-schedule-limit"),
            replica_schedule_limit: limit("schedule.replica-schedule-limit"),
            max_snapshot_count: self.whole("schedule.max-snapshot-count"),
            max_pending_peer_count: self.whole("schedule.max-pending-peer-count"),
            low_space_per_mille: per_mille(self.number("schedule.low-space-ratio")),
            default_store_limit: rates(self.default_store_limit()),
            store_limits: self
                .store_limits()
                .into_iter()
                .map(|(store, limit)| (StoreId(store), rates(limit)))
                .collect(),
            schedulers: self.schedulers().iter().filter_map(runs).collect(),
            enable_tikv_split_region: self.flag("schedule.enable-tikv-split-region"),
            enable_remove_down_replica: self.flag("schedule.enable-remove-down-replica"),
            enable_replace_offline_replica: self.flag("schedule.enable-replace-offline-replica"),
            enable_make_up_replica: self.flag("schedule.enable-make-up-replica"),
            enable_remove_extra_replica: self.flag("schedule.enable-remove-extra-replica"),
        }
    }
}

/// A ratio of 0 to 1 in thousandths.
fn per_mille(ratio: f64) -> u64 {
    // In range by the table; the cast saturates.
    (ratio * 1_000.0).round() as u64
}
