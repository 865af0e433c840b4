//! The configuration as HTTP shows it: tikv/pd's names, forms and order.

use serde_json::{Map, Value};

use super::file::File;
use super::items::{self, Duty, Item};
use super::settings::Settings;
use super::{Config, Flags, InitialMember, LogLevel, ServerUrl, document, hostname};

/// The item that tikv/pd leaves out unless it is set.
const LEFT_OUT: &str = "schedule.halt-scheduling";

/// All items without anything given: what `/config/default` shows.
pub fn default_document() -> Map<String, Value> {
    let host = hostname();
    // Nothing is given, so nothing can be wrong; and if it were, the values that depend on the process are left out.
    let process = Config::resolve(&Flags::default(), &File::default(), &host).ok();
    build(|name, item| {
        process.as_ref().and_then(|config| own(config, name)).unwrap_or_else(|| item.default.clone())
    })
}

/// All items of a member: its own, and those that the group shares. `stores` are shown with their limits.
pub fn process_document(
    config: &Config,
    level: LogLevel,
    settings: &Settings,
    stores: &[u64],
) -> Map<String, Value> {
    let mut shown = build(|name, item| match item.duty {
        Duty::Here => Value::from(level.name()),
        Duty::Live | Duty::Kept | Duty::Own => settings.kept(name).cloned().unwrap_or_default(),
        Duty::Start | Duty::Idle | Duty::Blank => process_value(config, name, item),
    });
    document::put(&mut shown, "schedule", Value::Object(schedule_section(settings, stores)));
    shown
}

/// The section `schedule`, with what is worked out: the limit of each store, and the keys of a Region to be merged.
pub fn schedule_section(settings: &Settings, stores: &[u64]) -> Map<String, Value> {
    let mut section = settings.section("schedule");
    let mut limits = settings.store_limits();
    for store in stores {
        limits.entry(*store).or_insert_with(|| settings.default_store_limit());
    }
    // As text, since that is how tikv/pd sorts them.
    let mut limits: Vec<_> = limits.iter().map(|(id, limit)| (id.to_string(), limit.to_value())).collect();
    limits.sort_by(|(a, _), (b, _)| a.cmp(b));
    section.insert("store-limit".to_owned(), limits.into_iter().collect());
    section.insert("max-merge-region-keys".to_owned(), settings.max_merge_region_keys().into());
    if !settings.halt_scheduling() {
        section.shift_remove("halt-scheduling");
    }
    section
}

/// The value of an item that belongs to the process.
pub(super) fn process_value(config: &Config, name: &str, item: &Item) -> Value {
    own(config, name).or_else(|| config.stated.get(name).cloned()).unwrap_or_else(|| item.default.clone())
}

/// What was put together from flags, file and machine.
fn own(config: &Config, name: &str) -> Option<Value> {
    let text = match name {
        "client-urls" => urls(&config.client_urls),
        "peer-urls" => urls(&config.peer_urls),
        "advertise-client-urls" => urls(&config.advertise_client_urls),
        "advertise-peer-urls" => urls(&config.advertise_peer_urls),
        "join" => urls(&config.join),
        "name" | "metric.job" if !config.stated.contains_key(name) || name == "name" => config.name.clone(),
        "data-dir" => {
            std::path::absolute(&config.data_dir).unwrap_or(config.data_dir.clone()).display().to_string()
        }
        "initial-cluster" => members(&config.initial_cluster),
        "log.level" => config.log.level.name().to_owned(),
        "log.file.filename" => {
            config.log.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        }
        _ => return None,
    };
    Some(Value::String(text))
}

fn build(value: impl Fn(&'static str, &'static Item) -> Value) -> Map<String, Value> {
    let mut shown = Map::new();
    for item in items::all() {
        let Some(name) = item.shown else { continue };
        let value = value(name, item);
        if name != LEFT_OUT || value != item.default {
            document::put(&mut shown, name, value);
        }
    }
    shown
}

fn urls(urls: &[ServerUrl]) -> String {
    super::join_urls(urls)
}

fn members(members: &[InitialMember]) -> String {
    let of = |member: &InitialMember| {
        let urls = member.peer_urls.iter().map(|url| format!("{}={url}", member.name));
        urls.collect::<Vec<_>>().join(",")
    };
    members.iter().map(of).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::settings::Stated;
    use super::*;

    #[test]
    fn what_is_left_out_and_what_is_worked_out() {
        let mut settings = Settings::first(&Stated::new());
        let section = schedule_section(&settings, &[10, 2]);
        assert!(!section.contains_key("halt-scheduling"));
        assert_eq!(section["max-merge-region-keys"], 540_000);
        let limit = json!({"add-peer": 15, "remove-peer": 15});
        let limits = serde_json::to_string(&section["store-limit"]).unwrap();
        assert_eq!(limits, format!(r#"{{"10":{limit},"2":{limit}}}"#), "sorted as text");
        document::put(&mut settings.kept, LEFT_OUT, "true".into());
        let names: Vec<_> = schedule_section(&settings, &[]).keys().cloned().collect();
        let at = names.iter().position(|name| name == "halt-scheduling").unwrap();
        assert_eq!(names[at - 1], "store-limit-version");
    }

    #[test]
    fn the_default_document_is_complete_and_in_order() {
        let document = default_document();
        let names: Vec<_> = document.keys().map(String::as_str).collect();
        assert_eq!(
            &names[..5],
            ["client-urls", "peer-urls", "advertise-client-urls", "advertise-peer-urls", "name"]
        );
        assert_eq!(names.last(), Some(&"metering"));
        assert_eq!(document["schedule"]["max-merge-region-keys"], 0);
        assert!(document["initial-cluster"].as_str().unwrap().ends_with("=http://127.0.0.1:2380"));
    }
}
