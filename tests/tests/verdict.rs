//! The verdict on a real group: ok, a store killed, the leader killed, a member left alone; and what `why` and the map say
//! meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::Value;
use tests::cluster::{Cluster, Setup, eventually, http};
use tests::writes::{Plan, Writers};

const PLAN: Plan = Plan { writers: 4, keys_each: 200, value_size: 1 << 10 };
const WRITES: u64 = 1_000;
/// Regions move and members vote on a busy machine.
const SETTLED: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verdict_follows_what_happens() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 4)).await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;
    let urls: Vec<String> = cluster.members().iter().map(tests::cluster::Member::client_url).collect();
    for url in &urls {
        eventually("every member says ok, in the leader's words", SETTLED, async || {
            let health = health(url).await?;
            ensure!(health["verdict"] == "ok" && health["by_leader"] == true, "{url}: {health}");
            ensure!(health["heard"]["regions_permille"] == 1000, "{health}");
            Ok(())
        })
        .await?;
    }
    let leader = cluster.pd_leader().await?;
    let follower = &urls[(leader + 1) % urls.len()];
    what_a_follower_answers(follower).await?;
    map_tiles_the_key_space(follower).await?;

    // A store dies: one check, one cause, with its count.
    let first =
        cluster.stores()[0].held_regions().await?.first().context("the first store holds Regions")?.id;
    let address = cluster.stores()[0].address();
    cluster.store(0).kill()?;
    let lost = eventually("a killed store is the one cause", SETTLED, async || {
        let health = health(follower).await?;
        ensure!(health["verdict"] == "degraded", "{health}");
        let short: Vec<&Value> = checks(&health).filter(|check| check["code"] == "REGION_SHORT").collect();
        let [short] = short[..] else { anyhow::bail!("one line for all: {health}") };
        ensure!(short["cause"]["code"] == "STORE_DISCONNECTED", "{health}");
        let lost = short["cause"]["subject"]["store"].as_u64().context("the cause is a store")?;
        let held = held_on(&cluster, lost).await?;
        ensure!(held > 0 && short["count"] == held, "{held} are on it: {short}");
        let map = json(follower, "/pd/api/v2/map").await?;
        let trouble = map["trouble"].as_object().context("trouble")?;
        ensure!(trouble.values().filter_map(|t| t["down"].as_u64()).sum::<u64>() == held, "{map}");
        Ok(lost)
    })
    .await?;
    let stores = json(follower, "/pd/api/v1/stores").await?;
    let named = stores["stores"].as_array().into_iter().flatten().find(|s| s["store"]["id"] == lost);
    ensure!(
        named.is_some_and(|s| s["store"]["address"] == address.as_str()),
        "store {lost} is not at {address}"
    );
    let why = json(follower, &format!("/pd/api/v2/why/store/{lost}")).await?;
    ensure!(why["healthy"] == false && text(&why["summary"]).contains("is not heard"), "{why}");
    let why = json(follower, &format!("/pd/api/v2/why/region/{first}")).await?;
    ensure!(why["next"][0] == format!("pd-ctl why store {lost}"), "{why}");
    cluster.store(0).start()?;
    is_ok_again(follower).await?;
    drop(writers.stop().await?);

    // The leader dies: no leader, then a new one that learns, then it knows all and misses the dead one.
    let dead = cluster.members()[leader].name().to_owned();
    cluster.member(leader).kill()?;
    eventually("a new leader learns", SETTLED, async || {
        let health = health(follower).await?;
        ensure!(checks(&health).any(|check| check["code"] == "LEARNING"), "{health}");
        Ok(())
    })
    .await?;
    eventually("the new leader knows all and misses the old one", SETTLED, async || {
        let health = health(follower).await?;
        ensure!(health["verdict"] == "attention", "{health}");
        let missed = checks(&health).find(|check| check["code"] == "MEMBER_UNREACHABLE").context("missed")?;
        ensure!(missed["subjects"][0]["member"] == dead.as_str(), "{health}");
        Ok(())
    })
    .await?;

    // Another one dies: who is left has no leader, and says so as its own view.
    let next = cluster.pd_leader().await?;
    let last = (0..urls.len()).find(|index| *index != leader && *index != next).context("a third member")?;
    cluster.member(next).kill()?;
    eventually("a member alone knows of no leader", SETTLED, async || {
        let health = health(&urls[last]).await?;
        ensure!(health["verdict"] == "down" && health["by_leader"] == false, "{health}");
        let check = checks(&health).next().context("a check")?;
        ensure!(check["code"] == "NO_LEADER" && check["since_ms"].as_u64().is_some(), "{health}");
        ensure!(health["leader"].is_null() && health["no_leader_since_ms"].as_u64().is_some(), "{health}");
        ensure!(health["member"] == cluster.members()[last].name(), "{health}");
        Ok(())
    })
    .await?;
    refused(&urls[last], "/pd/api/v2/map", 503, "NO_LEADER").await?;
    cluster.passed()
}

