//! Server-sent events: first everything, then what changed, at most once a second.
//!
//! Nothing is buffered for a slow reader: its events are made when there is room for them, from the newest snapshot and
//! what it was told last. Who does not read for 5 s is told to forget what it has, and gets everything anew.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::answer;
use crate::lookout::{Awake, Lookout};
use crate::model::ApiError;
use crate::query::{BadParameter, Query};
use crate::snapshot::{Snapshot, Topic};

/// Streams that a member serves at once: each open page has one. Beyond it a page is told to ask now and then.
pub const STREAMS_MAX: usize = 64;
/// How a stream keeps time.
const PACE: Pace =
    Pace { heartbeat: Duration::from_secs(10), slow: Duration::from_secs(5), gone: Duration::from_secs(60) };
/// How often a page that got no stream is to ask.
const POLL_MS: u64 = 10_000;

/// What streams share.
pub struct Streams {
    places: Arc<Semaphore>,
    /// Tells the revisions of this process from those of another.
    era: u64,
}

/// What a stream is asked for.
#[derive(Debug)]
pub struct Wish {
    topics: Vec<Topic>,
    /// The last event that the client has.
    last: Option<String>,
}

impl Wish {
    /// From query and headers.
    pub fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Self, BadParameter> {
        let query = Query::read(query, &["topics", "last_event_id"])?;
        let mut topics = Vec::new();
        for name in query.text("topics").unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
            let known = Topic::ALL.into_iter().find(|topic| topic.name() == name);
            let all = || Topic::ALL.map(Topic::name).join(", ");
            let topic = known.ok_or_else(|| {
                BadParameter::new("topics", format!("there is no topic {name:?}; topics are {}", all()))
            })?;
            topics.push(topic);
        }
        if topics.is_empty() {
            topics.extend(Topic::ALL);
        }
        topics.sort_unstable();
        topics.dedup();
        let header = headers.get(HeaderName::from_static("last-event-id"));
        let last = header.and_then(|value| value.to_str().ok()).or_else(|| query.text("last_event_id"));
        Ok(Self { topics, last: last.filter(|last| !last.is_empty()).map(str::to_owned) })
    }
}

impl Streams {
    /// `era` is a number that no process before this one on this member had.
    pub fn new(era: u64) -> Self {
        Self { places: Arc::new(Semaphore::new(STREAMS_MAX)), era }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        STREAMS_MAX - self.places.available_permits()
    }

    /// Begins a stream, if there is a place for it.
    pub fn begin(&self, lookout: &Arc<Lookout>, wish: Wish) -> Response<Body> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let text = format!("{STREAMS_MAX} streams are open; ask each {} s instead", POLL_MS / 1_000);
            let error = ApiError::new("TOO_MANY_STREAMS", text).retry_after_ms(POLL_MS);
            return answer::error(StatusCode::SERVICE_UNAVAILABLE, &error);
        };
        let (snapshots, awake) = lookout.follow();
        // One: what is sent next is made when there is room for it.
        let (out, body) = mpsc::channel(1);
        let told = wish.last.as_deref().and_then(|last| self.revision(last));
        let forgotten = wish.last.is_some() && told.is_none();
        let pump = Pump { snapshots, out, topics: wish.topics, era: self.era, told, forgotten, pace: PACE };
        tokio::spawn(pump.run(place, awake));
        let mut response =
            Response::new(Body::from_stream(ReceiverStream::new(body).map(Ok::<_, Infallible>)));
        let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        // Proxies that collect answers would make it useless.
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }

    /// The revision that an id of this process means.
    fn revision(&self, id: &str) -> Option<u64> {
        let (era, revision) = id.split_once('-')?;
        (u64::from_str_radix(era, 16) == Ok(self.era)).then(|| revision.parse().ok())?
    }
}

/// How a stream keeps time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// A comment is sent that often, so that both sides know of each other.
    heartbeat: Duration,
    /// Who does not read for so long gets everything anew.
    slow: Duration,
    /// Who does not read for so long is cut off: its place is for others.
    gone: Duration,
}

/// One stream.
struct Pump {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    out: mpsc::Sender<Bytes>,
    topics: Vec<Topic>,
    era: u64,
    /// Everything up to this revision was told.
    told: Option<u64>,
    /// What the client has is not known any more: it is to forget it.
    forgotten: bool,
    pace: Pace,
}

impl Pump {
    /// Until the client is gone.
    async fn run(mut self, place: OwnedSemaphorePermit, awake: Awake) {
        let mut said_at = Instant::now();
        // At once: the client sees that the stream is there, whenever the first look ends.
        let mut hello = Some(Bytes::from_static(b":\n\n"));
        loop {
            let since = Instant::now();
            let room = self.out.clone();
            let Ok(Ok(room)) = timeout(self.pace.gone, room.reserve()).await else { break };
            if since.elapsed() > self.pace.slow {
                (self.told, self.forgotten) = (None, true);
            }
            let events = match hello.take() {
                Some(hello) => Some(hello),
                None => self.events(),
            };
            if let Some(events) = events {
                room.send(events);
                said_at = Instant::now();
                continue;
            }
            if said_at.elapsed() >= self.pace.heartbeat {
                room.send(Bytes::from_static(b":\n\n"));
                said_at = Instant::now();
                continue;
            }
            drop(room);
            tokio::select! {
                changed = self.snapshots.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(said_at + self.pace.heartbeat) => {}
                () = self.out.closed() => break,
            }
        }
        drop((place, awake));
    }

    /// What the newest snapshot has that the client has not.
    fn events(&mut self) -> Option<Bytes> {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        if snapshot.revision == 0 {
            return None;
        }
        if self.told.is_some_and(|told| !snapshot.reaches_back_to(told)) {
            (self.told, self.forgotten) = (None, true);
        }
        if self.told == Some(snapshot.revision) {
            return None;
        }
        let mut text = String::new();
        if std::mem::take(&mut self.forgotten) {
            text.push_str("event: resync\ndata: {}\n\n");
        }
        let mut data = String::new();
        for topic in &self.topics {
            data.clear();
            if snapshot.write(*topic, self.told, &mut data) {
                // Only the last event has the id: a client that got half of them goes on from before.
                let _ = write!(text, "event: {}\ndata: {data}\n\n", topic.name());
            }
        }
        // Before the blank line that ends the last event.
        let id = format!("id: {:x}-{}\n\n", self.era, snapshot.revision);
        if text.ends_with("\n\n") {
            text.truncate(text.len() - 1);
            text.push_str(&id);
        }
        self.told = Some(snapshot.revision);
        Some(Bytes::from(text)).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
