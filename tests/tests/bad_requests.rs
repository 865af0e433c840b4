//! Wrong requests to PD: each gets a clear answer in the form that clients expect, and changes nothing.

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::replay::dynamic::{Connection, Event, Wire, code_name, from_json, to_json};
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;
use tonic::Code;

/// Nothing is scheduled, so that only the requests could change something.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";

/// How a refusal looks: a gRPC status, or an error in the header of an answer.
#[derive(Debug)]
enum Refusal {
    Status(&'static str),
    Header(&'static str),
    /// No refusal: an answer that has nothing in this field.
    Nothing(&'static str),
}

/// One wrong request: RPC, request without header, how it is refused, and words that the text must have.
type Case = (&'static str, Value, Refusal, &'static [&'static str]);

fn before_bootstrap() -> Vec<Case> {
    let refused = || Refusal::Header("NOT_BOOTSTRAPPED");
    let words: &[&str] = &["not bootstrapped"];
    vec![
        ("pdpb.PD/GetStore", json!({"store_id": 1}), refused(), words),
        ("pdpb.PD/PutStore", json!({"store": {"id": 1, "address": "127.0.0.1:20161"}}), refused(), words),
        ("pdpb.PD/GetAllStores", json!({}), refused(), words),
        ("pdpb.PD/StoreHeartbeat", json!({"stats": {"store_id": 1}}), refused(), words),
        ("pdpb.PD/GetRegion", json!({"region_key": "YQ=="}), refused(), words),
        ("pdpb.PD/ScanRegions", json!({"limit": 1}), refused(), words),
        ("pdpb.PD/AskBatchSplit", json!({"region": {"id": 2}, "split_count": 1}), refused(), words),
        ("pdpb.PD/GetGCSafePoint", json!({}), refused(), words),
        (
            "pdpb.PD/Bootstrap",
            json!({"store": {"id": 1, "address": "a:1"}, "region": {"id": 2, "start_key": "YQ==",
                "region_epoch": {"conf_ver": 1, "version": 1}, "peers": [{"id": 3, "store_id": 1}]}}),
            Refusal::Header("UNKNOWN"),
            &["key range"],
        ),
    ]
}

fn after_bootstrap() -> Vec<Case> {
    let peers =
        json!([{"id": 1050, "store_id": 6}, {"id": 1051, "store_id": 1}, {"id": 1052, "store_id": 2}]);
    let region = |start: &str, end: &str, version: u32| {
        json!({"id": 105, "start_key": start, "end_key": end, "peers": peers.clone(),
            "region_epoch": {"conf_ver": 5, "version": version}})
    };
    let (start, end) = ("dDAwMDA1AAD9", "dDAwMDA2AAD9");
    let heartbeat =
        |region: Value| json!({"region": region, "leader": {"id": 1050, "store_id": 6}, "term": 6});
    vec![
        ("pdpb.PD/GetStore", json!({"store_id": 77}), Refusal::Header("UNKNOWN"), &["77", "not found"]),
        (
            "pdpb.PD/StoreHeartbeat",
            json!({"stats": {"store_id": 77}}),
            Refusal::Header("UNKNOWN"),
            &["77", "not found"],
        ),
        (
            "pdpb.PD/ReportMinResolvedTS",
            json!({"store_id": 77}),
            Refusal::Status("UNKNOWN"),
            &["77", "not found"],
        ),
        ("pdpb.PD/GetRegionByID", json!({"region_id": 7777}), Refusal::Nothing("region"), &[]),
        (
            "pdpb.PD/ScanRegions",
            json!({"start_key": end, "end_key": start}),
            Refusal::Nothing("regions"),
            &[],
        ),
        (
            "pdpb.PD/PutStore",
            json!({"store": {"id": 50, "address": "127.0.0.1:20161", "version": "8.5.0"}}),
            Refusal::Header("UNKNOWN"),
            &["duplicated store address", "50", "already registered by", "/pd/api/v1/store/1"],
        ),
        (
            "pdpb.PD/PutStore",
            json!({"store": {"id": 51, "address": "127.0.0.1:1", "version": "eight"}}),
            Refusal::Header("UNKNOWN"),
            &["eight"],
        ),
        (
            "pdpb.PD/RegionHeartbeat",
            heartbeat(region(start, end, 59)),
            Refusal::Header("UNKNOWN"),
            &["stale", "59", "60"],
        ),
        ("pdpb.PD/RegionHeartbeat", heartbeat(region(end, start, 61)), Refusal::Header("UNKNOWN"), &["105"]),
        // Over its neighbour 106, whose version 60 is newer.
        (
            "pdpb.PD/RegionHeartbeat",
            json!({"region": {"id": 500, "start_key": start, "end_key": "dDAwMDA3AAD9", "peers": [{"id": 5000, "store_id": 6}],
                "region_epoch": {"conf_ver": 5, "version": 59}}, "leader": {"id": 5000, "store_id": 6}, "term": 6}),
            Refusal::Header("UNKNOWN"),
            &["stale", "59", "60"],
        ),
        (
            "pdpb.PD/Bootstrap",
            json!({"store": {"id": 9, "address": "127.0.0.1:1"}, "region": {"id": 900,
                "region_epoch": {"conf_ver": 1, "version": 1}, "peers": [{"id": 901, "store_id": 9}]}}),
            Refusal::Header("ALREADY_BOOTSTRAPPED"),
            &["already bootstrapped"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_by_name_and_change_nothing() -> Result<()> {
    let server = Server::start(HALTED).await?;
    let id = server.cluster_id().await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    all_refused(&connection, id, before_bootstrap()).await?;

    let mut feed = Feed::new(record::state()?, connection.clone(), id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    let before = everything(&connection, id).await?;
    all_refused(&connection, id, after_bootstrap()).await?;
    for (rpc, request, _, _) in after_bootstrap() {
        let answered = ask(&connection, rpc, request, id + 1).await?;
        let text = format!("need {id} but got {}", id + 1);
        let refused = answered.code == "FAILED_PRECONDITION" && answered.text.contains(&text);
        ensure!(refused, "{rpc} for another cluster: {answered:?}");
    }
    let after = everything(&connection, id).await?;
    ensure!(before == after, "refused requests changed something:\n{before}\n{after}");
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_of_a_stale_region_is_refused_with_both_epochs() -> Result<()> {
    // Splits are granted here, but no operator touches the Regions.
    let limits = "leader-schedule-limit = 0\nregion-schedule-limit = 0\nreplica-schedule-limit = 0\n";
    let server = Server::start(&format!("[schedule]\n{limits}")).await?;
    let id = server.cluster_id().await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    let region = |conf_ver: u32, version: u32| json!({"region": {"id": 105, "region_epoch": {"conf_ver": conf_ver, "version": version}}, "split_count": 1});
    let refused = || Refusal::Header("UNKNOWN");
    let rpc = "pdpb.PD/AskBatchSplit";
    let unknown =
        json!({"region": {"id": 7777, "region_epoch": {"conf_ver": 5, "version": 60}}, "split_count": 1});
    let cases: Vec<Case> = vec![
        (rpc, region(5, 59), refused(), &["5", "59", "60"]),
        (rpc, region(4, 60), refused(), &["4", "5", "60"]),
        (rpc, unknown, refused(), &["7777"]),
        (rpc, json!({"split_count": 1}), Refusal::Header("REGION_NOT_FOUND"), &[]),
    ];
    all_refused(&connection, id, cases).await?;
    let granted = ask(&connection, rpc, region(5, 60), id).await?;
    ensure!(
        granted.answer["ids"].as_array().is_some_and(|ids| ids.len() == 1),
        "the present epoch: {granted:?}"
    );
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_http_requests_are_refused_with_a_text() -> Result<()> {
    let server = Server::start(HALTED).await?;
    let id = server.cluster_id().await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    let before = everything(&connection, id).await?;
    let cases = [
        (Method::DELETE, "/pd/api/v1/store/77", "77"),
        (Method::DELETE, "/pd/api/v1/store/one", "one"),
        (Method::GET, "/pd/api/v1/no-such-page", ""),
        (Method::POST, "/pd/api/v1/version", ""),
    ];
    for (method, path, word) in cases {
        let (status, body) = http::request(method.clone(), &format!("{}{path}", server.client_url())).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status.is_client_error(), "{method} {path}: {status} {text}");
        ensure!(text.contains(word), "{method} {path} does not name {word}: {text}");
    }
    ensure!(everything(&connection, id).await? == before, "refused requests changed something");
    server.passed()
}

/// At the first message and at a later one, whether another cluster is named or none. (MetaStorage looks at no cluster id,
/// as recorded; token buckets carry none.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_refuses_another_cluster_at_every_message() -> Result<()> {
    let server = Server::start(HALTED).await?;
    let id = server.cluster_id().await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    Feed::new(record::state()?, connection.clone(), id, Raise(0)).bootstrap().await?;
    let before = everything(&connection, id).await?;
    // Messages that are right may go before, where they change nothing.
    let streams = [
        ("pdpb.PD/Tso", json!({"count": 1}), &[0, 1][..]),
        ("pdpb.PD/ReportBuckets", json!({"buckets": {"region_id": 107, "version": 1}}), &[0, 1]),
        ("pdpb.PD/RegionHeartbeat", json!({"region": {"id": 107}}), &[0]),
    ];
    for (name, request, rights) in streams {
        let rpc = connection.wire().rpc(name)?;
        let message = |cluster_id: u64| {
            let mut request = request.clone();
            request["header"] = json!({"cluster_id": cluster_id.to_string()});
            from_json(&rpc.request, &request)
        };
        for (wrong, rights) in [id + 1, 0].into_iter().flat_map(|id| rights.iter().map(move |n| (id, *n))) {
            let mut stream = connection.stream(&rpc);
            for _ in 0..rights {
                stream.send(message(id)?).await?;
            }
            stream.send(message(wrong)?).await?;
            let mut answers = 0;
            let status = loop {
                match tokio::time::timeout(PATIENCE, stream.next()).await.context(name)? {
                    Some(Event::Answer(_)) => answers += 1,
                    Some(Event::End(status)) => break status,
                    None => bail!("{name} ended without a status"),
                }
            };
            ensure!(answers <= rights, "{name} answers cluster {wrong}");
            let text = format!("need {id} but got {wrong}");
            let refused = status.code() == Code::FailedPrecondition && status.message().contains(&text);
            ensure!(refused, "{name} for cluster {wrong} after {rights} right messages: {status:?}");
        }
    }
    ensure!(everything(&connection, id).await? == before, "refused messages changed something");
    server.passed()
}

/// Ranges that end before they begin, or lie over others, in every call that takes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reversed_and_overlapping_ranges_change_nothing() -> Result<()> {
    let server = Server::start(HALTED).await?;
    let id = server.cluster_id().await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    let before = everything(&connection, id).await?;
    let heartbeat = |id: u64, start: &str, end: &str, version: u64| {
        json!({"region": {"id": id, "start_key": start, "end_key": end,
            "peers": [{"id": 5000, "store_id": 6}], "region_epoch": {"conf_ver": 5, "version": version}},
            "leader": {"id": 5000, "store_id": 6}, "term": 6})
    };
    // Regions 105 and 106: t000005.. to t000006.., to t000007...
    let (a, b, c) = ("dDAwMDA1AAD9", "dDAwMDA2AAD9", "dDAwMDA3AAD9");
    let rpc = "pdpb.PD/RegionHeartbeat";
    let unknown = || Refusal::Header("UNKNOWN");
    let cases: Vec<Case> = vec![
        // Of a newer epoch than anything there, so that only the range is wrong: reversed, and empty.
        (rpc, heartbeat(500, b, a, 99), unknown(), &["500"]),
        (rpc, heartbeat(500, a, a, 99), unknown(), &["500"]),
        (rpc, heartbeat(105, c, a, 99), unknown(), &["105"]),
        // Over all, over the end of one and the start of the next, and inside of one: each older than what it covers.
        (rpc, heartbeat(500, "", "", 1), unknown(), &["stale", "500"]),
        (rpc, heartbeat(500, a, c, 2), unknown(), &["stale", "500"]),
        (rpc, heartbeat(500, "dDAwMDA1AAE=", "dDAwMDA1AAI=", 59), unknown(), &["stale", "500"]),
    ];
    all_refused(&connection, id, cases).await?;
    let scans = vec![
        ("pdpb.PD/ScanRegions", json!({"start_key": c, "end_key": a}), Refusal::Nothing("regions"), &[][..]),
        (
            "pdpb.PD/ScanRegions",
            json!({"start_key": a, "end_key": a, "limit": 5}),
            Refusal::Nothing("regions"),
            &[],
        ),
    ];
    all_refused(&connection, id, scans).await?;
    // A report of a split is told to people; it makes no Region.
    let regions: Vec<Value> = [(b, a), (a, c)]
        .iter()
        .map(|(start, end)| heartbeat(700, start, end, 99)["region"].clone())
        .collect();
    ask(&connection, "pdpb.PD/ReportBatchSplit", json!({"regions": regions}), id).await?;
    let after = everything(&connection, id).await?;
    ensure!(before == after, "wrong ranges changed something:\n{before}\n{after}");
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_refuses_with_the_words_that_clients_look_for() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let leader = cluster.wait_for_pd_leader().await?;
    let id = cluster.client().await?.cluster_id();
    let wire = Wire::compiled()?;
    let followers: Vec<String> = cluster
        .members()
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != leader)
        .map(|(_, member)| member.client_url().replace("http://", ""))
        .collect();
    for address in followers {
        let connection = Connection::open(&wire, &address).await?;
        let calls = [
            ("pdpb.PD/AllocID", json!({})),
            ("pdpb.PD/Tso", json!({"count": 1})),
            ("pdpb.PD/IsBootstrapped", json!({})),
            ("pdpb.PD/GetAllStores", json!({})),
            ("meta_storagepb.MetaStorage/Get", json!({"key": "YQ=="})),
        ];
        for (rpc, request) in calls {
            let answered = ask(&connection, rpc, request, id).await?;
            let refused = answered.code == "UNAVAILABLE" && answered.text.contains("not leader");
            ensure!(refused, "{rpc} of a follower: {answered:?}");
        }
        // Members are told by everybody; a fresh follower may need a heartbeat to know its leader.
        eventually("the follower naming the leader", PATIENCE, async || {
            let members = connection.ask_json("pdpb.PD/GetMembers", &json!({})).await?;
            ensure!(members["leader"]["name"] == cluster.members()[leader].name(), "{members}");
            Ok(())
        })
        .await?;
    }
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_rpc_is_unimplemented_by_name() -> Result<()> {
    let server = Server::start(HALTED).await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let answered = ask(&connection, "pdpb.PD/SplitRegions", json!({}), 1).await?;
    ensure!(answered.code == "UNIMPLEMENTED", "{answered:?}");
    let answered = ask(&connection, "tsopb.TSO/FindGroupByKeyspaceID", json!({}), 1).await?;
    ensure!(answered.code == "UNIMPLEMENTED" && answered.text.contains("tsopb.TSO"), "{answered:?}");
    server.passed()
}

async fn all_refused(connection: &Connection, cluster_id: u64, cases: Vec<Case>) -> Result<()> {
    for (rpc, request, refusal, words) in cases {
        let answered = ask(connection, rpc, request.clone(), cluster_id).await?;
        let (as_expected, text) = match &refusal {
            Refusal::Status(code) => (answered.code == *code, answered.text.clone()),
            Refusal::Header(kind) => {
                let error = answered.answer.pointer("/header/error").cloned().unwrap_or_default();
                (error["type"] == *kind, error["message"].as_str().unwrap_or_default().to_string())
            }
            Refusal::Nothing(field) => {
                (answered.code == "OK" && answered.answer.get(*field).is_none(), String::new())
            }
        };
        ensure!(as_expected, "{rpc} with {request}: expected {refusal:?}, got {answered:?}");
        for word in words {
            ensure!(text.contains(word), "{rpc} with {request}: {text:?} does not say {word:?}");
        }
    }
    Ok(())
}

/// What a call brought: the first answer (null if none), or the status.
#[derive(Debug)]
struct Answered {
    code: &'static str,
    text: String,
    answer: Value,
}

async fn ask(connection: &Connection, name: &str, mut request: Value, cluster_id: u64) -> Result<Answered> {
    let rpc = connection.wire().rpc(name)?;
    if rpc.request.get_field_by_name("header").is_some() {
        request["header"] = json!({"cluster_id": cluster_id.to_string()});
    }
    let mut stream = connection.stream(&rpc);
    // A call that is refused at once takes no message; how it ended is read below.
    let _ = stream.send(from_json(&rpc.request, &request)?).await;
    if !rpc.client_streams {
        stream.close();
    }
    match tokio::time::timeout(PATIENCE, stream.next()).await.with_context(|| format!("{name} is silent"))? {
        Some(Event::Answer(answer)) => {
            Ok(Answered { code: "OK", text: String::new(), answer: to_json(&answer)? })
        }
        Some(Event::End(status)) => {
            let text = status.message().to_string();
            Ok(Answered { code: code_name(status.code()), text, answer: Value::Null })
        }
        None => bail!("{name} ended without a status"),
    }
}

/// All that requests could have changed.
async fn everything(connection: &Connection, cluster_id: u64) -> Result<Value> {
    let header = json!({"cluster_id": cluster_id.to_string()});
    let mut stores = connection.ask_json("pdpb.PD/GetAllStores", &json!({"header": header})).await?;
    if let Some(stores) = stores["stores"].as_array_mut() {
        stores.sort_by_key(|store| store["id"].to_string());
    }
    let regions = connection.ask_json("pdpb.PD/ScanRegions", &json!({"header": header, "limit": -1})).await?;
    let members = connection.ask_json("pdpb.PD/GetMembers", &json!({})).await?;
    Ok(json!([stores, regions, members]))
}
