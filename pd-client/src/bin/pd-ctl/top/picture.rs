//! What is known of the cluster just now: the newest of every topic.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::events::Event;
use super::rows::{KeyMap, MemberRow, OperatorRow, StoreRow};
use crate::health::Health;

/// The cluster, as far as it was told.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// The verdict.
    pub health: Health,
    /// Stores by id.
    pub stores: BTreeMap<u64, StoreRow>,
    /// Operators by id.
    pub operators: BTreeMap<u64, OperatorRow>,
    /// Members by id.
    pub members: BTreeMap<String, MemberRow>,
    /// The key space.
    pub map: KeyMap,
    /// When anything came last, in ms since 1970.
    pub heard_ms: u64,
    /// Why nothing comes at the moment.
    pub broken: Option<String>,
    /// The last change of the leader, in words.
    pub change: Option<String>,
}

/// Rows of one topic: all of them, or those that changed.
#[derive(Debug, Deserialize)]
struct Rows {
    #[serde(default = "yes")]
    full: bool,
    #[serde(default)]
    rows: Vec<Value>,
    #[serde(default)]
    gone: Vec<Value>,
}

/// A list that is asked for, not streamed, is whole.
fn yes() -> bool {
    true
}

impl Picture {
    /// Takes an event in. What cannot be read is left out: one bad row must not empty the screen.
    pub fn take(&mut self, event: &Event, now_ms: u64) {
        self.heard_ms = now_ms;
        self.broken = None;
        match event.topic.as_str() {
            "health" => {
                if let Ok(health) = serde_json::from_str(&event.data) {
                    self.judge(health);
                }
            }
            "stores" => merge(&mut self.stores, &event.data, |row: &StoreRow| row.id, Value::as_u64),
            "operators" => {
                merge(&mut self.operators, &event.data, |row: &OperatorRow| row.id, Value::as_u64);
            }
            "members" => merge(
                &mut self.members,
                &event.data,
                |row: &MemberRow| row.id.clone(),
                |id| id.as_str().map(str::to_owned),
            ),
            "map" => {
                if let Ok(map) = serde_json::from_str(&event.data) {
                    self.map = map;
                }
            }
            "resync" => {
                self.stores.clear();
                self.operators.clear();
                self.members.clear();
            }
            _ => {}
        }
    }

    fn judge(&mut self, health: Health) {
        let before = self.health.leader.take();
        if let (Some(old), Some(new)) = (&before, &health.leader)
            && old != new
        {
            self.change = Some(format!("{old} led, now {new} leads (term {})", health.term));
        } else if let (Some(old), None) = (&before, &health.leader) {
            self.change = Some(format!("{old} led, now nobody does"));
        } else if let (None, Some(_), Some(new)) = (&before, &self.change, &health.leader) {
            self.change = Some(format!("{new} leads since term {}", health.term));
        }
        self.health = health;
    }

    /// Stores that are of interest.
    pub fn live_stores(&self) -> impl Iterator<Item = &StoreRow> {
        self.stores.values().filter(|store| !store.is_gone())
    }

    /// Operators under way.
    pub fn open_operators(&self) -> impl Iterator<Item = &OperatorRow> {
        self.operators.values().filter(|operator| operator.is_open())
    }
}

/// The data behind one frame, for `-o json`: what each question was answered.
pub fn data(answers: &[(&str, String)]) -> String {
    let parts = answers
        .iter()
        .map(|(topic, text)| ((*topic).to_owned(), serde_json::from_str(text).unwrap_or(Value::Null)));
    format!("{:#}", json!(parts.collect::<serde_json::Map<_, _>>()))
}

fn merge<K: Ord, R: for<'de> Deserialize<'de>>(
    into: &mut BTreeMap<K, R>,
    data: &str,
    id_of: impl Fn(&R) -> K,
    id: impl Fn(&Value) -> Option<K>,
) {
    let Ok(rows) = serde_json::from_str::<Rows>(data) else { return };
    if rows.full {
        into.clear();
    }
    for gone in rows.gone.iter().filter_map(id) {
        into.remove(&gone);
    }
    for row in rows.rows.into_iter().filter_map(|row| serde_json::from_value::<R>(row).ok()) {
        into.insert(id_of(&row), row);
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Picture};

    fn told(picture: &mut Picture, topic: &str, data: &str) {
        picture.take(&Event { topic: topic.into(), data: data.into() }, 1);
    }

    #[test]
    fn rows_are_replaced_changed_and_taken_away() {
        let mut picture = Picture::default();
        told(
            &mut picture,
            "stores",
            r#"{"full": true, "rows": [{"id": 1}, {"id": 2, "address": "a"}, {"id": "x"}]}"#,
        );
        told(&mut picture, "stores", r#"{"full": false, "rows": [{"id": 2, "address": "b"}], "gone": [1]}"#);
        assert_eq!(picture.stores.keys().copied().collect::<Vec<_>>(), [2]);
        assert_eq!(picture.stores[&2].address, "b");
        told(&mut picture, "stores", r#"{"full": true, "rows": []}"#);
        assert!(picture.stores.is_empty());
    }

    #[test]
    fn a_change_of_the_leader_is_told() {
        let mut picture = Picture::default();
        let health = |leader: &str, term: u64| format!(r#"{{"leader": {leader}, "term": {term}}}"#);
        told(&mut picture, "health", &health("\"pd-1\"", 3));
        assert_eq!(picture.change, None);
        told(&mut picture, "health", &health("null", 3));
        assert_eq!(picture.change.as_deref(), Some("pd-1 led, now nobody does"));
        told(&mut picture, "health", &health("null", 3));
        assert_eq!(picture.change.as_deref(), Some("pd-1 led, now nobody does"));
        told(&mut picture, "health", &health("\"pd-2\"", 4));
        assert_eq!(picture.change.as_deref(), Some("pd-2 leads since term 4"));
        told(&mut picture, "health", &health("\"pd-2\"", 4));
        assert_eq!(picture.change.as_deref(), Some("pd-2 leads since term 4"));
    }
}
