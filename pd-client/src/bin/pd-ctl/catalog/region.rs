//! Regions: one, many, those in a bad state, the largest.

use serde_json::Value;

use super::region_key::{FORMAT, key};
use super::{keyspace, number_or};
use crate::answer::Answer;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::jq;
use crate::request::{Ask, escaped};
use crate::session::Session;
use crate::table::REGIONS;

/// `--jq`.
pub const JQ: Flag = Flag::text("jq", None, "jq query");

/// Regions a page of `scan`.
const PAGE: usize = 1024;

/// How many `top..` lists without a limit.
const TOP: u64 = 16;

const STATES: &str = "[miss-peer|extra-peer|down-peer|learner-peer|pending-peer|offline-peer|empty-region|oversized-region|undersized-region|hist-size|hist-keys]";

/// `region`.
pub fn command() -> Command {
    let mut beneath = vec![
        Command::new("key", "[--format=raw|encode|hex] <key>", "show the region with key", Work::Ask(by_key))
            .flag(FORMAT),
        Command::new(
            "keys",
            "[--format=raw|encode|hex] <start_key> <end_key> <limit>",
            "show regions from the start key",
            Work::Ask(by_keys),
        )
        .flag(FORMAT),
        Command::new("check", STATES, "show the region with check specific status", Work::Ask(check))
            .flag(JQ),
        Command::new(
            "sibling",
            "<region_id>",
            "show the sibling regions of specific region",
            Work::Ask(sibling),
        ),
        Command::new("store", "<store_id>", "show the regions of a specific store", Work::Ask(of_store))
            .flag(Flag::text(
                "type",
                Some("all"),
                "the type of the regions, could be all, leader, learner or pending",
            )),
        Command::new(
            "scan",
            "[--jq=\"<query string>\"]",
            "scan all regions",
            Work::Flow(|session, args| Box::pin(scan(session, args))),
        )
        .flag(JQ),
    ];
    beneath.push(Command::new(
        "range-holes",
        "",
        "show all empty ranges without any region info",
        Work::Ask(holes),
    ));
    beneath.push(Command::group(
        "keyspace",
        "show region information of the given keyspace",
        vec![Command::new(
            "id",
            "<keyspace_id> [table-id <table_id>] [<limit>]",
            "show region information for the given keyspace id",
            Work::Ask(of_keyspace),
        )],
    ));
    beneath.extend(tops());
    Command::new(
        "region",
        "<region_id> [--jq=\"<query string>\"]",
        "show the region status",
        Work::Ask(regions),
    )
    .flag(JQ)
    .flag(Flag::switch("no-forward", None, "ask the member itself, which may be no leader"))
    .with(beneath)
}

fn tops() -> Vec<Command> {
    const FLOW: &str = "[byte|query] <limit> [--jq=\"<query string>\"]";
    const PLAIN: &str = "<limit> [--jq=\"<query string>\"]";
    let top = |name, usage, about, work| Command::new(name, usage, about, Work::Ask(work)).flag(JQ);
    vec![
        top("topread", FLOW, "show regions with top read flow or query", |args| by_flow(args, "read")),
        top("topwrite", FLOW, "show regions with top write flow or query", |args| by_flow(args, "write")),
        top("topconfver", PLAIN, "show regions with top conf version", |args| by(args, "confver", 0)),
        top("topversion", PLAIN, "show regions with top version", |args| by(args, "version", 0)),
        top("topsize", PLAIN, "show regions with top size", |args| by(args, "size", 0)),
        top("topkeys", PLAIN, "show regions with top keys", |args| by(args, "keys", 0)),
        top("topcpu", PLAIN, "show regions with top cpu usage", |args| by(args, "cpu", 0)),
    ]
}

fn regions(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    let path = match args.word(0) {
        None => "/pd/api/v1/regions".to_owned(),
        Some(id) => format!("/pd/api/v1/region/id/{}", number_or(id, "region_id should be a number")?),
    };
    let ask = list(path, "Failed to get region: ").filtered(args.flag("jq"));
    Ok(Ask { own: args.is_set("no-forward"), ..ask })
}

fn by_key(args: &Args) -> Result<Ask, Failure> {
    let [text] = args.exactly()?;
    let key = hex::encode_upper(key(args, text)?);
    Ok(list(format!("/pd/api/v1/region/key/{key}?format=hex"), "Failed to get region: "))
}

fn by_keys(args: &Args) -> Result<Ask, Failure> {
    args.at_most(3)?;
    let start = key(args, args.word(0).ok_or_else(Failure::usage)?)?;
    let mut path = format!("/pd/api/v1/regions/key?key={}&format=hex", hex::encode_upper(start));
    if let Some(end) = args.word(1) {
        path.push_str(&format!("&end_key={}", hex::encode_upper(key(args, end)?)));
    }
    if let Some(limit) = args.word(2) {
        path.push_str(&format!("&limit={}", number_or(limit, "limit should be a number")?));
    }
    Ok(list(path, "Failed to get region: "))
}

fn check(args: &Args) -> Result<Ask, Failure> {
    args.at_most(2)?;
    let state = args.word(0).ok_or_else(Failure::usage)?;
    let usual = match state {
        "hist-size" => Some("10"),
        "hist-keys" => Some("10000"),
        _ => None,
    };
    let bound = match args.word(1).or(usual) {
        Some(bound) => format!("?bound={}", number_or(bound, "the bound should be a number")?),
        None => String::new(),
    };
    let path = format!("/pd/api/v1/regions/check/{}{bound}", escaped(state));
    Ok(list(path, "Failed to get region: ").filtered(args.flag("jq")))
}

