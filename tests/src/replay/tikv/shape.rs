//! The shape of an answer: which fields are present, not what they hold.

use std::collections::BTreeSet;

use serde_json::Value;

/// Numbers and states that are absent from JSON while they are zero, and whose value only time decides: how soon a
/// store is Serving, how many peers it had at its last heartbeat, where in a millisecond a timestamp fell.
const DECIDED_BY_TIME: [&str; 5] = ["node_state", "state", "region_count", "logical", "cpu_usages"];

/// What our answer's shape has other than the recorded one's, one line each.
#[must_use]
pub fn differences(recorded: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("answer", &[recorded], ours, &mut found);
    found
}

/// Compares with what all `recorded` samples of this place have in common and with what any of them has.
fn compare(path: &str, recorded: &[&Value], ours: &Value, found: &mut Vec<String>) {
    match ours {
        Value::Object(fields) => {
            let samples: Vec<_> = recorded.iter().filter_map(|sample| sample.as_object()).collect();
            let names: BTreeSet<&String> =
                fields.keys().chain(samples.iter().flat_map(|s| s.keys())).collect();
            for name in names.into_iter().filter(|name| !DECIDED_BY_TIME.contains(&name.as_str())) {
                let there: Vec<&Value> = samples.iter().filter_map(|sample| sample.get(name)).collect();
                match fields.get(name) {
                    Some(_) if there.is_empty() => found.push(format!("{path}.{name} is new")),
                    Some(value) => compare(&format!("{path}.{name}"), &there, value, found),
                    None if there.len() == samples.len() => found.push(format!("{path}.{name} is missing")),
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            let samples: Vec<&Value> = recorded.iter().filter_map(|s| s.as_array()).flatten().collect();
            if items.is_empty() != samples.is_empty() {
                found.push(format!("{path} has {} items, recorded {}", items.len(), samples.len()));
            }
            for (at, item) in items.iter().enumerate() {
                compare(&format!("{path}[{at}]"), &samples, item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::differences;
    use serde_json::json;

    #[test]
    fn values_may_differ_and_fields_may_not() {
        let recorded = json!({"header": {"cluster_id": "1"}, "count": 1, "timestamp": {"physical": "1", "logical": "1"}});
        let same = json!({"header": {"cluster_id": "2"}, "count": 2, "timestamp": {"physical": "3"}});
        assert!(differences(&recorded, &same).is_empty());
        let error =
            json!({"header": {"cluster_id": "2", "error": {}}, "count": 2, "timestamp": {"physical": "3"}});
        assert_eq!(differences(&recorded, &error), vec!["answer.header.error is new"]);
        let short = json!({"header": {"cluster_id": "2"}, "timestamp": {}});
        assert_eq!(
            differences(&recorded, &short),
            vec!["answer.count is missing", "answer.timestamp.physical is missing"]
        );
    }

    #[test]
    fn items_of_a_list_have_what_all_recorded_ones_have() {
        let recorded = json!({"stores": [{"id": "1", "last_heartbeat": "5"}, {"id": "2"}]});
        assert!(differences(&recorded, &json!({"stores": [{"id": "7"}]})).is_empty());
        assert_eq!(differences(&recorded, &json!({"stores": [{}]})), vec!["answer.stores[0].id is missing"]);
        assert_eq!(differences(&recorded, &json!({})), vec!["answer.stores is missing"]);
        assert_eq!(
            differences(&recorded, &json!({"stores": [{"id": "7", "x": 1}]})),
            vec!["answer.stores[0].x is new"]
        );
    }
}