/// Regions with a peer on `store`, as the other stores tell.
async fn held_on(cluster: &Cluster, store: u64) -> Result<u64> {
    let mut found = BTreeSet::new();
    for other in cluster.stores().iter().filter(|s| s.process().is_running()) {
        let held = other.held_regions().await?;
        let here = held.iter().filter(|r| r.peers.iter().any(|peer| peer.store_id == store));
        found.extend(here.map(|region| region.id));
    }
    Ok(found.len() as u64)
}

async fn what_a_follower_answers(url: &str) -> Result<()> {
    let region =
        json(url, "/pd/api/v1/regions?limit=1").await?["regions"][0]["id"].as_u64().context("an id")?;
    let why = json(url, &format!("/pd/api/v2/why/region/{region}")).await?;
    ensure!(why["subject"]["region"] == region && !text(&why["summary"]).is_empty(), "{why}");
    for (path, status, code) in [
        ("/pd/api/v2/why/region/x", 400, "BAD_PARAMETER"),
        ("/pd/api/v2/why/region/0", 400, "BAD_PARAMETER"),
        ("/pd/api/v2/why/region/%FF", 400, "BAD_PARAMETER"),
        ("/pd/api/v2/why/region/987654321", 404, "NOT_FOUND"),
        ("/pd/api/v2/why/store/987654321", 404, "NOT_FOUND"),
        ("/pd/api/v2/why/store/1?x=1", 400, "BAD_PARAMETER"),
        ("/pd/api/v2/health?x=1", 400, "BAD_PARAMETER"),
        ("/pd/api/v2/map?cells=0", 400, "BAD_PARAMETER"),
    ] {
        refused(url, path, status, code).await?;
    }
    let document = json(url, "/pd/api/v2/openapi.json").await?;
    let paths = document["paths"].as_object().context("paths")?;
    // A stream does not end, and a path with an id was asked above.
    for (path, item) in paths.iter().filter(|(path, _)| !path.contains('{') && !path.ends_with("/stream")) {
        let (status, _) = http::request(Method::GET, &format!("{url}{path}")).await?;
        let told = item["get"]["responses"].get(status.as_str()).is_some();
        ensure!(told, "{path} answers {status}, which is not in the document");
    }
    let page = http::get(&format!("{url}/pd/api/v2/docs/")).await?;
    let page = String::from_utf8_lossy(&page);
    ensure!(
        page.contains("swagger-ui") && !page.contains("https://"),
        "the page needs no other host: {page}"
    );
    Ok(())
}

async fn map_tiles_the_key_space(url: &str) -> Result<()> {
    let map = json(url, "/pd/api/v2/map").await?;
    let keys = map["keys"].as_array().context("keys")?;
    let regions: u64 = map["regions"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    ensure!(keys.len() == map["leader"].as_array().map_or(0, Vec::len) + 1, "{map}");
    ensure!(keys[0] == "" && keys[keys.len() - 1] == "" && regions > 0, "{map}");
    let counted = json(url, "/pd/api/v1/regions/count").await?["count"].as_u64();
    ensure!(counted.is_some_and(|counted| counted >= regions), "{counted:?} counted, {regions} on the map");
    Ok(())
}

async fn is_ok_again(url: &str) -> Result<()> {
    eventually("all is well again", SETTLED, async || {
        let health = health(url).await?;
        ensure!(health["verdict"] == "ok", "{health}");
        Ok(())
    })
    .await
}

async fn health(url: &str) -> Result<Value> {
    json(url, "/pd/api/v2/health").await
}

async fn json(url: &str, path: &str) -> Result<Value> {
    http::get_json(&format!("{url}{path}")).await
}

async fn refused(url: &str, path: &str, status: u16, code: &str) -> Result<()> {
    let (got, body) = http::request(Method::GET, &format!("{url}{path}")).await?;
    let error: Value = serde_json::from_slice(&body).with_context(|| format!("{path}: {body:?}"))?;
    ensure!(got.as_u16() == status && error["code"] == code, "{path}: {got} {error}");
    ensure!(!text(&error["message"]).is_empty(), "{path}: {error}");
    Ok(())
}

fn checks(health: &Value) -> impl Iterator<Item = &Value> {
    health["checks"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
