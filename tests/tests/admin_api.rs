//! The admin API on whole groups: any member answers, writes are seen at once, and no input breaks it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually};
use tests::replay::dynamic::{Connection, Wire};
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The recorded cluster stays as it is.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";

/// A status, a content type and a body.
#[derive(Debug)]
struct Answer {
    status: u16,
    kind: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {self:?}"))
    }
}

async fn ask_with(header: Option<(&str, &str)>, method: &str, url: &str, body: Vec<u8>) -> Result<Answer> {
    let mut request = Request::builder().method(method.parse::<Method>()?).uri(url);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let exchange = async {
        let answer = client.request(request.body(Full::new(Bytes::from(body)))?).await?;
        let (parts, body) = answer.into_parts();
        let kind =
            parts.headers.get("content-type").map(|kind| kind.to_str().map(str::to_owned)).transpose()?;
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok::<_, anyhow::Error>(Answer { status: parts.status.as_u16(), kind: kind.unwrap_or_default(), body })
    };
    tokio::time::timeout(PATIENCE, exchange).await?.with_context(|| format!("{method} {url}"))
}

async fn ask(method: &str, url: &str, body: &str) -> Result<Answer> {
    ask_with(None, method, url, body.as_bytes().to_vec()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_member_answers_by_the_leader_and_alone_what_it_knows_itself() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 1)).await?;
    let leader = cluster.pd_leader().await?;
    let urls = cluster.endpoints();
    let followers: Vec<usize> = (0..urls.len()).filter(|at| *at != leader).collect();
    let (one, other) = (&urls[followers[0]], &urls[followers[1]]);

    // The same answer everywhere, through doubled slashes as well.
    let mut seen = BTreeSet::new();
    for url in &urls {
        let stores = ask("GET", &format!("{url}//pd/api/v1/stores"), "").await?;
        ensure!(stores.status == 200 && stores.kind == "application/json; charset=UTF-8", "{stores:?}");
        seen.insert(stores.json()?["stores"][0]["store"]["id"].as_u64().context("a store id")?);
        let regions = ask("GET", &format!("{url}/pd/api/v1/regions"), "").await?;
        ensure!(regions.status == 200 && regions.kind == "application/octet-stream", "{regions:?}");
        let unknown = ask("GET", &format!("{url}/pd/api/v1/regions/check/bogus"), "").await?;
        ensure!((unknown.status, unknown.body.as_str()) == (404, "404 page not found\n"), "{unknown:?}");
    }
    ensure!(seen.len() == 1, "members disagree about the one store: {seen:?}");
    let store = seen.first().context("a store")?;

    // What is written through one follower is read through the other.
    let labels = format!("pd/api/v1/store/{store}/label");
    let written = ask("POST", &format!("{one}/{labels}"), "{\"zone\": \"z9\"}").await?;
    ensure!(
        (written.status, written.body.as_str()) == (200, "\"The store's label is updated.\"\n"),
        "{written:?}"
    );
    let read = ask("GET", &format!("{other}/pd/api/v1/store/{store}"), "").await?.json()?;
    ensure!(read["store"]["labels"] == json!([{"key": "zone", "value": "z9"}]), "{read}");

    // One hop only.
    let hop = Some(("PD-Redirector", "pd-x"));
    let stores = format!("{one}/pd/api/v1/stores");
    let refused = ask_with(hop, "GET", &stores, Vec::new()).await?;
    ensure!(refused.status == 500 && refused.body.contains("redirect to not leader"), "{refused:?}");
    // A body that is too large is refused, and who sent it reads why.
    let huge = ask_with(None, "POST", &format!("{one}/{labels}"), vec![b' '; (16 << 20) + 1]).await?;
    ensure!(huge.status == 413, "{huge:?}");
    let large = ask_with(None, "POST", &format!("{one}/{labels}"), vec![b' '; (1 << 20) + 1]).await?;
    ensure!(large.status == 413, "{large:?}");

    // Each member has a log level of its own.
    let level = ask("POST", &format!("{one}/pd/api/v1/admin/log"), "\"debug\"").await?;
    ensure!((level.status, level.body.as_str()) == (200, "\"The log level is updated.\"\n"), "{level:?}");
    let debugs = async |at: usize| -> Result<bool> {
        Ok(cluster.members()[at].process().log_text()?.contains(" DEBUG "))
    };
    eventually("a debug line of the one", PATIENCE, async || {
        ensure!(debugs(followers[0]).await?, "none yet");
        Ok(())
    })
    .await?;
    ensure!(!debugs(followers[1]).await?, "the other was not asked");

    // Alone: no leader, and each says so in its way, while what a member knows itself is answered.
    cluster.member(leader).kill()?;
    cluster.member(followers[1]).kill()?;
    let one = urls[followers[0]].clone();
    for path in ["ping", "status", "version", "health"] {
        let alone = ask("GET", &format!("{one}/pd/api/v1/{path}"), "").await?;
        ensure!(alone.status == 200, "{path}: {alone:?}");
    }
    eventually("no leader to pass on to", PATIENCE, async || {
        let refused = ask("GET", &format!("{one}/pd/api/v1/stores"), "").await?;
        ensure!(refused.status == 503 && refused.body.contains("redirect finds no leader"), "{refused:?}");
        let refused = ask("GET", &format!("{one}/pd/api/v2/why/store/1"), "").await?;
        ensure!(refused.status == 503 && refused.json()?["code"] == "NO_LEADER", "{refused:?}");
        Ok(())
    })
    .await?;
    cluster.passed()
}

