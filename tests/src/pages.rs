//! Open pages as a server sees them: each holds a stream of events and reads it, and calls come in at a steady pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cluster::PATIENCE;

/// What a page asks for besides its stream, in turn.
const CALLS: [&str; 6] = [
    "/dashboard/",
    "/pd/api/v2/health",
    "/pd/api/v2/stats",
    "/pd/api/v2/stores",
    "/pd/api/v2/operators",
    "/pd/api/v2/members",
];

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its kind: a topic, or `resync`.
    pub kind: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

/// A stream of events, as a page reads it.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    read: String,
}

impl Events {
    /// Opens a stream at a member's client URL; `last` goes on after that event.
    pub async fn open(url: &str, topics: &str, last: Option<&str>) -> Result<Events> {
        let url = format!("{url}/pd/api/v2/stream?topics={topics}");
        let mut request = Request::get(&url);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let answer = timeout(PATIENCE, client.request(request.body(Empty::new())?)).await??;
        ensure!(answer.status() == StatusCode::OK, "{url}: {}", answer.status());
        Ok(Events { body: answer.into_body(), read: String::new() })
    }

    /// The next event; comments are left out.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some((text, rest)) = self.read.split_once("\n\n") {
                let event = parse(text);
                self.read = rest.to_string();
                if let Some(event) = event? {
                    return Ok(event);
                }
                continue;
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.context("the stream is silent")?;
            let frame = frame.context("the stream has ended")??;
            let bytes = frame.into_data().unwrap_or_default();
            self.read.push_str(std::str::from_utf8(&bytes)?);
        }
    }

    /// The first event of this kind for which `wanted` holds.
    pub async fn wait_for(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<Event> {
        let waited = timeout(PATIENCE, async {
            loop {
                let event = self.next().await?;
                if event.kind == kind && wanted(&event.data) {
                    return Ok(event);
                }
            }
        });
        waited.await.with_context(|| format!("no such {kind} event in {PATIENCE:?}"))?
    }
}

/// None for a comment.
fn parse(text: &str) -> Result<Option<Event>> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let Some(kind) = field("event") else { return Ok(None) };
    let data = field("data").with_context(|| format!("{kind} without data"))?;
    let data = serde_json::from_str(data).with_context(|| format!("{kind}: {data}"))?;
    Ok(Some(Event { kind: kind.to_string(), id: field("id").map(str::to_string), data }))
}

/// What the pages did so far.
#[derive(Debug, Default)]
pub struct Count {
    /// Events read.
    pub events: AtomicU64,
    /// Calls answered with a page or a list.
    pub answered: AtomicU64,
    /// Calls that were told to come again.
    pub shed: AtomicU64,
}

/// Pages that are open until [`Pages::close`].
#[derive(Debug)]
pub struct Pages {
    /// What they did.
    pub count: Arc<Count>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Result<()>>,
}

impl Pages {
    /// Opens `pages` streams at the member, and asks `calls_per_s` times a second.
    pub async fn open(url: &str, pages: usize, calls_per_s: u64) -> Result<Pages> {
        let (count, stop) = (Arc::<Count>::default(), Arc::<AtomicBool>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..pages {
            let mut events = Events::open(url, "health,stats,stores,operators,members", None).await?;
            let (count, stop) = (count.clone(), stop.clone());
            tasks.spawn(async move {
                while !stop.load(Relaxed) {
                    events.next().await?;
                    count.events.fetch_add(1, Relaxed);
                }
                Ok(())
            });
        }
        tasks.spawn(call(url.to_string(), calls_per_s, count.clone(), stop.clone()));
        Ok(Pages { count, stop, tasks })
    }

    /// Closes them.
    ///
    /// # Errors
    /// A stream ended, or a call got an answer that is neither good nor "come again".
    pub async fn close(mut self) -> Result<Arc<Count>> {
        self.stop.store(true, Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task??;
        }
        Ok(self.count)
    }
}

async fn call(url: String, calls_per_s: u64, count: Arc<Count>, stop: Arc<AtomicBool>) -> Result<()> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut pace = interval(Duration::from_secs(1) / u32::try_from(calls_per_s.max(1))?);
    // Behind is behind: a burst would be another load than the one asked for.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = JoinSet::new();
    for path in CALLS.iter().cycle() {
        if stop.load(Relaxed) {
            break;
        }
        pace.tick().await;
        while let Some(done) = calls.try_join_next() {
            done??;
        }
        let (client, count) = (client.clone(), count.clone());
        let address = format!("{url}{path}").parse()?;
        calls.spawn(async move {
            let answer = timeout(PATIENCE, client.get(address)).await??;
            let status = answer.status();
            timeout(PATIENCE, answer.into_body().collect()).await??;
            match status {
                StatusCode::OK => count.answered.fetch_add(1, Relaxed),
                StatusCode::SERVICE_UNAVAILABLE => count.shed.fetch_add(1, Relaxed),
                other => anyhow::bail!("{path}: {other}"),
            };
            Ok(())
        });
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn events_are_read_and_comments_are_not() {
        let event = parse("event: stores\ndata: {\"rows\":[]}\nid: a-1").unwrap().unwrap();
        assert_eq!((event.kind.as_str(), event.id.as_deref()), ("stores", Some("a-1")));
        assert!(parse(":").unwrap().is_none());
        assert!(parse("event: stores\ndata: {").is_err());
    }
}
