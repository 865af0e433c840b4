//! An answer as text, as the recorded tools show it: JSON in one of its forms, or words. Masked and compared as a value,
//! while its form (indent, newline at the end) is compared as it is.

use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::ids::Raise;

/// What stands for a value that must be there but may be any.
const ANY: &str = "<any>";

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Words.
    Words,
    /// JSON without blanks.
    Compact,
    /// JSON with an indent of so many blanks.
    Indented(usize),
}

/// A text, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its form.
    pub form: Form,
    /// It ends with a newline.
    pub newline: bool,
    /// The value; words are a string.
    pub value: Value,
}

/// The names of one server for itself, and what stands for them.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(String, &'static str)>);

impl Names {
    /// Of a server with this cluster id and these addresses (`host:port`).
    #[must_use]
    pub fn new(cluster_id: u64, client: &str, peer: &str) -> Names {
        Names(vec![
            (cluster_id.to_string(), "<cluster>"),
            (client.to_owned(), "<client address>"),
            (peer.to_owned(), "<peer address>"),
        ])
    }

    /// Other addresses that mean the same.
    #[must_use]
    pub fn also(mut self, client: &str, peer: &str) -> Names {
        self.0.extend([(client.to_owned(), "<client address>"), (peer.to_owned(), "<peer address>")]);
        self
    }

    /// A member's default name, which comes from its machine's.
    #[must_use]
    pub fn of_host(mut self, name: &str) -> Names {
        self.0.push((name.to_owned(), "<default name>"));
        self
    }

    fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, mask)| text.replace(name, mask))
    }
}

impl Answer {
    /// A value, to be written without blanks.
    #[must_use]
    pub fn value(value: Value) -> Answer {
        Answer { form: Form::Compact, newline: false, value }
    }

    /// Reads a text.
    #[must_use]
    pub fn read(text: &str) -> Answer {
        let newline = text.ends_with('\n');
        let body = text.strip_suffix('\n').unwrap_or(text);
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            return Answer { form: Form::Words, newline, value: Value::from(body) };
        };
        let forms = [Form::Compact, Form::Indented(2), Form::Indented(4)];
        // Bare numbers and strings look the same in all forms. Numbers are compared as values: languages write them
        // in different ways.
        let blanks = |text: &str| text.lines().map(|l| l.len() - l.trim_start().len()).collect::<Vec<_>>();
        let form = forms.into_iter().find(|form| {
            let written = write(&value, *form);
            blanks(&written) == blanks(body) && (*form != Form::Compact || !has_outer_blank(body))
        });
        match form {
            Some(form) => Answer { form, newline, value },
            None => Answer { form: Form::Words, newline, value: Value::from(body) },
        }
    }

    /// With all ids of stores, Regions and peers raised.
    #[must_use]
    pub fn raised(mut self, raise: Raise) -> Answer {
        raise_value(raise, None, &mut self.value);
        self
    }

    /// With times, drawn ids, own addresses and accidental order taken out.
    #[must_use]
    pub fn masked(mut self, names: &Names) -> Answer {
        mask_value(names, None, &mut self.value);
        self
    }

    /// The text that reads as this.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match (&self.value, self.form) {
            (Value::String(words), Form::Words) => words.clone(),
            (value, form) => write(value, form),
        };
        if self.newline {
            text.push('\n');
        }
        text
    }

    /// Only the names and kinds of what is in it.
    #[must_use]
    pub fn shape(mut self) -> Answer {
        shape_value(&mut self.value);
        self
    }
}

/// Where two answers differ, one line each.
#[must_use]
pub fn differences(recorded: &Answer, ours: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if (recorded.form, recorded.newline) != (ours.form, ours.newline) {
        found.push(format!(
            "form: recorded {:?} newline {}, ours {:?} newline {}",
            recorded.form, recorded.newline, ours.form, ours.newline
        ));
    }
    compare("", Some(&recorded.value), Some(&ours.value), &mut found);
    found
}

/// Most differences that are worth reading of one answer.
const SHOWN_MAX: usize = 8;

