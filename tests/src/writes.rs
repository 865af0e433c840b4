//! Writers that go on through every fault, and the book of what they were promised.
//!
//! A write is acknowledged only when the client returns Ok. The stock client returns errors while leaders are missing;
//! the writer then tries the same value again, and until it is acknowledged its outcome is unknown: it may be read or
//! not. What was acknowledged must be read, unless a later attempt took its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tikv_client::RawClient;
use tokio::task::JoinSet;

use crate::cluster::{HeldRegion, Store, eventually, http};

/// Between two tries of a value that was not acknowledged.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long a value may stay unacknowledged: longer than every election and every restart of a test together.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(90);
/// Copies of each key: what PD keeps when it is not told otherwise.
const REPLICAS: usize = 3;
/// Keys of one read while the book is checked.
const READ_AT_ONCE: usize = 256;

/// Who writes, and what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Writers at the same time, each with keys of its own.
    pub writers: u32,
    /// Keys of each writer, which are overwritten in turn.
    pub keys_each: u32,
    /// Bytes of each value.
    pub value_size: usize,
}

/// Writers at work.
#[derive(Debug)]
pub struct Writers {
    tasks: JoinSet<Result<Book>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

/// What was acknowledged, by key.
#[derive(Debug, Default, Clone)]
pub struct Book {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// The longest time between two acknowledgements of one writer.
    pub longest_gap: Duration,
}

#[derive(Debug, Default, Clone)]
struct Entry {
    acknowledged: Option<Vec<u8>>,
    /// The attempt after it whose outcome is unknown.
    attempted: Option<Vec<u8>>,
}

impl Writers {
    /// Starts the plan through the stock client.
    ///
    /// # Errors
    /// When the client does not connect.
    pub async fn start(endpoints: &[String], plan: Plan) -> Result<Writers> {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for writer in 0..plan.writers {
            let client = stock_raw_client(endpoints).await?;
            tasks.spawn(write(client, writer, plan, stop.clone(), acknowledged.clone()));
        }
        Ok(Writers { tasks, stop, acknowledged })
    }

