//! Whatever is sent to a route of `/pd/api/v1`: the status that tikv/pd gives, a text that names what was wrong, nothing
//! changed, and a member that lives on.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::cluster::PATIENCE;
use tests::coverage::{ask, list};
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;

/// The recorded cluster stays as it is.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";

/// Requests made of all routes together. The seed is fixed, so each run asks the same.
const CASES: u32 = 3_000;
/// The largest body that is taken, and one byte.
const TOO_LARGE: usize = (1 << 20) + 1;
/// Levels of nested lists: a parser that calls itself runs out of stack on far fewer.
const LEVELS: usize = 10_000;

/// Refusals that tikv/pd answers with status 500, as the record has them, and their kin on the same routes.
const KNOWN_500: [(&str, &str); 17] = [
    ("GET /pd/api/v1/stores", "strconv.Atoi"),
    ("GET /pd/api/v1/operators/", "[PD:operator:ErrOperatorNotFound]"),
    ("DELETE /pd/api/v1/operators/", "[PD:operator:ErrOperatorNotFound]"),
    ("POST /pd/api/v1/operators", "[PD:region:ErrRegionNotFound]"),
    ("POST /pd/api/v1/operators", "[PD:core:ErrStoreNotFound]"),
    ("POST /pd/api/v1/operators", "region has no"),
    ("POST /pd/api/v1/operators", "check policy"),
    ("POST /pd/api/v1/operators", "is not in hex format"),
    ("POST /pd/api/v1/operators", "without peer role"),
    ("POST /pd/api/v1/operators", "stores are to have a vote"),
    ("POST /pd/api/v1/config/replicate", "isolation-level must be one of"),
    ("POST /pd/api/v1/config/cluster-version", "[PD:semver:ErrSemverNewVersion]"),
    ("POST /pd/api/v1/store/", "[PD:cluster:ErrInvalidStoreID]"),
    ("DELETE /pd/api/v1/store/", "[PD:cluster:ErrInvalidStoreID]"),
    ("POST /pd/api/v1/schedulers/", "[PD:scheduler:ErrSchedulerNotFound]"),
    ("DELETE /pd/api/v1/members/", "[PD:etcd:ErrEtcdMemberRemove]"),
    ("POST /pd/api/v1/leader/transfer/", "no valid pd to transfer etcd leader"),
];

/// Routes that take no input, so that nothing that is sent to them is wrong.
const WITHOUT_INPUT: [&str; 1] = ["POST /pd/api/v1/leader/resign"];

/// Parts of routes that look at no body: only one that is too large is refused.
const WITHOUT_BODY: [&str; 6] = ["GET ", "/state", "/remove-tombstone", "/leader/", "/markers/", "DELETE "];

/// All that a request could have changed, as the routes show it.
const SHOWN: [&str; 11] = [
    "config",
    "stores?state=0&state=1&state=2",
    "stores/limit",
    "members",
    "operators",
    "schedulers",
    "schedulers?status=paused",
    "checker/rule",
    "config/rules",
    "config/region-label/rules",
    "regions/count",
];

type Plain = Client<HttpConnector, Full<Bytes>>;

/// A member with the recorded cluster in it, and connections to it.
struct Asked {
    server: Server,
    base: String,
    client: Plain,
    _feed: Feed,
}

