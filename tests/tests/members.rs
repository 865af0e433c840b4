//! Members come and go under load: a group of one grows to three, loses one, replaces it, loses its leader. Each step is
//! done twice, and nobody who takes timestamps and ids may notice.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, StatusCode};
use proto::etcdserverpb::MemberListRequest;
use proto::etcdserverpb::cluster_client::ClusterClient;
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::takers::Takers;

const CLIENTS: usize = 4;
/// Answers that must come after each step.
const ANSWERS_A_STEP: u64 = 100;

/// Who votes and who learns, as one of the members says: by name, whether it is a learner.
async fn roles_at(url: &str) -> Result<BTreeMap<String, bool>> {
    let mut client = ClusterClient::connect(url.to_string()).await?;
    let answer = client.member_list(MemberListRequest { linearizable: false }).await?.into_inner();
    Ok(answer.members.into_iter().map(|member| (member.name, member.is_learner)).collect())
}

/// Waits until the leader says that exactly these vote and these learn.
async fn group_is(cluster: &Cluster, voters: &[&str], learners: &[&str]) -> Result<()> {
    let votes = voters.iter().map(|name| ((*name).to_string(), false));
    let expected: BTreeMap<String, bool> =
        votes.chain(learners.iter().map(|name| ((*name).to_string(), true))).collect();
    eventually(&format!("voters {voters:?} and learners {learners:?}"), PATIENCE, async || {
        let leader = leader_url(cluster).await?;
        let found = roles_at(&leader).await?;
        ensure!(found == expected, "{found:?}");
        Ok(())
    })
    .await
}

/// Where the leader is reached: its name may be that of a former member, its URL is not.
async fn leader_url(cluster: &Cluster) -> Result<String> {
    let members = cluster.client().await?.get_members().await?;
    let leader = members.leader.context("no leader")?;
    leader.client_urls.into_iter().next().context("a leader without a URL")
}

/// The place of the member that leads.
async fn leader(cluster: &Cluster) -> Result<usize> {
    eventually("a leader of this cluster", PATIENCE, async || {
        let url = leader_url(cluster).await?;
        let place = cluster.members().iter().position(|member| member.client_url() == url);
        place.with_context(|| format!("{url} is nobody's"))
    })
    .await
}

async fn ask(cluster: &Cluster, method: Method, path: &str) -> Result<(StatusCode, String)> {
    let url = format!("{}/pd/api/v1/{path}", leader_url(cluster).await?);
    let (status, body) = http::request(method, &url).await?;
    Ok((status, String::from_utf8_lossy(&body).trim().to_string()))
}

/// Removes a member by its name, until the leader has done it: the lead may move just then.
async fn remove(cluster: &Cluster, name: &str) -> Result<()> {
    eventually(&format!("{name} removed"), PATIENCE, async || {
        let (status, body) = ask(cluster, Method::DELETE, &format!("members/name/{name}")).await?;
        ensure!(status == StatusCode::OK && body == format!("\"removed, pd: {name}\""), "{status} {body}");
        Ok(())
    })
    .await
}

async fn is_refused(cluster: &Cluster, name: &str, words: &[&str]) -> Result<()> {
    let (status, body) = ask(cluster, Method::DELETE, &format!("members/name/{name}")).await?;
    ensure!(status == StatusCode::INTERNAL_SERVER_ERROR, "{status} {body}");
    for word in words {
        ensure!(body.contains(word), "{word:?} is missing: {body}");
    }
    Ok(())
}

/// The process of a member ends by itself and says these words.
fn ends(cluster: &mut Cluster, place: usize, success: bool, words: &[&str]) -> Result<()> {
    let status = cluster.member(place).process_mut().wait_end(PATIENCE)?;
    let log = cluster.member(place).process().log_text()?;
    ensure!(status.success() == success, "{status}: {}", cluster.member(place).process().log_tail());
    for word in words {
        ensure!(log.contains(word), "{word:?} is missing: {}", cluster.member(place).process().log_tail());
    }
    Ok(())
}

