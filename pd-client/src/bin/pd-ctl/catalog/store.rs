//! Stores: shown, drained, labelled, weighed.

use http::Method;
use serde_json::{Map, Value, json};

use super::region::JQ;
use super::{number_or, store_limit};
use crate::answer::Answer;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show, escaped};
use crate::session::Session;
use crate::table::STORES;

const STATE: Flag = Flag::text("state", None, "state filter, such as Up,Offline,Tombstone");
const NO_NUMBER: &str = "store_id should be a number";

/// `store`.
pub fn command() -> Command {
    Command::new("store", "[store_id]", "manipulate or query stores", Work::Ask(stores))
        .flag(JQ)
        .flag(STATE)
        .with(vec![
            Command::new("delete", "<store_id>", "delete the store", Work::Ask(delete)).with(vec![
                Command::new(
                    "addr",
                    "<address>",
                    "delete store by its address",
                    Work::Flow(|session, args| Box::pin(delete_address(session, args))),
                ),
            ]),
            Command::new(
                "cancel-delete",
                "<store_id>",
                "cancel the deletion of the store",
                Work::Flow(|session, args| Box::pin(cancel(session, args))),
            )
            .with(vec![Command::new(
                "addr",
                "<address>",
                "cancel delete store by its address",
                Work::Flow(|session, args| Box::pin(cancel_address(session, args))),
            )]),
            Command::new(
                "label",
                "<store_id> <key>=<value> [<key>=<value>]...",
                "set a store's label value",
                Work::Ask(label),
            )
            .flag(Flag::switch("force", Some('f'), "overwrite the label forcibly"))
            .flag(Flag::switch("rewrite", Some('r'), "overwrite the label forcibly"))
            .flag(Flag::switch("delete", Some('d'), "delete the label")),
            Command::new(
                "weight",
                "<store_id> <leader_weight> <region_weight>",
                "set a store's leader and region balance weight",
                Work::Ask(weight),
            ),
            store_limit::command(),
            Command::new(
                "check",
                "[up|offline|tombstone|disconnected|down]",
                "show all the stores with specific status",
                Work::Ask(check),
            ),
            Command::new(
                "remove-tombstone",
                "",
                "remove tombstone record if only safe",
                Work::Ask(remove_tombstone),
            ),
        ])
}

/// `stores`, which older scripts use.
pub fn deprecated() -> Command {
    let mut beneath = store_limit::deprecated();
    beneath.push(
        Command::new(
            "remove-tombstone",
            "",
            "remove tombstone record if only safe",
            Work::Ask(remove_tombstone),
        )
        .instead("use store remove-tombstone instead"),
    );
    Command::new("stores", "", "store status", Work::Ask(stores))
        .instead("use store command instead")
        .with(beneath)
}

fn stores(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    let path = match (args.word(0), args.flag("state")) {
        (Some(id), _) => format!("/pd/api/v1/store/{}", number_or(id, NO_NUMBER)?),
        (None, None) => "/pd/api/v1/stores".to_owned(),
        (None, Some(states)) => {
            let states = states.split(',').map(state).collect::<Result<Vec<_>, _>>()?;
            format!("/pd/api/v1/stores?{}", states.join("&"))
        }
    };
    let ask = Ask::get(path).or_say("Failed to get store: ").show(Show::Stores).columns(&STORES);
    Ok(ask.filtered(args.flag("jq")))
}

fn state(name: &str) -> Result<&'static str, Failure> {
    match name {
        "Up" => Ok("state=0"),
        "Offline" => Ok("state=1"),
        "Tombstone" => Ok("state=2"),
        other => Err(Failure::typed(format!("unknown state: {other}\n"))
            .advise("states are Up, Offline and Tombstone; several with a comma between")),
    }
}

fn delete(args: &Args) -> Result<Ask, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, NO_NUMBER)?;
    Ok(Ask::delete(format!("/pd/api/v1/store/{id}")).or_say(format!("Failed to delete store {id}: ")))
}

async fn delete_address(session: Session, args: Args) -> Result<Answer, Failure> {
    let [address] = args.exactly()?;
    let store = at_address(&session, address).await?;
    let id = store["id"].as_u64().unwrap_or_default();
    let failed = format!("Failed to delete store {id}: ");
    Ask::delete(format!("/pd/api/v1/store/{id}")).or_say(failed).send(&session).await
}

async fn cancel(session: Session, args: Args) -> Result<Answer, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, NO_NUMBER)?;
    let failed = format!("Failed to cancel delete store {id}: ");
    let store = Ask::get(format!("/pd/api/v1/store/{id}")).or_say(failed).send(&session).await?;
    let store: Value = parsed(&store)?;
    bring_back(&session, &store["store"]).await
}