impl Asked {
    async fn start() -> Result<Asked> {
        let server = Server::start(HALTED).await?;
        let connection = server.connect(&Wire::compiled()?).await?;
        let mut feed = Feed::new(record::state()?, connection, server.cluster_id().await?, Raise(0));
        feed.bootstrap().await?;
        feed.all().await.with_context(|| server.log_tail())?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Asked { base: server.client_url(), server, client, _feed: feed })
    }

    /// Status and text of what a request brings.
    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<(u16, String)> {
        let request =
            Request::builder().method(method.parse::<Method>()?).uri(format!("{}{path}", self.base));
        let request = request.body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, anyhow::Error>((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let answered = tokio::time::timeout(PATIENCE, exchange).await.context("no answer")?;
        answered.with_context(|| format!("{method} {path}"))
    }

    /// All that a request could have changed.
    async fn dump(&self) -> Result<Vec<String>> {
        let mut shown = Vec::new();
        for path in SHOWN {
            let (status, text) = self.send("GET", &format!("/pd/api/v1/{path}"), Vec::new()).await?;
            ensure!(status == 200, "{path}: {status} {text}");
            shown.push(text);
        }
        Ok(shown)
    }

    fn passed(self) -> Result<()> {
        self.server.passed()
    }
}

fn reads_a_body(route: &str) -> bool {
    !WITHOUT_BODY.iter().any(|part| route.contains(part)) || route.ends_with("/label")
}

/// Whether tikv/pd answers this refusal with 500.
fn is_known_500(asked: &str, text: &str) -> bool {
    KNOWN_500.iter().any(|(route, words)| asked.starts_with(route) && text.contains(words))
}

/// What stands in for an id, a name or a key: never an id of the recorded cluster.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        (900_000_u64..1_000_000).prop_map(|id| id.to_string()),
        any::<i128>().prop_map(|n| n.to_string()),
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("1e3".to_owned()),
        prop::collection::vec(any::<u8>(), 1..8)
            .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02X}")).collect()),
        "[a-z%._~+-]{1,12}",
        Just("%FF%FE".to_owned()),
        Just("x".repeat(4_000)),
    ]
}

/// Names of fields that some route reads. `halt-scheduling` is not among them: the recorded cluster must stay.
const FIELDS: [&str; 31] = [
    "name",
    "region_id",
    "store_id",
    "to_store_id",
    "from_store_id",
    "to_store_ids",
    "peer_roles",
    "policy",
    "keys",
    "type",
    "rate",
    "labels",
    "leader",
    "region",
    "delay",
    "batch",
    "ranges",
    "max-replicas",
    "location-labels",
    "isolation-level",
    "leader-schedule-limit",
    "schedule.region-schedule-limit",
    "schedule",
    "action",
    "label-key",
    "label-value",
    "cluster-version",
    "replication-mode",
    "leader-priority",
    "schedule.store-limit",
    "zone",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (900_000_u64..1_000_000).prop_map(Value::from),
        Just(json!("")),
        Just(json!("\0\u{7f}\u{202e}<b>")),
        Just(json!("y".repeat(10_000))),
        "[a-z0-9 .-]{0,10}".prop_map(Value::from),
        prop::sample::select(vec![
            "transfer-leader",
            "add-peer",
            "split-region",
            "transfer-region",
            "remove-peer"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&FIELDS[..]), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

/// Bodies: objects with fields that are read and values that they do not have, JSON of other forms, and no JSON.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let object = prop::collection::vec((prop::sample::select(&FIELDS[..]), value()), 0..8)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
    prop_oneof![
        8 => object.prop_map(|value| value.to_string().into_bytes()),
        2 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => (value(), any::<prop::sample::Index>()).prop_map(|(value, at)| {
            let text = value.to_string().into_bytes();
            text[..at.index(text.len())].to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => Just(b"{\"name\": \"\xff\xfe\"}".to_vec()),
        1 => Just(b"{\"a\": 1e999}".to_vec()),
        1 => Just(b"{\"name\": \"add-peer\", \"name\": \"remove-peer\"}".to_vec()),
    ]
}

/// Queries: names that are read and names that are not, with values of any kind, and what is badly escaped.
fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "nope",
        "limit",
        "state",
        "kind",
        "type",
        "key",
        "end_key",
        "format",
        "start_key",
        "bound",
        "status",
        "ttlSecond",
        "from",
        "startKey",
        "endKey",
        "force",
        "include_tombstone",
        "name",
        "value",
        "timestamp",
        "use_hot",
    ]);
    prop_oneof![
        1 => Just(String::new()),
        3 => prop::collection::vec((name, piece()), 1..4).prop_map(|pairs| {
            let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("?{}", pairs.join("&"))
        }),
        1 => Just("?limit=%zz&&=&state".to_owned()),
    ]
}

