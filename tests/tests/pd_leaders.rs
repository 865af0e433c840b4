//! Five PD leaders in a row are killed under load: no timestamp goes back, no id is given twice.

use anyhow::{Context, Result, bail, ensure};
use pd_client::Client;
use proto::pdpb;
use proto::pdpb::pd_client::PdClient;
use tests::cluster::socket::Watched;
use tests::cluster::{Cluster, PATIENCE, Setup, eventually};
use tests::takers::Takers;
use tests::writes::without_scheme;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

const CLIENTS: usize = 8;
const LEADERS_KILLED: usize = 5;
/// Answers that must come under each leader before it dies.
const ANSWERS_A_LEADER: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_leaders_die_under_load() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let mut takers = Takers::start(&cluster, CLIENTS).await?;

    let mut killed = Vec::new();
    for _ in 0..LEADERS_KILLED {
        let leader = cluster.wait_for_pd_leader().await?;
        takers.further(ANSWERS_A_LEADER).await?;
        let pid = cluster.member(leader).process().pid().context("the leader runs")?;
        let name = cluster.member(leader).name().to_string();
        cluster.member(leader).kill()?;
        killed.push((name, pid));
        // The group needs two of three for the next one: the others elect first, then the dead one comes back.
        cluster.wait_for_pd_leader().await?;
        cluster.start_members()?;
    }
    cluster.wait_for_pd_leader().await?;
    takers.further(ANSWERS_A_LEADER).await?;

    takers.judge().await?;
    println!("killed {killed:?}");
    terms_rise(&mut cluster, &killed).await?;
    cluster.passed()
}

/// Each killed leader logged its election with its pid and its member id, each in a higher term than the one before.
async fn terms_rise(cluster: &mut Cluster, killed: &[(String, u32)]) -> Result<()> {
    let members = cluster.client().await?.get_members().await?.members;
    let mut terms = Vec::new();
    for (name, pid) in killed {
        let member = cluster.index_of_member(name)?;
        let id = members.iter().find(|member| member.name == *name).context("a member")?.member_id;
        let log = cluster.members()[member].process().log_text()?;
        let is_its_own = |line: &&str| field(line, "pid").is_ok_and(|found| found == u64::from(*pid));
        let mut elections = log.lines().filter(|line| line.contains("leader elected")).filter(is_its_own);
        let last = elections.next_back();
        let last = last.with_context(|| format!("{name} (pid {pid}) never logged `leader elected`"))?;
        ensure!(last.contains(&id.to_string()), "{name} is member {id}: {last}");
        terms.push(field(last, "term")?);
    }
    println!("terms of the killed leaders: {terms:?}");
    ensure!(
        terms.is_sorted_by(|a, b| a < b) && terms.len() == LEADERS_KILLED,
        "terms do not rise: {terms:?}"
    );
    Ok(())
}

/// The number of `name=number` in a log line.
fn field(line: &str, name: &str) -> Result<u64> {
    let words = line.split([' ', '{', '}', ',']);
    let value = words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name);
    let (_, digits) = value.with_context(|| format!("no {name}= in {line}"))?;
    digits.parse().with_context(|| format!("{name}={digits}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_gives_no_timestamp_when_it_goes_on() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let old = cluster.wait_for_pd_leader().await?;
    let question = pdpb::TsoRequest {
        header: Some(pdpb::RequestHeader {
            cluster_id: cluster.client().await?.cluster_id(),
            ..Default::default()
        }),
        count: 1,
        ..Default::default()
    };
    let connection = Watched::connect(without_scheme(&cluster.members()[old].client_url())).await?;
    let (ask, questions) = mpsc::channel(1);
    ask.send(question.clone()).await?;
    let mut pd = PdClient::new(connection.channel.clone());
    let mut answers =
        timeout(PATIENCE, pd.tso(ReceiverStream::new(questions))).await?.context("the leader")?.into_inner();
    let first = timeout(PATIENCE, answers.message()).await??;
    ensure!(first.is_some_and(|it| it.timestamp.is_some()), "the leader answers while it leads");

    cluster.member(old).process().pause()?;
    let others: Vec<String> = cluster
        .members()
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != old)
        .map(|(_, member)| member.client_url())
        .collect();
    let others = Client::connect(others).await?;
    eventually("a timestamp of another leader", PATIENCE, async || {
        let timestamp = others.get_timestamp().await?;
        let leader = others.leader().context("no leader")?;
        ensure!(cluster.index_of_member(&leader.name)? != old, "the stopped member is still named");
        Ok(timestamp)
    })
    .await?;

    // The question lies in its socket before it goes on: it can be read before any news of the new leader.
    let before = connection.unread()?;
    ask.send(question).await?;
    connection.arrived(before).await?;
    cluster.member(old).process().resume()?;
    match timeout(PATIENCE, answers.message()).await? {
        Err(status) => ensure!(status.message().contains("not leader"), "the stream ends with {status:?}"),
        Ok(answer) => bail!("the old leader answers {answer:?}"),
    }
    cluster.passed()
}
