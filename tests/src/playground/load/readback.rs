//! The last reading of every key, through the stock client.

use std::time::{Duration, Instant};

use tikv_client::RawClient;

use super::ledger::Ledger;
use super::writer::{attempt, get_all};
use super::{Shared, WRITERS, shape};

/// Keys of one request.
const CHUNK: usize = 128;
/// After a failed attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// How far the reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBack {
    /// Keys read.
    pub read: u64,
    /// Keys to be read.
    pub all: u64,
}

/// Reads every key that `ledgers` know until `deadline`; what must not be is told to `shared`.
pub async fn read_back(
    client: &RawClient,
    ledgers: &[Ledger],
    shared: &Shared,
    deadline: Instant,
    progress: impl Fn(ReadBack),
) -> ReadBack {
    let mut keys: Vec<u64> = ledgers.iter().flat_map(Ledger::keys).collect();
    keys.sort_unstable();
    let mut done = ReadBack { read: 0, all: keys.len() as u64 };
    for chunk in keys.chunks(CHUNK) {
        let found = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, attempt(get_all(client, chunk))).await {
                Ok(Ok(found)) => break found,
                Ok(Err(error)) => {
                    shared.failed(&format!("{error:#}"));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => return done,
            }
        };
        for (key, value) in chunk.iter().zip(found) {
            let Some(ledger) = ledgers.get((key % WRITERS) as usize) else { continue };
            let verdict = match shape::content(*key, value.as_deref()) {
                Ok(content) if ledger.allows(*key, content) => continue,
                Ok(content) => format!("{content:?}"),
                Err(text) => text,
            };
            let expected = ledger.expected(*key);
            shared.lost(*key, format!("key {key}: read back {verdict}, expected {expected}"));
        }
        done.read += chunk.len() as u64;
        progress(done);
    }
    done
}
