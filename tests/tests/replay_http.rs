//! `http.jsonl`, asked again: every recorded request of a route that we serve gets the recorded answer, byte shapes
//! included.
//!
//! What differs on purpose is listed in `tests/data/http-differences.jsonl` with our own answer, and told in
//! `docs/differences.md`; a listed row that no longer differs fails, too.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tests::cluster::http;
use tests::replay::answer::{Answer, Names, differences};
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record::{self, HttpAnswer, HttpRow};
use tests::replay::served;
use tests::replay::server::Server;

/// The cluster id of the recorded tikv/pd behind `http.jsonl`, and where it listened.
const RECORDED_CLUSTER_ID: u64 = 7_711_466_970_568_934_529;
const RECORDED_CLIENT: &str = "127.0.0.1:2379";
const RECORDED_PEER: &str = "127.0.0.1:2380";
const RECORDED_DEFAULT_NAME: &str = "pd-vm";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_served_row_is_answered_as_recorded() -> Result<()> {
    replay(Raise(0)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_ids_raised_by_1000_as_well() -> Result<()> {
    replay(Raise(1000)).await
}

#[test]
fn every_recorded_answer_is_understood() -> Result<()> {
    let rows = served::http()?;
    for row in &rows {
        // Numbers are written in other ways by other languages; all else must survive being read.
        let read = Answer::read(&row.answer.body);
        ensure!(
            read.text().len().abs_diff(row.answer.body.len()) <= 16,
            "n {} is not understood: {read:?}",
            row.n
        );
    }
    println!("{} rows of {}", rows.len(), record::http_rows()?.len());
    Ok(())
}

#[test]
fn every_difference_is_told_in_the_docs() -> Result<()> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md"))?;
    for difference in record::http_differences()? {
        ensure!(!difference.why.trim().is_empty(), "n {} has no reason", difference.n);
        let told = docs.lines().any(|line| line.starts_with(&format!("| http {} |", difference.n)));
        ensure!(told, "docs/differences.md has no row `| http {} | ...`", difference.n);
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
    let names = Names::new(cluster_id, &server.address(), &server.peer_address())
        // The recorded member listened on the default addresses, which `config/default` tells.
        .also(RECORDED_CLIENT, RECORDED_PEER)
        .of_host(&default_name()?);
    let mut feed = Feed::new(record::state()?, server.connect(&wire).await?, cluster_id, raise);
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;

    let mut listed: BTreeMap<u32, _> = record::http_differences()?.into_iter().map(|it| (it.n, it)).collect();
    let mut wrong = Vec::new();
    for row in served::http()? {
        let ours = ask(&base, &row, raise).await.with_context(|| format!("n {} {}", row.n, row.ask))?;
        let found = compare(&row, &row.answer, &recorded_names(), &ours, &names, raise);
        let difference = listed.remove(&row.n);
        match difference {
            None if found.is_empty() => {}
            None => wrong.push(format!("n {} {}:\n    {}", row.n, row.ask, found.join("\n    "))),
            Some(_) if found.is_empty() => {
                wrong.push(format!("n {} {} no longer differs: strike it from the list", row.n, row.ask));
            }
            Some(difference) => {
                let found = compare(&row, &difference.answer, &names, &ours, &names, raise);
                if !found.is_empty() {
                    let found = found.join("\n    ");
                    wrong
                        .push(format!("n {} {} differs otherwise than listed:\n    {found}", row.n, row.ask));
                }
            }
        }
    }
    ensure!(listed.is_empty(), "listed as different, but never asked: {:?}", listed.keys());
    ensure!(
        wrong.is_empty(),
        "{} rows differ (ids raised by {}):\n{}",
        wrong.len(),
        raise.0,
        wrong.join("\n")
    );
    server.passed()
}

/// What our answer has other than the expected one.
fn compare(
    row: &HttpRow,
    expected: &HttpAnswer,
    expected_names: &Names,
    ours: &HttpAnswer,
    names: &Names,
    raise: Raise,
) -> Vec<String> {
    let mut found = Vec::new();
    if (expected.status, &expected.kind) != (ours.status, &ours.kind) {
        found.push(format!(
            "recorded {} {:?}, ours {} {:?}: {}",
            expected.status,
            expected.kind,
            ours.status,
            ours.kind,
            ours.body.chars().take(300).collect::<String>().trim_end()
        ));
        return found;
    }
    let (mut there, mut here) = (masked(expected, expected_names, raise), masked(ours, names, Raise(0)));
    if !row.stable {
        (there, here) = (there.shape(), here.shape());
    }
    found.extend(differences(&there, &here));
    found
}

fn masked(answer: &HttpAnswer, names: &Names, raise: Raise) -> Answer {
    Answer::read(&answer.body).raised(raise).masked(names)
}

fn recorded_names() -> Names {
    Names::new(RECORDED_CLUSTER_ID, RECORDED_CLIENT, RECORDED_PEER).of_host(RECORDED_DEFAULT_NAME)
}

/// The name of a member that is given none: it comes from the machine's.
fn default_name() -> Result<String> {
    Ok(format!("pd-{}", std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim()))
}

/// Asks what the row asks, with raised ids.
async fn ask(base: &str, row: &HttpRow, raise: Raise) -> Result<HttpAnswer> {
    let (method, path, body) = row.parts();
    let body = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) if value.is_object() => Answer::value(value).raised(raise).text(),
        _ => body.to_owned(),
    };
    let url = format!("{base}{}", raised_path(path, raise));
    let (status, kind, body) = http::send(method.parse()?, &url, &body).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(HttpAnswer { status: status.as_u16(), kind, body })
}

/// The ids in a path: whole segments behind a word that announces one. (No query of a served route has one.)
fn raised_path(path: &str, raise: Raise) -> String {
    const ANNOUNCES: [&str; 6] = ["store", "id", "sibling", "operators", "region", "min-resolved-ts"];
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut before = "";
    let mut out = Vec::new();
    // `members/id/` and `keyspace/id/` announce ids of other kinds.
    let is_ours = !path.contains("/members/") && !path.contains("keyspace");
    for segment in path.split('/') {
        match segment.parse::<u64>() {
            Ok(id) if is_ours && ANNOUNCES.contains(&before) => out.push(raise.id(id).to_string()),
            _ => out.push(segment.to_owned()),
        }
        before = segment;
    }
    let path = out.join("/");
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}
