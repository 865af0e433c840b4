//! Operators: shown, made by hand, cancelled.

use serde_json::{Value, json};

use super::number;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::request::{Ask, escaped};

/// The words that may stand behind a store of `transfer-region`.
const ROLES: [&str; 4] = ["leader", "voter", "follower", "learner"];

/// `operator`.
pub fn command() -> Command {
    Command::group(
        "operator",
        "operator commands",
        vec![
            Command::new("show", "[kind]", "show operators", Work::Ask(show)),
            Command::new("check", "[region_id]", "checks the status of operator", Work::Ask(check)),
            Command::new(
                "history",
                "<start>",
                "list all finished operators since start (a unix timestamp)",
                Work::Ask(history),
            ),
            Command::group("add", "add an operator", kinds()),
            Command::new("remove", "<region_id>", "remove the region operator", Work::Ask(remove)),
        ],
    )
}

fn kinds() -> Vec<Command> {
    vec![
        Command::new(
            "transfer-leader",
            "<region_id> <to_store_id>",
            "transfer a region's leader to the specified store",
            Work::Ask(|args| {
                let [region, to] = args.exactly()?;
                add("transfer-leader", region, &[("to_store_id", to)])
            }),
        ),
        Command::new(
            "transfer-region",
            "<region_id> <to_store_id>...",
            "transfer a region's peers to the specified stores",
            Work::Ask(transfer_region),
        ),
        Command::new(
            "transfer-peer",
            "<region_id> <from_store_id> <to_store_id>",
            "transfer a region's peer from the specified store to another store",
            Work::Ask(|args| {
                let [region, from, to] = args.exactly()?;
                add("transfer-peer", region, &[("from_store_id", from), ("to_store_id", to)])
            }),
        ),
        Command::new(
            "add-peer",
            "<region_id> <to_store_id>",
            "add a region peer on specified store",
            Work::Ask(|args| on_store(args, "add-peer")),
        ),
        Command::new(
            "add-learner",
            "<region_id> <to_store_id>",
            "add a region learner on specified store",
            Work::Ask(|args| on_store(args, "add-learner")),
        ),
        Command::new(
            "remove-peer",
            "<region_id> <from_store_id>",
            "remove a region peer on specified store",
            Work::Ask(|args| on_store(args, "remove-peer")),
        ),
        Command::new(
            "split-region",
            "<region_id> [--policy=scan|approximate|usekey] [--keys]",
            "split a region",
            Work::Ask(split),
        )
        .flag(Flag::text("policy", Some("scan"), "the policy to get region split key"))
        .flag(Flag::text("keys", None, "the split keys, hex encoded")),
    ]
}

fn show(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    Ok(Ask::get(match args.word(0) {
        Some(kind) => format!("/pd/api/v1/operators?kind={}", escaped(kind)),
        None => "/pd/api/v1/operators".to_owned(),
    }))
}

fn check(args: &Args) -> Result<Ask, Failure> {
    let [region] = args.exactly()?;
    Ok(Ask::get(format!("/pd/api/v1/operators/{}", escaped(region))))
}

fn history(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    Ok(Ask::get(match args.word(0) {
        Some(start) => format!("/pd/api/v1/operators/records?from={}", number(start)?),
        None => "/pd/api/v1/operators/records".to_owned(),
    }))
}

fn remove(args: &Args) -> Result<Ask, Failure> {
    let [region] = args.exactly()?;
    Ok(Ask::delete(format!("/pd/api/v1/operators/{}", escaped(region))).or_say(""))
}

fn on_store(args: &Args, name: &str) -> Result<Ask, Failure> {
    let [region, store] = args.exactly()?;
    add(name, region, &[("store_id", store)])
}

fn add(name: &str, region: &str, ids: &[(&str, &str)]) -> Result<Ask, Failure> {
    let mut body = json!({ "name": name, "region_id": number(region)? });
    for (field, id) in ids {
        body[*field] = json!(number(id)?);
    }
    Ok(Ask::post("/pd/api/v1/operators", body))
}

/// Stores, each with or without the role that its peer gets.
fn transfer_region(args: &Args) -> Result<Ask, Failure> {
    let [region, targets @ ..] = args.words.as_slice() else { return Err(Failure::usage()) };
    if targets.is_empty() {
        return Err(Failure::usage());
    }
    let (mut stores, mut roles): (Vec<u64>, Vec<&str>) = (Vec::new(), Vec::new());
    for word in targets {
        match ROLES.iter().find(|role| *role == word) {
            Some(role) if roles.len() < stores.len() => {
                roles.push(role);
            }
            Some(role) => return Err(Failure::typed(format!("{role} stands behind no store\n"))),
            None => stores.push(number(word)?),
        }
    }
    if !roles.is_empty() && roles.len() != stores.len() {
        return Err(Failure::typed("either all stores have a role behind them, or none\n"));
    }
    let mut body = json!({ "name": "transfer-region", "region_id": number(region)?, "to_store_ids": stores });
    if !roles.is_empty() {
        body["peer_roles"] = json!(roles);
    }
    Ok(Ask::post("/pd/api/v1/operators", body))
}

fn split(args: &Args) -> Result<Ask, Failure> {
    let [region] = args.exactly()?;
    let mut body = json!({ "name": "split-region", "region_id": number(region)? });
    body["policy"] = match args.flag("policy") {
        Some(policy @ ("scan" | "approximate")) => json!(policy),
        Some("usekey") => {
            let keys: Vec<Value> =
                args.flag("keys").unwrap_or_default().split(',').map(Value::from).collect();
            body["keys"] = keys.into();
            json!("usekey")
        }
        _ => {
            return Err(Failure::typed("Error: unknown policy\n")
                .advise("policies are scan, approximate, and usekey with --keys=HEX,HEX"));
        }
    };
    Ok(Ask::post("/pd/api/v1/operators", body))
}

#[cfg(test)]
mod tests {
    use super::transfer_region;
    use crate::command::Args;
    use serde_json::json;

    fn typed(words: &[&str]) -> Args {
        Args { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Args::default() }
    }

    #[test]
    fn stores_with_roles_or_without() {
        let body = transfer_region(&typed(&["105", "2", "3"])).unwrap().body.unwrap();
        assert_eq!(body, json!({"name": "transfer-region", "region_id": 105, "to_store_ids": [2, 3]}));
        let body = transfer_region(&typed(&["105", "2", "leader", "3", "follower"])).unwrap().body.unwrap();
        assert_eq!(body["peer_roles"], json!(["leader", "follower"]));
    }

    #[test]
    fn half_given_roles_are_refused() {
        for wrong in [&["105"][..], &["105", "leader", "2"], &["105", "2", "leader", "3"], &["105", "x"]] {
            assert!(transfer_region(&typed(wrong)).is_err(), "{wrong:?}");
        }
    }
}
