//! QueryRegion: many look-ups in one message, by random keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proto::pdpb::{QueryRegionRequest, pd_client::PdClient};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::process::cpu_s;
use super::regions::Cluster;
use super::target::Target;

/// Streams, each on a connection of its own.
const STREAMS: u64 = 4;
/// Messages in flight on each.
const IN_FLIGHT: usize = 4;
/// Keys in a message: what a client gathers under load.
const KEYS: u64 = 512;

/// Look-ups per second of the server's CPU. Fails if any key led to another Region than its own.
pub async fn per_cpu_s(server: &Target, cluster: Cluster, length: Duration) -> Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let cpu_before = cpu_s(server.pid);
    let end = Instant::now() + length;
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let client = PdClient::new(server.channel().await?);
        let keys = Keys { cluster, state: stream * 7_919 + 1 };
        streams.spawn(look_up(client, server.clone(), keys, end, answered.clone()));
    }
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / (cpu_s(server.pid) - cpu_before))
}

async fn look_up(
    mut client: PdClient<tonic::transport::Channel>,
    server: Target,
    mut keys: Keys,
    end: Instant,
    answered: Arc<AtomicU64>,
) -> Result<()> {
    // What was asked, in the order in which it is answered.
    let mut waiting = std::collections::VecDeque::new();
    let (ask, asked) = mpsc::channel(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        let (ids, request) = keys.message(&server);
        waiting.push_back(ids);
        ask.send(request).await?;
    }
    let mut answers = client.query_region(ReceiverStream::new(asked)).await?.into_inner();
    while let Some(ids) = waiting.pop_front() {
        let answer = answers.message().await?.context("the server closed the stream")?;
        ensure!(answer.key_id_map == ids, "keys led to other Regions");
        answered.fetch_add(KEYS, Ordering::Relaxed);
        if Instant::now() < end {
            let (ids, request) = keys.message(&server);
            waiting.push_back(ids);
            ask.send(request).await?;
        }
    }
    Ok(())
}

/// Keys by chance, the same in every run.
struct Keys {
    cluster: Cluster,
    state: u64,
}

impl Keys {
    /// A question and the Regions that it should lead to.
    fn message(&mut self, server: &Target) -> (Vec<u64>, QueryRegionRequest) {
        let (mut ids, mut keys) = (Vec::new(), Vec::new());
        for _ in 0..KEYS {
            // A linear congruential generator (Knuth's MMIX constants).
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let i = (self.state >> 33) % (self.cluster.regions - 1) + 1;
            ids.push(self.cluster.id(i));
            keys.push(self.cluster.key(i));
        }
        (ids, QueryRegionRequest { header: server.header(), keys, ..Default::default() })
    }
}