    /// How many writes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `more` further writes were acknowledged.
    ///
    /// # Errors
    /// When that takes longer than any fault of a test.
    pub async fn go_on(&self, more: u64) -> Result<()> {
        let goal = self.acknowledged() + more;
        let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
        while self.acknowledged() < goal {
            ensure!(Instant::now() < deadline, "{} of {goal} writes acknowledged", self.acknowledged());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Lets every writer finish its write and closes the book.
    ///
    /// # Errors
    /// When a value was never acknowledged.
    pub async fn stop(mut self) -> Result<Book> {
        self.stop.store(true, Ordering::Relaxed);
        let mut book = Book::default();
        while let Some(written) = self.tasks.join_next().await {
            let written = written??;
            book.entries.extend(written.entries);
            book.acknowledged += written.acknowledged;
            book.longest_gap = book.longest_gap.max(written.longest_gap);
        }
        Ok(book)
    }
}

impl Book {
    /// Every key that was written.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().map(Vec::as_slice)
    }

    /// Whether `value`, read of `key` after all writing, is what was promised.
    ///
    /// # Errors
    /// Says which promise was broken.
    pub fn check(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let entry = self.entries.get(key).with_context(|| format!("{} was never written", show(key)))?;
        let promised = [entry.acknowledged.as_deref(), entry.attempted.as_deref()];
        let kept = match value {
            Some(_) => promised.contains(&value),
            None => entry.acknowledged.is_none(),
        };
        let (found, last) = (value.map(show), entry.acknowledged.as_deref().map(show));
        ensure!(kept, "{}: {found:?} is there, acknowledged was {last:?}", show(key));
        Ok(())
    }

    /// Reads everything back through a new stock client.
    ///
    /// # Errors
    /// Names the first broken promise.
    pub async fn check_through_client(&self, endpoints: &[String]) -> Result<()> {
        let client = stock_raw_client(endpoints).await?;
        let keys: Vec<Vec<u8>> = self.entries.keys().cloned().collect();
        for some in keys.chunks(READ_AT_ONCE) {
            let pairs = again(|| client.batch_get(some.to_vec())).await.context("reading back")?;
            let found: BTreeMap<Vec<u8>, Vec<u8>> =
                pairs.into_iter().map(|pair| (Vec::from(pair.0), pair.1)).collect();
            for key in some {
                self.check(key, found.get(key).map(Vec::as_slice))?;
            }
        }
        Ok(())
    }

    /// Asks every store for its own copy of every key of every Region that it holds, whoever leads, until every key has
    /// its [`REPLICAS`] copies and all of them have applied what was acknowledged.
    ///
    /// # Errors
    /// Names a promise that is still broken on some store after `limit`.
    pub async fn check_on_stores(&self, stores: &[Store], limit: Duration) -> Result<()> {
        eventually("every store's own copy", limit, async || {
            let mut copies = 0_usize;
            for store in stores {
                let held = store.held_regions().await?;
                let local = local_pairs(store).await?;
                for key in self.keys().filter(|key| held.iter().any(|region| holds(region, key))) {
                    let value = local.get(key).map(Vec::as_slice);
                    self.check(key, value).with_context(|| store.name().to_string())?;
                    copies += 1;
                }
            }
            ensure!(
                copies >= REPLICAS * self.entries.len(),
                "{copies} copies of {} keys",
                self.entries.len()
            );
            Ok(())
        })
        .await
    }
}

/// All that lies in a store's engine, whoever leads.
async fn local_pairs(store: &Store) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let page = http::get_json(&format!("{}/kv?start=&end=", store.status_url())).await?;
    ensure!(page["more"] == false, "{} holds more than one page tells", store.name());
    let bytes = |value: &Value| -> Result<Vec<u8>> { Ok(hex::decode(value.as_str().context("hex")?)?) };
    let pairs = page["pairs"].as_array().context("pairs")?;
    pairs.iter().map(|pair| Ok((bytes(&pair["key"])?, bytes(&pair["value"])?))).collect()
}

/// Whether a Region, as a store tells it, has this key in its range.
fn holds(region: &HeldRegion, key: &[u8]) -> bool {
    let key = hex::encode(key);
    region.start_key.to_lowercase() <= key
        && (region.end_key.is_empty() || key < region.end_key.to_lowercase())
}

/// The published client's raw API. It wants addresses without a scheme.
///
/// # Errors
/// When no member answers.
pub async fn stock_raw_client(endpoints: &[String]) -> Result<RawClient> {
    let addresses: Vec<String> = endpoints.iter().map(|url| without_scheme(url).to_string()).collect();
    RawClient::new(addresses).await.context("the stock client connects")
}

/// `http://host:port` as `host:port`.
#[must_use]
pub fn without_scheme(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

/// Repeats a call of the stock client until it is Ok: it gives up after about 1.5 s, an election takes longer.
///
/// # Errors
/// The last error, when none was Ok in time.
pub async fn again<T, F>(mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = tikv_client::Result<T>>,
{
    let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
    loop {
        match call().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => bail!("after {ACKNOWLEDGED_WITHIN:?}: {error}"),
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}

async fn write(
    client: RawClient,
    writer: u32,
    plan: Plan,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Result<Book> {
    let mut book = Book::default();
    let mut last = Instant::now();
    for turn in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("writer-{writer:02}/{:06}", turn % u64::from(plan.keys_each)).into_bytes();
        let value = value(writer, turn, plan.value_size);
        book.entries.entry(key.clone()).or_default().attempted = Some(value.clone());
        again(|| client.put(key.clone(), value.clone())).await.with_context(|| show(&key))?;
        book.entries.insert(key, Entry { acknowledged: Some(value), attempted: None });
        book.acknowledged += 1;
        book.longest_gap = book.longest_gap.max(last.elapsed());
        last = Instant::now();
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(book)
}

/// A value that says who wrote it when, filled up to its size.
fn value(writer: u32, turn: u64, size: usize) -> Vec<u8> {
    let mut value = format!("{writer}:{turn}:").into_bytes();
    value.resize(size.max(value.len()), b'.');
    value
}

fn show(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::{Book, Entry};

    fn book(acknowledged: Option<&str>, attempted: Option<&str>) -> Book {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let entry = Entry { acknowledged: bytes(acknowledged), attempted: bytes(attempted) };
        Book { entries: [(b"k".to_vec(), entry)].into(), ..Book::default() }
    }

    #[test]
    fn the_last_acknowledged_value_or_a_later_attempt_may_be_read() {
        let kept = |book: &Book, value: Option<&str>| book.check(b"k", value.map(str::as_bytes)).is_ok();
        let acknowledged = book(Some("2"), None);
        assert!(kept(&acknowledged, Some("2")));
        assert!(!kept(&acknowledged, Some("1")), "an older value");
        assert!(!kept(&acknowledged, None), "nothing");
        let attempted = book(Some("2"), Some("3"));
        assert!(kept(&attempted, Some("2")) && kept(&attempted, Some("3")));
        assert!(!kept(&attempted, None));
        let never = book(None, Some("1"));
        assert!(kept(&never, None) && kept(&never, Some("1")));
        assert!(acknowledged.check(b"other", None).is_err());
    }
}
