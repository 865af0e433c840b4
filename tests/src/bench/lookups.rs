//! GetRegion by random keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use proto::pdpb::{GetRegionRequest, pd_client::PdClient};
use tokio::task::JoinSet;

use super::process::cpu_s;
use super::regions::Cluster;
use super::target::Target;

const CONNECTIONS: u64 = 2;
const IN_FLIGHT: u64 = 64;

/// Lookups per second of the server's CPU. Fails if any answer is another Region than the one asked for.
pub async fn per_cpu_s(server: &Target, cluster: Cluster, length: Duration) -> Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let cpu_before = cpu_s(server.pid);
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = PdClient::new(server.channel().await?);
        for caller in 0..IN_FLIGHT {
            let seed = connection * 7_919 + caller * 104_729 + 1;
            callers.spawn(look_up(client.clone(), server.clone(), cluster, seed, end, answered.clone()));
        }
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / (cpu_s(server.pid) - cpu_before))
}

async fn look_up(
    mut client: PdClient<tonic::transport::Channel>,
    server: Target,
    cluster: Cluster,
    seed: u64,
    end: Instant,
    answered: Arc<AtomicU64>,
) -> Result<()> {
    let mut state = seed;
    while Instant::now() < end {
        // A linear congruential generator (Knuth's MMIX constants): cheap, and the same keys in every run.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let i = (state >> 33) % (cluster.regions - 1) + 1;
        let request =
            GetRegionRequest { header: server.header(), region_key: cluster.key(i), ..Default::default() };
        let found = client.get_region(request).await?.into_inner().region.map_or(0, |region| region.id);
        ensure!(found == cluster.id(i), "key of Region {} led to Region {found}", cluster.id(i));
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
