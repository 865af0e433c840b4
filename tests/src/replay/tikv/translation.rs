//! The record speaks of its own cluster; our server has given other ids, revisions and times. This is the dictionary.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use super::command::number;
use crate::replay::dynamic::from_json;
use crate::replay::ids;

/// Fields that hold seconds of the recorded wall clock.
const TIMES: [&str; 3] = ["start_timestamp", "end_timestamp", "start_time"];

/// What ours has in place of the record's.
#[derive(Debug)]
pub struct Translation {
    cluster_id: u64,
    clock_shift_s: i64,
    /// Ours by the recorded one.
    ids: BTreeMap<u64, u64>,
    /// By store and purpose: the revision that the record was answered with last, and ours.
    revisions: HashMap<(String, String), (u64, u64)>,
}

impl Translation {
    /// For a server of this cluster id; `recorded_start_s` becomes now.
    ///
    /// # Errors
    /// When a clock is beyond all sense.
    pub fn new(cluster_id: u64, recorded_start_s: u64) -> Result<Translation> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let clock_shift_s = now - i64::try_from(recorded_start_s)?;
        Ok(Translation { cluster_id, clock_shift_s, ids: BTreeMap::new(), revisions: HashMap::new() })
    }

    /// The header of a request to PD.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"cluster_id": self.cluster_id.to_string()})
    }

    /// Our server gave `ours` where the record has `recorded`.
    ///
    /// # Errors
    /// When it gave that id before.
    pub fn learn_id(&mut self, recorded: u64, ours: u64) -> Result<()> {
        ensure!(ours != 0 && !self.ids.values().any(|known| *known == ours), "id {ours} was given before");
        self.ids.insert(recorded, ours);
        Ok(())
    }

    /// Our server answered at revision `ours` where the record has `recorded`.
    pub fn learn_revision(&mut self, who: &str, source: &str, recorded: u64, ours: u64) {
        self.revisions.insert((who.to_string(), source.to_string()), (recorded, ours));
    }

    /// Our id for a recorded one.
    ///
    /// # Errors
    /// When our server never gave one in its place.
    pub fn id(&self, recorded: u64) -> Result<u64> {
        self.ids
            .get(&recorded)
            .copied()
            .with_context(|| format!("id {recorded} of the record was never given"))
    }

    /// Our id of the store called `store-8` in the record.
    ///
    /// # Errors
    /// When it has none yet.
    pub fn store(&self, who: &str) -> Result<u64> {
        let recorded = who.strip_prefix("store-").and_then(|id| id.parse().ok());
        self.id(recorded.with_context(|| who.to_string())?)
    }

    /// What the record calls our store.
    ///
    /// # Errors
    /// When it is none of the recorded ones.
    pub fn name_of(&self, store_id: u64) -> Result<String> {
        let found = self.ids.iter().find(|(_, ours)| **ours == store_id);
        let (recorded, _) = found.with_context(|| format!("store {store_id} is not of the record"))?;
        Ok(format!("store-{recorded}"))
    }

    /// A recorded request of `who` as a message to our server.
    ///
    /// # Errors
    /// When it names what our server never gave.
    pub fn request(&self, kind: &MessageDescriptor, who: &str, mut request: Value) -> Result<DynamicMessage> {
        if request["header"].get("cluster_id").is_some() {
            request["header"]["cluster_id"] = self.cluster_id.to_string().into();
        }
        if let Some(start) = request.get("start_revision") {
            let source = request["header"]["source"].as_str().unwrap_or_default();
            let known = self.revisions.get(&(who.to_string(), source.to_string()));
            let (recorded, ours) = known.context("a watch without a read before it")?;
            request["start_revision"] = (number(start)? - recorded + ours).to_string().into();
        }
        self.shift_times(&mut request);
        let mut message = from_json(kind, &request)?;
        let mut unknown = Vec::new();
        ids::replace(&mut message, &mut |id| match self.ids.get(&id) {
            Some(ours) => *ours,
            None if id == 0 => 0,
            None => {
                unknown.push(id);
                id
            }
        });
        ensure!(unknown.is_empty(), "ids that our server never gave: {unknown:?}");
        Ok(message)
    }

    /// Moves every recorded second to our time.
    pub fn shift_times(&self, message: &mut Value) {
        match message {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    match digits.parse::<i64>() {
                        Ok(seconds) if TIMES.contains(&name.as_str()) => {
                            *value = (seconds + self.clock_shift_s).to_string().into();
                        }
                        Ok(_) | Err(_) => self.shift_times(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.shift_times(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Translation;
    use crate::replay::dynamic::{Wire, to_json};
    use serde_json::json;

    #[test]
    fn a_request_names_what_ours_gave() {
        let mut ours = Translation::new(77, 1_000).unwrap();
        ours.clock_shift_s = 5;
        ours.learn_id(8, 1_008).unwrap();
        assert!(ours.learn_id(9, 1_008).is_err(), "given twice");
        let wire = Wire::compiled().unwrap();
        let kind = wire.message("pdpb.PutStoreRequest").unwrap();
        let store = |id: &str, start: &str| json!({"id": id, "start_timestamp": start, "address": "a:1"});
        let recorded = json!({"header": {"cluster_id": "1"}, "store": store("8", "1000")});
        let expected = json!({"header": {"cluster_id": "77"}, "store": store("1008", "1005")});
        let sent = to_json(&ours.request(&kind, "store-8", recorded).unwrap()).unwrap();
        assert_eq!(sent, expected);
        let unknown = json!({"store": store("9", "1000")});
        assert!(ours.request(&kind, "store-8", unknown).is_err());
        assert_eq!(
            (ours.store("store-8").unwrap(), ours.name_of(1_008).unwrap().as_str()),
            (1_008, "store-8")
        );
    }

    #[test]
    fn a_watch_starts_as_far_behind_its_read_as_recorded() {
        let mut ours = Translation::new(77, 1_000).unwrap();
        ours.learn_revision("store-1", "log_backup", 11, 500);
        let kind = Wire::compiled().unwrap().message("meta_storagepb.WatchRequest").unwrap();
        let recorded = json!({"header": {"cluster_id": "1", "source": "log_backup"}, "start_revision": "12"});
        let sent = to_json(&ours.request(&kind, "store-1", recorded.clone()).unwrap()).unwrap();
        assert_eq!(sent["start_revision"], "501");
        assert!(ours.request(&kind, "store-8", recorded).is_err());
    }
}
