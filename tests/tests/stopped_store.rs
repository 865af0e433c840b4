//! A Region's leader stands still, another one takes over and is written to; when it goes on, it may not answer with
//! what is old.

use anyhow::{Context, Result, ensure};
use proto::kvrpcpb;
use proto::metapb::PeerRole;
use proto::tikvpb::tikv_client::TikvClient;
use tests::cluster::socket::Watched;
use tests::cluster::{Cluster, PATIENCE, Setup, eventually};
use tests::writes::{again, stock_raw_client};

const KEY: &str = "key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_answers_the_new_value_or_not_leader() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 3)).await?;
    let pd = cluster.client().await?;
    let client = stock_raw_client(&cluster.endpoints()).await?;
    let route = eventually("three voters and a leader", PATIENCE, async || {
        let route = pd.get_region(KEY).await?.context("a Region")?;
        let voters = route.region.peers.iter().filter(|peer| peer.role() == PeerRole::Voter).count();
        ensure!(voters == 3 && route.pending_peers.is_empty(), "{:?}", route.region);
        ensure!(route.leader.is_some(), "no leader");
        Ok(route)
    })
    .await?;
    again(|| client.put(KEY.to_string(), "old".to_string())).await?;
    let route = pd.get_region_by_id(route.region.id).await?.context("the Region")?;
    let leader = route.leader.context("a leader")?;
    let (store, _) = pd.get_store(leader.store_id).await?;
    let stopped = cluster.stores().iter().find(|it| it.address() == store.address).context("its process")?;
    let connection = Watched::connect(&store.address).await?;
    let mut direct = TikvClient::new(connection.channel.clone());
    let request = kvrpcpb::RawGetRequest {
        context: Some(kvrpcpb::Context {
            region_id: route.region.id,
            region_epoch: route.region.region_epoch,
            peer: Some(leader),
            ..Default::default()
        }),
        key: KEY.into(),
        ..Default::default()
    };
    let answer = direct.raw_get(request.clone()).await?.into_inner();
    ensure!(
        answer.value == "old" && answer.region_error.is_none(),
        "the leader answers while it leads: {answer:?}"
    );

    stopped.process().pause()?;
    again(|| client.put(KEY.to_string(), "new".to_string())).await?;
    // The question lies in its socket before it goes on: it can be read before any news of the new leader.
    let before = connection.unread()?;
    let question = tokio::spawn(async move { direct.raw_get(request).await });
    connection.arrived(before).await?;
    stopped.process().resume()?;
    let answer = tokio::time::timeout(PATIENCE, question).await???.into_inner();
    match answer.region_error.clone() {
        Some(error) => {
            let not_leader =
                error.not_leader.with_context(|| format!("the old leader answers {answer:?}"))?;
            ensure!(not_leader.leader.as_ref() != Some(&leader), "it names itself: {answer:?}");
            ensure!(answer.value.is_empty(), "a refusal with a value: {answer:?}");
        }
        None => ensure!(answer.value == "new", "the old leader answers {answer:?}"),
    }

    // And it serves again as a follower: everybody reads the new value.
    let value = again(|| client.get(KEY.to_string())).await?;
    ensure!(value.as_deref() == Some(&b"new"[..]), "{value:?}");
    cluster.passed()
}
