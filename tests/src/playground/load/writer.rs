//! One writer: draws an operation, carries it through whatever happens, and compares what it reads.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tikv_client::{Key, KvPair, RawClient};
use tokio::time::timeout;

use super::ledger::{Content, Ledger};
use super::{KEYS_EACH, Shared, WRITERS, shape};

/// One attempt of an operation. The stock client limits its requests, but not its search for a leader of PD.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// After a failed attempt.
const PAUSE: Duration = Duration::from_millis(50);
/// Keys of a batch operation.
const BATCH: usize = 8;
/// Keys of a batch of the first fill.
const FILL_BATCH: usize = 32;
/// Failures of one such batch, about half a minute of them with the stock client's own repetitions.
const FILL_FAILURES_MAX: u32 = 20;
/// Keys that a scan spans, the other writers' among them: some Regions' worth.
const SCAN_SPAN: u64 = 100;
/// More than those, so that a scan is never cut short.
const SCAN_LIMIT: u32 = 1_000;

pub(super) struct Writer {
    number: u64,
    client: RawClient,
    /// Shared with whoever ends the load: should this writer be cut off, what it knows remains.
    ledger: Arc<Mutex<Ledger>>,
    random: StdRng,
    /// The next value's number.
    next: u64,
    shared: Arc<Shared>,
}

/// What a writer does next.
enum Operation {
    Write(Vec<(u64, Content)>),
    Read(Vec<u64>),
    Scan(u64),
}

impl Writer {
    pub fn new(number: u64, client: RawClient, ledger: Arc<Mutex<Ledger>>, shared: Arc<Shared>) -> Writer {
        // Values of the first fill are numbered from 1; these come after.
        let next = KEYS_EACH + 1;
        Writer { number, client, ledger, random: StdRng::seed_from_u64(number), next, shared }
    }

