//! The news: one stream of one member, and another member's when it ends.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::events::{Event, Events};
use crate::health;
use crate::session::Session;

/// News that wait for the screen. It takes them as they come; when it cannot, the stream waits with it.
pub const NEWS_MAX: usize = 64;

/// A stream says something each ten seconds at least.
const SILENCE: Duration = Duration::from_secs(12);

/// How long to wait before the members are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often a member without room for a stream is asked.
const POLL: Duration = Duration::from_secs(10);

/// How often the key space is asked for: it changes slowly.
const MAP_EVERY: Duration = Duration::from_secs(5);

/// Cells of the key space: as many as the widest screen has letters.
const CELLS: usize = 240;

const TOPICS: &str = "health,stores,operators,members";

/// What has happened.
#[derive(Debug)]
pub enum News {
    /// Something was told.
    Event(Event),
    /// Nothing is told at the moment, and why.
    Broken(String),
}

/// Questions behind one frame: topic and path.
pub fn questions() -> [(&'static str, String); 5] {
    [
        ("health", health::PATH.to_owned()),
        ("stores", "/pd/api/v2/stores?limit=1000".to_owned()),
        ("operators", "/pd/api/v2/operators?state=running&limit=1000".to_owned()),
        ("members", "/pd/api/v2/members".to_owned()),
        ("map", map_path()),
    ]
}

fn map_path() -> String {
    format!("/pd/api/v2/map?cells={CELLS}")
}

/// Follows the cluster until the screen is gone.
pub async fn follow(session: Session, news: mpsc::Sender<News>) {
    let mut endpoints = session.http.endpoints().to_vec();
    loop {
        let mut why = Vec::new();
        for endpoint in endpoints.clone() {
            let ended = listen(&session, &endpoint, &mut endpoints, &news).await;
            if news.is_closed() {
                return;
            }
            why.push(ended);
            if news.send(News::Broken(why.join("; "))).await.is_err() {
                return;
            }
        }
        sleep(RETRY).await;
    }
}

/// Follows one member; says why it ended.
async fn listen(
    session: &Session,
    endpoint: &str,
    endpoints: &mut Vec<String>,
    news: &mpsc::Sender<News>,
) -> String {
    let opened = session.http.open(endpoint, &format!("/pd/api/v2/stream?topics={TOPICS}")).await;
    let mut body = match opened {
        Ok(answer) if answer.status().is_success() => answer.into_body(),
        Ok(answer) if answer.status().as_u16() == 503 => return poll(session, endpoint, news).await,
        Ok(answer) => return format!("{endpoint}: {}", answer.status()),
        Err(failure) => return failure.words.trim().to_owned(),
    };
    let mut events = Events::default();
    // Beside the stream, so that a slow answer does not hold it up; dropped with it.
    let mut beside = JoinSet::new();
    beside.spawn(maps(session.clone(), endpoint.to_owned(), news.clone()));
    loop {
        let piece = match timeout(SILENCE, body.frame()).await {
            Err(_) => return format!("{endpoint}: silent"),
            Ok(None) => return format!("{endpoint}: the stream ended"),
            Ok(Some(Err(error))) => return format!("{endpoint}: {error}"),
            Ok(Some(Ok(piece))) => piece,
        };
        let Ok(told) = events.take(piece.data_ref().map_or(&[][..], |data| data)) else {
            return format!("{endpoint}: an event is too long");
        };
        for event in told {
            learn(&event, endpoints);
            if news.send(News::Event(event)).await.is_err() {
                return String::new();
            }
        }
    }
}

/// Asks for the key space again and again.
async fn maps(session: Session, endpoint: String, news: mpsc::Sender<News>) {
    loop {
        tell(&session, &endpoint, "map", &map_path(), &news).await;
        sleep(MAP_EVERY).await;
    }
}

/// A member without room for one more stream is asked once, and again after a while.
async fn poll(session: &Session, endpoint: &str, news: &mpsc::Sender<News>) -> String {
    for (topic, path) in questions() {
        tell(session, endpoint, topic, &path, news).await;
    }
    sleep(POLL).await;
    format!("{endpoint}: no room for a stream, asking each {} s", POLL.as_secs())
}

async fn tell(session: &Session, endpoint: &str, topic: &str, path: &str, news: &mpsc::Sender<News>) {
    let asked = session.http.ask(endpoint, &Method::GET, path, None, false).await;
    if let Ok(reply) = asked
        && reply.status.is_success()
    {
        // The screen may be gone: whoever sends next notices.
        let _ = news.send(News::Event(Event { topic: topic.to_owned(), data: reply.body })).await;
    }
}

/// The members' own addresses join those that were given, so that the loss of the one that was named does no harm.
fn learn(event: &Event, endpoints: &mut Vec<String>) {
    if event.topic != "members" {
        return;
    }
    let Ok(members) = serde_json::from_str::<Value>(&event.data) else { return };
    for member in members["rows"].as_array().into_iter().flatten() {
        for url in member["client_urls"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for found in crate::client::endpoints(url).into_iter().flatten() {
                if !endpoints.contains(&found) {
                    endpoints.push(found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, learn};

    #[test]
    fn members_that_nobody_named_are_learnt_once() {
        let mut known = vec!["http://a:1".to_owned()];
        let event = Event {
            topic: "members".into(),
            data: r#"{"rows": [{"client_urls": ["http://a:1"]}, {"client_urls": ["http://b:2", "https://c:3"]}]}"#.into(),
        };
        learn(&event, &mut known);
        learn(&event, &mut known);
        assert_eq!(known, ["http://a:1", "http://b:2"]);
    }
}
