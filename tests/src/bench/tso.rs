//! Timestamps: many requests on few streams, and one request at a time on many streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proto::pdpb::{RequestHeader, TsoRequest, pd_client::PdClient};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::process::cpu_s;
use super::target::Target;

/// How the load asks.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Streams, each on a connection of its own.
    pub streams: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// Timestamps asked for by one request.
    pub count: u32,
}

/// Requests answered per second of the server's CPU. Fails if a timestamp fell back on any stream.
pub async fn requests_per_cpu_s(server: &Target, shape: Shape, length: Duration) -> Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..shape.streams {
        clients.push(PdClient::new(server.channel().await?));
    }
    let cpu_before = cpu_s(server.pid);
    let end = Instant::now() + length;
    let mut streams = JoinSet::new();
    for client in clients {
        streams.spawn(ask(client, server.cluster_id, shape, end, answered.clone()));
    }
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / (cpu_s(server.pid) - cpu_before))
}

async fn ask(
    mut client: PdClient<tonic::transport::Channel>,
    cluster_id: u64,
    shape: Shape,
    end: Instant,
    answered: Arc<AtomicU64>,
) -> Result<()> {
    let request = TsoRequest {
        header: Some(RequestHeader { cluster_id, ..Default::default() }),
        count: shape.count,
        ..Default::default()
    };
    let (ask, asked) = mpsc::channel(shape.in_flight + 1);
    for _ in 0..shape.in_flight {
        ask.send(request.clone()).await?;
    }
    let mut answers = client.tso(ReceiverStream::new(asked)).await?.into_inner();
    let mut last = 0_i64;
    while let Some(answer) = answers.message().await? {
        let stamp = answer.timestamp.context("an answer without a timestamp")?;
        let highest = (stamp.physical << 18) + stamp.logical;
        ensure!(highest - i64::from(answer.count) >= last, "timestamps fell back: {highest} after {last}");
        last = highest;
        answered.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= end {
            return Ok(());
        }
        ask.send(request.clone()).await?;
    }
    anyhow::bail!("the server closed the stream")
}
