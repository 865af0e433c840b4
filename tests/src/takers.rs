//! Clients that take timestamps and ids without a pause, and what must hold of all that they were given: timestamps rise
//! across clients, and nothing is given twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pd_client::{Client, Timestamp};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, PATIENCE};

/// Timestamps or ids of one request: some clients take blocks, as TiKV does.
const BLOCK: u32 = 7;

/// The clients, while they take.
pub struct Takers {
    shared: Arc<Shared>,
    clients: JoinSet<Result<Taken>>,
}

/// What a client was given.
#[derive(Default)]
struct Taken {
    timestamps: Vec<u64>,
    ids: Vec<u64>,
}

/// What all clients share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    /// The highest timestamp that anybody was answered so far.
    highest: AtomicU64,
}

impl Takers {
    /// Starts `count` clients.
    pub async fn start(cluster: &Cluster, count: usize) -> Result<Takers> {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        for number in 0..count {
            clients.spawn(take(cluster.client().await?, number % 2 == 0, shared.clone()));
        }
        Ok(Takers { shared, clients })
    }

    /// Waits until they got `count` further answers together; a client that gave up is an error.
    pub async fn further(&mut self, count: u64) -> Result<()> {
        let goal = self.shared.answered.load(Ordering::Relaxed) + count;
        let deadline = Instant::now() + PATIENCE;
        while self.shared.answered.load(Ordering::Relaxed) < goal {
            if let Some(gave_up) = self.clients.try_join_next() {
                gave_up??;
            }
            let answered = self.shared.answered.load(Ordering::Relaxed);
            ensure!(Instant::now() < deadline, "{answered} answers, waiting for {goal}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends them and judges all that they were given.
    pub async fn judge(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Taken::default();
        while let Some(taken) = self.clients.join_next().await {
            let taken = taken??;
            all.timestamps.extend(taken.timestamps);
            all.ids.extend(taken.ids);
        }
        println!("{} timestamps, {} ids", all.timestamps.len(), all.ids.len());
        unique("timestamp", &all.timestamps)?;
        unique("id", &all.ids)
    }
}

/// Takes until told to stop. A timestamp must be above all that anybody was answered before it was asked for.
async fn take(client: Client, in_blocks: bool, shared: Arc<Shared>) -> Result<Taken> {
    let mut taken = Taken::default();
    while !shared.stop.load(Ordering::Relaxed) {
        let floor = shared.highest.load(Ordering::SeqCst);
        let range = client.get_timestamps(if in_blocks { BLOCK } else { 1 }).await?;
        let versions: Vec<u64> = range.iter().map(Timestamp::version).collect();
        let (first, last) = (versions[0], versions[versions.len() - 1]);
        ensure!(first > floor, "timestamp {first} was given after {floor} had been answered");
        shared.highest.fetch_max(last, Ordering::SeqCst);
        taken.timestamps.extend(versions);
        if in_blocks {
            taken.ids.extend(client.alloc_ids(BLOCK).await?);
        } else {
            taken.ids.push(client.alloc_id().await?);
        }
        shared.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(taken)
}

fn unique(what: &str, values: &[u64]) -> Result<()> {
    let mut seen = HashSet::with_capacity(values.len());
    let twice = values.iter().find(|value| !seen.insert(**value));
    ensure!(twice.is_none(), "{what} {twice:?} was given twice");
    Ok(())
}
