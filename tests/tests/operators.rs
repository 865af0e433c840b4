//! What people tell the planner, on a real group with real stores: operators by hand are carried out and remembered,
//! weights, limits and schedulers outlive the leader, pauses do not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::{Cluster, Setup, eventually, http};
use tokio::task::JoinSet;

/// A snapshot, three elections and a split on a busy machine.
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_by_hand_are_carried_out() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 5)).await?;
    let url = cluster.members()[0].client_url();
    let region = replicated_region(&url).await?;
    let id = region["id"].as_u64().context("an id")?;
    let (leader, followers) = (leader_of(&region), followers_of(&region));
    let free = free_store(&url, &region, &[]).await?;

    // Another leader.
    ask(&url, json!({"name": "transfer-leader", "region_id": id, "to_store_id": followers[0]})).await?;
    let status = ended(&url, id).await?;
    let known = format!("admin-transfer-leader {{transfer leader: store {leader} to {}}}", followers[0]);
    ensure!(status.starts_with("status: SUCCESS") && status.contains(&known), "{status}");
    ensure!(status.ends_with(" finished"), "{status}");
    ensure!(leader_of(&region_of(&url, id).await?) == followers[0], "the lead went elsewhere");

    // A replica moves, from the Store that leads.
    let from = followers[0];
    ask(&url, json!({"name": "transfer-peer", "region_id": id, "from_store_id": from, "to_store_id": free}))
        .await?;
    let status = ended(&url, id).await?;
    ensure!(status.contains(&format!("admin-move-peer {{mv peer: store [{from}] to [{free}]}}")), "{status}");
    ensure!(status.starts_with("status: SUCCESS"), "{status}");
    let moved = region_of(&url, id).await?;
    let stores = stores_of(&moved);
    ensure!(stores.contains(&free) && !stores.contains(&from) && stores.len() == 3, "{moved}");

    // All but one of the replicas move at once, and one of the new ones leads.
    let last = free_store(&url, &moved, &[from]).await?;
    let targets = [stores[0], from, last];
    ask(
        &url,
        json!({
            "name": "transfer-region", "region_id": id, "to_store_ids": targets,
            "peer_roles": ["voter", "leader", "follower"],
        }),
    )
    .await?;
    let status = ended(&url, id).await?;
    ensure!(status.starts_with("status: SUCCESS, operator: admin-move-region {mv peer: store ["), "{status}");
    let moved = region_of(&url, id).await?;
    let mut stores = stores_of(&moved);
    stores.sort_unstable();
    let mut wanted = targets.to_vec();
    wanted.sort_unstable();
    ensure!(stores == wanted && leader_of(&moved) == from, "{moved}");

    // A cut in the middle of nothing still makes two Regions.
    ask(&url, json!({"name": "split-region", "region_id": id, "policy": "usekey", "keys": ["6D"]})).await?;
    eventually("two regions", LONG, async || {
        let regions = http::get_json(&format!("{url}/pd/api/v1/regions")).await?;
        ensure!(regions["count"] == 2, "{} regions", regions["count"]);
        Ok(())
    })
    .await?;
    let records = http::get_json(&format!("{url}/pd/api/v1/operators/records?from=0")).await?;
    let newest = records[0].as_str().context("a record")?;
    ensure!(newest.contains("use policy USEKEY and keys [6D]") && newest.contains("duration:"), "{records}");

    // More than a Store cuts at a time: done only when all are cut.
    let keys: Vec<String> = (0x70..0x70 + 25).map(|key| format!("{key:02X}")).collect();
    ask(&url, json!({"name": "split-region", "region_id": id, "policy": "usekey", "keys": keys})).await?;
    let status = ended(&url, id).await?;
    ensure!(status.starts_with("status: SUCCESS"), "{status}");
    eventually("a region for each key", LONG, async || {
        let regions = http::get_json(&format!("{url}/pd/api/v1/regions")).await?;
        ensure!(regions["count"] == 2 + 25, "{} regions", regions["count"]);
        Ok(())
    })
    .await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_words_of_the_tools_and_change_nothing() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 3)).await?;
    let url = cluster.members()[0].client_url();
    let region = replicated_region(&url).await?;
    let (id, follower) = (region["id"].as_u64().context("an id")?, followers_of(&region)[0]);
    let operators = "/pd/api/v1/operators";
    let cases = [
        (
            operators,
            json!({"name": "transfer-leader", "region_id": id, "to_store_id": 99}),
            500,
            "region has no voter in store 99",
        ),
        (
            operators,
            json!({"name": "transfer-leader", "region_id": 9999, "to_store_id": 1}),
            500,
            "[PD:region:ErrRegionNotFound]region 9999 not found",
        ),
        (
            operators,
            json!({"name": "add-peer", "region_id": id, "store_id": follower}),
            500,
            "region already has peer in store",
        ),
        (
            operators,
            json!({"name": "add-peer", "region_id": id, "store_id": 99}),
            500,
            "[PD:core:ErrStoreNotFound]store 99 not found",
        ),
        (
            operators,
            json!({"name": "remove-peer", "region_id": id, "store_id": 99}),
            500,
            "region has no peer in store 99",
        ),
        (operators, json!({"name": "split-region", "region_id": id, "policy": "bogus"}), 500, "bogus"),
        (
            operators,
            json!({"name": "transfer-region", "region_id": id, "to_store_ids": [1, 2]}),
            500,
            "without peer role",
        ),
        (operators, json!({"name": "grow", "region_id": id}), 400, "unknown operator"),
        (
            operators,
            json!({"name": "split-region", "region_id": id, "policy": "usekey", "keys": vec!["6D"; 1_025]}),
            400,
            "1025 split keys, at most 1024 at a time",
        ),
        (
            operators,
            json!({"name": "split-region", "region_id": id, "policy": "usekey", "keys": ["6D".repeat(70_000)]}),
            400,
            "at most 65536 together",
        ),
        (operators, json!([1]), 400, "json"),
        (
            "/pd/api/v1/schedulers",
            json!({"name": "evict-leader-scheduler", "store_id": 1}),
            400,
            "balance-leader-scheduler",
        ),
        ("/pd/api/v1/schedulers", json!({"name": "balance-leader-scheduler"}), 400, "scheduler existed"),
        ("/pd/api/v1/schedulers/balance-leader-scheduler", json!({"delay": -1}), 400, "delay"),
        ("/pd/api/v1/schedulers/bogus", json!({"delay": 1}), 500, "scheduler not found"),
        ("/pd/api/v1/checker/merge", json!({"delay": 1}), 404, "joint-state, rule"),
        ("/pd/api/v1/checker/rule", json!({}), 400, "missing pause time"),
        ("/pd/api/v1/store/99/limit", json!({"rate": 1}), 404, "store 99 not found"),
        ("/pd/api/v1/store/x/limit", json!({"rate": 1}), 400, "invalid syntax"),
        ("/pd/api/v1/stores/limit", json!({"rate": 0}), 400, "larger than 0"),
        ("/pd/api/v1/stores/limit?ttlSecond=5", json!({"rate": 9}), 400, "ttlSecond"),
        ("/pd/api/v1/store/99/weight", json!({"leader": 1, "region": 1}), 404, "store 99 not found"),
        ("/pd/api/v1/store/1/weight", json!({"leader": 1}), 400, "region weight unset"),
        (
            "/pd/api/v1/scheduler-config/balance-leader-scheduler/config",
            json!({"batch": 0}),
            400,
            "between 1 and 100",
        ),
    ];
    let before = shown(&url).await?;
    for (path, body, status, words) in cases {
        let (found, _, text) = http::send(Method::POST, &format!("{url}{path}"), &body.to_string()).await?;
        let text = String::from_utf8_lossy(&text);
        ensure!(found.as_u16() == status && text.contains(words), "{path} {body}: {found} {text}");
    }
    for path in
        ["/pd/api/v1/operators/x", "/pd/api/v1/operators/records?from=x", "/pd/api/v1/schedulers?status=x"]
    {
        let (found, text) = http::request(Method::GET, &format!("{url}{path}")).await?;
        ensure!(found == StatusCode::BAD_REQUEST, "{path}: {found} {}", String::from_utf8_lossy(&text));
    }
    ensure!(shown(&url).await? == before, "a refusal changed something");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_switch_a_scheduler_at_once_one_did_it() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 3)).await?;
    let url = cluster.members()[0].client_url();
    replicated_region(&url).await?;
    let all = format!("{url}/pd/api/v1/schedulers");
    let one = format!("{all}/balance-region-scheduler");
    let name = json!({"name": "balance-region-scheduler"}).to_string();
    for _ in 0..5 {
        let statuses = at_once(Method::DELETE, &one, "").await?;
        let removed = statuses.iter().filter(|status| **status == 200).count();
        ensure!(removed == 1 && statuses.iter().all(|s| matches!(s, 200 | 404)), "{statuses:?}");
        let statuses = at_once(Method::POST, &all, &name).await?;
        let created = statuses.iter().filter(|status| **status == 200).count();
        ensure!(created == 1 && statuses.iter().all(|s| matches!(s, 200 | 400)), "{statuses:?}");
    }
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_set_for_a_store_goes_with_it() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 4)).await?;
    let url = cluster.members()[0].client_url();
    let region = replicated_region(&url).await?;
    let store = followers_of(&region)[0];
    let on = |path: &str| format!("{url}/pd/api/v1/{path}");
    // So slow a limit would keep its replicas for hours, were it asked.
    post(&on(&format!("store/{store}/limit")), json!({"rate": 0.01})).await?;
    post(&on(&format!("store/{store}/weight")), json!({"leader": 2, "region": 0.5})).await?;
    let limits = async || {
        let schedule = http::get_json(&on("config/schedule")).await?;
        Ok::<_, anyhow::Error>(schedule["store-limit"].clone())
    };
    ensure!(limits().await?[store.to_string()]["add-peer"] == 0.01, "{}", limits().await?);
    http::delete(&on(&format!("store/{store}"))).await?;
    eventually("it is buried", LONG, async || {
        let state = http::get_json(&on(&format!("store/{store}"))).await?["store"]["state_name"].clone();
        ensure!(state == "Tombstone", "{state}");
        Ok(())
    })
    .await?;
    ensure!(limits().await?.get(store.to_string()).is_none(), "{}", limits().await?);
    let status = http::get_json(&on(&format!("store/{store}"))).await?["status"].clone();
    ensure!(status["leader_weight"] == 1, "{status}");
    for (what, body) in [
        ("limit", json!({"rate": 1})),
        ("weight", json!({"leader": 1, "region": 1})),
        ("label", json!({"zone": "z1"})),
    ] {
        let path = on(&format!("store/{store}/{what}"));
        let (status, _, text) = http::send(Method::POST, &path, &body.to_string()).await?;
        let text = String::from_utf8_lossy(&text);
        ensure!(status == StatusCode::GONE && text.contains("has been removed"), "{what}: {status} {text}");
    }
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_outlives_the_leader_and_pauses_do_not() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let leader = cluster.wait_for_pd_leader().await?;
    let other = cluster.members()[(leader + 1) % 3].client_url();
    let region = replicated_region(&other).await?;
    let store = leader_of(&region);
    let on = |path: &str| format!("{other}/pd/api/v1/{path}");

    post(&on(&format!("store/{store}/weight")), json!({"leader": 2, "region": 0.5})).await?;
    post(&on("stores/limit"), json!({"rate": 30})).await?;
    post(&on(&format!("store/{store}/limit")), json!({"rate": 20, "type": "add-peer"})).await?;
    post(&on("scheduler-config/balance-leader-scheduler/config"), json!({"batch": 9})).await?;
    post(&on("schedulers/balance-leader-scheduler"), json!({"delay": 600})).await?;
    post(&on("checker/rule"), json!({"delay": 600})).await?;
    http::delete(&on("schedulers/balance-region-scheduler")).await?;
    let paused = http::get_json(&on("schedulers?status=paused&timestamp=true")).await?;
    ensure!(
        paused[0]["name"] == "balance-leader-scheduler" && paused[0]["resume_at"].is_string(),
        "{paused}"
    );
    ensure!(http::get_json(&on("checker/rule")).await? == json!({"paused": true}));
    check_kept(&other, store).await?;

    cluster.member(leader).kill()?;
    let second = cluster.wait_for_pd_leader().await?;
    let url = cluster.members()[second].client_url();
    check_kept(&url, store).await?;
    ensure!(http::get_json(&format!("{url}/pd/api/v1/schedulers?status=paused")).await? == json!([]));
    ensure!(http::get_json(&format!("{url}/pd/api/v1/checker/rule")).await? == json!({"paused": false}));
    let doing =
        http::get_json(&format!("{url}/pd/api/v1/schedulers/diagnostic/balance-region-scheduler")).await?;
    ensure!(doing["status"] == "disabled", "{doing}");
    post(&format!("{url}/pd/api/v1/schedulers"), json!({"name": "balance-region-scheduler"})).await?;
    let names = http::get_json(&format!("{url}/pd/api/v1/schedulers")).await?;
    ensure!(names == json!(["balance-leader-scheduler", "balance-region-scheduler"]), "{names}");
    cluster.passed()
}