/// Starts a member that joins at these URLs; its place.
fn join(cluster: &mut Cluster, name: &str, urls: &[String]) -> Result<usize> {
    let place = cluster.prepare_joining_member(name, urls)?;
    cluster.member(place).start()?;
    Ok(place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_under_load() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let mut takers = Takers::start(&cluster, CLIENTS).await?;
    takers.further(ANSWERS_A_STEP).await?;
    for _ in 0..2 {
        is_refused(&cluster, "pd-1", &["pd-1 is the only voting member", "pd-server --join"]).await?;
    }
    let first = [cluster.members()[0].client_url()];

    // The second only learns: its death stops nobody. Started again, it is the same member.
    let second = join(&mut cluster, "pd-2", &first)?;
    group_is(&cluster, &["pd-1"], &["pd-2"]).await?;
    takers.further(ANSWERS_A_STEP).await?;
    cluster.member(second).kill()?;
    takers.further(ANSWERS_A_STEP).await?;
    cluster.member(second).start()?;

    // The third is told a peer URL. Both are promoted together.
    let peer_url = [cluster.members()[0].peer_url()];
    let third = join(&mut cluster, "pd-3", &peer_url)?;
    group_is(&cluster, &["pd-1", "pd-2", "pd-3"], &[]).await?;
    takers.further(ANSWERS_A_STEP).await?;
    cluster.member(third).kill()?;
    cluster.member(third).start()?;
    group_is(&cluster, &["pd-1", "pd-2", "pd-3"], &[]).await?;

    // A name that is taken, twice.
    let impostor = join(&mut cluster, "pd-3", &first)?;
    for _ in 0..2 {
        ends(&mut cluster, impostor, false, &["pd-ctl member delete name pd-3", "--join"])?;
        cluster.member(impostor).start()?;
    }
    ends(&mut cluster, impostor, false, &[])?;

    // The third dies. Nobody else may go now, it may; and it is replaced under its name.
    cluster.member(third).kill()?;
    let leads = leader(&cluster).await?;
    let healthy = if leads == second { "pd-1" } else { "pd-2" };
    for _ in 0..2 {
        is_refused(&cluster, healthy, &["2 voting members are left", "pd-ctl member delete name pd-3"])
            .await?;
    }
    for _ in 0..2 {
        remove(&cluster, "pd-3").await?;
        group_is(&cluster, &["pd-1", "pd-2"], &[]).await?;
    }
    takers.further(ANSWERS_A_STEP).await?;
    let replacement = join(&mut cluster, "pd-3", &first)?;
    group_is(&cluster, &["pd-1", "pd-2", "pd-3"], &[]).await?;
    takers.further(ANSWERS_A_STEP).await?;

    // The removed one comes back: it is told by who refuses it, remembers it, and harms nobody.
    cluster.member(third).start()?;
    ends(&mut cluster, third, false, &["was removed from its group"])?;
    for _ in 0..2 {
        cluster.member(third).start()?;
        ends(&mut cluster, third, false, &["start it with an empty --data-dir and --join"])?;
    }
    group_is(&cluster, &["pd-1", "pd-2", "pd-3"], &[]).await?;
    takers.further(ANSWERS_A_STEP).await?;

    // The leader itself goes.
    let leading = leader(&cluster).await?;
    let name = cluster.members()[leading].name().to_string();
    // Asked of another member, and once: it passes it on and tells what became of it.
    let other = if leading == second { 0 } else { second };
    let url = format!("{}/pd/api/v1/members/name/{name}", cluster.members()[other].client_url());
    let (status, body) = http::request(Method::DELETE, &url).await?;
    let body = String::from_utf8_lossy(&body).trim().to_string();
    ensure!(status == StatusCode::OK && body == format!("\"removed, pd: {name}\""), "{status} {body}");
    let rest: Vec<&str> = ["pd-1", "pd-2", "pd-3"].into_iter().filter(|other| *other != name).collect();
    group_is(&cluster, &rest, &[]).await?;
    remove(&cluster, &name).await?;
    ends(&mut cluster, leading, true, &["was removed from its group", "hands its lead over first"])?;
    takers.further(ANSWERS_A_STEP).await?;
    ensure!(cluster.member(replacement).process().is_running() || leading == replacement, "it lives");

    // And back to three.
    let url = [leader_url(&cluster).await?];
    join(&mut cluster, "pd-4", &url)?;
    group_is(&cluster, &[rest[0], rest[1], "pd-4"], &[]).await?;
    takers.further(ANSWERS_A_STEP).await?;
    takers.judge().await?;
    cluster.passed()
}

/// A member hangs while another one waits for its greeting, is removed, and answers then: it alone goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_hung_when_it_was_removed_takes_nobody_along() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let leading = leader(&cluster).await?;
    let (hung, other) = ((leading + 1) % 3, (leading + 2) % 3);
    let name = cluster.members()[hung].name().to_string();
    cluster.member(hung).process().pause()?;
    // Started again, a member greets all others at once; one greeting waits now.
    cluster.member(other).kill()?;
    cluster.member(other).start()?;
    let url = format!("{}/pd/api/v1/members/name/{name}", cluster.members()[leading].client_url());
    eventually("the hung member removed", PATIENCE, async || {
        let (status, body) = http::request(Method::DELETE, &url).await?;
        ensure!(status == StatusCode::OK, "{status} {body:?}");
        Ok(())
    })
    .await?;
    cluster.member(hung).process().resume()?;
    let status = cluster.member(hung).process_mut().wait_end(PATIENCE)?;
    let log = cluster.member(hung).process().log_text()?;
    ensure!(log.contains("was removed from its group"), "{status}: {log}");
    let rest: Vec<String> = [leading, other].map(|place| cluster.members()[place].name().to_string()).into();
    group_is(&cluster, &[&rest[0], &rest[1]], &[]).await?;
    for place in [leading, other] {
        let log = cluster.members()[place].process().log_text()?;
        ensure!(!log.contains("was removed from its group"), "{log}");
        // What it keeps of itself would refuse the next start.
        cluster.member(place).kill()?;
        cluster.member(place).start()?;
    }
    group_is(&cluster, &[&rest[0], &rest[1]], &[]).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_where_it_is_wanted() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let mut takers = Takers::start(&cluster, CLIENTS).await?;
    let name_of = |cluster: &Cluster, place: usize| cluster.members()[place].name().to_string();
    let old = leader(&cluster).await?;
    let other = (old + 1) % 3;
    let to = name_of(&cluster, other);

    // By name, twice; and to nobody.
    for _ in 0..2 {
        let (status, body) = ask(&cluster, Method::POST, &format!("leader/transfer/{to}")).await?;
        ensure!(
            status == StatusCode::OK && body == "\"The transfer command is submitted.\"",
            "{status} {body}"
        );
        ensure!(leader(&cluster).await? == other, "the lead did not move");
    }
    let (status, body) = ask(&cluster, Method::POST, "leader/transfer/nobody").await?;
    ensure!(status == StatusCode::INTERNAL_SERVER_ERROR && body.contains("no valid pd"), "{status} {body}");
    takers.further(ANSWERS_A_STEP).await?;

    let (status, body) = ask(&cluster, Method::POST, "leader/resign").await?;
    ensure!(status == StatusCode::OK && body == "\"The resign command is submitted.\"", "{status} {body}");
    let now = leader(&cluster).await?;
    ensure!(now != other, "{to} leads still");
    takers.further(ANSWERS_A_STEP).await?;

    // By priority: shown, kept, and followed.
    let wanted = (now + 1) % 3;
    let name = name_of(&cluster, wanted);
    for _ in 0..2 {
        let url = format!("{}/pd/api/v1/members/name/{name}", leader_url(&cluster).await?);
        let (status, _, body) = http::send(Method::POST, &url, r#"{"leader-priority": 3}"#).await?;
        ensure!(status == StatusCode::OK && body.as_ref() == b"\"success\"\n", "{status} {body:?}");
    }
    eventually("the lead where it is wanted most", PATIENCE, async || {
        ensure!(leader(&cluster).await? == wanted, "not yet");
        Ok(())
    })
    .await?;
    let (_, body) = ask(&cluster, Method::GET, "members").await?;
    let members: serde_json::Value = serde_json::from_str(&body)?;
    ensure!(
        members["leader"]["name"] == name.as_str() && members["leader"]["leader_priority"] == 3,
        "{body}"
    );
    let without = members["members"].as_array().context("members")?;
    let without = without.iter().filter(|member| member.get("leader_priority").is_none()).count();
    ensure!(without == 2, "{body}");
    let (_, body) = ask(&cluster, Method::GET, "leader").await?;
    let shown: serde_json::Value = serde_json::from_str(&body)?;
    ensure!(shown["name"] == name.as_str(), "{body}");
    takers.further(ANSWERS_A_STEP).await?;
    takers.judge().await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_waits_for_a_group_and_begins_none_of_its_own() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 0))?;
    let first = [cluster.members()[0].client_url()];
    let second = join(&mut cluster, "pd-2", &first)?;
    eventually("the newcomer asks", PATIENCE, async || {
        let log = cluster.members()[second].process().log_text()?;
        ensure!(log.contains("not taken in yet"), "{log}");
        Ok(())
    })
    .await?;
    // Without --join it may not begin a group: it has asked to be in another one.
    cluster.member(second).kill()?;
    let arguments = cluster.member(second).process_mut().start_mut().arguments.clone();
    let at = arguments.iter().position(|argument| argument == "--join").context("--join")?;
    let without: Vec<String> = arguments
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != at && *i != at + 1)
        .map(|(_, a)| a.clone())
        .collect();
    cluster.member(second).process_mut().start_mut().arguments = without;
    cluster.member(second).start()?;
    ends(&mut cluster, second, false, &["had begun to join a group"])?;
    cluster.member(second).process_mut().start_mut().arguments = arguments;
    cluster.start_members()?;
    group_is(&cluster, &["pd-1"], &["pd-2"]).await?;
    match roles_at(&cluster.members()[second].client_url()).await {
        Ok(roles) => ensure!(roles.len() == 2, "{roles:?}"),
        Err(error) => bail!("the learner does not answer: {error:#}"),
    }
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_changes_no_member() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let (_, before) = ask(&cluster, Method::GET, "members").await?;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let cases = [
        (Method::DELETE, "members/id/abc", "", 400, "parsing \\\"abc\\\": invalid syntax"),
        (Method::DELETE, "members/id/-1", "", 400, "invalid syntax"),
        (Method::DELETE, "members/id/99999999999999999999", "", 400, "99999999999999999999"),
        // The status that tikv/pd gives.
        (Method::DELETE, "members/id/123?force=true", "", 500, "etcdserver: member not found"),
        (Method::DELETE, "members/name/nobody", "", 404, "not found, pd: nobody"),
        (Method::DELETE, "members/name/%FF", "", 404, "not found, pd: \u{fffd}"),
        (Method::POST, "members/name/nobody", "{}", 404, "not found, pd: nobody"),
        (Method::POST, "members/name/pd-1", "", 400, "unexpected end of JSON input"),
        (Method::POST, "members/name/pd-1", "{\"leader-priority\": ", 400, "unexpected end of JSON input"),
        (Method::POST, "members/name/pd-1", "[3]", 400, "input"),
        (Method::POST, "members/name/pd-1", &deep, 400, "input"),
        (
            Method::POST,
            "members/name/pd-1",
            "{\"leader-priority\": \"x\"}",
            400,
            "bad format leader priority",
        ),
        (
            Method::POST,
            "members/name/pd-1",
            "{\"leader-priority\": 1e300}",
            400,
            "bad format leader priority",
        ),
        (Method::POST, "members/name/pd-1", "{\"leader-priority\": null}", 400, "bad format leader priority"),
        (Method::POST, "leader/transfer/%2F..", "", 500, "no valid pd to transfer etcd leader"),
        (Method::GET, "leader/resign", "", 405, ""),
    ];
    let base = cluster.members()[0].client_url();
    for (method, path, body, expected, words) in cases {
        let url = format!("{base}/pd/api/v1/{path}");
        let (status, _, answer) = http::send(method.clone(), &url, body).await?;
        let answer = String::from_utf8_lossy(&answer);
        let shown = body.get(..80).unwrap_or(body);
        ensure!(
            status.as_u16() == expected && answer.contains(words),
            "{method} {path} {shown}: {status} {answer}, expected {expected} {words}"
        );
    }
    // Whoever is alone keeps the lead: no error, as in tikv/pd.
    let (status, _) = ask(&cluster, Method::POST, "leader/resign").await?;
    ensure!(status == StatusCode::OK, "{status}");
    // An etcd tool names no folder: nobody is added.
    let mut tool = ClusterClient::connect(base).await?;
    let added = proto::etcdserverpb::MemberAddRequest {
        peer_ur_ls: vec!["http://127.0.0.1:1".into()],
        ..Default::default()
    };
    let refused = tool.member_add(added).await.err().context("an unknown member was added")?;
    ensure!(refused.message().contains("--join"), "{refused:?}");
    let removed = tool.member_remove(proto::etcdserverpb::MemberRemoveRequest { id: 123 }).await;
    ensure!(removed.is_err_and(|status| status.message() == "etcdserver: member not found"));
    let (_, after) = ask(&cluster, Method::GET, "members").await?;
    ensure!(before == after, "{before} became {after}");
    cluster.passed()
}
