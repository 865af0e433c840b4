//! Parsers of the configuration, fed with anything.

use serde_json::{Map, Value};

use super::ServerUrl;
use super::draft::Draft;
use super::file::File;
use super::settings::Settings;
use super::value::{format_duration, format_size, parse_bool, parse_duration, parse_size};
use crate::fuzz::text;

/// A configuration file.
pub fn config_file(data: &[u8]) {
    if let Ok(file) = File::parse(&text(data)) {
        let _ = (file.without_effect(), file.stated());
    }
}

/// Items that are changed, as `POST /config` has them: what is refused changes nothing.
pub fn config_change(data: &[u8]) {
    let Ok(items) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    let mut draft = Draft::new(Settings::first(&Default::default()), "fuzz", 1_000);
    for (name, value) in &items {
        let before = draft.section("schedule");
        if draft.set(name, value).is_err() {
            assert_eq!(draft.section("schedule"), before, "{name} was refused");
        }
    }
    let _ = draft.set_section("replication", &items);
    let _ = draft.into_settings().planner_config();
}

/// Durations, sizes, booleans: what is read is written so that it is read again.
pub fn config_value(data: &[u8]) {
    let text = text(data);
    if let Ok(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text:?}");
    }
    if let Ok(size) = parse_size(&text) {
        assert_eq!(parse_size(&format_size(size)), Ok(size), "{text:?}");
    }
    let _ = parse_bool(&text);
}

/// URLs of members, one or several.
pub fn server_urls(data: &[u8]) {
    for url in ServerUrl::parse_list(&text(data)).unwrap_or_default() {
        assert_eq!(ServerUrl::parse(&url.to_string()), Ok(url));
    }
}
