//! Wrong requests to the calls that came with the admin API: each is refused in the way of its service, and nothing
//! changes. Bytes that are no message are refused by every call.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::cluster::PATIENCE;
use tests::coverage::{ask as coverage, list};
use tests::replay::dynamic::{Connection, Event, Wire, code_name, from_json, to_json};
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;

/// The recorded cluster stays as it is.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";
/// Messages of bytes by chance, to all calls together; the seed is fixed.
const CASES: u32 = 600;
/// How long the rest of an answer is waited for: a watch of something goes on, its beginning is enough.
const REST: Duration = Duration::from_millis(50);

async fn recorded() -> Result<(Server, Feed, Connection, u64)> {
    let server = Server::start(HALTED).await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let id = server.cluster_id().await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;
    Ok((server, feed, connection, id))
}

/// The status and what came with it: the text of a refusal, or the answer.
async fn ask(connection: &Connection, name: &str, mut request: Value, id: u64) -> Result<(String, String)> {
    let rpc = connection.wire().rpc(name)?;
    let header = request.as_object().is_some_and(|fields| fields.contains_key("header"));
    if !header {
        request["header"] = json!({"cluster_id": id.to_string()});
    }
    let mut stream = connection.stream(&rpc);
    // A call that is refused at once takes no message; how it ended is read below.
    let _ = stream.send(from_json(&rpc.request, &request)?).await;
    stream.close();
    let event =
        tokio::time::timeout(PATIENCE, stream.next()).await.with_context(|| format!("{name} is silent"))?;
    Ok(match event.context("no end")? {
        Event::Answer(answer) => ("OK".to_owned(), to_json(&answer)?.to_string()),
        Event::End(status) => (code_name(status.code()).to_owned(), status.message().to_owned()),
    })
}

