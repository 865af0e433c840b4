//! Stores and whole clusters that crash, lose their folders and grow: what was acknowledged stays.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pd_client::Client;
use proto::metapb::StoreState;
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::writes::{Plan, Writers};

const PLAN: Plan = Plan { writers: 4, keys_each: 100, value_size: 1 << 10 };
/// Writes under each condition before the next one comes.
const WRITES: u64 = 200;
/// Drains and repairs move whole Regions on a busy machine.
const REPAIR: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_killed_loses_nothing() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 3)).await?;
    replicated(&cluster, 3).await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;
    cluster.store(0).kill()?;
    writers.go_on(WRITES).await?;
    cluster.start_stores()?;
    writers.go_on(WRITES).await?;
    // The one that was away is needed now: of the other two, one goes.
    cluster.store(1).kill()?;
    writers.go_on(WRITES).await?;
    let book = writers.stop().await?;
    println!("{} writes acknowledged, longest gap {:?}", book.acknowledged, book.longest_gap);
    book.check_through_client(&cluster.endpoints()).await?;
    cluster.start_stores()?;
    book.check_on_stores(cluster.stores(), PATIENCE).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_everything_the_same_cluster_is_back() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    replicated(&cluster, 3).await?;
    let client = cluster.client().await?;
    let (id, stores, taken) = (client.cluster_id(), store_ids(&client).await?, client.alloc_id().await?);
    let before = client.get_timestamp().await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(3 * WRITES).await?;
    let book = writers.stop().await?;

    for index in 0..3 {
        cluster.store(index).kill()?;
        cluster.member(index).kill()?;
    }
    cluster.start_members()?;
    cluster.start_stores()?;
    cluster.wait_for_pd_leader().await?;
    cluster.wait_for_stores_up(3).await?;

    let client = cluster.client().await?;
    ensure!(client.cluster_id() == id, "cluster {id} came back as {}", client.cluster_id());
    ensure!(store_ids(&client).await? == stores, "other stores came back");
    ensure!(client.alloc_id().await? > taken, "ids start again");
    ensure!(client.get_timestamp().await? > before, "timestamps start again");
    nothing_replaced(&cluster)?;
    book.check_on_stores(cluster.stores(), PATIENCE).await?;
    book.check_through_client(&cluster.endpoints()).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_its_folder_is_refused_until_the_old_one_is_deleted() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 4)).await?;
    replicated(&cluster, 3).await?;
    let client = cluster.client().await?;
    let address = cluster.store(3).address();
    let old = store_at(&client, &address).await?.context("the fourth store is registered")?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;

    cluster.store(3).kill()?;
    std::fs::remove_dir_all(cluster.store(3).data())?;
    writers.go_on(WRITES).await?;
    cluster.store(3).start()?;
    let ended = cluster.store(3).process_mut().wait_end(PATIENCE)?;
    let said = cluster.store(3).process().log_text()?;
    ensure!(!ended.success(), "the store must not start over the old one's address: {ended}");
    let advice = format!("DELETE /pd/api/v1/store/{old}");
    ensure!(said.contains(&format!("id:{old} ")), "the refusal names store {old}:\n{said}");
    ensure!(said.contains(&advice), "the refusal tells `{advice}`:\n{said}");
    ensure!(store_at(&client, &address).await? == Some(old), "the refused store changed something");

    http::delete(&format!("{}/pd/api/v1/store/{old}", cluster.endpoints()[0])).await?;
    eventually("the old store buried and its replicas made up", REPAIR, async || {
        let (store, _) = client.get_store(old).await?;
        ensure!(store.state() == StoreState::Tombstone, "store {old} is {:?}", store.state());
        Ok(())
    })
    .await?;
    replicated(&cluster, 3).await?;
    operators_replaced_by_joint_changes(&cluster)?;

    cluster.store(3).start()?;
    let new = eventually("the new store", PATIENCE, async || {
        let found = store_at(&client, &address).await?.context("not yet")?;
        ensure!(found != old, "still the old one");
        Ok(found)
    })
    .await?;
    eventually("peers on the new store", REPAIR, async || {
        let held = cluster.stores()[3].held_regions().await?;
        ensure!(!held.is_empty(), "store {new} holds nothing yet");
        Ok(())
    })
    .await?;
    let book = writers.stop().await?;
    book.check_through_client(&cluster.endpoints()).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_store_gets_its_peers_by_snapshot() -> Result<()> {
    let mut setup = Setup::of_a_test(1, 3);
    // So few entries are kept that a new peer cannot be served from the log.
    let kept = "[raftstore]\nraft-log-gc-count-limit = 20\n";
    ensure!(
        setup.store_toml.contains("[raftstore]\n"),
        "the quick settings have that section:\n{}",
        setup.store_toml
    );
    setup.store_toml = setup.store_toml.replace("[raftstore]\n", kept);
    let mut cluster = Cluster::start(setup).await?;
    replicated(&cluster, 3).await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(4 * WRITES).await?;
    let late = cluster.prepare_store()?;
    cluster.store(late).start()?;
    cluster.wait_for_stores_up(4).await?;
    eventually("snapshots received by the new store", REPAIR, async || {
        let received = cluster.stores()[late].metric("store_snapshots_received_total").await?;
        ensure!(received > 0.0, "none yet");
        Ok(())
    })
    .await?;
    let book = writers.stop().await?;
    book.check_through_client(&cluster.endpoints()).await?;
    book.check_on_stores(cluster.stores(), PATIENCE).await?;
    cluster.passed()
}