/// A member with the recorded cluster in it: six stores, sixty Regions.
async fn recorded() -> Result<(Server, Feed, Wire)> {
    let wire = Wire::compiled()?;
    let server = Server::start(HALTED).await?;
    let cluster_id = server.cluster_id().await?;
    let mut feed = Feed::new(record::state()?, server.connect(&wire).await?, cluster_id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;
    Ok((server, feed, wire))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_taken_out_taken_back_labelled_and_forgotten() -> Result<()> {
    let (mut server, _feed, wire) = recorded().await?;
    let base = server.client_url();
    let store = |rest: &str| format!("{base}/pd/api/v1/store/{rest}");
    let expect = async |method: &str, url: String, body: &str, status: u16, text: &str| -> Result<()> {
        let answer = ask(method, &url, body).await?;
        let good = answer.status == status && answer.body.contains(text);
        ensure!(good, "{method} {url} {body}: wanted {status} {text}, got {answer:?}");
        Ok(())
    };
    expect("POST", store("6/state?state=Offline"), "", 200, "state is updated").await?;
    expect("GET", store("6"), "", 200, "\"state_name\": \"Offline\"").await?;
    expect("GET", format!("{base}/pd/api/v1/regions/check/offline-peer"), "", 200, "{\"count\":30,").await?;
    expect("POST", store("6/state?state=Up"), "", 200, "state is updated").await?;
    expect("POST", store("6/state?state=Up"), "", 200, "state is updated").await?;
    expect("GET", store("6"), "", 200, "\"state_name\": \"Up\"").await?;
    expect("POST", store("6/state?state=up"), "", 400, "invalid state up").await?;
    expect("DELETE", store("6?force"), "", 200, "set as Offline").await?;
    expect("POST", store("6/state?state=Up"), "", 400, "has been physically destroyed").await?;
    expect("POST", store("99/state?state=Up"), "", 404, "store 99 not found").await?;

    expect("POST", store("1/label"), "{\"zone\": \"\", \"disk\": \"ssd\"}", 200, "label is updated").await?;
    let labels = ask("GET", &store("1"), "").await?.json()?["store"]["labels"].clone();
    let wanted = json!([{"key": "host", "value": "h1"}, {"key": "disk", "value": "ssd"}]);
    ensure!(labels == wanted, "{labels}");
    expect("POST", store("1/label?force"), "{\"zone\": \"z1\"}", 200, "label is updated").await?;
    let labels = ask("GET", &store("1"), "").await?.json()?["store"]["labels"].clone();
    ensure!(labels == json!([{"key": "zone", "value": "z1"}]), "{labels}");
    expect("DELETE", store("1/label"), "\"nope\"", 400, "label key nope does not exist").await?;
    expect("POST", store("1/label"), "{\"a b\": \"x\"}", 400, "a b does not match format").await?;
    expect("POST", store("1/label"), "{\"a\": 7}", 400, "label a: the value must be a string").await?;
    expect("POST", store("1/label"), "{\"a\": ", 400, "unexpected end of JSON input").await?;

    // A store without Regions goes quickly, and its record can go as well, for good.
    let connection = server.connect(&wire).await?;
    let header = json!({"cluster_id": server.cluster_id().await?});
    let seventh = json!({"id": 7, "address": "127.0.0.1:20167", "version": "8.5.0"});
    connection.ask_json("pdpb.PD/PutStore", &json!({"header": header, "store": seventh})).await?;
    expect("DELETE", store("7"), "", 200, "set as Offline").await?;
    eventually("store 7 buried", PATIENCE, async || {
        let seen = ask("GET", &store("7"), "").await?;
        ensure!(seen.body.contains("\"state_name\": \"Tombstone\""), "{seen:?}");
        Ok(())
    })
    .await?;
    expect("POST", store("7/state?state=Up"), "", 410, "store 7 has been removed").await?;
    let forget = format!("{base}/pd/api/v1/stores/remove-tombstone");
    expect("DELETE", forget.clone(), "", 200, "Remove tombstone successfully.").await?;
    expect("GET", store("7"), "", 404, "store 7 not found").await?;
    expect("DELETE", forget, "", 200, "Remove tombstone successfully.").await?;
    server.restart(HALTED).await?;
    expect("GET", store("7"), "", 404, "store 7 not found").await?;
    expect("GET", store("6"), "", 200, "\"physically_destroyed\": true").await?;
    server.passed()
}

/// Paths with a place for anything; what stands in for it may hold further slashes.
const PATHS: &[&str] = &[
    "/pd/api/v1/store/{}",
    "/pd/api/v1/store/1/state?state={}",
    "/pd/api/v1/store/{}/label",
    "/pd/api/v1/stores/check?state={}",
    "/pd/api/v1/stores/{}",
    "/pd/api/v1/labels/stores?name={}&value={}",
    "/pd/api/v1/region/id/{}",
    "/pd/api/v1/region/id/{}/label/{}",
    "/pd/api/v1/region/key/{}?format=hex",
    "/pd/api/v1/region/key/{}",
    "/pd/api/v1/regions/key?key={}&end_key={}&limit={}",
    "/pd/api/v1/regions/key?key={}&format=hex",
    "/pd/api/v1/regions/store/{}?type=leader",
    "/pd/api/v1/regions/store/1?type={}&limit={}",
    "/pd/api/v1/regions/keyspace/id/{}?limit={}",
    "/pd/api/v1/regions/sibling/{}",
    "/pd/api/v1/regions/check/{}",
    "/pd/api/v1/regions/check/hist-keys?bound={}",
    "/pd/api/v1/regions/size?limit={}",
    "/pd/api/v1/regions/replicated?startKey={}&endKey={}",
    "/pd/api/v1/stats/region?start_key={}&end_key={}&{}",
    "/pd/api/v1/config/rules/{}/{}",
    "/pd/api/v1/config/rule/{}/{}",
    "/pd/api/v1/config/placement-rule/{}",
    "/pd/api/v1/config/region-label/rule/{}",
    "/pd/api/v1/config/region-label/rules/ids?{}",
    "/pd/api/v1/min-resolved-ts?scope={}",
    "/pd/api/v1/min-resolved-ts/{}",
    "/pd/api/v1/admin/{}",
    "/pd/api/v1/admin/log",
    "/{}/{}",
];

/// Pieces of addresses: numbers at the edges, keys, escapes good and bad, words of other routes.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i128>().prop_map(|n| n.to_string()),
        (0_u64..200).prop_map(|n| n.to_string()),
        prop::collection::vec(any::<u8>(), 0..12)
            .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(hex::encode),
        "[a-zA-Z0-9._~+%:@!$'()*,;=/&?-]{0,16}",
        Just("18446744073709551615".to_owned()),
        Just("leader".to_owned()),
        Just("(((((".to_owned()),
        Just("a{999}{999}{999}".replace(['{', '}'], "%7b")),
    ]
}

