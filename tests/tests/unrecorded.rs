//! What is there although no record asks for it: commands of `pd-ctl`, probes, and the health service. They show what
//! the routes show that have a record.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tests::cluster::{binaries, http};
use tests::replay::dynamic::{Connection, Wire};
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;

/// The recorded cluster stays as it is.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";

async fn recorded() -> Result<(Server, Feed, Connection)> {
    let server = Server::start(HALTED).await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let cluster_id = server.cluster_id().await?;
    let mut feed = Feed::new(record::state()?, connection.clone(), cluster_id, Raise(0));
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;
    Ok((server, feed, connection))
}

/// Exit code and standard output of the tool.
fn typed(base: &str, words: &[&str], input: &str) -> Result<(Option<i32>, String)> {
    let mut tool = Command::new(binaries::pd_ctl()?);
    let tool = tool.args(["-u", base]).args(words).env_remove("PD_ADDR");
    let mut child = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A tool that does not read ends before all is written; what it printed tells.
    let _ = child.stdin.take().context("its input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_what_their_routes_answer() -> Result<()> {
    let (server, _feed, _) = recorded().await?;
    let base = server.client_url();
    let pairs: [(&[&str], &str); 10] = [
        (&["min-resolved-ts"], "/pd/api/v1/min-resolved-ts"),
        (&["config", "show", "all"], "/pd/api/v1/config"),
        (&["config", "show", "replication-mode"], "/pd/api/v1/config/replication-mode"),
        (&["region", "range-holes"], "/pd/api/v1/regions/range-holes"),
        (&["region", "topconfver", "3"], "/pd/api/v1/regions/confver?limit=3"),
        (&["region", "topversion", "3"], "/pd/api/v1/regions/version?limit=3"),
        (&["region", "topsize", "3"], "/pd/api/v1/regions/size?limit=3"),
        (&["region", "keyspace", "id", "0", "5"], "/pd/api/v1/regions/keyspace/id/0?limit=5"),
        (&["member"], "/pd/api/v1/members"),
        (&["region", "scan"], "/pd/api/v1/regions/key?limit=1000"),
    ];
    let mut wrong = Vec::new();
    for (words, path) in pairs {
        let (code, printed) = typed(&base, words, "")?;
        let shown: Value = serde_json::from_str(&printed).unwrap_or_default();
        let answered = http::get_json(&format!("{base}{path}")).await?;
        if code != Some(0) || shown != answered {
            wrong.push(format!(
                "{words:?} ended with {code:?} and prints {printed}\nbut {path} answers {answered}"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_do_what_they_say_and_refuse_in_words() -> Result<()> {
    let (server, _feed, _) = recorded().await?;
    let base = server.client_url();
    let folder = tempfile::tempdir()?;
    let (rules, bundles) = (folder.path().join("rules.json"), folder.path().join("bundles.json"));
    let (rules, bundles) = (rules.to_string_lossy().into_owned(), bundles.to_string_lossy().into_owned());
    let cases: [(&[&str], i32, &str); 14] = [
        (&["--version"], 0, "Release Version: "),
        (&["ping"], 0, "time: "),
        (&["config", "placement-rules", "load", "--out", &rules], 0, "rules saved to file"),
        (&["config", "placement-rules", "rule-bundle", "load", "--out", &bundles], 0, "rules saved to file"),
        (&["region", "keyspace", "id", "0", "table-id", "1"], 0, "{\"count\":1,\"regions\":[{\"id\":159,"),
        (&["stores", "show", "limit"], 0, "use store limit instead"),
        (&["stores", "set", "limit", "12", "add-peer"], 0, "Success!"),
        (&["stores", "remove-tombstone"], 0, "Success!"),
        (&["scheduler", "add", "balance-region-scheduler"], 1, "scheduler existed"),
        (&["scheduler", "remove", "balance-region-scheduler"], 0, "Success!"),
        (&["scheduler", "add", "balance-region-scheduler"], 0, "Success!"),
        (&["member", "leader", "resign"], 0, "Success!"),
        (&["member", "leader", "transfer", "pd9"], 1, "Failed"),
        (&["member", "delete", "name", "pd9"], 1, "Failed"),
    ];
    let mut wrong = Vec::new();
    for (words, wanted, text) in cases {
        let (code, printed) = typed(&base, words, "")?;
        if code != Some(wanted) || !printed.contains(text) {
            wrong.push(format!("{words:?} ended with {code:?} and prints {printed}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let limits = http::get_json(&format!("{base}/pd/api/v1/stores/limit")).await?;
    ensure!(limits["1"]["add-peer"] == 12, "{limits}");
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(rules)?)?;
    ensure!(saved == http::get_json(&format!("{base}/pd/api/v1/config/rules")).await?, "{saved}");
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(bundles)?)?;
    ensure!(saved == http::get_json(&format!("{base}/pd/api/v1/config/placement-rule")).await?, "{saved}");
    // A shell that reads from a pipe ends at `exit`.
    let (code, printed) = typed(&base, &["-i"], "store check up\nexit\nstore\n")?;
    ensure!(code == Some(0) && printed.matches("\"count\": 6").count() == 1, "{code:?} {printed}");
    server.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_the_page_answer() -> Result<()> {
    let (server, _feed, connection) = recorded().await?;
    let base = server.client_url();
    for (path, text) in [
        ("/health", "{\"health\":\"true\",\"reason\":\"\"}"),
        ("/pd/ping", ""),
        ("/pd/api/v2/livez", "ok"),
        ("/pd/api/v2/readyz", "ok"),
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/metrics", "# TYPE "),
        ("/dashboard/", "<!doctype html>"),
    ] {
        let body = http::get(&format!("{base}{path}")).await?;
        let body = String::from_utf8_lossy(&body);
        ensure!(body.contains(text), "{path}: {body}");
    }
    let header = json!({"cluster_id": server.cluster_id().await?});
    let point = connection.ask_json("pdpb.PD/GetGCSafePoint", &json!({"header": header})).await?;
    ensure!(point["header"].get("error").is_none(), "{point}");
    server.passed()
}

/// What is expected of an answer in JSON: a place in it and what stands there.
type Expected = (&'static str, Value);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_show_the_cluster_that_they_are_asked_of() -> Result<()> {
    let (server, _feed, _) = recorded().await?;
    let base = server.client_url();
    let v1 = |path: &str| format!("{base}/pd/api/v1/{path}");
    let label =
        "{\"action\":\"set\",\"type\":\"reject-leader\",\"label-key\":\"zone\",\"label-value\":\"z1\"}";
    for (path, body, text) in [
        ("config/label-property", label, "The config is updated."),
        (
            "config/replication-mode",
            "{\"replication-mode\":\"majority\"}",
            "The replication mode config is updated.",
        ),
    ] {
        let (status, _, answer) = http::send(Method::POST, &v1(path), body).await?;
        ensure!(
            status == 200 && String::from_utf8_lossy(&answer).contains(text),
            "{path}: {status} {answer:?}"
        );
    }
    let plain = |expected: Vec<Expected>| -> Vec<(String, Value)> {
        expected.into_iter().map(|(at, value)| (at.to_owned(), value)).collect()
    };
    let listed = |ids: &[u64]| {
        let mut all = vec![("/count".to_owned(), json!(ids.len()))];
        all.extend(ids.iter().enumerate().map(|(at, id)| (format!("/regions/{at}/id"), json!(id))));
        all
    };
    let cases = [
        ("schedulers/diagnostic/balance-leader-scheduler", plain(vec![("/status", json!("halted"))])),
        ("scheduler-config", plain(vec![("/balance-leader-scheduler/batch", json!(4))])),
        ("scheduler-config/balance-leader-scheduler/list", plain(vec![("/batch", json!(4))])),
        ("cluster/status", plain(vec![("/is_initialized", json!(true))])),
        (
            "config",
            plain(vec![("/schedule/halt-scheduling", json!("true")), ("/cluster-version", json!("8.5.0"))]),
        ),
        ("config/pd-server", plain(vec![("/key-type", json!("table"))])),
        ("config/replicate", plain(vec![("/max-replicas", json!(3)), ("/isolation-level", json!(""))])),
        ("config/label-property", plain(vec![("/reject-leader/0/value", json!("z1"))])),
        ("config/cluster-version", plain(vec![("", json!("8.5.0"))])),
        ("config/replication-mode", plain(vec![("/replication-mode", json!("majority"))])),
        ("config/rules", plain(vec![("/0/count", json!(3)), ("/0/id", json!("default"))])),
        ("config/rules/group/pd", plain(vec![("/0/count", json!(3)), ("/0/role", json!("voter"))])),
        ("config/rules/key/61", plain(vec![("/0/count", json!(3)), ("/0/start_key", json!(""))])),
        ("config/rule_groups", plain(vec![("/0/id", json!("pd"))])),
        ("region/id/107/label/k", plain(vec![("", json!(""))])),
        ("stores/limit", plain(vec![("/6", json!({"add-peer": 15, "remove-peer": 15}))])),
        ("regions/writeflow?limit=2", listed(&[159, 158])),
        (
            "regions/confver?limit=2",
            plain(vec![("/count", json!(2)), ("/regions/0/epoch/conf_ver", json!(5))]),
        ),
        ("regions/keys?limit=2", listed(&[159, 158])),
        ("regions/check/miss-peer", listed(&[])),
        ("regions/check/pending-peer", listed(&[113])),
        ("regions/check/down-peer", listed(&[111])),
        ("regions/check/empty-region", listed(&[100])),
        ("regions/check/oversized-region", listed(&[])),
        ("regions/range-holes", plain(vec![("", json!([]))])),
        ("status", plain(vec![("/kernel_type", json!("Classic"))])),
        ("members", plain(vec![("/leader/name", json!("pd1")), ("/members/0/client_urls/0", json!(base))])),
        ("leader", plain(vec![("/name", json!("pd1")), ("/client_urls/0", json!(base))])),
    ];
    let mut wrong = Vec::new();
    for (path, expected) in cases {
        let answer = http::get_json(&v1(path)).await?;
        for (at, value) in expected {
            if answer.pointer(&at) != Some(&value) {
                wrong.push(format!("{path}: at {at:?} not {value}: {answer}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.passed()
}