    pub async fn run(mut self) {
        while !self.shared.stopping() {
            match self.draw() {
                Operation::Write(contents) => self.write(contents).await,
                Operation::Read(keys) => self.read(&keys).await,
                Operation::Scan(from) => self.scan(from).await,
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&mut self) -> Operation {
        let now = Instant::now();
        match self.random.random_range(0..100) {
            0..35 => self.write_of(1, false, now),
            35..45 => self.write_of(BATCH, false, now),
            45..50 => self.write_of(1, true, now),
            50..53 => self.write_of(BATCH / 2, true, now),
            53..85 => Operation::Read(self.some_keys(1)),
            85..93 => Operation::Read(self.some_keys(BATCH)),
            _ => Operation::Scan(self.some_keys(1)[0]),
        }
    }

    fn write_of(&mut self, count: usize, delete: bool, now: Instant) -> Operation {
        let mut keys = self.some_keys(count);
        keys.retain(|key| self.ledger().may_write(*key, now));
        if keys.is_empty() {
            return Operation::Read(self.some_keys(1));
        }
        let contents = keys.into_iter().map(|key| {
            self.next += 1;
            (key, if delete { Content::Absent } else { Content::Value(self.next) })
        });
        Operation::Write(contents.collect())
    }

    fn some_keys(&mut self, count: usize) -> Vec<u64> {
        let numbers = (0..KEYS_EACH).choose_multiple(&mut self.random, count);
        numbers.into_iter().map(|n| shape::key_of(self.number, n)).collect()
    }

    /// Writes all of `contents`, which are either values or deletions, again and again until acknowledged.
    async fn write(&mut self, contents: Vec<(u64, Content)>) {
        for (key, content) in &contents {
            self.ledger().attempt(*key, *content);
        }
        let started = Instant::now();
        loop {
            match attempt(put_all(&self.client, &contents)).await {
                Ok(()) => break,
                Err(error) => {
                    let now = Instant::now();
                    contents.iter().for_each(|(key, _)| self.ledger().unknown(*key, now));
                    self.shared.failed(&format!("{error:#}"));
                }
            }
            if self.shared.stopping() {
                // What was attempted stays unknown.
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.shared.writes.waited(started, Instant::now());
        for (key, content) in &contents {
            self.ledger().acknowledge(*key, *content);
        }
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }

    async fn read(&mut self, keys: &[u64]) {
        let found = match attempt(get_all(&self.client, keys)).await {
            Ok(found) => found,
            Err(error) => return self.read_failed(&error).await,
        };
        for (key, value) in keys.iter().zip(found) {
            self.compare(*key, value.as_deref(), "a read");
        }
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// A scan from one of this writer's keys on; the others' keys between are passed over.
    async fn scan(&mut self, from: u64) {
        let to = (from + SCAN_SPAN).min(KEYS_EACH * WRITERS);
        let range = shape::key(from)..shape::key(to);
        let pairs = match attempt(async { Ok(self.client.scan(range, SCAN_LIMIT).await?) }).await {
            Ok(pairs) => pairs,
            Err(error) => return self.read_failed(&error).await,
        };
        let mut found = BTreeMap::new();
        for KvPair(key, value) in pairs {
            if let Some(number) = shape::key_number(key.as_ref().into()) {
                found.insert(number, value);
            }
        }
        let mine: Vec<u64> = self.ledger().certain(from..=to - 1).map(|(key, _)| key).collect();
        for key in mine {
            self.compare(key, found.get(&key).map(Vec::as_slice), "a scan");
        }
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }

    async fn read_failed(&self, error: &anyhow::Error) {
        self.shared.failed(&format!("{error:#}"));
        tokio::time::sleep(PAUSE).await;
    }

    fn compare(&self, key: u64, found: Option<&[u8]>, by: &str) {
        let verdict = match shape::content(key, found) {
            Ok(content) if self.ledger().allows(key, content) => return,
            Ok(content) => format!("{content:?}"),
            Err(text) => text,
        };
        let expected = self.ledger().expected(key);
        self.shared.lost(key, format!("key {key}: {by} found {verdict}, expected {expected}"));
    }
}

/// Writes every key of every writer once, in batches; tells each by `progress` (keys so far).
pub async fn fill(client: &RawClient, progress: impl Fn(u64)) -> Result<Vec<Ledger>> {
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(|_| Ledger::default()).collect();
    let mut done = 0;
    let all: Vec<u64> = (0..KEYS_EACH * WRITERS).collect();
    for keys in all.chunks(FILL_BATCH) {
        let contents: Vec<(u64, Content)> =
            keys.iter().map(|key| (*key, Content::Value(key / WRITERS + 1))).collect();
        for (key, content) in &contents {
            ledgers[(key % WRITERS) as usize].attempt(*key, *content);
        }
        until_ok(async || put_all(client, &contents).await).await?;
        for (key, content) in contents {
            ledgers[(key % WRITERS) as usize].acknowledge(key, content);
        }
        done += keys.len() as u64;
        progress(done);
    }
    Ok(ledgers)
}

/// Writes the `step`th part of the tail, from 0.
pub async fn grow_tail(client: &RawClient, step: u64) -> Result<()> {
    let numbers = step * shape::TAIL_STEP..(step + 1) * shape::TAIL_STEP;
    let pairs: Vec<_> = numbers.map(shape::tail).collect();
    until_ok(async || Ok(client.batch_put(pairs.clone()).await?)).await
}

/// Repeats a write of the first fill: some failures are part of splitting, nothing but failures are not.
async fn until_ok(write: impl AsyncFn() -> Result<()>) -> Result<()> {
    let mut failures = 0;
    while let Err(error) = attempt(write()).await {
        failures += 1;
        if failures == FILL_FAILURES_MAX {
            return Err(error.context("writing the first keys"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

pub(super) async fn attempt<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(ATTEMPT_LIMIT, operation).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("no answer in {ATTEMPT_LIMIT:?}"),
    }
}

/// Writes `contents`, which are all values or all deletions.
async fn put_all(client: &RawClient, contents: &[(u64, Content)]) -> Result<()> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut deletions: Vec<Vec<u8>> = Vec::new();
    for (key, content) in contents {
        match content {
            Content::Value(number) => pairs.push((shape::key(*key), shape::value(*key, *number))),
            Content::Absent => deletions.push(shape::key(*key)),
        }
    }
    match (pairs.len(), deletions.len()) {
        (1, 0) => {
            let (key, value) = pairs.remove(0);
            client.put(key, value).await?;
        }
        (0, 1) => client.delete(deletions.remove(0)).await?,
        (_, 0) => client.batch_put(pairs).await?,
        (0, _) => client.batch_delete(deletions).await?,
        (_, _) => bail!("values and deletions in one write"),
    }
    Ok(())
}

/// The values of `keys`, in their order.
pub(super) async fn get_all(client: &RawClient, keys: &[u64]) -> Result<Vec<Option<Vec<u8>>>> {
    if let [key] = keys {
        return Ok(vec![client.get(shape::key(*key)).await?]);
    }
    let pairs = client.batch_get(keys.iter().map(|key| shape::key(*key))).await?;
    let mut found: BTreeMap<Key, Vec<u8>> =
        pairs.into_iter().map(|KvPair(key, value)| (key, value)).collect();
    Ok(keys.iter().map(|key| found.remove(&Key::from(shape::key(*key)))).collect())
}
