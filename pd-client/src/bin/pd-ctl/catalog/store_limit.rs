//! `store limit`: how fast peers may come and go, shown and set.

use serde_json::{Map, Value, json};

use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::request::{Ask, escaped};

/// What follows the command.
const USAGE: &str = "[<store_id>|<all> [<key> <value>]... <limit> <type>]";

/// `store limit`.
pub fn command() -> Command {
    Command::new("limit", USAGE, "show or set a store's rate limit", Work::Ask(limit))
}

/// The old spellings beneath `stores`.
pub fn deprecated() -> Vec<Command> {
    vec![
        Command::group(
            "show",
            "show the stores",
            vec![
                Command::new("limit", "<type>", "show the stores' limit", Work::Ask(show))
                    .instead("use store limit instead"),
            ],
        ),
        Command::group(
            "set",
            "set stores",
            vec![
                Command::new("limit", "<rate> [<type>]", "set all store's rate limit", Work::Ask(set_all))
                    .instead("use store limit all <rate> instead"),
            ],
        ),
    ]
}

fn limit(args: &Args) -> Result<Ask, Failure> {
    match args.words.first().map(String::as_str) {
        None | Some("add-peer" | "remove-peer") => show(args),
        Some("all") => all(&args.words[1..]),
        Some(id) => one(id, &args.words[1..]),
    }
}

fn show(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    let kind = args.word(0).map(|kind| format!("?type={}", escaped(kind))).unwrap_or_default();
    Ok(Ask::get(format!("/pd/api/v1/stores/limit{kind}")).or_say("Failed to get store limit: "))
}

fn set_all(args: &Args) -> Result<Ask, Failure> {
    all(&args.words)
}

fn one(id: &str, words: &[String]) -> Result<Ask, Failure> {
    let (limit, kind) = match words {
        [limit] => (limit, None),
        [limit, kind] => (limit, Some(kind)),
        _ => return Err(Failure::usage()),
    };
    let id: u64 = super::number_or(id, "store_id should be a number")?;
    let mut body = json!({ "rate": rate(limit)? });
    if let Some(kind) = kind {
        body["type"] = json!(kind);
    }
    Ok(Ask::post(format!("/pd/api/v1/store/{id}/limit"), body))
}

/// `[<key> <value>]... <limit> [<type>]`: an odd number of words ends in the limit, an even one in the type.
fn all(words: &[String]) -> Result<Ask, Failure> {
    let (labels, limit, kind) = match words {
        [labels @ .., limit] if labels.len() % 2 == 0 => (labels, limit, None),
        [labels @ .., limit, kind] => (labels, limit, Some(kind)),
        _ => return Err(Failure::usage()),
    };
    let mut body = json!({ "rate": rate(limit)? });
    if let Some(kind) = kind {
        body["type"] = json!(kind);
    }
    if !labels.is_empty() {
        let pairs = labels.chunks_exact(2).map(|pair| (pair[0].clone(), Value::from(pair[1].as_str())));
        body["labels"] = Value::Object(pairs.collect::<Map<_, _>>());
    }
    Ok(Ask::post("/pd/api/v1/stores/limit", body))
}

fn rate(text: &str) -> Result<f64, Failure> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err(Failure::typed("rate should be a number that > 0.\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::limit;
    use crate::command::Args;
    use serde_json::json;

    fn asked(words: &[&str]) -> (String, serde_json::Value) {
        let args = Args { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Args::default() };
        let ask = limit(&args).unwrap();
        (ask.path, ask.body.unwrap_or_default())
    }

    #[test]
    fn all_spellings() {
        let stores = "/pd/api/v1/stores/limit".to_owned();
        assert_eq!(asked(&[]), (stores.clone(), json!(null)));
        assert_eq!(asked(&["add-peer"]).0, "/pd/api/v1/stores/limit?type=add-peer");
        assert_eq!(asked(&["1", "10"]), ("/pd/api/v1/store/1/limit".to_owned(), json!({"rate": 10.0})));
        let typed = json!({"rate": 10.0, "type": "add-peer"});
        assert_eq!(asked(&["1", "10", "add-peer"]), ("/pd/api/v1/store/1/limit".to_owned(), typed.clone()));
        assert_eq!(asked(&["all", "10", "add-peer"]), (stores.clone(), typed));
        let labelled = json!({"rate": 40.0, "type": "remove-peer", "labels": {"zone": "z1"}});
        assert_eq!(asked(&["all", "zone", "z1", "40", "remove-peer"]), (stores.clone(), labelled));
        assert_eq!(
            asked(&["all", "zone", "z1", "40"]),
            (stores, json!({"rate": 40.0, "labels": {"zone": "z1"}}))
        );
    }
}
