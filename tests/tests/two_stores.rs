//! One process with two Stores: for everybody else they are two stores like any others, which happen to fall together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::cluster::{Cluster, HeldRegion, PATIENCE, Setup, eventually};
use tests::writes::{Plan, Writers};

/// Enough for some Regions: 4 x 200 keys of 1 KiB are 800 KB.
const PLAN: Plan = Plan { writers: 4, keys_each: 200, value_size: 1 << 10 };
const WRITES: u64 = 1_000;
const REPLICAS: usize = 3;
/// Regions move on a busy machine.
const SPREAD: Duration = Duration::from_secs(120);
/// The two Stores of the one process.
const FIRST: usize = 0;
const SECOND: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_of_a_process_are_two_stores() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 4))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    join(&mut cluster)?;
    start_stores(&mut cluster)?;
    cluster.wait_for_stores_up(4).await?;
    let ids = registered(&cluster).await?;
    ensure!(ids.len() == 4, "each Store has an id and an address of its own: {ids:?}");

    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;
    let both =
        eventually("all Regions on three stores each, some on both of the process", SPREAD, async || {
            let held = spread(&cluster, &ids).await?;
            let of = |index: usize| -> BTreeSet<u64> { held[index].iter().map(|region| region.id).collect() };
            let both: Vec<u64> = of(FIRST).intersection(&of(SECOND)).copied().collect();
            ensure!(!both.is_empty(), "no Region has a peer on each of the two Stores");
            Ok(both)
        })
        .await?;
    println!("{} Regions have peers on both Stores of the process", both.len());

    // A crash takes both, and with them the majority of some Regions; both come back with what they acknowledged.
    cluster.store(FIRST).kill()?;
    start_stores(&mut cluster)?;
    writers.go_on(WRITES).await?;
    let after = registered(&cluster).await?;
    ensure!(after == ids, "other Stores came back: {ids:?}, now {after:?}");
    let book = writers.stop().await?;
    book.check_through_client(&cluster.endpoints()).await?;
    book.check_on_stores(cluster.stores(), PATIENCE).await?;

    // SIGTERM ends the process in order, with both.
    cluster.store(FIRST).process().request_stop()?;
    let ended = cluster.store(FIRST).process_mut().wait_end(PATIENCE)?;
    ensure!(ended.success(), "the process ends with {ended}");
    cluster.passed()
}

fn join(cluster: &mut Cluster) -> Result<()> {
    let [first, second, ..] = cluster.stores_mut() else { anyhow::bail!("four stores were prepared") };
    first.run_also(second)
}

/// All processes that do not run; the second Store has none of its own.
fn start_stores(cluster: &mut Cluster) -> Result<()> {
    for index in (0..cluster.stores().len()).filter(|index| *index != SECOND) {
        if !cluster.stores()[index].process().is_running() {
            cluster.store(index).start()?;
        }
    }
    Ok(())
}

/// The ids that PD knows, by address.
async fn registered(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let stores = cluster.client().await?.get_all_stores(false).await?;
    Ok(stores.into_iter().map(|store| (store.address, store.id)).collect())
}

/// What each store holds, once every Region has exactly its replicas, each on the store that its peer names.
async fn spread(cluster: &Cluster, ids: &BTreeMap<String, u64>) -> Result<Vec<Vec<HeldRegion>>> {
    let mut held = Vec::new();
    let mut holders: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for store in cluster.stores() {
        let own = ids.get(&store.address()).with_context(|| format!("{} is unknown", store.address()))?;
        let regions = store.held_regions().await?;
        for region in &regions {
            let peers: Vec<u64> = region.peers.iter().map(|peer| peer.store_id).collect();
            let stores: BTreeSet<u64> = peers.iter().copied().collect();
            ensure!(stores.contains(own), "store {own} holds {region:?}");
            ensure!(peers.len() == REPLICAS && stores.len() == REPLICAS, "{region:?}");
            holders.entry(region.id).or_default().insert(*own);
        }
        held.push(regions);
    }
    let lacking = holders.iter().find(|(_, stores)| stores.len() != REPLICAS);
    ensure!(lacking.is_none() && !holders.is_empty(), "held by: {lacking:?}");
    Ok(held)
}
