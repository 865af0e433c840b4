//! `grpc.jsonl`, asked again: every recorded row of an RPC that we serve gets the recorded answer.
//!
//! What differs on purpose is listed in `tests/data/grpc-differences.jsonl` with our own answer, and told in
//! `docs/differences.md`; a listed row that no longer differs fails, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tests::replay::compare;
use tests::replay::dynamic::{Connection, Event, Rpc, Wire, code_name, from_json, to_json};
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::mask::Mask;
use tests::replay::record::{self, HeaderKind, Outcome, Row};
use tests::replay::served;
use tests::replay::server::Server;

/// The record's rows before the cluster was fed, and what happened between which rows.
const FED_BEFORE: u32 = 37;
const HEARTBEATS_AGAIN_AFTER: u32 = 68;
const RESTARTED_BEFORE: u32 = 162;

/// While halted nothing is scheduled and splits are refused; afterwards splits are granted, but limits of 0 still keep
/// every operator away from the recorded Regions.
const HALTED: &str = "{\"halt-scheduling\": \"true\"}";
const LIMITS_ZERO: &str = "{\"halt-scheduling\": \"false\", \"leader-schedule-limit\": 0, \"region-schedule-limit\": 0, \
                           \"replica-schedule-limit\": 0}";

/// How long a stream may stay open after we closed our side: the record read for two seconds, and every stream of a
/// served RPC ended in that time.
const STREAM_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How the record says that a stream stayed open until its reader left.
const STAYS_OPEN: &str = "DEADLINE_EXCEEDED";
const DEADLINE_TEXT: &str = "Stream removed (Deadline Exceeded)";
/// As long as the record read such a stream after its last answer.
const STREAM_READ_FOR: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_served_row_is_answered_as_recorded() -> Result<()> {
    replay(Raise(0)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_ids_raised_by_1000_as_well() -> Result<()> {
    replay(Raise(1000)).await
}

#[test]
fn every_recorded_answer_is_read_and_equals_itself() -> Result<()> {
    let (wire, mask) = (Wire::compiled()?, Mask::recorded());
    let rows = served::grpc()?;
    for row in &rows {
        let rpc = wire.rpc(&row.rpc)?;
        let recorded = mask.outcome(&row.rpc, &raised(&rpc, &row.outcome, Raise(0))?);
        let found = compare::differences(&recorded, &recorded.clone());
        ensure!(found.is_empty(), "n {}: {found:?}", row.n);
        for request in requests(row) {
            from_json(&rpc.request, &request).with_context(|| format!("n {}", row.n))?;
        }
    }
    let asked: BTreeSet<&str> = rows.iter().map(|row| row.rpc.as_str()).collect();
    println!("{} rows of {} RPCs", rows.len(), asked.len());
    ensure!(rows.len() == 84, "{} rows: was the record cut?", rows.len());
    Ok(())
}

#[test]
fn every_difference_is_told_in_the_docs() -> Result<()> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md"))?;
    let served: BTreeSet<u32> = served::grpc()?.iter().map(|row| row.n).collect();
    for difference in record::grpc_differences()? {
        ensure!(!difference.why.trim().is_empty(), "n {} has no reason", difference.n);
        ensure!(served.contains(&difference.n), "n {} is not replayed", difference.n);
        let told = docs.lines().any(|line| line.starts_with(&format!("| {} |", difference.n)));
        ensure!(told, "docs/differences.md has no row `| {} | ...`", difference.n);
    }
    Ok(())
}

async fn replay(raise: Raise) -> Result<()> {
    let wire = Wire::compiled()?;
    let mut server = Server::start("").await?;
    server.configure(HALTED).await?;
    let cluster_id = server.cluster_id().await?;
    let mask = Mask::new(cluster_id, &server.client_url(), &server.peer_url());
    let mut connection = server.connect(&wire).await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), cluster_id, raise);
    let mut differences: BTreeMap<u32, _> =
        record::grpc_differences()?.into_iter().map(|it| (it.n, it)).collect();
    let mut given = Given::default();
    let mut wrong = Vec::new();
    let (mut fed, mut fed_again, mut restarted) = (false, false, false);
    for row in served::grpc()? {
        if row.n >= FED_BEFORE && !fed {
            feed.bootstrap().await?;
            feed.all().await.with_context(|| server.log_tail())?;
            fed = true;
        }
        // Row 58 gives Region 107 another epoch; until row 68 has read it, its store keeps quiet.
        if row.n > HEARTBEATS_AGAIN_AFTER && !fed_again {
            feed.stores().await?;
            feed.regions().await?;
            fed_again = true;
        }
        if row.n >= RESTARTED_BEFORE && !restarted {
            server.configure(LIMITS_ZERO).await?;
            server.restart("").await?;
            connection = server.connect(&wire).await?;
            feed.reconnect(connection.clone());
            feed.all().await.with_context(|| server.log_tail())?;
            restarted = true;
        }
        let rpc = wire.rpc(&row.rpc)?;
        let ours =
            ask(&connection, &rpc, &row, cluster_id, raise).await.with_context(|| format!("n {}", row.n))?;
        given.add(&row.rpc, &ours)?;
        let recorded = Mask::recorded().outcome(&row.rpc, &raised(&rpc, &row.outcome, raise)?);
        let ours = mask.outcome(&row.rpc, &ours);
        let found = compare::differences(&recorded, &ours);
        match differences.remove(&row.n) {
            None if found.is_empty() => {}
            None => wrong.push(format!("n {} {}:\n    {}", row.n, row.rpc, found.join("\n    "))),
            Some(_) if found.is_empty() => {
                wrong.push(format!("n {} {} no longer differs: strike it from the list", row.n, row.rpc));
            }
            Some(listed) => {
                let listed = Mask::recorded().outcome(&row.rpc, &raised(&rpc, &listed.outcome, raise)?);
                let found = compare::differences(&listed, &ours);
                if !found.is_empty() {
                    wrong.push(format!(
                        "n {} {} differs otherwise than listed:\n    {}",
                        row.n,
                        row.rpc,
                        found.join("\n    ")
                    ));
                }
            }
        }
    }
    ensure!(restarted && differences.is_empty(), "never asked: {:?}", differences.keys());
    ensure!(
        wrong.is_empty(),
        "{} rows differ (ids raised by {}):\n{}",
        wrong.len(),
        raise.0,
        wrong.join("\n")
    );
    server.passed()
}

