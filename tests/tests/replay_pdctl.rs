//! `pdctl.jsonl`, typed again: every recorded line of a command that our `pd-ctl` has gets the recorded answer, on the
//! same cluster in the same order. Where tikv/pd's tool fails with exit code 0, ours says the same words, ends with 1 and
//! adds on standard error what to do.
//!
//! What differs on purpose is listed in `tests/data/pdctl-differences.jsonl` with our own answer, and told in
//! `docs/differences.md`; a listed row that no longer differs fails, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tests::replay::answer::{Answer, Names, differences};
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::served::{self, PdCtlRow};
use tests::replay::server::Server;

/// The cluster id of the recorded tikv/pd behind `pdctl.jsonl`, and where it listened.
const RECORDED_CLUSTER_ID: u64 = 7_711_467_164_713_867_296;
const RECORDED_CLIENT: &str = "127.0.0.1:2379";
const RECORDED_PEER: &str = "127.0.0.1:2380";

/// The rows that fail. tikv/pd's tool ends most of them with 0.
const FAILING: [u32; 32] = [
    17, 18, 45, 58, 77, 79, 94, 98, 99, 106, 107, 109, 116, 124, 125, 129, 147, 155, 159, 161, 162, 164, 167,
    170, 175, 179, 185, 189, 205, 212, 222, 282,
];

/// The rows that show a help text: usage line and flags are compared.
const HELPS: [u32; 4] = [116, 159, 222, 283];

