//! How long a client goes without timestamps when the leader is killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::cluster::{Cluster, Setup};

/// Kills in a row: the figure is their median.
const KILLS: usize = 5;
/// A client asks this long before a kill, so that the group is at rest.
const QUIET: Duration = Duration::from_secs(2);
/// And so long after it, at most.
const GAP_MAX: Duration = Duration::from_secs(30);

/// Milliseconds between two answers around a kill -9 of the leader, one request in flight: the median of five.
pub async fn median_gap_ms() -> Result<f64> {
    let mut cluster = Cluster::prepare(Setup::new(3, 0))?;
    cluster.start_members()?;
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        gaps.push(gap_ms(&mut cluster).await?);
    }
    gaps.sort_by(f64::total_cmp);
    println!(
        "  gaps of {KILLS} kills: {} ms",
        gaps.iter().map(|gap| format!("{gap:.0}")).collect::<Vec<_>>().join(", ")
    );
    gaps.get(KILLS / 2).copied().context("no gap was measured")
}

async fn gap_ms(cluster: &mut Cluster) -> Result<f64> {
    let leader = cluster.wait_for_pd_leader().await?;
    let client = cluster.client().await?;
    let (kill, killed) = oneshot::channel();
    let asking = tokio::spawn(async move {
        let started = Instant::now();
        let (mut last, mut longest, mut kill) = (started, Duration::ZERO, Some(kill));
        // Ends once a gap has passed and answers flow again.
        loop {
            let answered = client.get_timestamp().await.is_ok();
            let now = Instant::now();
            if answered {
                if kill.is_none() {
                    longest = longest.max(now - last);
                }
                last = now;
                if kill.is_none() && (longest > Duration::from_millis(100) || started.elapsed() > GAP_MAX) {
                    return longest;
                }
            }
            if started.elapsed() > QUIET
                && let Some(kill) = kill.take()
            {
                let _ = kill.send(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    killed.await.context("the asking client ended early")?;
    cluster.member(leader).kill()?;
    let gap = asking.await?;
    cluster.member(leader).start()?;
    cluster.wait_for_pd_leader().await?;
    Ok(gap.as_secs_f64() * 1_000.0)
}