fn compare(path: &str, recorded: Option<&Value>, ours: Option<&Value>, found: &mut Vec<String>) {
    if found.len() >= SHOWN_MAX {
        return;
    }
    match (recorded, ours) {
        (Some(Value::Object(there)), Some(Value::Object(here))) => {
            let names = |fields: &serde_json::Map<String, Value>| fields.keys().cloned().collect::<Vec<_>>();
            let (there_names, here_names) = (names(there), names(here));
            let only_here = here_names.iter().filter(|name| !there.contains_key(*name));
            for name in there_names.iter().chain(only_here) {
                compare(&format!("{path}.{name}"), there.get(name), here.get(name), found);
            }
            if there_names != here_names && there_names.len() == here_names.len() && found.is_empty() {
                found.push(format!("{path}: order of names: recorded {there_names:?}, ours {here_names:?}"));
            }
        }
        (Some(Value::Array(there)), Some(Value::Array(here))) => {
            for at in 0..there.len().max(here.len()) {
                compare(&format!("{path}[{at}]"), there.get(at), here.get(at), found);
            }
        }
        (there, here) if there == here => {}
        (Some(Value::Number(there)), Some(Value::Number(here))) if close(there, here) => {}
        (there, here) => found.push(format!("{path}: recorded {}, ours {}", shown(there), shown(here))),
    }
}

/// Scores are floating-point: the last digits depend on the order of the steps.
fn close(there: &serde_json::Number, here: &serde_json::Number) -> bool {
    match (there.as_f64(), here.as_f64()) {
        (Some(there), Some(here)) if there.fract() != 0.0 => (there - here).abs() <= there.abs() * 1e-9,
        _ => false,
    }
}

fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    text.chars().take(400).collect()
}

fn write(value: &Value, form: Form) -> String {
    use serde::Serialize;
    let mut out = Vec::new();
    let written = match form {
        Form::Compact | Form::Words => serde_json::to_writer(&mut out, value),
        Form::Indented(blanks) => {
            let indent = " ".repeat(blanks);
            let mut writer =
                Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(indent.as_bytes()));
            value.serialize(&mut writer)
        }
    };
    debug_assert!(written.is_ok(), "a value can be written");
    String::from_utf8(out).unwrap_or_default()
}

/// `{ "a"` or `"a": 1`: blanks that compact JSON has not.
fn has_outer_blank(text: &str) -> bool {
    text.contains("\": ") && !text.contains("\\\"")
}

/// The fields that hold an id of a store, a Region or a peer.
fn is_id(name: &str) -> bool {
    ["id", "store_id", "region_id", "to_store_id", "from_store_id", "source_region_id", "target_region_id"]
        .contains(&name)
}

/// Objects whose field names are ids of stores.
fn is_keyed_by_store(name: &str) -> bool {
    name == "store-limit" || name.starts_with("store_leader_") || name.starts_with("store_peer_")
}

