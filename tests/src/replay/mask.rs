//! What differs between two servers that do the same: taken out of an answer before it is compared, and nothing else.

use serde_json::{Map, Value};

use super::record::{Outcome, RECORDED_CLIENT_URL, RECORDED_CLUSTER_ID, RECORDED_PEER_URL};

/// What stands for a value that must be there but may be any.
const ANY_TIME: &str = "<time>";
const ANY_REVISION: &str = "<revision>";
const DRAWN_ID: &str = "<drawn>";
const CLUSTER_ID: &str = "<cluster>";
const OTHER_CLUSTER_ID: &str = "<cluster + 1>";
const CLIENT_URL: &str = "<client url>";
const PEER_URL: &str = "<peer url>";

/// The values of one server that are its own.
#[derive(Debug, Clone)]
pub struct Mask {
    cluster_id: u64,
    client_url: String,
    peer_url: String,
}

impl Mask {
    /// For a server of this cluster id that listens on these URLs.
    #[must_use]
    pub fn new(cluster_id: u64, client_url: &str, peer_url: &str) -> Mask {
        Mask { cluster_id, client_url: client_url.to_string(), peer_url: peer_url.to_string() }
    }

    /// For the tikv/pd that was recorded.
    #[must_use]
    pub fn recorded() -> Mask {
        Mask::new(RECORDED_CLUSTER_ID, RECORDED_CLIENT_URL, RECORDED_PEER_URL)
    }

    /// Masks all that a call brought back: whole timestamps, own addresses, ids drawn by PD, keepalives that are a bare
    /// header, and the order of lists that have none.
    #[must_use]
    pub fn outcome(&self, rpc: &str, outcome: &Outcome) -> Outcome {
        let keepalives = rpc == "pdpb.PD/RegionHeartbeat";
        let answers = outcome.answers.iter().filter(|answer| !(keepalives && is_bare_header(answer)));
        let masked = answers.map(|answer| {
            let mut answer = answer.clone();
            self.value(rpc, &mut answer);
            answer
        });
        Outcome {
            code: outcome.code.clone(),
            details: self.text(&outcome.details),
            answers: masked.collect(),
        }
    }

    fn value(&self, rpc: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    self.field(rpc, name, field);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(rpc, item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn field(&self, rpc: &str, name: &str, value: &mut Value) {
        match (rpc, name) {
            (_, "timestamp" | "last_heartbeat") => *value = ANY_TIME.into(),
            // The revision counts all that is written, also by the server itself.
            (_, "revision" | "create_revision" | "mod_revision") => *value = ANY_REVISION.into(),
            (_, "created_at" | "state_changed_at") => *value = ANY_TIME.into(),
            (_, "member_id")
            | ("pdpb.PD/AllocID", "id")
            | ("pdpb.PD/AskBatchSplit" | "pdpb.PD/AskSplit", "new_region_id") => {
                *value = DRAWN_ID.into();
            }
            ("pdpb.PD/AskBatchSplit" | "pdpb.PD/AskSplit", "new_peer_ids") => {
                for id in value.as_array_mut().into_iter().flatten() {
                    *id = DRAWN_ID.into();
                }
            }
            (_, "cluster_id" | "message") => {
                if let Value::String(text) = value {
                    *text = self.text(text);
                }
            }
            (_, "client_urls") => mask_equal(value, &self.client_url, CLIENT_URL),
            (_, "peer_urls") => mask_equal(value, &self.peer_url, PEER_URL),
            _ => {
                self.value(rpc, value);
                if let (true, Value::Array(items)) = (has_accidental_order(name), value) {
                    items.sort_by_key(sort_key);
                }
            }
        }
    }

    /// A text with the cluster id (and the wrong one that the record asks with) taken out.
    fn text(&self, text: &str) -> String {
        text.replace(&(self.cluster_id + 1).to_string(), OTHER_CLUSTER_ID)
            .replace(&self.cluster_id.to_string(), CLUSTER_ID)
    }
}

/// A heartbeat answer that only says "I am here".
fn is_bare_header(answer: &Value) -> bool {
    let has_error = answer.get("header").is_some_and(|header| header.get("error").is_some());
    answer.as_object().is_some_and(|fields| fields.keys().all(|name| name == "header")) && !has_error
}

/// tikv/pd keeps these in Go maps. Regions, peers, keys and ids of a split have an order.
fn has_accidental_order(list: &str) -> bool {
    ["stores", "labels"].contains(&list)
}

fn sort_key(item: &Value) -> (u64, String) {
    let fields = item.as_object();
    let text = |name: &str| fields.and_then(|f: &Map<String, Value>| f.get(name)).and_then(Value::as_str);
    (text("id").and_then(|id| id.parse().ok()).unwrap_or(0), text("key").unwrap_or_default().to_string())
}

fn mask_equal(urls: &mut Value, own: &str, mask: &str) {
    for url in urls.as_array_mut().into_iter().flatten() {
        if url.as_str() == Some(own) {
            *url = mask.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use crate::replay::record::Outcome;
    use serde_json::{Value, json};

    fn masked(rpc: &str, answer: Value) -> Vec<Value> {
        let outcome = Outcome { code: "OK".into(), details: String::new(), answers: vec![answer] };
        Mask::new(70, "http://a:1", "http://a:2").outcome(rpc, &outcome).answers
    }

    #[test]
    fn foreign_values_stay() {
        let answer =
            json!({"header": {"cluster_id": "72"}, "members": [{"client_urls": ["http://b:1"]}], "id": "9"});
        assert_eq!(masked("pdpb.PD/GetMembers", answer.clone()), vec![answer]);
    }

    #[test]
    fn own_values_go() {
        let answer = json!({"header": {"cluster_id": "70"}, "leader": {"client_urls": ["http://a:1"], "member_id": "5"}});
        let expected = json!({"header": {"cluster_id": "<cluster>"}, "leader": {"client_urls": ["<client url>"], "member_id": "<drawn>"}});
        assert_eq!(masked("pdpb.PD/GetMembers", answer), vec![expected]);
    }

    #[test]
    fn a_keepalive_goes_and_an_error_stays() {
        let keepalive = json!({"header": {"cluster_id": "70"}});
        assert!(masked("pdpb.PD/RegionHeartbeat", keepalive.clone()).is_empty());
        assert_eq!(masked("pdpb.PD/IsBootstrapped", keepalive).len(), 1);
        assert_eq!(
            masked("pdpb.PD/RegionHeartbeat", json!({"header": {"error": {"type": "UNKNOWN"}}})).len(),
            1
        );
    }

    #[test]
    fn lists_without_order_are_sorted_by_number() {
        let answer = json!({"stores": [{"id": "10"}, {"id": "9"}], "regions": [{"id": "10"}, {"id": "9"}]});
        let expected = json!({"stores": [{"id": "9"}, {"id": "10"}], "regions": [{"id": "10"}, {"id": "9"}]});
        assert_eq!(masked("pdpb.PD/GetAllStores", answer), vec![expected]);
    }
}