async fn cancel_address(session: Session, args: Args) -> Result<Answer, Failure> {
    let [address] = args.exactly()?;
    let store = at_address(&session, address).await?;
    bring_back(&session, &store).await
}

/// Only what is on its way out can be called back; for the rest the words are tikv/pd's.
async fn bring_back(session: &Session, store: &Value) -> Result<Answer, Failure> {
    let id = store["id"].as_u64().unwrap_or_default();
    if store["state_name"] != "Offline" {
        return Err(Failure::typed(format!("store {id} is not offline\n"))
            .advise("only a store that is being deleted can be called back"));
    }
    let path = format!("/pd/api/v1/store/{id}/state?state=Up");
    let ask = Ask::post(path, Value::Null).or_say(format!("Failed to cancel delete store {id}: "));
    Ask { body: None, ..ask.show(Show::Done) }.send(session).await
}

/// The store that has this address.
async fn at_address(session: &Session, address: &str) -> Result<Value, Failure> {
    let stores: Value =
        parsed(&Ask::get("/pd/api/v1/stores").or_say("Failed to get store: ").send(session).await?)?;
    let mut listed = stores["stores"].as_array().into_iter().flatten().map(|store| &store["store"]);
    let found = listed.find(|store| store["address"] == address);
    found.cloned().ok_or_else(|| Failure::typed(format!("address not found: {address}\n")))
}

fn parsed(answer: &Answer) -> Result<Value, Failure> {
    serde_json::from_str(&answer.text)
        .map_err(|error| Failure::here(format!("stores are told otherwise than expected: {error}\n")))
}

fn label(args: &Args) -> Result<Ask, Failure> {
    let [id, words @ ..] = args.words.as_slice() else { return Err(Failure::usage()) };
    let id = number_or(id, NO_NUMBER)?;
    let path = format!("/pd/api/v1/store/{id}/label");
    if args.is_set("delete") {
        let [key] = words else { return Err(Failure::usage()) };
        let ask = Ask::post(path, json!(key));
        return Ok(Ask { method: Method::DELETE, ..ask.show(Show::ToldRaw) });
    }
    let labels = pairs(words)?;
    let force = if args.is_set("force") || args.is_set("rewrite") { "?force=true" } else { "" };
    Ok(Ask::post(format!("{path}{force}"), Value::Object(labels)))
}

/// `key=value ..`, or, as older scripts write them, `key value ..`.
fn pairs(words: &[String]) -> Result<Map<String, Value>, Failure> {
    let equations = || words.iter().map(|word| word.split_once('=')).collect::<Option<Vec<_>>>();
    let labels = match equations() {
        Some(labels) if !words.is_empty() => Some(labels),
        _ if words.is_empty() || words.len() % 2 == 1 => None,
        _ => Some(words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect()),
    };
    match labels {
        Some(labels) => {
            Ok(labels.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect())
        }
        None => Err(Failure {
            on_stderr: true,
            ..Failure::typed("Failed: invalid arguments, expect <key> <value> [key value]...\n")
        }
        .advise("labels are written key=value, several with a space between")),
    }
}

fn weight(args: &Args) -> Result<Ask, Failure> {
    let [id, leader, region] = args.exactly()?;
    let id = number_or(id, NO_NUMBER)?;
    let weight = |text: &str, name| match text.parse::<f64>() {
        Ok(weight) if weight >= 0.0 && weight.is_finite() => Ok(weight),
        _ => Err(Failure::typed(format!("{name} should be a number that >= 0.\n"))),
    };
    let body =
        json!({ "leader": weight(leader, "leader_weight")?, "region": weight(region, "region_weight")? });
    Ok(Ask::post(format!("/pd/api/v1/store/{id}/weight"), body))
}

fn check(args: &Args) -> Result<Ask, Failure> {
    let [state] = args.exactly()?;
    let lower = state.to_lowercase();
    let mut letters = lower.chars();
    let title: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let path = format!("/pd/api/v1/stores/check?state={}", escaped(&title));
    Ok(Ask::get(path).or_say("Failed to get store: ").columns(&STORES))
}

fn remove_tombstone(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::delete("/pd/api/v1/stores/remove-tombstone").or_say("Failed to remove tombstone store "))
}

#[cfg(test)]
mod tests {
    use super::{pairs, state};

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn labels_in_both_spellings() {
        assert_eq!(
            pairs(&words(&["a=1", "b=x=y"])).unwrap(),
            pairs(&words(&["a", "1", "b", "x=y"])).unwrap()
        );
        for wrong in [&[][..], &["zone"], &["a", "1", "b"]] {
            assert!(pairs(&words(wrong)).unwrap_err().on_stderr, "{wrong:?}");
        }
    }

    #[test]
    fn states_by_name() {
        assert_eq!(state("Offline").unwrap(), "state=1");
        assert!(state("offline").unwrap_err().words.contains("offline"));
    }
}
