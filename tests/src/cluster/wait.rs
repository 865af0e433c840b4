//! Waiting for the thing itself, with a deadline that only a broken program meets.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The usual deadline: far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Repeats `look` until it succeeds; after `limit` an error with what it said last.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(why) if Instant::now() >= deadline => {
                bail!("waited {} s for {what}; last: {why:#}", limit.as_secs());
            }
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}