async fn check_kept(url: &str, store: u64) -> Result<()> {
    let get = async |path: &str| http::get_json(&format!("{url}/pd/api/v1/{path}")).await;
    let status = get(&format!("store/{store}")).await?["status"].clone();
    ensure!(status["leader_weight"] == 2 && status["region_weight"] == 0.5, "{status}");
    let limits = get("stores/limit").await?;
    ensure!(limits[store.to_string()] == json!({"add-peer": 20, "remove-peer": 30}), "{limits}");
    let others = limits.as_object().context("limits")?.iter().filter(|(id, _)| **id != store.to_string());
    for (id, limit) in others {
        ensure!(*limit == json!({"add-peer": 30, "remove-peer": 30}), "store {id}: {limit}");
    }
    ensure!(get("schedulers").await? == json!(["balance-leader-scheduler"]));
    ensure!(get("schedulers?status=disabled").await? == json!(["balance-region-scheduler"]));
    let settings = get("scheduler-config/balance-leader-scheduler/list").await?;
    ensure!(settings["batch"] == 9, "{settings}");
    Ok(())
}

/// The statuses of six requests at the same time.
async fn at_once(method: Method, url: &str, body: &str) -> Result<Vec<u16>> {
    let mut all = JoinSet::new();
    for _ in 0..6 {
        let (method, url, body) = (method.clone(), url.to_owned(), body.to_owned());
        all.spawn(async move { Ok(http::send(method, &url, &body).await?.0.as_u16()) });
    }
    all.join_all().await.into_iter().collect()
}