/// Bodies: JSON of all forms, broken JSON, bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"\"zone\"".to_vec()),
        Just(b"{\"zone\": \"z1\"}".to_vec()),
        Just(b"{\"zone\": {\"a\": [1, null]}}".to_vec()),
        Just("[".repeat(50_000).into_bytes()),
        Just(b"{\"a\":1e999}".to_vec()),
        Just(b"[\"keyspaces/0\", \"x\"]".to_vec()),
        prop::collection::vec(any::<u8>(), 0..64),
        "[\\[\\]{}\":,0-9a-z\\\\ ]{0,40}".prop_map(String::into_bytes),
    ]
}

/// Refusals that tikv/pd answers with status 500 and that are recorded so.
const RECORDED_500: [&str; 2] = ["strconv.Atoi", "ErrInvalidStoreID"];

#[test]
fn no_input_gives_an_error_of_the_server() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (server, feed, _) = runtime.block_on(recorded())?;
    let base = server.client_url();
    let method = prop::sample::select(vec!["GET", "GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]);
    let case = (method, prop::sample::select(PATHS), prop::collection::vec(piece(), 3), body());
    let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&case, |(method, path, pieces, body)| {
        let mut pieces = pieces.into_iter();
        let mut parts = path.split("{}");
        let mut url = format!("{base}{}", parts.next().unwrap_or_default());
        for part in parts {
            url.push_str(&pieces.next().unwrap_or_default());
            url.push_str(part);
        }
        if url.parse::<hyper::Uri>().is_err() {
            return Ok(());
        }
        let answer = runtime
            .block_on(ask_with(None, method, &url, body))
            .map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        let is_recorded = answer.status == 500 && RECORDED_500.iter().any(|text| answer.body.contains(text));
        prop_assert!(answer.status < 500 || is_recorded, "{method} {url}: {answer:?}");
        Ok(())
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))?;
    // Nothing of the sixty Regions and six stores was lost by it.
    let regions = runtime.block_on(ask("GET", &format!("{base}/pd/api/v1/regions/count"), ""))?;
    ensure!(regions.json()?["count"] == 60, "{regions:?}");
    drop(feed);
    server.passed()
}

