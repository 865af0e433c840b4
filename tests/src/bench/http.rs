//! `GET /pd/api/v1/store/1`, as tools and monitors ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use super::process::cpu_s;
use super::target::Target;

/// Callers, each on a connection of its own that it keeps.
const CALLERS: usize = 16;

/// Answers per second of the server's CPU.
pub async fn per_cpu_s(server: &Target, length: Duration) -> Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let cpu_before = cpu_s(server.pid);
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(ask(server.address.clone(), end, answered.clone()));
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / (cpu_s(server.pid) - cpu_before))
}

async fn ask(address: String, end: Instant, answered: Arc<AtomicU64>) -> Result<()> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url: hyper::Uri = format!("http://{address}/pd/api/v1/store/1").parse()?;
    while Instant::now() < end {
        let answer = client.get(url.clone()).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success() && body.starts_with(b"{\n  \"store\""), "{status}: {body:?}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
