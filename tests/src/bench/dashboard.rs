//! What open pages cost everyone else: how long a timestamp takes with them, compared with how long it takes without.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use proto::pdpb::{RequestHeader, TsoRequest, pd_client::PdClient};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::target::Target;
use crate::pages::Pages;

/// Pages that are open.
const PAGES: usize = 50;
/// Calls that they make a second, together.
const CALLS_PER_S: u64 = 200;
/// Rounds with and without, in turn: what else the machine does falls on both.
const ROUNDS: usize = 3;
/// Pause between two timestamps: a client that is not the load itself.
const PAUSE: Duration = Duration::from_millis(1);

/// The 99th percentile of a timestamp's time with pages open, divided by the one without.
pub async fn tso_ratio(server: &Target, length: Duration) -> Result<f64> {
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let length = length / u32::try_from(2 * ROUNDS)?;
    for _ in 0..ROUNDS {
        quiet.extend(times(server, length).await?);
        let pages = Pages::open(&format!("http://{}", server.address), PAGES, CALLS_PER_S).await?;
        busy.extend(times(server, length).await?);
        pages.close().await?;
    }
    let (quiet, busy) = (p99(quiet)?, p99(busy)?);
    println!("timestamp p99: {:.0} us without pages, {:.0} us with", quiet * 1e6, busy * 1e6);
    Ok(busy / quiet)
}

/// Times of timestamps that are asked for one after the other, on a thread of its own: the pages' work on this side is not
/// what is measured.
async fn times(server: &Target, length: Duration) -> Result<Vec<f64>> {
    let server = server.clone();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(ask(&server, length))
    };
    tokio::task::spawn_blocking(work).await?
}

async fn ask(server: &Target, length: Duration) -> Result<Vec<f64>> {
    let mut client = PdClient::new(server.channel().await?);
    let request = TsoRequest {
        header: Some(RequestHeader { cluster_id: server.cluster_id, ..Default::default() }),
        count: 1,
        ..Default::default()
    };
    let (ask, asked) = mpsc::channel(1);
    ask.send(request.clone()).await?;
    let mut answers = client.tso(ReceiverStream::new(asked)).await?.into_inner();
    answers.message().await?.context("the stream of timestamps ended")?;
    let end = Instant::now() + length;
    let mut times = Vec::new();
    while Instant::now() < end {
        let since = Instant::now();
        ask.send(request.clone()).await?;
        answers.message().await?.context("the stream of timestamps ended")?;
        times.push(since.elapsed().as_secs_f64());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}

fn p99(mut times: Vec<f64>) -> Result<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().context("nothing was measured")
}