/// Pieces into which the first Region falls: more than are answered in one go, and a list of more bytes than an answer
/// may take in memory.
const PIECES: u64 = 60_000;
/// What a list may cost beyond what the server took before.
const EXTRA_KIB_MAX: u64 = 16 << 10;

#[test]
fn a_list_of_many_pages_is_whole_and_costs_no_memory() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let setup = Setup { pd_toml: HALTED.to_owned(), ..Setup::of_a_test(1, 0) };
        let cluster = Cluster::start(setup).await?;
        let base = cluster.endpoints().remove(0);
        let pid = cluster.members()[0].process().pid().context("a process")?;
        let wire = Wire::compiled()?;
        let address = base.trim_start_matches("http://");
        let connection = Connection::open(&wire, address).await?;
        let members = connection.ask_json("pdpb.PD/GetMembers", &json!({})).await?;
        let cluster_id: u64 = members["header"]["cluster_id"].as_str().context("a cluster id")?.parse()?;
        let mut feed = Feed::new(record::state()?, connection.clone(), cluster_id, Raise(0));
        feed.bootstrap().await?;
        feed.all().await?;

        let rpc = wire.rpc("pdpb.PD/RegionHeartbeat")?;
        let stream = connection.stream(&rpc);
        for n in 0..PIECES {
            let heartbeat = tests::replay::dynamic::from_json(&rpc.request, &piece_of_first(n, cluster_id))?;
            stream.send(heartbeat).await?;
        }
        let total = usize::try_from(PIECES)? + 59;
        eventually("all pieces known", PATIENCE, async || {
            let count = ask("GET", &format!("{base}/pd/api/v1/regions/count"), "").await?.json()?;
            ensure!(count["count"] == total, "{count}");
            Ok(())
        })
        .await?;
        // Nothing was listed before: what an allocator keeps of an earlier list would hide what this one takes.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let before_kib = memory_kib(pid, "VmRSS")?;
        ensure!(read_slowly(address).await? > 20 << 20, "the list is too short to tell");
        let most_kib = memory_kib(pid, "VmHWM")?;
        println!("a list of {total} Regions took {} KiB", most_kib.saturating_sub(before_kib));
        ensure!(most_kib <= before_kib + EXTRA_KIB_MAX, "from {before_kib} to {most_kib} KiB");

        let list = async |path: &str| -> Result<Vec<u64>> {
            let answer = ask("GET", &format!("{base}/pd/api/v1/regions{path}"), "").await?.json()?;
            let listed = answer["regions"].as_array().context("regions")?;
            ensure!(answer["count"] == listed.len(), "{path}: {} and {}", answer["count"], listed.len());
            Ok(listed.iter().filter_map(|region| region["id"].as_u64()).collect())
        };
        let all = list("").await?;
        ensure!(all.len() == total && all.iter().collect::<BTreeSet<_>>().len() == total, "{}", all.len());
        // Store 1 has each piece and 29 other Regions; it leads the pieces and 9 others.
        ensure!(list("/store/1").await?.len() == total - 30);
        ensure!(list("/store/1?type=leader").await?.len() == total - 50);
        ensure!(list("/store/1?limit=700").await?.len() == 700);
        ensure!(list("/readflow?limit=3").await? == [159, 158, 157]);
        ensure!(list("/check/learner-peer").await? == [107]);
        let stats = ask("GET", &format!("{base}/pd/api/v1/stats/region"), "").await?.json()?;
        ensure!(stats["count"] == total && stats["store_peer_count"]["1"] == total - 30, "{stats}");
        let holes = ask("GET", &format!("{base}/pd/api/v1/regions/range-holes"), "").await?.json()?;
        ensure!(holes == json!([]), "{holes}");
        cluster.passed()
    })
}

