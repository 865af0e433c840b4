//! Asks other members, on their client addresses, for what only they know. Bounded in time and bytes; who does not answer
//! is unknown, never a reason to wait.

use std::time::Duration;

use bytes::Bytes;
use dashboard::Depth;
use dashboard::model::{MemberRow, View};
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;

use crate::member::Member;

/// A look happens each second: who needs longer has no news for this one.
const LIMIT: Duration = Duration::from_millis(800);
/// As large as an answer of the dashboard may be.
const BYTES_MAX: usize = dashboard::answer::BYTES_MAX;

/// Asks; cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Fetch {
    /// With connections of its own, opened when they are needed.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(LIMIT));
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// A leader's view.
    pub async fn view(&self, leader: &Member, depth: Depth) -> Option<View> {
        match depth {
            Depth::Figures => self.json(leader, "/pd/api/v2/view?rows=0").await,
            Depth::Rows => self.json(leader, "/pd/api/v2/view").await,
        }
    }

    /// What a member says of itself.
    pub async fn member(&self, member: &Member) -> Option<MemberRow> {
        self.json(member, "/pd/api/v2/member").await
    }

    async fn json<T: DeserializeOwned>(&self, member: &Member, path: &str) -> Option<T> {
        let url = member.client_urls.first()?;
        let address: Uri = format!("{}{path}", url.trim_end_matches('/')).parse().ok()?;
        let exchange = async {
            let answer = self.client.get(address).await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        };
        let answer = timeout(LIMIT, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        answer.inspect_err(|why| debug!(member = member.name, path, why, "another member was not heard")).ok()
    }
}
