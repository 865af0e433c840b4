//! `GET /pd/api/v1/regions`: the list of all Regions is streamed while timestamps go on, and costs next to no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proto::pdpb::{TsoRequest, pd_client::PdClient};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::process::{peak_resident_bytes, reset_peak, resident_bytes};
use super::regions::Cluster;
use super::report::{Figure, Target as Goal};
use super::target::Target;

/// The longest pause between two timestamps while the list is read.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time and memory of one list, on a server that knows `cluster` and has not listed it before: an allocator would keep
/// what an earlier list took.
pub async fn figures(server: &Target, cluster: Cluster) -> Result<Vec<Figure>> {
    let stop = Arc::new(AtomicBool::new(false));
    let longest_us = Arc::new(AtomicU64::new(0));
    let clock = tokio::spawn(timestamps(server.clone(), stop.clone(), longest_us.clone()));
    let before = resident_bytes(server.pid);
    reset_peak(server.pid)?;
    let began = Instant::now();
    let bytes = read(server, cluster).await?;
    let seconds = began.elapsed().as_secs_f64();
    let extra = peak_resident_bytes(server.pid).saturating_sub(before);
    stop.store(true, Ordering::Relaxed);
    let taken = clock.await??;
    let longest = Duration::from_micros(longest_us.load(Ordering::Relaxed));
    println!("list: {bytes} bytes, {taken} timestamps meanwhile, the slowest took {longest:?}");
    ensure!(taken > 0 && longest < PAUSE_MAX, "timestamps stood still while the list was read");
    Ok(vec![
        Figure { name: "list_1m_seconds", value: seconds, unit: "s", target: Goal::AtMost(3.0) },
        Figure {
            name: "list_1m_extra_mb",
            value: extra as f64 / f64::from(1 << 20),
            unit: "MiB above before",
            target: Goal::AtMost(16.0),
        },
    ])
}

/// Reads the whole list and throws it away; its length in bytes.
async fn read(server: &Target, cluster: Cluster) -> Result<u64> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let url = format!("http://{}/pd/api/v1/regions", server.address).parse()?;
    let answer = client.get(url).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let mut body = answer.into_body();
    let head = format!("{{\"count\":{},", cluster.regions);
    let (mut begun, mut length, mut last) = (Vec::new(), 0_u64, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame?.into_data() else { continue };
        length += part.len() as u64;
        if begun.len() < head.len() {
            begun.extend_from_slice(&part[..part.len().min(64)]);
        }
        last = part.to_vec();
    }
    ensure!(begun.starts_with(head.as_bytes()), "begins with {:?}", String::from_utf8_lossy(&begun));
    ensure!(last.trim_ascii_end().ends_with(b"]}"), "the list is cut");
    Ok(length)
}

/// Takes one timestamp after the other until it is stopped; how many, and the longest that one took.
async fn timestamps(server: Target, stop: Arc<AtomicBool>, longest_us: Arc<AtomicU64>) -> Result<u64> {
    let mut client = PdClient::new(server.channel().await?);
    let request = TsoRequest { header: server.header(), count: 1, ..Default::default() };
    let (ask, asked) = mpsc::channel(1);
    ask.send(request.clone()).await?;
    let mut answers = client.tso(ReceiverStream::new(asked)).await?.into_inner();
    answers.message().await?.context("the stream of timestamps ended")?;
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        ask.send(request.clone()).await?;
        answers.message().await?.context("the stream of timestamps ended")?;
        let us = u64::try_from(since.elapsed().as_micros())?;
        longest_us.fetch_max(us, Ordering::Relaxed);
        taken += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(taken)
}