/// The heartbeat of the n-th piece of Region 100, which ends at "t00001".
fn piece_of_first(n: u64, cluster_id: u64) -> Value {
    let key = |n: u64| match n {
        0 => String::new(),
        PIECES => BASE64.encode(b"t00001\0\0\xfd"),
        n => BASE64.encode(format!("s{n:06}")),
    };
    let id = if n == 0 { 100 } else { 10_000 + n };
    let peer = |at: u64| json!({"id": id * 10 + at - 1, "store_id": at});
    let region = json!({
        "id": id, "start_key": key(n), "end_key": key(n + 1),
        "region_epoch": {"conf_ver": 5, "version": 61}, "peers": [peer(1), peer(2), peer(3)],
    });
    json!({
        "header": {"cluster_id": cluster_id}, "region": region, "leader": peer(1), "term": 7,
        "approximate_size": (n % 90) << 20, "approximate_keys": n,
    })
}

/// Reads the list of all Regions a little at a time, so that a server that does not wait for its reader piles it up.
async fn read_slowly(address: &str) -> Result<usize> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET /pd/api/v1/regions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let (mut part, mut total) = (vec![0; 64 << 10], 0);
    loop {
        match socket.read(&mut part).await? {
            0 => return Ok(total),
            read => total += read,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A line of `/proc/{pid}/status`, in KiB.
fn memory_kib(pid: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name}"))?;
    let number: String = line.chars().filter(char::is_ascii_digit).collect();
    Ok(number.parse()?)
}