/// The recorded requests without their headers: one, or those of a stream.
fn requests(row: &Row) -> Vec<Value> {
    match &row.req {
        Value::Array(stream) => stream.clone(),
        single => vec![single.clone()],
    }
}

/// Asks what the row asks, and reads until the call is over.
async fn ask(
    connection: &Connection,
    rpc: &Rpc,
    row: &Row,
    cluster_id: u64,
    raise: Raise,
) -> Result<Outcome> {
    let mut stream = connection.stream(rpc);
    for mut request in requests(row) {
        let named = match row.h {
            HeaderKind::Ok => Some(cluster_id),
            HeaderKind::Bad => Some(cluster_id + 1),
            HeaderKind::None => None,
        };
        // Messages of the resource manager have no header.
        let has_header = rpc.request.get_field_by_name("header").is_some();
        if let (Some(id), true) = (named, has_header) {
            request["header"] = json!({"cluster_id": id.to_string()});
        }
        let mut message = from_json(&rpc.request, &request)?;
        raise.message(&mut message);
        // A call that is refused at once takes no message; how it ended is read below.
        let _ = stream.send(message).await;
    }
    stream.close();
    let mut answers = Vec::new();
    let within = if row.outcome.code == STAYS_OPEN { STREAM_READ_FOR } else { STREAM_ENDS_WITHIN };
    loop {
        match tokio::time::timeout(within, stream.next()).await {
            Ok(Some(Event::Answer(answer))) => answers.push(to_json(&answer)?),
            Ok(Some(Event::End(status))) => {
                let (code, details) = (code_name(status.code()).to_string(), status.message().to_string());
                return Ok(Outcome { code, details, answers });
            }
            Ok(None) => bail!("the call ended without a status"),
            Err(_) => {
                return Ok(Outcome { code: STAYS_OPEN.into(), details: DEADLINE_TEXT.into(), answers });
            }
        }
    }
}