/// What people see of what they can change.
async fn shown(url: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for path in [
        "operators",
        "schedulers",
        "schedulers?status=paused",
        "checker/rule",
        "stores/limit",
        "scheduler-config",
        "config/schedule",
        "store/1",
    ] {
        let mut value = http::get_json(&format!("{url}/pd/api/v1/{path}")).await?;
        if path == "store/1" {
            value = json!([value["status"]["leader_weight"], value["status"]["region_weight"]]);
        }
        all.push(value);
    }
    Ok(all)
}

async fn ask(url: &str, operator: Value) -> Result<()> {
    post(&format!("{url}/pd/api/v1/operators"), operator).await
}

async fn post(url: &str, body: Value) -> Result<()> {
    let (status, _, text) = http::send(Method::POST, url, &body.to_string()).await?;
    ensure!(status == StatusCode::OK, "{url} {body}: {status} {}", String::from_utf8_lossy(&text));
    Ok(())
}

/// How the Region's operator ended.
async fn ended(url: &str, id: u64) -> Result<String> {
    eventually("the operator is over", LONG, async || {
        let status = http::get_json(&format!("{url}/pd/api/v1/operators/{id}")).await?;
        let status = status.as_str().context("a text")?.to_owned();
        ensure!(!status.starts_with("status: RUNNING"), "{status}");
        Ok(status)
    })
    .await
}