/// All that these calls could change.
async fn everything(connection: &Connection, id: u64) -> Result<Vec<Value>> {
    let header = json!({"cluster_id": id.to_string()});
    let mut all = Vec::new();
    for (name, mut request) in [
        ("pdpb.PD/GetAllStores", json!({})),
        ("pdpb.PD/ScanRegions", json!({"limit": -1})),
        ("pdpb.PD/GetGCSafePoint", json!({})),
        ("keyspacepb.Keyspace/LoadKeyspace", json!({"name": "DEFAULT"})),
        // From the first key to the last.
        ("meta_storagepb.MetaStorage/Get", json!({"key": "AA==", "range_end": "AA=="})),
    ] {
        request["header"] = header.clone();
        let mut answer = connection.ask_json(name, &request).await?;
        if let Some(stores) = answer["stores"].as_array_mut() {
            stores.sort_by_key(|store| store["id"].to_string());
        }
        // The clock's bound is raised all the time, and with it the revision.
        answer["header"] = Value::Null;
        if let Some(kvs) = answer["kvs"].as_array_mut() {
            let clock = |kv: &Value| kv["key"].as_str().is_some_and(|key| key.contains("dGltZXN0YW1w"));
            kvs.retain(|kv| !clock(kv));
        }
        all.push(answer);
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_form_of_their_service_and_change_nothing() -> Result<()> {
    let (server, _feed, connection, id) = recorded().await?;
    let put = "meta_storagepb.MetaStorage/Put";
    let delete = "meta_storagepb.MetaStorage/Delete";
    let own = base64(format!("/pd/{id}/alloc_id").as_bytes());
    let other = json!({"cluster_id": (id + 1).to_string()});
    let reversed = json!([{"start_key": "dDAwMDA3", "end_key": "dDAwMDA1"}]);
    let cases: Vec<(&str, Value, &str, &str)> = vec![
        (put, json!({"key": "", "value": "YQ=="}), "INVALID_ARGUMENT", "key"),
        (put, json!({"key": own, "value": "YQ=="}), "PERMISSION_DENIED", "/pd/"),
        (put, json!({"key": "YQ==", "value": "YQ==", "lease": "77"}), "NOT_FOUND", "lease"),
        (delete, json!({"key": ""}), "INVALID_ARGUMENT", "key"),
        (delete, json!({"key": own}), "PERMISSION_DENIED", "/pd/"),
        // One key only, whatever the end: not all of the state.
        (delete, json!({"key": "AA==", "range_end": "AA=="}), "OK", ""),
        (delete, json!({"key": "eg==", "range_end": "YQ=="}), "OK", ""),
        ("pdpb.PD/QueryRegion", json!({"header": other, "keys": ["YQ=="]}), "FAILED_PRECONDITION", "need"),
        ("pdpb.PD/QueryRegion", json!({"ids": ["18446744073709551615"]}), "OK", ""),
        ("pdpb.PD/BatchScanRegions", json!({"header": other}), "FAILED_PRECONDITION", "need"),
        ("pdpb.PD/BatchScanRegions", json!({"ranges": reversed}), "OK", "error"),
        ("keyspacepb.Keyspace/LoadKeyspace", json!({"name": "nope"}), "OK", "ENTRY_NOT_FOUND"),
        ("keyspacepb.Keyspace/LoadKeyspace", json!({"name": ""}), "OK", "ENTRY_NOT_FOUND"),
        (
            "pdpb.PD/UpdateGCSafePoint",
            json!({"header": other, "safe_point": "9"}),
            "FAILED_PRECONDITION",
            "need",
        ),
        ("pdpb.PD/UpdateGCSafePoint", json!({"safe_point": "0"}), "OK", ""),
    ];
    let before = everything(&connection, id).await?;
    let mut wrong = Vec::new();
    for (name, request, code, words) in cases {
        let (found, text) = ask(&connection, name, request.clone(), id).await?;
        if found != code || !text.contains(words) {
            wrong.push(format!("{name} {request}: {found} {text}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(everything(&connection, id).await? == before, "refused calls changed something");
    server.passed()
}

#[test]
fn bytes_that_are_no_message_are_refused_by_every_call() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (server, _feed, connection, id) = runtime.block_on(recorded())?;
    let base = server.client_url();
    let all = list::grpc()?;
    let present = runtime.block_on(coverage::grpc(&base, &all))?;
    let there = all.entries.iter().zip(present).filter(|(_, present)| *present);
    let names: Vec<String> = there.map(|(entry, _)| entry.name.clone()).collect();
    ensure!(names.len() > 30, "{names:?}");
    let before = runtime.block_on(everything(&connection, id))?;
    let client = {
        let _inside = runtime.enter();
        Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>()
    };
    let send = async |name: &str, bytes: Vec<u8>| -> Result<String> {
        let request = Request::post(format!("{base}/{name}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(bytes)))?;
        let exchange = async {
            let answer = client.request(request).await?;
            let head = answer.headers().get("grpc-status").cloned();
            let end = tokio::time::timeout(REST, answer.into_body().collect());
            let trailers = end.await.ok().and_then(Result::ok).and_then(|body| body.trailers().cloned());
            let tail = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
            Ok::<_, anyhow::Error>(
                head.or(tail).map_or_else(String::new, |s| String::from_utf8_lossy(s.as_bytes()).into()),
            )
        };
        tokio::time::timeout(PATIENCE, exchange).await?.with_context(|| name.to_owned())
    };
    // A wire type that does not exist comes first, so that nothing can be read as a message.
    let broken =
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| framed(&[&[0x0f], &bytes[..]].concat()));
    let loose = prop::collection::vec(any::<u8>(), 0..40);
    let short = Just(vec![0, 0, 0, 0, 200, 1, 2]);
    let huge = Just(vec![0, 0xff, 0xff, 0xff, 0xff, 1]);
    let case = (prop::sample::select(names), prop_oneof![4 => broken, 2 => loose, 1 => short, 1 => huge]);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&case, |(name, bytes)| {
        let fail = |error: anyhow::Error| TestCaseError::fail(format!("{error:#}"));
        runtime.block_on(send(&name, bytes)).map_err(fail)?;
        Ok(())
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))?;
    let refused = runtime.block_on(send("pdpb.PD/GetStore", framed(&[0x0f, 1, 2])))?;
    ensure!(refused == "13" || refused == "3", "a message that is none: {refused:?}");
    ensure!(runtime.block_on(everything(&connection, id))? == before, "bytes changed something");
    server.passed()
}

/// Bytes as one message of a call.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap_or(u8::MAX)];
    framed.extend_from_slice(message);
    framed
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
