//! Two masked outcomes side by side: every difference, by where it is.

use serde_json::Value;

use super::record::Outcome;
use super::text;

/// What our outcome has other than the recorded one, one line each; nothing when they agree.
#[must_use]
pub fn differences(recorded: &Outcome, ours: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.code != ours.code {
        found.push(format!("code: recorded {}, ours {} {:?}", recorded.code, ours.code, ours.details));
    } else if !text::agree(&recorded.details, &ours.details) {
        found.push(format!("details: recorded {:?}, ours {:?}", recorded.details, ours.details));
    }
    if recorded.answers.len() != ours.answers.len() {
        let (there, here) = (recorded.answers.len(), ours.answers.len());
        found.push(format!(
            "number of answers: recorded {there}, ours {here}: {}",
            Value::from(ours.answers.clone())
        ));
    }
    for (at, (there, here)) in recorded.answers.iter().zip(&ours.answers).enumerate() {
        value(&format!("answer {at}"), Some(there), Some(here), &mut found);
    }
    found
}

fn value(path: &str, recorded: Option<&Value>, ours: Option<&Value>, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Some(Value::Object(there)), Some(Value::Object(here))) => {
            let only_here = here.keys().filter(|name| !there.contains_key(*name));
            for name in there.keys().chain(only_here) {
                value(&format!("{path}.{name}"), there.get(name), here.get(name), found);
            }
        }
        (Some(Value::Array(there)), Some(Value::Array(here))) => {
            for at in 0..there.len().max(here.len()) {
                value(&format!("{path}[{at}]"), there.get(at), here.get(at), found);
            }
        }
        (Some(Value::String(there)), Some(Value::String(here))) if path.ends_with(".error.message") => {
            if !text::agree(there, here) {
                found.push(format!("{path}: recorded {there:?}, ours {here:?}"));
            }
        }
        (there, here) if there == here => {}
        (there, here) => found.push(format!("{path}: recorded {}, ours {}", shown(there), shown(here))),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_string(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::replay::record::Outcome;
    use serde_json::{Value, json};

    fn ok(answers: Vec<Value>) -> Outcome {
        Outcome { code: "OK".into(), details: String::new(), answers }
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let recorded = ok(vec![json!({"a": {"b": "1"}, "list": ["x", "y"]})]);
        assert!(differences(&recorded, &recorded.clone()).is_empty());
        let others = [
            ok(vec![]),
            ok(vec![json!({"a": {"b": "2"}, "list": ["x", "y"]})]),
            ok(vec![json!({"a": {}, "list": ["x", "y"]})]),
            ok(vec![json!({"a": {"b": "1", "c": "1"}, "list": ["x", "y"]})]),
            ok(vec![json!({"a": {"b": "1"}, "list": ["x"]})]),
            ok(vec![json!({"a": {"b": "1"}, "list": ["y", "x"]})]),
            Outcome { code: "UNKNOWN".into(), ..recorded.clone() },
            Outcome { details: "more".into(), ..recorded.clone() },
        ];
        for other in others {
            assert!(!differences(&recorded, &other).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn the_difference_says_where() {
        let found = differences(&ok(vec![json!({"a": [{"b": "1"}]})]), &ok(vec![json!({"a": [{"b": "2"}]})]));
        assert_eq!(found, vec!["answer 0.a[0].b: recorded \"1\", ours \"2\""]);
    }
}