fn sibling(args: &Args) -> Result<Ask, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, "region_id should be a number")?;
    Ok(list(format!("/pd/api/v1/regions/sibling/{id}"), "Failed to get region sibling: "))
}

fn of_store(args: &Args) -> Result<Ask, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, "store_id should be a number")?;
    let kind = args.flag("type").unwrap_or("all");
    if !["all", "leader", "learner", "pending"].contains(&kind) {
        return Err(Failure::typed(format!("unknown type {kind}\n"))
            .advise("types are all, leader, learner and pending"));
    }
    Ok(list(
        format!("/pd/api/v1/regions/store/{id}?type={kind}"),
        "Failed to get regions with the given storeID: ",
    ))
}

fn holes(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/regions/range-holes").or_say("Failed to get range holes: "))
}

fn of_keyspace(args: &Args) -> Result<Ask, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let failed = "Failed to get regions with the given keyspace: ";
    let (id, table, limit) = match words.as_slice() {
        [id] => (id, None, None),
        [id, "table-id", table] => (id, Some(table), None),
        [id, "table-id", table, limit] => (id, Some(table), Some(limit)),
        [id, limit] => (id, None, Some(limit)),
        _ => return Err(Failure::usage()),
    };
    let id = keyspace::checked(number_or(id, "keyspace_id should be a number")?)?;
    let limit = limit.map(|limit| number_or(limit, "limit should be a number")).transpose()?;
    let Some(table) = table else {
        let limit = limit.map(|limit| format!("?limit={limit}")).unwrap_or_default();
        return Ok(list(format!("/pd/api/v1/regions/keyspace/id/{id}{limit}"), failed));
    };
    let table = table.parse().map_err(|_| Failure::typed("table-id should be a number\n"))?;
    let (start, end) = keyspace::table_bounds(id, table);
    let (start, end) = (hex::encode_upper(start), hex::encode_upper(end));
    let limit = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    Ok(list(format!("/pd/api/v1/regions/key?key={start}&end_key={end}&format=hex{limit}"), failed))
}

fn by_flow(args: &Args, direction: &str) -> Result<Ask, Failure> {
    match args.word(0) {
        Some("query") => Err(Failure::typed("queries are not counted here yet\n")
            .advise(format!("`pd-ctl region top{direction} byte` lists by bytes"))),
        Some("byte") => by(args, &format!("{direction}flow"), 1),
        _ => by(args, &format!("{direction}flow"), 0),
    }
}

/// The list of `order`; the limit is the word at `at`.
fn by(args: &Args, order: &str, at: usize) -> Result<Ask, Failure> {
    args.at_most(at + 1)?;
    let limit = args.word(at).map_or(Ok(TOP), |limit| number_or(limit, "limit should be a number"))?;
    let path = format!("/pd/api/v1/regions/{order}?limit={limit}");
    Ok(list(path, "Failed to get regions: ").filtered(args.flag("jq")))
}

/// Page after page, so that neither side ever holds all Regions.
async fn scan(session: Session, args: Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    let mut start = String::new();
    let mut shown = String::new();
    loop {
        let path = format!("/pd/api/v1/regions/key?key={start}&format=hex&limit={PAGE}");
        let page = Ask::get(path).or_say("Failed to scan regions: ").send(&session).await?;
        match args.flag("jq") {
            Some(filter) => shown.push_str(&jq::filter(filter, &page.text)?),
            None => shown.push_str(&page.text),
        }
        let regions: Value = serde_json::from_str(&page.text)
            .map_err(|error| Failure::here(format!("Failed to scan regions: {error}\n")))?;
        let last = regions["regions"].as_array().and_then(|regions| regions.last());
        let end = last.and_then(|region| region["end_key"].as_str()).unwrap_or_default();
        // An end that does not rise would be asked for ever.
        if end.is_empty() || end <= start.as_str() {
            return Ok(Answer::words(shown));
        }
        start = end.to_owned();
    }
}

fn list(path: String, failed: &str) -> Ask {
    Ask::get(path).or_say(failed).columns(&REGIONS)
}

#[cfg(test)]
mod tests {
    use super::{by_flow, check};
    use crate::command::Args;

    fn typed(words: &[&str]) -> Args {
        Args { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Args::default() }
    }

    #[test]
    fn flows_by_bytes_or_queries() {
        let path = |words: &[&str]| by_flow(&typed(words), "read").unwrap().path;
        assert_eq!(path(&["2"]), "/pd/api/v1/regions/readflow?limit=2");
        assert_eq!(path(&["byte", "2"]), "/pd/api/v1/regions/readflow?limit=2");
        assert!(by_flow(&typed(&["query", "2"]), "read").unwrap_err().words.contains("queries"));
        assert_eq!(by_flow(&typed(&["abc"]), "read").unwrap_err().words, "limit should be a number\n");
    }

    #[test]
    fn histograms_have_bounds() {
        let path = |words: &[&str]| check(&typed(words)).unwrap().path;
        assert_eq!(path(&["hist-size"]), "/pd/api/v1/regions/check/hist-size?bound=10");
        assert_eq!(path(&["hist-keys", "7"]), "/pd/api/v1/regions/check/hist-keys?bound=7");
        assert_eq!(path(&["down-peer"]), "/pd/api/v1/regions/check/down-peer");
    }
}
