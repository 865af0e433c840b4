//! The replicated configuration on real members: changed through any of them, seen on all, never lost, never half.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::{Cluster, Member, PATIENCE, Setup, eventually, http};
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;
use tokio::task::JoinSet;

const FILE: &str = "[schedule]\nleader-schedule-limit = 6\nhalt-scheduling = true\n";
const LEADER_LIMIT: &str = "schedule.leader-schedule-limit";
/// What the log says when the file and the group differ.
const DIFFERS: &str =
    "the configuration file differs from the cluster's configuration; the cluster's value wins";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_on_all_members_and_outlives_the_leader() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup { pd_toml: FILE.into(), ..Setup::of_a_test(3, 0) })?;
    cluster.start_members()?;
    let leader = cluster.wait_for_pd_leader().await?;
    let urls: Vec<_> = cluster.members().iter().map(Member::client_url).collect();
    for url in &urls {
        // The file of the first leader is the group's first configuration.
        on_member(url, LEADER_LIMIT, &json!(6)).await?;
        on_member(url, "schedule.halt-scheduling", &json!("true")).await?;
    }

    // Asked of a follower; many at once, so that each has to see what the others wrote.
    let changes: BTreeMap<&str, Value> = [
        (LEADER_LIMIT, json!(8)),
        ("schedule.merge-schedule-limit", json!(4)),
        ("schedule.region-schedule-limit", json!(16)),
        ("schedule.hot-region-schedule-limit", json!(0)),
        ("schedule.max-snapshot-count", json!(5)),
        ("schedule.max-store-down-time", json!("1h0m0s")),
        ("replication.location-labels", json!("zone,host")),
        ("pd-server.flow-round-by-digit", json!(4)),
    ]
    .into();
    let mut asked = JoinSet::new();
    for ((item, value), url) in changes.iter().zip(urls.iter().cycle()) {
        let (items, url) = (json!({*item: value}), url.clone());
        asked.spawn(async move { updated(&url, &items).await });
    }
    while let Some(done) = asked.join_next().await {
        done??;
    }
    for (item, value) in &changes {
        for url in &urls {
            on_member(url, item, value).await?;
        }
    }
    let shown = origin(&urls[leader], LEADER_LIMIT).await?;
    ensure!(
        shown["origin"] == "online" && shown["file"] == 6 && shown["differs_from_file"] == true,
        "{shown}"
    );
    ensure!(shown["changed_at_ms"].is_u64() && shown["changed_by"] == "http", "{shown}");
    let from_file = origin(&urls[leader], "schedule.halt-scheduling").await?;
    ensure!(from_file["origin"] == "file" && from_file["differs_from_file"] == false, "{from_file}");

    cluster.member(leader).kill()?;
    let second = cluster.wait_for_pd_leader().await?;
    ensure!(second != leader, "a dead member leads");
    for (item, value) in &changes {
        on_member(&urls[second], item, value).await?;
    }
    updated(&urls[second], &json!({"replica-schedule-limit": 3})).await?;

    // The one that comes back learns what it missed, and says what its file has otherwise.
    cluster.start_members()?;
    on_member(&urls[leader], "schedule.replica-schedule-limit", &json!(3)).await?;
    let log = cluster.member(leader).process().log_text()?;
    let told: Vec<_> = log.lines().filter(|line| line.contains(DIFFERS)).collect();
    ensure!(
        told.len() == 1 && told[0].contains(LEADER_LIMIT) && told[0].contains('6') && told[0].contains('8'),
        "{told:#?}"
    );
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_changes_change_nothing_and_say_why() -> Result<()> {
    let server = Server::start("").await?;
    let url = server.client_url();
    let before = http::get(&format!("{url}/pd/api/v1/config")).await?;
    let config = "/pd/api/v1/config";
    let cases = [
        (
            config,
            r#"{"leader-schedule-limit": 9, "low-space-ratio": 2}"#,
            400,
            "low-space-ratio should between 0 and 1",
        ),
        (
            config,
            r#"{"merge-schedule-limit": 9, "no-such-key": 1}"#,
            400,
            "config item no-such-key not found",
        ),
        (config, r#"{"merge-schedule-limit": 9, "log.level": "loud"}"#, 400, "log level loud is illegal"),
        (config, r#"{"schedule.enable-witness": "perhaps"}"#, 400, "enable-witness"),
        (config, r#"{"max-store-down-time": "soon"}"#, 400, "max-store-down-time"),
        (config, r#"{"max-replicas": 0}"#, 400, "max-replicas should between 1 and 64"),
        (config, r#"{"isolation-level": "rack"}"#, 400, "isolation-level must be one of location-labels"),
        (config, r#"{"name": "other"}"#, 400, "config prefix name not found"),
        (config, r#"{"cluster-version": "8"}"#, 400, "dotted-tri"),
        (config, "[1]", 400, "array"),
        (config, "{", 400, "unexpected end of JSON input"),
        ("/pd/api/v1/config?ttlSecond=x", r#"{"schedule.leader-schedule-limit": 1}"#, 400, "x"),
        ("/pd/api/v1/config?ttlSecond=-1", r#"{"schedule.leader-schedule-limit": 1}"#, 400, "ttlSecond"),
        (
            "/pd/api/v1/config?ttlSecond=9",
            r#"{"schedule.halt-scheduling": true}"#,
            400,
            "unsupported ttl config",
        ),
        (
            "/pd/api/v1/config/schedule",
            r#"{"merge-schedule-limit": "x"}"#,
            400,
            "ScheduleConfig.merge-schedule-limit",
        ),
        ("/pd/api/v1/config/replicate", r#"{"max-replicas": 100}"#, 400, "max-replicas"),
        ("/pd/api/v1/config/cluster-version", r#"{"version": "8.5.0"}"#, 400, "not set cluster-version"),
        (
            "/pd/api/v1/config/label-property",
            r#"{"type": "x", "action": "set"}"#,
            400,
            "label-key is missing",
        ),
        (
            "/pd/api/v1/config/replication-mode",
            r#"{"replication-mode": "both"}"#,
            400,
            "replication-mode should be one of",
        ),
    ];
    for (path, body, status, words) in cases {
        let (answered, _, text) = http::send(Method::POST, &format!("{url}{path}"), body).await?;
        let text = String::from_utf8_lossy(&text);
        ensure!(answered.as_u16() == status && text.contains(words), "{path} {body}: {answered} {text}");
    }
    let after = http::get(&format!("{url}/pd/api/v1/config")).await?;
    ensure!(before == after, "something changed:\n{}", String::from_utf8_lossy(&after));
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_planner_follows_and_what_is_temporary_ends() -> Result<()> {
    let server = Server::start("").await?;
    let url = server.client_url();
    // Before there is a cluster, as a script does that wants nothing to move.
    updated(&url, &json!({"halt-scheduling": "true", "leader-schedule-limit": 0, "region-schedule-limit": 0, "replica-schedule-limit": 0})).await?;
    let wire = Wire::compiled()?;
    let cluster_id = server.cluster_id().await?;
    let mut feed = Feed::new(record::state()?, server.connect(&wire).await?, cluster_id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    let connection = server.connect(&wire).await?;
    let request = json!({
        "header": {"cluster_id": cluster_id.to_string()},
        "region": {"id": "105", "region_epoch": {"conf_ver": "5", "version": "60"}},
        "split_count": 1,
    });
    let granted = async || -> Result<usize> {
        let answer = connection.ask_json("pdpb.PD/AskBatchSplit", &request).await?;
        Ok(answer["ids"].as_array().map_or(0, Vec::len))
    };
    ensure!(granted().await? == 0, "a split was granted while halted");
    updated(&url, &json!({"halt-scheduling": false})).await?;
    ensure!(granted().await? == 1, "no split was granted after halting was over");

    let (status, _, _) = http::send(
        Method::POST,
        &format!("{url}/pd/api/v1/config?ttlSecond=1"),
        r#"{"schedule.max-pending-peer-count": 7}"#,
    )
    .await?;
    ensure!(status == StatusCode::OK, "{status}");
    let item = "schedule.max-pending-peer-count";
    let shown = origin(&url, item).await?;
    // It may be over already on a slow machine; it never outlives its time.
    ensure!(shown["origin"] != "temporary" || shown["value"] == 7, "{shown}");
    eventually("the temporary value to end", PATIENCE, async || {
        let shown = origin(&url, item).await?;
        ensure!(shown["origin"] == "default" && shown["value"] == 64, "{shown}");
        Ok(())
    })
    .await?;
    server.passed()
}

/// Whoever fills what can be filled meets its bound, and all else can be changed as before: scheduling is halted, and a
/// store registers that raises the cluster version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_configuration_stops_no_other_change() -> Result<()> {
    let server = Server::start("").await?;
    let url = server.client_url();
    let post = async |path: &str, body: &Value| -> Result<(StatusCode, String)> {
        let (status, _, text) =
            http::send(Method::POST, &format!("{url}/pd/api/v1/{path}"), &body.to_string()).await?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    };
    let label = |kind: usize, key: usize, bytes: usize| json!({"type": format!("kind{kind}"), "action": "set", "label-key": format!("k{key}"), "label-value": "v".repeat(bytes)});
    let (status, text) = post("config/label-property", &label(0, 0, 900_000)).await?;
    ensure!(status == StatusCode::BAD_REQUEST && text.contains("at most 512 bytes"), "{status} {text}");
    let mut taken = 0;
    let refused = loop {
        let (status, text) = post("config/label-property", &label(taken / 64, taken % 64, 500)).await?;
        if status != StatusCode::OK {
            break (status, text);
        }
        taken += 1;
        ensure!(taken < 1_000, "it never ends");
    };
    ensure!(
        refused.0 == StatusCode::BAD_REQUEST && refused.1.contains("label-property: at most 16384 bytes"),
        "after {taken}: {refused:?}"
    );
    for item in
        ["pd-server.metric-storage", "pd-server.dashboard-address", "replication-mode.dr-auto-sync.dr"]
    {
        let (status, text) = post("config", &json!({item: "x".repeat(5_000)})).await?;
        ensure!(status == StatusCode::BAD_REQUEST && text.contains("1024 bytes"), "{item}: {status} {text}");
        let (status, text) = post("config", &json!({item: "x".repeat(1_000)})).await?;
        ensure!(status == StatusCode::OK, "{item}: {status} {text}");
    }

    updated(&url, &json!({"halt-scheduling": true})).await?;
    let wire = Wire::compiled()?;
    let cluster_id = server.cluster_id().await?;
    let mut feed = Feed::new(record::state()?, server.connect(&wire).await?, cluster_id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await?;
    // What a store has just raised is seen by the next reader.
    let version = http::get_json(&format!("{url}/pd/api/v1/config/cluster-version")).await?;
    ensure!(version == "8.5.0", "{version}");

    // Limits are for stores that are there; a version above all others would keep every store out.
    let limits = |store: &str| json!({"store-limit": {store: {"add-peer": 3, "remove-peer": 3}}});
    let (status, text) = post("config/schedule", &limits("999")).await?;
    ensure!(status == StatusCode::BAD_REQUEST && text.contains("store 999 not found"), "{status} {text}");
    let (status, text) = post("config/schedule", &limits("1")).await?;
    ensure!(status == StatusCode::OK, "{status} {text}");
    let zero = json!({"store-limit": {"1": {"add-peer": 0, "remove-peer": 3}}});
    let (status, text) = post("config/schedule", &zero).await?;
    ensure!(status == StatusCode::BAD_REQUEST && text.contains("at least 0.001"), "{status} {text}");
    for path in ["config", "config/cluster-version"] {
        let (status, text) = post(path, &json!({"cluster-version": "99.0.0"})).await?;
        ensure!(status == StatusCode::BAD_REQUEST && text.contains("99.0.0 is above"), "{status} {text}");
    }
    let shown = http::get_json(&format!("{url}/pd/api/v1/config/schedule")).await?;
    let (status, text) = post("config/schedule", &shown).await?;
    ensure!(status == StatusCode::OK, "{status} {text}");
    let again = http::get_json(&format!("{url}/pd/api/v1/config/schedule")).await?;
    ensure!(shown == again, "sent back, it changed: {shown} {again}");
    let kept = origin(&url, "schedule.max-merge-region-keys").await?;
    ensure!(kept["origin"] == "default" && kept["effect"] == "at once", "{kept}");
    server.passed()
}

/// Changes the configuration through one member.
async fn updated(url: &str, items: &Value) -> Result<()> {
    let (status, _, body) =
        http::send(Method::POST, &format!("{url}/pd/api/v1/config"), &items.to_string()).await?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status == StatusCode::OK && text == "\"The config is updated.\"\n", "{items}: {status} {text}");
    Ok(())
}

/// Waits until a member itself has an item with this value. (Its first API shows the leader's.)
async fn on_member(url: &str, item: &str, value: &Value) -> Result<()> {
    eventually(&format!("{item} = {value} on {url}"), PATIENCE, async || {
        let shown = origin(url, item).await?["value"].clone();
        ensure!(shown == *value, "it shows {shown}");
        Ok(())
    })
    .await
}

/// An item with its origin.
async fn origin(url: &str, item: &str) -> Result<Value> {
    let config = http::get_json(&format!("{url}/pd/api/v2/config?origin=1")).await?;
    let items = config["items"].as_array().context("no items")?;
    items.iter().find(|shown| shown["item"] == item).cloned().with_context(|| format!("{item} is not shown"))
}
