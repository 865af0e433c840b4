//! Configuration: what the cluster shares, shown and changed.

use serde_json::{Map, Value, json};

use super::placement;
use crate::answer::Answer;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show};
use crate::session::Session;

/// Items that `config show` leaves out: they are old names of others, or lists that other commands show better.
const NOISY: [&str; 14] = [
    "schedulers-v2",
    "schedulers-payload",
    "schedulers",
    "store-limit",
    "enable-remove-down-replica",
    "enable-replace-offline-replica",
    "enable-make-up-replica",
    "enable-remove-extra-replica",
    "enable-location-replacement",
    "enable-one-way-merge",
    "enable-debug-metrics",
    "store-limit-mode",
    "scheduler-max-waiting-operator",
    "disable-remove-down-replica",
];

/// Accepted as tikv/pd's scripts give it; every answer comes from PD here.
pub const FROM_PD: Flag = Flag::switch("from_pd", None, "read data from PD rather than microservice");

/// `config`.
pub fn command() -> Command {
    Command::group("config", "tune pd configs", vec![show(), set(), delete(), placement::command()])
}

fn show() -> Command {
    let part = |name, about, work| Command::new(name, "", about, Work::Ask(work)).flag(FROM_PD);
    let work = Work::Flow(|session, args| Box::pin(main_items(session, args)));
    Command::new(
        "show",
        "[replication|label-property|all]",
        "show replication and schedule config of PD",
        work,
    )
    .flag(FROM_PD)
    .with(vec![
        part("all", "show all config of PD", |args| section(args, "")),
        part("schedule", "show schedule config of PD", |args| section(args, "/schedule")),
        part("replication", "show replication config of PD", |args| section(args, "/replicate")),
        part("label-property", "show label property config", |args| section(args, "/label-property")),
        part("cluster-version", "show the cluster version", |args| section(args, "/cluster-version")),
        part("replication-mode", "show replication mode config", |args| section(args, "/replication-mode")),
        part("server", "show PD server config", |args| section(args, "/pd-server")),
    ])
}

fn set() -> Command {
    let usage = "<option> <value>, set label-property <type> <key> <value>, set cluster-version <version>";
    Command::new("set", usage, "set the option with value", Work::Ask(set_item)).with(vec![
        Command::new(
            "label-property",
            "<type> <key> <value>",
            "set a label property config item",
            Work::Ask(|args| label_property(args, "set")),
        ),
        Command::new("cluster-version", "<version>", "set cluster version", Work::Ask(cluster_version)),
        Command::new(
            "replication-mode",
            "<mode> [<key>, <value>]",
            "set replication mode config",
            Work::Ask(replication_mode),
        ),
    ])
}

fn delete() -> Command {
    Command::group(
        "delete",
        "delete the config option",
        vec![Command::new(
            "label-property",
            "<type> <key> <value>",
            "delete a label property config item",
            Work::Ask(|args| label_property(args, "delete")),
        )],
    )
}

fn section(args: &Args, section: &str) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get(format!("/pd/api/v1/config{section}")).or_say("Failed to get config: "))
}

/// The sections that people tune, in the order of their names.
async fn main_items(session: Session, args: Args) -> Result<Answer, Failure> {
    let whole = section(&args, "")?.send(&session).await?;
    let mut config: Value = serde_json::from_str(&whole.text)
        .map_err(|error| Failure::here(format!("Failed to unmarshal config: {error}\n")))?;
    let mut shown = Map::new();
    for name in ["replication", "schedule"] {
        shown.insert(name.to_owned(), without_noise(config[name].take()));
    }
    let text = serde_json::to_string_pretty(&shown)
        .map_err(|error| Failure::here(format!("Failed to marshal config: {error}\n")))?;
    Ok(Answer::json_trimmed(text, None))
}

fn without_noise(section: Value) -> Value {
    let Value::Object(fields) = section else { return section };
    let mut fields: Vec<(String, Value)> =
        fields.into_iter().filter(|(name, _)| !NOISY.contains(&name.as_str())).collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    Value::Object(fields.into_iter().map(|(name, value)| (name, without_noise(value))).collect())
}

fn set_item(args: &Args) -> Result<Ask, Failure> {
    let [name, value] = args.exactly()?;
    Ok(change(name, value))
}

/// One item changed: what reads as a number is sent as one, all else as a text, as tikv/pd's tool does.
pub fn change(name: &str, value: &str) -> Ask {
    let value = match (value.parse::<i64>(), value.parse::<f64>()) {
        (Ok(whole), _) => json!(whole),
        (Err(_), Ok(number)) if number.is_finite() => json!(number),
        _ => json!(value),
    };
    let ask = Ask::post("/pd/api/v1/config", json!({ name: value }));
    ask.or_say("Failed to set config: ").show(Show::Done)
}

fn label_property(args: &Args, action: &str) -> Result<Ask, Failure> {
    let [kind, key, value] = args.exactly()?;
    let body = json!({"type": kind, "action": action, "label-key": key, "label-value": value});
    Ok(Ask::post("/pd/api/v1/config/label-property", body))
}

fn cluster_version(args: &Args) -> Result<Ask, Failure> {
    let [version] = args.exactly()?;
    Ok(Ask::post("/pd/api/v1/config/cluster-version", json!({ "cluster-version": version })))
}

fn replication_mode(args: &Args) -> Result<Ask, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let body = match words.as_slice() {
        [mode] => json!({ "replication-mode": mode }),
        [mode, key, value] => json!({ *mode: { *key: value } }),
        _ => return Err(Failure::usage()),
    };
    Ok(Ask::post("/pd/api/v1/config/replication-mode", body))
}

#[cfg(test)]
mod tests {
    use super::{change, without_noise};
    use serde_json::json;

    #[test]
    fn numbers_go_as_numbers_and_words_as_texts() {
        let body = |value| change("k", value).body.unwrap()["k"].clone();
        assert_eq!(body("8"), json!(8));
        assert_eq!(body("-1"), json!(-1));
        assert_eq!(body("0.9"), json!(0.9));
        assert_eq!(body("true"), json!("true"));
        assert_eq!(body("10ms"), json!("10ms"));
        assert_eq!(body("NaN"), json!("NaN"));
    }

    #[test]
    fn the_short_form_is_sorted_and_quiet() {
        let section = json!({"b": 1, "store-limit": {}, "a": {"d": 1, "c": 2}});
        assert_eq!(without_noise(section).to_string(), r#"{"a":{"c":2,"d":1},"b":1}"#);
    }
}