/// A row where ours says something else on purpose.
#[derive(Debug, Clone, Deserialize)]
struct Difference {
    n: u32,
    why: String,
    /// The exit code.
    status: i32,
    /// What it prints on standard output.
    body: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_answers_as_recorded() -> Result<()> {
    replay(Raise(0)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_ids_raised_by_1000_as_well() -> Result<()> {
    replay(Raise(1000)).await
}

#[test]
fn every_difference_is_told_in_the_docs() -> Result<()> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md"))?;
    let served: BTreeSet<u32> = served::pdctl()?.iter().map(|row| row.n).collect();
    for difference in listed_differences()? {
        ensure!(!difference.why.trim().is_empty(), "n {} has no reason", difference.n);
        ensure!(served.contains(&difference.n), "n {} is not replayed", difference.n);
        let told = docs.lines().any(|line| line.starts_with(&format!("| pd-ctl {} |", difference.n)));
        ensure!(told, "docs/differences.md has no row `| pd-ctl {} | ...`", difference.n);
    }
    Ok(())
}

async fn replay(raise: Raise) -> Result<()> {
    let wire = Wire::compiled()?;
    let server = Server::start("").await?;
    let base = server.client_url();
    // As the record was made: halted before there is a cluster.
    server.configure("{\"halt-scheduling\": \"true\"}").await?;
    let cluster_id = server.cluster_id().await?;
    let names = Names::new(cluster_id, &server.address(), &server.peer_address());
    let mut feed = Feed::new(record::state()?, server.connect(&wire).await?, cluster_id, raise);
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;

    let mut listed: BTreeMap<u32, Difference> =
        listed_differences()?.into_iter().map(|it| (it.n, it)).collect();
    let mut wrong = Vec::new();
    for row in served::pdctl()? {
        let ours = typed(&base, &row, raise).with_context(|| format!("n {} {}", row.n, row.ask))?;
        let expected_code = i32::from(FAILING.contains(&row.n));
        let recorded_names = Names::new(RECORDED_CLUSTER_ID, RECORDED_CLIENT, RECORDED_PEER);
        let found = compare(&row, &row.body, expected_code, &recorded_names, &ours, &names, raise);
        let found = match (listed.remove(&row.n), found.is_empty()) {
            (None, _) => found,
            (Some(_), true) => vec!["no longer differs: strike it from the list".to_owned()],
            (Some(other), false) => {
                let found = compare(&row, &other.body, other.status, &names, &ours, &names, raise);
                found.into_iter().map(|line| format!("differs otherwise than listed: {line}")).collect()
            }
        };
        if !found.is_empty() {
            wrong.push(format!("n {} {}:\n    {}", row.n, row.ask, found.join("\n    ")));
        }
    }
    ensure!(listed.is_empty(), "listed as different, but never typed: {:?}", listed.keys());
    ensure!(
        wrong.is_empty(),
        "{} rows differ (ids raised by {}):\n{}",
        wrong.len(),
        raise.0,
        wrong.join("\n")
    );
    server.passed()
}

/// What our tool has other than the expected answer.
fn compare(
    row: &PdCtlRow,
    body: &str,
    code: i32,
    expected_names: &Names,
    ours: &Output,
    names: &Names,
    raise: Raise,
) -> Vec<String> {
    let (stdout, stderr) = (String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&ours.stderr));
    let mut found = Vec::new();
    if ours.status.code() != Some(code) {
        found.push(format!("exit code {:?} instead of {code}: {stdout}{stderr}", ours.status.code()));
    }
    if (code == 0) != stderr.is_empty() || (code != 0 && !stderr.contains("hint: ")) {
        found.push(format!("what to do stands on standard error when it fails, and only then: {stderr:?}"));
    }
    let (body, on_stderr) =
        body.split_once("\n[stderr] ").map_or((body, None), |(out, err)| (out, Some(err)));
    if let Some(words) = on_stderr.filter(|words| !stderr.contains(*words)) {
        found.push(format!("on standard error: recorded {words:?}, ours {stderr:?}"));
    }
    if HELPS.contains(&row.n) {
        found.extend(help_differences(body, &stdout));
    } else if let Some(begun) = body.strip_suffix(" ... cut") {
        found.extend(cut_differences(begun, &stdout, raise));
    } else {
        found.extend(text_differences(body, expected_names, &stdout, names, raise, row.stable));
    }
    found
}

fn text_differences(
    recorded: &str,
    recorded_names: &Names,
    ours: &str,
    names: &Names,
    raise: Raise,
    stable: bool,
) -> Vec<String> {
    let ends = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let mut found = Vec::new();
    if ends(recorded) != ends(ours) {
        found.push(format!(
            "newlines at the end: recorded {}, ours {}: {ours:?}",
            ends(recorded),
            ends(ours)
        ));
    }
    // One JSON value a line is what `--jq` prints: each line is read by itself.
    let pieces = |text: &str| -> Vec<String> {
        let text = text.trim_end_matches('\n');
        let lines = || text.lines().map(str::to_owned).collect::<Vec<_>>();
        let is_lines =
            text.lines().count() > 1 && text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
        if is_lines { lines() } else { vec![text.to_owned()] }
    };
    let (there, here) = (pieces(recorded), pieces(ours));
    if there.len() != here.len() {
        found.push(format!("recorded {} values, ours {}", there.len(), here.len()));
    }
    for (there, here) in there.iter().zip(&here) {
        let mut there = Answer::read(&raised_map(there, raise)).raised(raise).masked(recorded_names);
        let mut here = Answer::read(here).masked(names);
        in_operators(raise, &mut there.value);
        for answer in [&mut there, &mut here] {
            // When a scheduler was described.
            if let Some(seconds) = answer.value.get_mut("timestamp") {
                *seconds = "<any>".into();
            }
        }
        if !stable {
            (there, here) = (there.shape(), here.shape());
        }
        found.extend(differences(&there, &here));
    }
    found
}

/// The keys of the map that `label isolation` prints are Regions.
fn raised_map(text: &str, raise: Raise) -> String {
    let Some((before, map)) = text.split_once("region-map:map[") else { return text.to_owned() };
    let pairs = map.trim_end_matches(']').split(' ').map(|pair| match pair.split_once(':') {
        Some((id, level)) => format!("{}:{level}", id.parse().map_or(0, |id| raise.id(id))),
        None => pair.to_owned(),
    });
    format!("{before}region-map:map[{}]", pairs.collect::<Vec<_>>().join(" "))
}

/// The second id in the words of an operator: `{transfer leader: store 6 to 1}`.
fn in_operators(raise: Raise, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| in_operators(raise, item)),
        Value::String(text) => {
            let pieces: Vec<String> = text
                .split(" to ")
                .map(|piece| match piece.split_once('}') {
                    // What is raised already is left alone.
                    Some((id, rest)) if id.parse::<u64>().is_ok_and(|id| id < raise.0) => {
                        format!("{}}}{rest}", raise.id(id.parse().unwrap_or(0)))
                    }
                    _ => piece.to_owned(),
                })
                .collect();
            *text = pieces.join(" to ");
        }
        Value::Object(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// The recorded usage line and every recorded flag are there.
fn help_differences(recorded: &str, ours: &str) -> Vec<String> {
    let usage = |text: &str| text.lines().skip_while(|line| *line != "Usage:").nth(1).map(str::to_owned);
    let flags = |text: &str| -> BTreeSet<String> {
        let words = text.lines().filter(|line| line.starts_with("  ")).flat_map(str::split_whitespace);
        words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    if usage(recorded) != usage(ours) {
        found.push(format!("usage: recorded {:?}, ours {:?}", usage(recorded), usage(ours)));
    }
    let missing: Vec<String> = flags(recorded).difference(&flags(ours)).cloned().collect();
    if !missing.is_empty() {
        found.push(format!("flags {missing:?} are missing"));
    }
    let last = |text: &str| text.trim_end().lines().last().map(str::to_owned);
    if last(recorded) != last(ours) {
        found.push(format!("last line: recorded {:?}, ours {:?}", last(recorded), last(ours)));
    }
    found
}

/// Of a list that was cut, every Region that is whole in it must be in ours, and equal.
fn cut_differences(begun: &str, ours: &str, raise: Raise) -> Vec<String> {
    let Ok(ours) = serde_json::from_str::<Value>(ours) else { return vec![format!("no JSON: {ours}")] };
    let of_id =
        |id: &Value| ours["regions"].as_array().into_iter().flatten().find(|region| region["id"] == *id);
    let (mut found, mut compared) = (Vec::new(), 0);
    let list = begun.split_once("\"regions\":[").map_or("", |(_, list)| list);
    let mut regions = serde_json::Deserializer::from_str(list).into_iter::<Value>();
    let mut at = 0;
    while let Some(Ok(region)) = regions.next() {
        compared += 1;
        let recorded = Answer::read(&region.to_string()).raised(raise);
        let here = of_id(&recorded.value["id"]).cloned().unwrap_or_default();
        found.extend(differences(&recorded, &Answer::read(&here.to_string())));
        at += regions.byte_offset();
        // Behind each stands a comma, which is no JSON by itself.
        let Some(rest) = list[at..].strip_prefix(',') else { break };
        at += 1;
        regions = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    }
    if compared == 0 {
        found.push("nothing to compare".to_owned());
    }
    let count = format!("{{\"count\":{},", ours["count"]);
    if !begun.starts_with(&count) {
        found.push(format!("recorded {}.., ours {count}", &begun[..20.min(begun.len())]));
    }
    found
}

/// Types a row, with raised ids.
fn typed(base: &str, row: &PdCtlRow, raise: Raise) -> Result<Output> {
    let words = raised_words(words(&row.ask), raise);
    let output = Command::new(pd_ctl()?)
        .args(["-u", base])
        .args(&words)
        .env_remove("PD_ADDR")
        .output()
        .with_context(|| format!("{words:?}"))?;
    Ok(output)
}

/// The tool lies beside this test's folder.
fn pd_ctl() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let beside = here.ancestors().skip(1).take(2).map(|folder| folder.join("pd-ctl"));
    beside
        .into_iter()
        .find(|path| path.is_file())
        .context("pd-ctl is not built: run `cargo build -p pd-client` first")
}

/// The words of a line; the record's lines have double quotes only.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// The ids in a line, by the command that takes them.
fn raised_words(mut words: Vec<String>, raise: Raise) -> Vec<String> {
    let places: Vec<usize> = {
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["region", "sibling" | "store", ..] => vec![2],
            ["region" | "store", _] | ["store", _, "--jq=.store.labels"] => vec![1],
            ["store", "delete" | "cancel-delete" | "label" | "weight" | "limit", ..] => vec![2],
            ["operator", "check" | "remove", ..] => vec![2],
            ["operator", "add", ..] => (3..texts.len()).collect(),
            ["config", "placement-rules", "show", "--region", ..] => vec![4],
            _ => vec![],
        }
    };
    for at in places {
        if let Some(id) = words.get(at).and_then(|word| word.parse().ok()) {
            words[at] = raise.id(id).to_string();
        }
    }
    words
}

fn listed_differences() -> Result<Vec<Difference>> {
    record::lines("pdctl-differences.jsonl")
}

#[test]
fn lines_are_typed_as_the_record_has_them() {
    let line = "store --jq=\".stores[].store|{id,address}\" isolation-level \"\" x";
    assert_eq!(words(line), ["store", "--jq=.stores[].store|{id,address}", "isolation-level", "", "x"]);
    let raise = |line| raised_words(words(line), Raise(1000)).join(" ");
    assert_eq!(raise("operator add transfer-region 105 2 3"), "operator add transfer-region 1105 1002 1003");
    assert_eq!(raise("store limit 1 10 add-peer"), "store limit 1001 10 add-peer");
    assert_eq!(raise("store limit all 30"), "store limit all 30");
    assert_eq!(raise("region topread 2"), "region topread 2");
}

#[test]
fn a_missing_flag_another_usage_and_another_region_are_found() {
    let recorded = "Usage:\n  pd-ctl a [flags]\n\nFlags:\n  -h, --help   help\n      --key string\n";
    assert!(help_differences(recorded, recorded).is_empty());
    assert!(!help_differences(recorded, &recorded.replace("--key", "--kay")).is_empty());
    assert!(!help_differences(recorded, &recorded.replace("pd-ctl a", "pd-ctl b")).is_empty());
    let begun = "{\"count\":2,\"regions\":[{\"id\":7,\"a\":1},{\"id\":8,\"a\":2},{\"id\":9,";
    let ours = "{\"count\":2,\"regions\":[{\"id\":8,\"a\":2},{\"id\":7,\"a\":1}]}";
    assert!(cut_differences(begun, ours, Raise(0)).is_empty());
    assert!(!cut_differences(begun, &ours.replace("\"a\":2", "\"a\":3"), Raise(0)).is_empty());
    assert!(!cut_differences(begun, &ours.replace("\"id\":7", "\"id\":6"), Raise(0)).is_empty());
    assert!(!cut_differences(begun, &ours.replace("\"count\":2", "\"count\":3"), Raise(0)).is_empty());
}
