//! Names with dots, and the nested JSON that they stand for.

use serde_json::{Map, Value};

/// Puts a value at a name, making the objects on the way.
pub(super) fn put(document: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            document.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = document.entry(section).or_insert_with(|| Value::Object(Map::new()));
            // What is no object cannot hold the item, so it is replaced.
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The value at a name.
pub(super) fn get<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => document.get(name),
        Some((section, rest)) => get(document.get(section)?.as_object()?, rest),
    }
}

/// Takes over what `document` lacks from `other`, so that what another version wrote is not lost.
pub(super) fn complete(document: &mut Map<String, Value>, other: &Map<String, Value>) {
    for (name, value) in other {
        match (document.get_mut(name), value) {
            (None, value) => {
                document.insert(name.clone(), value.clone());
            }
            (Some(Value::Object(known)), Value::Object(other)) => complete(known, other),
            (Some(_), _) => {}
        }
    }
}