/// Waits until every Region has `count` voters, as PD shows them.
async fn replicated(cluster: &Cluster, count: usize) -> Result<()> {
    let client = cluster.client().await?;
    eventually(&format!("{count} voters for every Region"), REPAIR, async || {
        let routes = client.scan_regions("", "", 0).await?;
        ensure!(!routes.is_empty(), "no Region yet");
        for route in routes {
            let voters =
                route.region.peers.iter().filter(|peer| peer.role() == proto::metapb::PeerRole::Voter);
            let voters = voters.count();
            let all = route.region.peers.len();
            if voters != count || all != count || !route.pending_peers.is_empty() {
                bail!("Region {} has {voters} voters of {all} peers", route.region.id);
            }
        }
        Ok(())
    })
    .await
}

/// The operator log: an operator that replaced a peer has entered the joint state, has left it after that, and is
/// finished. What it planned when it was created does not count.
fn operators_replaced_by_joint_changes(cluster: &Cluster) -> Result<()> {
    let log = cluster.members()[0].process().log_text()?;
    let mut replacing = log
        .lines()
        .filter(|line| line.contains("operator created") && line.contains("reason=replace-"))
        .filter_map(|line| Some((word(line, "region=")?, word(line, "operator=")?)))
        .peekable();
    ensure!(replacing.peek().is_some(), "no operator replaced a peer");
    let carried_out = replacing.any(|(region, operator)| {
        let mut own = log.lines().filter(|line| {
            word(line, "region=") == Some(region) && word(line, "operator=") == Some(operator)
        });
        let done =
            |line: &str, step| line.contains("operator step done") && word(line, "step=") == Some(step);
        // One iterator: each is looked for behind the one before.
        own.any(|line| done(line, "enter-joint"))
            && own.any(|line| done(line, "leave-joint"))
            && own.any(|line| line.contains("operator finished"))
    });
    let steps: Vec<&str> = log.lines().filter(|line| line.contains("operator step done")).collect();
    ensure!(carried_out, "no replacement entered and left a joint state:\n{}", steps.join("\n"));
    Ok(())
}

/// The value of `name=value` in a log line.
fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split([' ', ',']).find_map(|word| word.strip_prefix(name)).map(|value| value.trim_matches('"'))
}

/// No store was away for long, and none was told to leave: PD has no reason to replace a peer.
fn nothing_replaced(cluster: &Cluster) -> Result<()> {
    for member in cluster.members() {
        let log = member.process().log_text()?;
        let replaced: Vec<&str> = log.lines().filter(|line| line.contains("reason=replace-")).collect();
        ensure!(replaced.is_empty(), "{}:\n{}", member.name(), replaced.join("\n"));
    }
    Ok(())
}

async fn store_ids(client: &Client) -> Result<Vec<u64>> {
    let mut ids: Vec<u64> = client.get_all_stores(true).await?.iter().map(|store| store.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The id of the store, not Tombstone, that is registered at an address.
async fn store_at(client: &Client, address: &str) -> Result<Option<u64>> {
    let stores = client.get_all_stores(false).await?;
    let mut living = stores.iter().filter(|store| store.state() != StoreState::Tombstone);
    Ok(living.find(|store| store.address == address).map(|store| store.id))
}