fn raise_value(raise: Raise, name: Option<&str>, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let keyed = name.is_some_and(is_keyed_by_store)
                || (!fields.is_empty() && fields.keys().all(|name| name.parse::<u64>().is_ok()));
            let taken = std::mem::take(fields);
            for (name, mut field) in taken {
                raise_value(raise, Some(&name), &mut field);
                let name = match name.parse::<u64>() {
                    Ok(id) if keyed => raise.id(id).to_string(),
                    _ => name,
                };
                fields.insert(name, field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| raise_value(raise, name, item)),
        Value::Number(number) if name.is_some_and(is_id) => {
            // A cluster's or a member's id is a hash; those of the record are small.
            if let Some(id) = number.as_u64().filter(|id| *id <= u64::from(u32::MAX)) {
                *value = raise.id(id).into();
            }
        }
        Value::String(text) => *text = raise.text(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Fields of a moment, and what depends on the machine.
fn is_masked(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "last_heartbeat",
        "last_heartbeat_ts",
        "uptime",
        "member_id",
        "raft_bootstrap_time",
        "created_at",
        "state_changed_at",
        "build_ts",
        "data-dir",
    ];
    NAMES.contains(&name)
}

fn mask_value(names: &Names, name: Option<&str>, value: &mut Value) {
    if name.is_some_and(is_masked) {
        *value = ANY.into();
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                mask_value(names, Some(name), field);
            }
            // Of members only: what a store says of itself is part of the fed state.
            if ["binary_version", "client_urls", "build_ts"].iter().any(|name| fields.contains_key(*name)) {
                fields.retain(|name, _| {
                    !["deploy_path", "git_hash", "start_timestamp"].contains(&name.as_str())
                });
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| mask_value(names, name, item));
            if has_accidental_order(name, items) {
                items.sort_by_key(sort_key);
            }
        }
        Value::String(text) => *text = times_masked(&names.mask(text)),
        Value::Number(number) => {
            let masked = names.mask(&number.to_string());
            if masked != number.to_string() {
                *value = masked.into();
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

/// tikv/pd keeps these in Go maps. Peers and the lists by rank have an order.
fn has_accidental_order(name: Option<&str>, items: &[Value]) -> bool {
    match name {
        Some("stores" | "labels" | "regions") => true,
        // A list at the top: stores, labels, schedulers, operators.
        None => items.iter().all(|item| item.is_object() || item.is_string()),
        Some(_) => false,
    }
}

fn sort_key(item: &Value) -> (u64, String) {
    let id = item.get("id").or_else(|| item.pointer("/store/id")).and_then(Value::as_u64).unwrap_or(0);
    (id, item.to_string())
}

/// A text with moments (`2026-11-23 20:30:43.7 +0000 UTC m=+28.3`, RFC 3339) and lengths behind `duration:` taken out.
fn times_masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(length) = moment(rest) {
            out.push_str(ANY);
            rest = &rest[length..];
        } else if out.ends_with("duration:") && next.is_ascii_digit() {
            out.push_str(ANY);
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == 'µ');
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// The length of the moment that a text begins with.
fn moment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits =
        |from: usize, to: usize| bytes.get(from..to).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    let is_date = digits(0, 4)
        && bytes.get(4) == Some(&b'-')
        && digits(5, 7)
        && bytes.get(7) == Some(&b'-')
        && digits(8, 10);
    if !is_date || !matches!(bytes.get(10), Some(b' ' | b'T')) || !digits(11, 13) {
        return None;
    }
    let in_clock = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | 'Z' | 'T' | '-');
    let mut end = 11 + text[11..].find(|c| !in_clock(c)).unwrap_or(text.len() - 11);
    for suffix in [" +0000", " UTC", " m=+"] {
        if text[end..].starts_with(suffix) {
            end += suffix.len();
        }
    }
    if text[..end].ends_with("m=+") {
        end += text[end..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len() - end);
    }
    Some(end)
}

fn shape_value(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(shape_value),
        Value::Array(items) => {
            items.truncate(1);
            items.iter_mut().for_each(shape_value);
        }
        Value::String(_) => *value = "<text>".into(),
        Value::Number(_) => *value = "<number>".into(),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Form, Names, differences, times_masked};
    use crate::replay::ids::Raise;

    #[test]
    fn forms_are_told_apart() {
        for (text, form, newline) in [
            ("404 page not found\n", Form::Words, true),
            ("{\"a\":1,\"b\":[1,2]}", Form::Compact, false),
            ("{\n  \"a\": 1\n}\n", Form::Indented(2), true),
            ("{\n    \"a\": 1\n}", Form::Indented(4), false),
            ("\"done\"\n", Form::Compact, true),
            ("", Form::Words, false),
        ] {
            let answer = Answer::read(text);
            assert_eq!((answer.form, answer.newline), (form, newline), "{text}");
            assert_eq!(answer.text(), text);
        }
    }

    #[test]
    fn another_form_order_or_value_is_a_difference() {
        let recorded = Answer::read("{\n  \"a\": 1,\n  \"b\": \"x\"\n}\n");
        assert!(differences(&recorded, &recorded.clone()).is_empty());
        for ours in [
            "{\"a\":1,\"b\":\"x\"}\n",
            "{\n  \"a\": 1,\n  \"b\": \"x\"\n}",
            "{\n  \"b\": \"x\",\n  \"a\": 1\n}\n",
            "{\n  \"a\": 2,\n  \"b\": \"x\"\n}\n",
            "{\n  \"a\": 1\n}\n",
            "{\n  \"a\": \"1\",\n  \"b\": \"x\"\n}\n",
        ] {
            assert!(!differences(&recorded, &Answer::read(ours)).is_empty(), "{ours}");
        }
    }

    #[test]
    fn ids_rise_where_they_are_ids() {
        let text =
            "{\"id\":7,\"count\":7,\"store_leader_count\":{\"1\":2},\"text\":\"remove peer on store 6\"}";
        let raised = "{\"id\":1007,\"count\":7,\"store_leader_count\":{\"1001\":2},\"text\":\"remove peer on store 1006\"}";
        assert_eq!(Answer::read(text).raised(Raise(1000)).text(), raised);
    }

    #[test]
    fn moments_and_own_names_are_masked() {
        let names = Names::new(77_777_777, "127.0.0.1:2379", "127.0.0.1:2380");
        let text = "{\"id\":77777777,\"url\":\"http://127.0.0.1:2379\",\"at\":\"2026-11-23T20:30:38.6Z\"}";
        let masked = "{\"id\":\"<cluster>\",\"url\":\"http://<client address>\",\"at\":\"<any>\"}";
        assert_eq!(Answer::read(text).masked(&names).text(), masked);
        assert_eq!(
            times_masked("createAt:2026-11-23 20:30:43.7 +0000 UTC m=+28.32, duration:2.0ms)"),
            "createAt:<any>, duration:<any>)"
        );
        assert_eq!(times_masked("size:15, v9.0.0-beta.2"), "size:15, v9.0.0-beta.2");
    }
}