/// A recorded outcome in our form of JSON, with its ids raised.
fn raised(rpc: &Rpc, outcome: &Outcome, raise: Raise) -> Result<Outcome> {
    let mut answers = Vec::new();
    for answer in &outcome.answers {
        let mut message = from_json(&rpc.answer, answer)?;
        raise.message(&mut message);
        let mut answer = to_json(&message)?;
        if let Some(Value::String(text)) = answer.pointer_mut("/header/error/message") {
            *text = raise.text(text);
        }
        answers.push(answer);
    }
    Ok(Outcome { code: outcome.code.clone(), details: raise.text(&outcome.details), answers })
}

/// What PD gave out once and may not give again; masked in the comparison, so it is watched here.
#[derive(Default)]
struct Given {
    ids: BTreeSet<u64>,
    last_timestamp: (u64, u64),
    /// The highest revision that MetaStorage answered.
    revision: u64,
    /// The revisions of writes by MetaStorage, in their order.
    written: Vec<u64>,
}

impl Given {
    fn add(&mut self, rpc: &str, outcome: &Outcome) -> Result<()> {
        for answer in &outcome.answers {
            match rpc {
                "pdpb.PD/AllocID" => {
                    let last = number(&answer["id"])?;
                    let count = answer["count"].as_u64().unwrap_or(1).max(1);
                    ensure!(last >= count, "ids {last} and {count} before it");
                    (last - count + 1..=last).try_for_each(|id| self.fresh(id))?;
                }
                "pdpb.PD/AskBatchSplit" => {
                    for ids in answer["ids"].as_array().into_iter().flatten() {
                        self.fresh(number(&ids["new_region_id"])?)?;
                        for peer in ids["new_peer_ids"].as_array().into_iter().flatten() {
                            self.fresh(number(peer)?)?;
                        }
                    }
                }
                "pdpb.PD/AskSplit" if answer.get("new_region_id").is_some() => {
                    self.fresh(number(&answer["new_region_id"])?)?;
                    for peer in answer["new_peer_ids"].as_array().into_iter().flatten() {
                        self.fresh(number(peer)?)?;
                    }
                }
                "pdpb.PD/Tso" => {
                    let timestamp = &answer["timestamp"];
                    let (physical, logical) =
                        (number(&timestamp["physical"])?, number(&timestamp["logical"])?);
                    // The answer names the highest of a block of `count`.
                    let lowest =
                        (physical, (logical + 1).saturating_sub(answer["count"].as_u64().unwrap_or(1)));
                    ensure!(lowest > self.last_timestamp, "{answer} after {:?}", self.last_timestamp);
                    ensure!(logical < 1 << 18, "{answer}: logical parts have 18 bits");
                    self.last_timestamp = (physical, logical);
                }
                "meta_storagepb.MetaStorage/Get" => self.read(answer)?,
                "meta_storagepb.MetaStorage/Put" | "meta_storagepb.MetaStorage/Delete" => {
                    let before = self.revision;
                    self.read(answer)?;
                    ensure!(self.revision > before, "a write left the revision at {before}");
                    self.written.push(self.revision);
                }
                "meta_storagepb.MetaStorage/Watch" => {
                    self.read(answer)?;
                    let events = answer["events"].as_array().context("events")?;
                    let changed = events.iter().map(|event| number(&event["kv"]["mod_revision"]));
                    let changed: Vec<u64> = changed.collect::<Result<_>>()?;
                    ensure!(changed == self.written, "events at {changed:?}, writes at {:?}", self.written);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Each answer of MetaStorage tells the revision, which never falls.
    fn read(&mut self, answer: &Value) -> Result<()> {
        let revision = number(&answer["header"]["revision"])?;
        ensure!(revision >= self.revision, "revision {revision} after {}", self.revision);
        self.revision = revision;
        Ok(())
    }

    fn fresh(&mut self, id: u64) -> Result<()> {
        ensure!(id != 0 && self.ids.insert(id), "id {id} was given before");
        Ok(())
    }
}

/// A 64-bit number of protobuf's JSON; absent is zero.
fn number(value: &Value) -> Result<u64> {
    value.as_str().map_or(Ok(0), |digits| digits.parse().with_context(|| digits.to_string()))
}
