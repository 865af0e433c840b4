//! Every acknowledged write of one client in a row costs its leader a sync of the log: nothing is acknowledged from
//! memory.

use anyhow::{Context, Result, ensure};
use tests::cluster::{Cluster, Setup};
use tests::writes::{again, stock_raw_client};

const WRITES: u32 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_puts_one_after_another_sync_a_thousand_times() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(1, 1)).await?;
    let client = stock_raw_client(&cluster.endpoints()).await?;
    // The first one also opens connections and learns routes.
    again(|| client.put("key".to_string(), "warm".to_string())).await?;
    let store = &cluster.stores()[0];
    let before = store.metric(LOG_SYNCS).await?;
    for write in 0..WRITES {
        client.put("key".to_string(), write.to_string()).await.with_context(|| format!("put {write}"))?;
    }
    let syncs = store.metric(LOG_SYNCS).await? - before;
    println!("{syncs} syncs for {WRITES} writes");
    ensure!(before > 0.0, "the page has no {LOG_SYNCS}");
    ensure!(syncs >= f64::from(WRITES), "{syncs} syncs for {WRITES} writes");
    cluster.passed()
}

/// The counter of the store's metrics page.
const LOG_SYNCS: &str = "store_raft_log_syncs_total";