/// A route with something in each of its places.
fn filled(template: &str, pieces: &[String]) -> String {
    let mut pieces = pieces.iter();
    let segments = template.split('/').map(|segment| match segment.starts_with('{') {
        true => pieces.next().cloned().unwrap_or_default(),
        false => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn no_wrong_request_changes_anything() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let asked = runtime.block_on(Asked::start())?;
    let all = list::http()?;
    let present = runtime.block_on(ask::http(&asked.base, &all))?;
    let routes: Vec<String> = all
        .entries
        .iter()
        .zip(present)
        .filter(|(entry, present)| *present && entry.name.contains(" /pd/api/v1/"))
        .map(|(entry, _)| entry.name.clone())
        .filter(|name| !WITHOUT_INPUT.contains(&name.as_str()))
        .collect();
    ensure!(routes.len() > 90, "only {} routes are there", routes.len());
    let mut before = runtime.block_on(asked.dump())?;
    let (mut refused, mut taken) = (0, 0);
    let case = (prop::sample::select(routes), prop::collection::vec(piece(), 2), query(), body());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    // The runner wants a closure that changes nothing of its own.
    let state = std::cell::RefCell::new((&mut before, &mut refused, &mut taken));
    let outcome = runner.run(&case, |(route, pieces, query, body)| {
        let (method, template) = route.split_once(' ').unwrap_or_default();
        let path = format!("{}{query}", filled(template, &pieces));
        if format!("{}{path}", asked.base).parse::<hyper::Uri>().is_err() {
            return Ok(());
        }
        let fail = |error: anyhow::Error| TestCaseError::fail(format!("{error:#}"));
        // Who gets a body that is not read hangs up, and a client may not see more than that.
        let body = if reads_a_body(&route) { body } else { Vec::new() };
        let (status, text) = runtime.block_on(asked.send(method, &path, body)).map_err(fail)?;
        let is_known = status == 500 && is_known_500(&route, &text);
        prop_assert!(status < 500 || is_known, "{method} {path}: {status} {text}");
        let (before, refused, taken) = &mut *state.borrow_mut();
        if status < 400 {
            **taken += 1;
            if method != "GET" {
                // It was right after all; what it changed is what the next ones are measured by.
                **before = runtime.block_on(asked.dump()).map_err(fail)?;
            }
            return Ok(());
        }
        **refused += 1;
        prop_assert!(!text.trim().is_empty() || status == 405, "{method} {path}: {status} without a word");
        if method != "GET" {
            let after = runtime.block_on(asked.dump()).map_err(fail)?;
            for (before, after) in before.iter().zip(&after) {
                prop_assert_eq!(before, after, "{} {} was refused: {} {}", method, path, status, text);
            }
        }
        Ok(())
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))?;
    println!("{refused} requests refused, {taken} taken");
    ensure!(refused > CASES / 3, "{refused} of {CASES} were refused: is what is sent wrong enough?");
    asked.passed()
}

/// Bodies that no route takes, sent to every route that takes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_deep_and_broken_bodies_are_refused_by_every_route() -> Result<()> {
    let asked = Asked::start().await?;
    let all = list::http()?;
    let present = ask::http(&asked.base, &all).await?;
    let before = asked.dump().await?;
    let mut deep = b"{\"name\":".to_vec();
    deep.extend(std::iter::repeat_n(b'[', LEVELS));
    deep.extend(std::iter::repeat_n(b']', LEVELS));
    deep.push(b'}');
    let bodies: [(&str, Vec<u8>); 5] = [
        ("huge", vec![b' '; TOO_LARGE]),
        ("deep", deep),
        ("open", b"[".repeat(LEVELS)),
        ("not UTF-8", b"{\"name\": \"\xff\"}".to_vec()),
        ("cut", b"{\"name\": \"x".to_vec()),
    ];
    let (mut sent, mut wrong) = (0, Vec::new());
    let there = all.entries.iter().zip(present).filter(|(_, present)| *present);
    for (entry, _) in there.filter(|(entry, _)| entry.name.contains(" /pd/api/v1/")) {
        let (method, template) = entry.name.split_once(' ').context("a route")?;
        if method == "GET" || WITHOUT_INPUT.contains(&entry.name.as_str()) {
            continue;
        }
        // A store that is there, so that the body is what is wrong; a name that is not.
        let piece = if template.contains("{id}") && template.contains("/store/") { "1" } else { "900001" };
        let path = filled(template, &[piece.to_owned(), "x".to_owned()]);
        for (kind, body) in &bodies {
            if !reads_a_body(&entry.name) && *kind != "huge" {
                continue;
            }
            sent += 1;
            let (status, text) = asked.send(method, &path, body.clone()).await?;
            let wanted = if *kind == "huge" { 413..=413 } else { 400..=499 };
            let is_known = status == 500 && is_known_500(&entry.name, &text);
            if !wanted.contains(&status) && !is_known {
                wrong.push(format!("{kind} to {method} {path}: {status} {text}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(sent > 60, "only {sent} were sent");
    ensure!(asked.dump().await? == before, "refused bodies changed something");
    asked.passed()
}

/// A wrong request: method, path, body, status, and words that the answer must have.
type Case = (&'static str, &'static str, &'static str, u16, &'static [&'static str]);

const CASES_BY_NAME: &[Case] = &[
    // Ids that are none, and ids of nothing.
    ("GET", "store/one", "", 400, &["one"]),
    ("GET", "store/-1", "", 400, &["-1"]),
    ("GET", "store/900001", "", 404, &["900001"]),
    ("DELETE", "store/900001", "", 404, &["900001"]),
    ("POST", "store/1/state?state=Gone", "", 400, &["state", "Gone"]),
    ("POST", "store/900001/weight", "{\"leader\": 1, \"region\": 1}", 404, &["900001"]),
    ("GET", "region/id/x", "", 400, &["x"]),
    ("GET", "regions/sibling/900001", "", 404, &["900001"]),
    ("GET", "regions/store/x", "", 400, &["x"]),
    ("GET", "checker/nope", "", 404, &["nope", "joint-state", "rule"]),
    // Parameters of other kinds.
    ("GET", "regions/key?limit=ten", "", 400, &["ten"]),
    ("GET", "regions/size?limit=ten", "", 400, &["ten"]),
    ("GET", "regions/key?key=zz&format=hex", "", 400, &["zz"]),
    ("GET", "region/key/zz?format=hex", "", 400, &["zz"]),
    ("GET", "regions/check/hist-size?bound=x", "", 400, &["x"]),
    ("GET", "stores/check?state=nope", "", 400, &["nope"]),
    ("GET", "operators/records?from=x", "", 400, &["x"]),
    // Keys the wrong way round are an empty range, as in tikv/pd.
    ("GET", "regions/key?key=t00050&end_key=t00010", "", 200, &["\"count\":0"]),
    ("GET", "regions/replicated?startKey=zz&endKey=00", "", 400, &["zz"]),
    // Fields that are missing or of another kind.
    ("POST", "operators", "{}", 400, &["name"]),
    ("POST", "operators", "{\"name\": 7}", 400, &["name"]),
    ("POST", "operators", "{\"name\": \"nope\"}", 400, &["operator"]),
    ("POST", "operators", "{\"name\": \"add-peer\"}", 400, &["region id"]),
    ("POST", "operators", "{\"name\": \"add-peer\", \"region_id\": 105}", 400, &["store id"]),
    ("POST", "operators", "{\"name\": \"split-region\", \"region_id\": 105}", 400, &["policy"]),
    (
        "POST",
        "operators",
        "{\"name\": \"split-region\", \"region_id\": 105, \"policy\": \"usekey\", \"keys\": 7}",
        400,
        &["keys"],
    ),
    (
        "POST",
        "operators",
        "{\"name\": \"transfer-region\", \"region_id\": 105, \"to_store_ids\": [1, \"x\"]}",
        400,
        &["store ids"],
    ),
    ("POST", "schedulers", "{}", 400, &["name"]),
    ("POST", "schedulers", "{\"name\": \"nope\"}", 400, &["nope"]),
    ("POST", "schedulers/balance-leader-scheduler", "{\"delay\": \"x\"}", 400, &["pause time"]),
    ("POST", "checker/rule", "{\"delay\": -1}", 400, &["delay"]),
    ("POST", "store/1/label", "{\"zone\": 7}", 400, &["zone"]),
    ("POST", "store/1/label", "[]", 400, &["sequence", "map"]),
    ("POST", "store/1/weight", "{\"leader\": 1}", 400, &["region"]),
    ("POST", "store/1/weight", "{\"leader\": -1, \"region\": 1}", 400, &["leader"]),
    ("POST", "store/1/limit", "{\"rate\": \"x\", \"type\": \"add-peer\"}", 400, &["rate"]),
    ("POST", "store/1/limit", "{\"rate\": 7, \"type\": \"x\"}", 400, &["type"]),
    ("POST", "stores/limit", "{\"rate\": -7}", 400, &["rate"]),
    ("POST", "config", "{\"max-replicas\": \"x\"}", 400, &["max-replicas"]),
    ("POST", "config", "{\"max-replicas\": 0}", 400, &["max-replicas"]),
    ("POST", "config", "{\"no-such-item\": 1}", 400, &["no-such-item"]),
    ("POST", "config", "{\"schedule.low-space-ratio\": 1.5}", 400, &["low-space-ratio"]),
    ("POST", "config?ttlSecond=x", "{\"schedule.leader-schedule-limit\": 5}", 400, &["x"]),
    ("POST", "config/schedule", "{\"leader-schedule-limit\": \"x\"}", 400, &["leader-schedule-limit"]),
    ("POST", "config/replicate", "{\"max-replicas\": [3]}", 400, &["max-replicas"]),
    ("POST", "config/label-property", "{\"action\": \"set\"}", 400, &["type"]),
    ("POST", "config/cluster-version", "{}", 400, &["cluster-version"]),
    ("POST", "config/replication-mode", "{\"replication-mode\": \"nope\"}", 400, &["replication-mode"]),
    ("POST", "scheduler-config/balance-leader-scheduler/config", "{\"batch\": 0}", 400, &["batch"]),
    ("POST", "members/name/pd1", "{\"leader-priority\": \"high\"}", 400, &["leader priority"]),
    ("POST", "members/name/pd9", "{\"leader-priority\": 1}", 404, &["pd9"]),
    ("DELETE", "members/name/pd9", "", 404, &["pd9"]),
    ("DELETE", "members/id/x", "", 400, &["x"]),
    ("POST", "admin/log", "\"loud\"", 400, &["loud"]),
    ("POST", "admin/log", "7", 400, &["string"]),
    // What no route reads is not looked at, as in tikv/pd.
    ("GET", "stores?nope=1", "", 200, &["\"count\": 6"]),
    ("GET", "version?nope=%FF", "", 200, &["version"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_what_was_wrong() -> Result<()> {
    let asked = Asked::start().await?;
    let before = asked.dump().await?;
    let mut wrong = Vec::new();
    for (method, path, body, wanted, words) in CASES_BY_NAME {
        let (status, text) =
            asked.send(method, &format!("/pd/api/v1/{path}"), body.as_bytes().to_vec()).await?;
        if status != *wanted || !words.iter().all(|word| text.contains(word)) {
            wrong.push(format!("{method} {path} {body}: {status} {text}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES_BY_NAME.len(), wrong.join("\n"));
    ensure!(asked.dump().await? == before, "refused requests changed something");
    asked.passed()
}

/// Heads that are no requests, sent as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_leaves_the_member_alone() -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let asked = Asked::start().await?;
    let long = format!("GET /pd/api/v1/{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /pd/api/v1/version HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(2_000));
    let heads: [&[u8]; 7] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /pd/api/v1/\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /pd/api/v1/operators HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /pd/api/v1/operators HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for head in heads {
        let mut socket = tokio::net::TcpStream::connect(asked.server.address()).await?;
        socket.write_all(head).await?;
        socket.shutdown().await?;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
        // A member that hangs up has not to be polite.
        if read.is_err() {
            bail!(
                "{:?} is neither answered nor hung up",
                String::from_utf8_lossy(&head[..head.len().min(60)])
            );
        }
        let text = String::from_utf8_lossy(&answer);
        ensure!(!text.starts_with("HTTP/1.1 5") && !text.starts_with("HTTP/1.1 2"), "{text}");
        let (status, _) = asked.send("GET", "/pd/api/v1/ping", Vec::new()).await?;
        ensure!(status == 200, "the member is gone");
    }
    asked.passed()
}
