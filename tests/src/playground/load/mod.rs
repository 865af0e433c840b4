//! The load: writers and readers through the stock TiKV client, each with keys of its own, each read compared with
//! what the writer knows.

mod gaps;
mod ledger;
mod readback;
mod shape;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tikv_client::RawClient;
use tokio::task::JoinSet;

pub use gaps::{Gaps, Window};
pub use ledger::{Content, Ledger};
pub use readback::{ReadBack, read_back};
pub use shape::{KEYS_EACH, WRITERS, WRITERS_END};
pub use writer::{fill, grow_tail};

use writer::Writer;

/// Found contents that are kept word by word; more are only counted.
const LOST_KEPT: usize = 20;

/// What all writers share.
#[derive(Debug)]
pub struct Shared {
    stop: AtomicBool,
    /// Operations that had an answer, reads too.
    pub operations: AtomicU64,
    /// Operations that ended in an error and were tried again.
    pub errors: AtomicU64,
    /// The last error, for people.
    last_error: Mutex<String>,
    /// How long writes wait.
    pub writes: Gaps,
    lost: Mutex<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    keys: std::collections::BTreeSet<u64>,
    told: Vec<String>,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            stop: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::default(),
            writes: Gaps::default(),
            lost: Mutex::default(),
        }
    }

    /// Whether the load shall end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self, error: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    }

    /// The last error that an operation met.
    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A read found what it must not: a key counts once.
    pub fn lost(&self, key: u64, text: String) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.keys.insert(key) && lost.told.len() < LOST_KEPT {
            lost.told.push(text);
        }
    }

    /// Keys that held what they must not, and what was found, the first of them word by word.
    pub fn losses(&self) -> (u64, Vec<String>) {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        (lost.keys.len() as u64, lost.told.clone())
    }
}

/// The running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<()>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
}

impl Load {
    /// Starts one task for each of `ledgers`, over two clients.
    pub async fn start(endpoints: &[String], ledgers: Vec<Ledger>) -> Result<Load> {
        let shared = Arc::new(Shared::new());
        let clients = [connect(endpoints).await?, connect(endpoints).await?];
        let ledgers: Vec<_> = ledgers.into_iter().map(|ledger| Arc::new(Mutex::new(ledger))).collect();
        let mut writers = JoinSet::new();
        for (number, ledger) in ledgers.iter().enumerate() {
            let client = clients[number % clients.len()].clone();
            let writer = Writer::new(number as u64, client, ledger.clone(), shared.clone());
            writers.spawn(writer.run());
        }
        Ok(Load { shared, writers, ledgers })
    }

    /// What the writers share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ends the load and returns the writers' ledgers in their order. A writer that does not end within `limit` is cut
    /// off; its open write counts as unknown.
    pub async fn stop(mut self, limit: Duration) -> (Arc<Shared>, Vec<Ledger>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let all = async { while self.writers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all).await;
        self.writers.shutdown().await;
        let take = |ledger: &Arc<Mutex<Ledger>>| {
            std::mem::take(&mut *ledger.lock().unwrap_or_else(PoisonError::into_inner))
        };
        (self.shared, self.ledgers.iter().map(take).collect())
    }
}

/// A stock client of the cluster.
pub async fn connect(endpoints: &[String]) -> Result<RawClient> {
    let plain = endpoints.iter().map(|url| url.trim_start_matches("http://").to_string()).collect();
    RawClient::new(plain).await.context("connecting the stock client")
}
