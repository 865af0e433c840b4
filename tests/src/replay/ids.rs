//! The ids of stores, Regions and peers in recorded messages: found by type and field, and replaced.
//!
//! A replay with every id shifted by a constant catches the server that got an answer right by luck, because an id
//! equals another id, a count or a default there.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

/// The shift of all ids; 0 stays 0, because 0 means "none" on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise(pub u64);

/// The words in error texts after which an id stands.
const BEFORE_AN_ID: [&str; 10] =
    ["store ", "store id ", "!= ", " id:", "region ", "region:", "Region ", "peer ", "replica on ", "to ["];

impl Raise {
    /// One id.
    #[must_use]
    pub fn id(self, id: u64) -> u64 {
        if id == 0 { 0 } else { id + self.0 }
    }

    /// Every id in a message.
    pub fn message(self, message: &mut DynamicMessage) {
        replace(message, &mut |id| self.id(id));
    }

    /// The ids in an error text.
    #[must_use]
    pub fn text(self, text: &str) -> String {
        let mut raised = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            match rest[..digits].parse::<u64>() {
                Ok(id) if BEFORE_AN_ID.iter().any(|word| raised.ends_with(word)) => {
                    raised.push_str(&self.id(id).to_string());
                    rest = &rest[digits..];
                }
                Ok(_) => {
                    raised.push_str(&rest[..digits]);
                    rest = &rest[digits..];
                }
                Err(_) => {
                    raised.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        raised
    }
}

/// Replaces every id in a message by what `other` makes of it.
pub fn replace(message: &mut DynamicMessage, other: &mut dyn FnMut(u64) -> u64) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    let owner = message.descriptor().full_name().to_string();
    for field in fields {
        replace_value(is_id(&owner, field.name()), message.get_field_mut(&field), other);
    }
}

fn replace_value(is_id: bool, value: &mut Value, other: &mut dyn FnMut(u64) -> u64) {
    match value {
        Value::U64(id) if is_id => *id = other(*id),
        Value::Message(inner) => replace(inner, other),
        Value::List(items) => items.iter_mut().for_each(|item| replace_value(is_id, item, other)),
        Value::Map(entries) => entries.values_mut().for_each(|item| replace_value(is_id, item, other)),
        Value::U64(_)
        | Value::I64(_)
        | Value::U32(_)
        | Value::I32(_)
        | Value::Bool(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::EnumNumber(_) => {}
    }
}

/// Whether a field names a store, a Region or a peer of the recorded cluster. (Ids that PD draws are masked instead.)
fn is_id(message: &str, field: &str) -> bool {
    match field {
        "store_id" | "region_id" => true,
        "id" => ["metapb.Store", "metapb.Region", "metapb.Peer"].contains(&message),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Raise;
    use crate::replay::dynamic::{Wire, from_json, to_json};
    use serde_json::json;

    #[test]
    fn ids_rise_and_zero_stays() {
        let kind = Wire::compiled().unwrap().message("pdpb.RegionHeartbeatRequest").unwrap();
        let sent = json!({"header": {"cluster_id": "7"}, "term": "6", "approximate_size": "5",
            "region": {"id": "2", "region_epoch": {"conf_ver": "1"}, "peers": [{"id": "3", "store_id": "1"}, {}]}});
        let mut message = from_json(&kind, &sent).unwrap();
        Raise(1000).message(&mut message);
        let raised = json!({"header": {"cluster_id": "7"}, "term": "6", "approximate_size": "5",
            "region": {"id": "1002", "region_epoch": {"conf_ver": "1"}, "peers": [{"id": "1003", "store_id": "1001"}, {}]}});
        assert_eq!(to_json(&message).unwrap(), raised);
    }

    #[test]
    fn only_ids_of_a_text_rise() {
        let raise = |text| Raise(1000).text(text);
        assert_eq!(raise("store 99 not found"), "store 1099 not found");
        assert_eq!(
            raise("invalid peer store id 7 != 1 for bootstrap 55"),
            "invalid peer store id 1007 != 1001 for bootstrap 55"
        );
        assert_eq!(raise("region peer count 0, must be 1"), "region peer count 0, must be 1");
        assert_eq!(raise("cluster_id:7 , by id:1 address"), "cluster_id:7 , by id:1001 address");
        assert_eq!(Raise(0).text("store 99 not found"), "store 99 not found");
    }
}
