//! Region heartbeats: all Regions new, then unchanged but for their counters, then a tenth of them changed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proto::metapb::{Peer, Region, RegionEpoch};
use proto::pdpb::{
    BootstrapRequest, GetRegionByIdRequest, IsBootstrappedRequest, PutStoreRequest, RegionHeartbeatRequest,
    StoreHeartbeatRequest, StoreStats, TimeInterval, pd_client::PdClient,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::process::cpu_s;
use super::regions::{Cluster, now_s};
use super::target::{Target, check};

/// The longest a round may take to show its effect.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(300);
/// Heartbeats waiting on one stream.
const STREAM_QUEUE: usize = 256;
/// Of a hundred Regions so many change in a round of changes.
const CHANGED_OF_100: u64 = 10;

/// The streams of all stores, open for several rounds.
pub struct Streams {
    cluster: Cluster,
    server: Target,
    senders: Vec<mpsc::Sender<RegionHeartbeatRequest>>,
    round: u64,
}

impl Streams {
    /// Bootstraps the cluster if it is new, puts the stores and opens a stream for each.
    pub async fn open(server: &Target, cluster: Cluster) -> Result<Self> {
        let mut client = PdClient::new(server.channel().await?);
        bootstrap(&mut client, server, cluster).await?;
        for id in 1..=cluster.stores {
            let request = PutStoreRequest { header: server.header(), store: Some(cluster.store(id)) };
            check("PutStore", client.put_store(request).await?.into_inner().header.as_ref())?;
            let stats = StoreStats {
                store_id: id,
                capacity: 4 << 40,
                available: 3 << 40,
                used_size: 1 << 40,
                region_count: u32::try_from(cluster.regions * 3 / cluster.stores)?,
                interval: Some(TimeInterval { start_timestamp: now_s() - 10, end_timestamp: now_s() }),
                ..Default::default()
            };
            let request =
                StoreHeartbeatRequest { header: server.header(), stats: Some(stats), ..Default::default() };
            check("StoreHeartbeat", client.store_heartbeat(request).await?.into_inner().header.as_ref())?;
        }
        let mut senders = Vec::new();
        for _ in 0..cluster.stores {
            let (send, queue) = mpsc::channel(STREAM_QUEUE);
            let mut client = PdClient::new(server.channel().await?);
            tokio::spawn(async move {
                let Ok(answers) = client.region_heartbeat(ReceiverStream::new(queue)).await else { return };
                let mut answers = answers.into_inner();
                // Commands are read and left alone: these stores are invented.
                while let Ok(Some(_)) = answers.message().await {}
            });
            senders.push(send);
        }
        Ok(Self { cluster, server: server.clone(), senders, round: 0 })
    }

    /// Sends one heartbeat of every Region and waits until the last of each stream is known; returns heartbeats per
    /// second of the server's CPU.
    pub async fn round(&mut self, changed: bool) -> Result<f64> {
        let cpu_before = cpu_s(self.server.pid);
        let mut stores = JoinSet::new();
        for (store, sender) in self.senders.iter().enumerate() {
            let (cluster, header, sender, round) =
                (self.cluster, self.server.header(), sender.clone(), self.round);
            stores.spawn(async move {
                let mut i = store as u64;
                while i < cluster.regions {
                    let change = change(cluster, i, round, changed);
                    if sender.send(cluster.heartbeat(header.clone(), i, round, change)).await.is_err() {
                        anyhow::bail!("the server closed the heartbeat stream of store {}", store + 1);
                    }
                    i += cluster.stores;
                }
                Ok(())
            });
        }
        while let Some(store) = stores.join_next().await {
            store??;
        }
        self.wait_for_effect(changed).await?;
        self.round += 1;
        Ok(self.cluster.regions as f64 / (cpu_s(self.server.pid) - cpu_before))
    }

    /// The last Region of each stream is known, in the version sent last.
    async fn wait_for_effect(&self, changed: bool) -> Result<()> {
        let mut client = PdClient::new(self.server.channel().await?);
        let started = Instant::now();
        for store in 0..self.cluster.stores.min(self.cluster.regions) {
            let last = self.cluster.regions - 1;
            let i = last - (last - store) % self.cluster.stores;
            let want = self.cluster.region(i, change(self.cluster, i, self.round, changed)).region_epoch;
            loop {
                let request = GetRegionByIdRequest {
                    header: self.server.header(),
                    region_id: self.cluster.id(i),
                    ..Default::default()
                };
                let known = client.get_region_by_id(request).await?.into_inner().region;
                if known.is_some_and(|region| region.region_epoch == want) {
                    break;
                }
                ensure!(started.elapsed() < EFFECT_TIMEOUT, "Region {} never arrived", self.cluster.id(i));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

/// How far Region `i`'s version is raised in `round`.
fn change(cluster: Cluster, i: u64, round: u64, changed: bool) -> u64 {
    if changed && (i / cluster.stores) % 100 < CHANGED_OF_100 { round } else { 0 }
}

async fn bootstrap(client: &mut PdClient<Channel>, server: &Target, cluster: Cluster) -> Result<()> {
    let asked = IsBootstrappedRequest { header: server.header() };
    if client.is_bootstrapped(asked).await?.into_inner().bootstrapped {
        return Ok(());
    }
    let region = Region {
        id: 99,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![Peer { id: 98, store_id: 1, ..Default::default() }],
        ..Default::default()
    };
    let request =
        BootstrapRequest { header: server.header(), store: Some(cluster.store(1)), region: Some(region) };
    let answer = client.bootstrap(request).await?.into_inner();
    check("Bootstrap", answer.header.as_ref()).context("bootstrap the invented cluster")
}