/// The first Region, once it has three voters and nothing is done to it.
async fn replicated_region(url: &str) -> Result<Value> {
    eventually("a region with three voters", LONG, async || {
        let regions = http::get_json(&format!("{url}/pd/api/v1/regions")).await?;
        let region = regions["regions"][0].clone();
        let running = http::get_json(&format!("{url}/pd/api/v1/operators")).await?;
        ensure!(stores_of(&region).len() == 3 && running == json!([]), "{region} {running}");
        ensure!(region["pending_peers"].is_null() && region["leader"]["store_id"].is_u64(), "{region}");
        Ok(region)
    })
    .await
}

async fn region_of(url: &str, id: u64) -> Result<Value> {
    http::get_json(&format!("{url}/pd/api/v1/region/id/{id}")).await
}

/// A Store without the Region, other than those named.
async fn free_store(url: &str, region: &Value, but: &[u64]) -> Result<u64> {
    let stores = http::get_json(&format!("{url}/pd/api/v1/stores")).await?;
    let ids = stores["stores"].as_array().context("stores")?.iter().filter_map(|s| s["store"]["id"].as_u64());
    let held = stores_of(region);
    ids.into_iter().find(|id| !held.contains(id) && !but.contains(id)).context("a store without the region")
}

fn leader_of(region: &Value) -> u64 {
    region["leader"]["store_id"].as_u64().unwrap_or_default()
}

fn stores_of(region: &Value) -> Vec<u64> {
    let peers = region["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    peers.iter().filter_map(|peer| peer["store_id"].as_u64()).collect()
}

fn followers_of(region: &Value) -> Vec<u64> {
    let leader = leader_of(region);
    stores_of(region).into_iter().filter(|store| *store != leader).collect()
}
