//! Clients of PD that do nothing but take timestamps and ids, and let the witnesses hear all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use pd_client::{Client, Error};
use tokio::task::JoinSet;

use super::load::Gaps;
use super::witness::{IdWitness, TimestampWitness};
use crate::cluster::Cluster;

/// Clients that take timestamps in bulk, beside the one that asks for one at a time.
const BULK_CLIENTS: usize = 3;
/// Timestamps of a bulk request.
const BULK: u32 = 100;
/// Clients that take ids.
const ID_CLIENTS: usize = 3;
/// Ids of a request.
const IDS: u32 = 7;
/// Pauses, so that the probes leave the processors to the cluster on a small machine.
const PAUSE_OF_ONE: Duration = Duration::from_millis(1);
const PAUSE_OF_BULK: Duration = Duration::from_millis(5);
const PAUSE_OF_IDS: Duration = Duration::from_millis(50);
/// Times of answers that the percentile is taken from.
const TIMES_KEPT: usize = 2_000;

/// What the probes heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// All timestamps.
    pub timestamps: TimestampWitness,
    /// All ids.
    pub ids: IdWitness,
    /// Times between two answers of the client with one request in flight.
    pub gaps: Gaps,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    times: VecDeque<Duration>,
    last_answer: Option<Instant>,
    last_error: String,
}

impl Heard {
    /// The 99th percentile of the latest answers of the client with one request in flight.
    pub fn p99(&self) -> Duration {
        let mut times: Vec<Duration> = self.pace().times.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// When the client with one request in flight had its last answer.
    pub fn last_answer(&self) -> Option<Instant> {
        self.pace().last_answer
    }

    /// The last error that a probe met.
    pub fn last_error(&self) -> String {
        self.pace().last_error.clone()
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &Error) {
        self.pace().last_error = error.to_string();
    }

    fn answered(&self, asked: Instant) {
        let now = Instant::now();
        let mut pace = self.pace();
        if let Some(last) = pace.last_answer.replace(now) {
            self.gaps.waited(last, now);
        }
        if pace.times.len() == TIMES_KEPT {
            pace.times.pop_front();
        }
        pace.times.push_back(now - asked);
    }
}

/// The running probes; they end when this is dropped.
#[derive(Debug)]
pub struct Probes {
    heard: Arc<Heard>,
    tasks: JoinSet<()>,
}

impl Probes {
    /// Starts all of them, each with connections of its own.
    pub async fn start(cluster: &Cluster) -> Result<Probes> {
        let heard = Arc::new(Heard::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(one_at_a_time(cluster.client().await?, heard.clone()));
        for _ in 0..BULK_CLIENTS {
            tasks.spawn(in_bulk(cluster.client().await?, heard.clone()));
        }
        for _ in 0..ID_CLIENTS {
            tasks.spawn(ids(cluster.client().await?, heard.clone()));
        }
        Ok(Probes { heard, tasks })
    }

    /// What they heard so far.
    pub fn heard(&self) -> &Arc<Heard> {
        &self.heard
    }

    /// Ends them. Asks that are open then have no answer.
    pub async fn stop(mut self) -> Arc<Heard> {
        self.tasks.shutdown().await;
        self.heard
    }
}

async fn one_at_a_time(client: Client, heard: Arc<Heard>) {
    loop {
        let asked = Instant::now();
        if take(&client, 1, &heard).await {
            heard.answered(asked);
        }
        tokio::time::sleep(PAUSE_OF_ONE).await;
    }
}

async fn in_bulk(client: Client, heard: Arc<Heard>) {
    loop {
        take(&client, BULK, &heard).await;
        tokio::time::sleep(PAUSE_OF_BULK).await;
    }
}

/// Takes `count` timestamps; whether there was an answer.
async fn take(client: &Client, count: u32, heard: &Heard) -> bool {
    let question = heard.timestamps.ask();
    match client.get_timestamps(count).await {
        Ok(range) => {
            heard.timestamps.answer(&question, range);
            true
        }
        Err(Error::TimestampFell { got, .. }) => {
            heard.timestamps.refused(&question, got);
            false
        }
        Err(error) => {
            heard.timestamps.no_answer(&question);
            heard.failed(&error);
            false
        }
    }
}

async fn ids(client: Client, heard: Arc<Heard>) {
    loop {
        match client.alloc_ids(IDS).await {
            Ok(ids) => {
                heard.ids.given(ids);
            }
            Err(error) => heard.failed(&error),
        }
        tokio::time::sleep(PAUSE_OF_IDS).await;
    }
}
