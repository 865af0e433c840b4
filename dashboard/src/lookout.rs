//! Looks at the server once a second while somebody looks at the page, each 10 s otherwise (for the series), and
//! publishes what it saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::series::{STEP_MS, Series};
use crate::snapshot::Snapshot;
use crate::source::{Depth, Source};

/// Between two looks, at least: topics change at most once a second.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// The same when something happened that is to be seen at once: what is over within a second would not be seen at all.
const INTERVAL_STIRRED: Duration = Duration::from_millis(500);
/// How old a snapshot may be for a request that is answered without another look.
const FRESH: Duration = Duration::from_millis(1_500);
/// After a request the lookout stays awake so long, for the next one.
const STAY_AWAKE: Duration = Duration::from_secs(5);
/// A look that takes longer is given up: the source has bounds of its own, this is the last one.
const LOOK_LIMIT: Duration = Duration::from_secs(4);

/// The newest snapshot, and the wish for one.
pub struct Lookout {
    newest: watch::Sender<Arc<Snapshot>>,
    /// When rows were last looked at; none before.
    looked: parking_lot::Mutex<Option<Instant>>,
    streams: AtomicUsize,
    asked: parking_lot::Mutex<Option<Instant>>,
    wanted: Notify,
    /// Looks that panicked or took too long.
    failed: AtomicU64,
}

impl Lookout {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            newest: watch::Sender::new(Arc::new(Snapshot::empty())),
            looked: parking_lot::Mutex::default(),
            streams: AtomicUsize::new(0),
            asked: parking_lot::Mutex::default(),
            wanted: Notify::new(),
            failed: AtomicU64::new(0),
        })
    }

    /// The newest snapshot: not older than [`FRESH`] if one can be had within `patience`.
    pub async fn fresh(&self, patience: Duration) -> Arc<Snapshot> {
        let mut changes = self.newest.subscribe();
        *self.asked.lock() = Some(Instant::now());
        if self.is_stale() {
            changes.borrow_and_update();
            self.wanted.notify_one();
            // Without one in time the old one is shown with its age.
            let _ = timeout(patience, async {
                while changes.changed().await.is_ok() {
                    if !self.is_stale() {
                        break;
                    }
                }
            })
            .await;
        }
        self.newest.borrow().clone()
    }

    /// Snapshots as they come, for a stream; the lookout stays awake until the guard is dropped.
    pub fn follow(self: &Arc<Self>) -> (watch::Receiver<Arc<Snapshot>>, Awake) {
        self.streams.fetch_add(1, Relaxed);
        self.wanted.notify_one();
        (self.newest.subscribe(), Awake(Arc::clone(self)))
    }

    /// How many looks failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    fn is_stale(&self) -> bool {
        self.looked.lock().is_none_or(|at| at.elapsed() > FRESH)
    }

    fn is_watched(&self) -> bool {
        self.streams.load(Relaxed) > 0 || self.asked.lock().is_some_and(|at| at.elapsed() < STAY_AWAKE)
    }

    /// The loop. Runs on the dashboard's own thread until `stop`.
    pub async fn run(self: Arc<Self>, source: Arc<dyn Source>, stop: CancellationToken) {
        let mut series = Series::default();
        let step = Duration::from_millis(STEP_MS);
        let mut sample_at = Instant::now();
        let mut stirred = source.stirred();
        while !stop.is_cancelled() {
            let now = Instant::now();
            let depth = if self.is_watched() { Depth::Rows } else { Depth::Figures };
            let sampled = now >= sample_at;
            if sampled {
                // After a long pause one value, not all that were missed at once.
                sample_at = (sample_at + step).max(now);
            }
            if (depth == Depth::Rows || sampled) && !self.look(&source, depth, &mut series, sampled).await {
                self.failed.fetch_add(1, Relaxed);
            }
            let look_at = (now + INTERVAL).max(Instant::now());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(look_at), if self.is_watched() => {}
                () = tokio::time::sleep_until(sample_at.max(look_at)) => {}
                Ok(()) = stirred.changed(), if self.is_watched() => {
                    tokio::time::sleep_until(now + INTERVAL_STIRRED).await;
                }
                () = self.wanted.notified() => {
                    // Whoever wants it now may have it, but not more often than once a second.
                    tokio::time::sleep_until(now + INTERVAL).await;
                }
            }
        }
    }

    /// One look. False when it failed: the last snapshot stays.
    async fn look(&self, source: &Arc<dyn Source>, depth: Depth, series: &mut Series, sampled: bool) -> bool {
        let source = Arc::clone(source);
        let began = Instant::now();
        // A task of its own: should it panic, the lookout goes on.
        let mut task = tokio::spawn(async move { source.look(depth).await });
        let look = match timeout(LOOK_LIMIT, &mut task).await {
            Ok(Ok(look)) => look,
            Ok(Err(error)) => {
                warn!(%error, "a look at the server failed");
                return false;
            }
            Err(_) => {
                task.abort();
                warn!(limit_ms = LOOK_LIMIT.as_millis(), "a look at the server took too long");
                return false;
            }
        };
        if sampled {
            series.sample(look.view.as_ref().map_or(&[][..], |view| &view.figures));
        }
        let next = self.newest.borrow().after(look, series, sampled);
        if depth == Depth::Rows {
            *self.looked.lock() = Some(began);
        }
        self.newest.send_replace(Arc::new(next));
        true
    }
}

/// Somebody looks.
pub struct Awake(Arc<Lookout>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}
