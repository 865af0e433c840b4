//! Passing calls on: a client that reaches only this member names the leader in `pd-forwarded-host`, and the whole call,
//! stream or not, goes there and back as it is. One hop: the header does not travel on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::debug;

use super::header;
use crate::pd::Pd;

/// Names the member to which a call is to be passed on.
const FORWARDED_HOST: &str = "pd-forwarded-host";

/// Calls and streams passed on at the same time. Beyond it callers are told to come back: they can ask the leader.
const FORWARDS_MAX: usize = 4_096;

/// Longer than any way within a cluster; shorter than what clients wait for a call.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A leader that went without a word is found out in between: streams that were passed on end then.
const PING_INTERVAL: Duration = Duration::from_secs(3);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// What every member answers by itself, and keyspaces, which are never passed on.
const NOT_FORWARDED: [&str; 5] = [
    "/grpc.health.v1.Health/",
    "/keyspacepb.Keyspace/",
    "/pdpb.PD/GetClusterInfo",
    "/pdpb.PD/GetMembers",
    "/pdpb.PD/IsSnapshotRecovering",
];

/// The way to the leader; cheap to clone.
#[derive(Clone)]
pub struct Forwarder {
    pd: Arc<Pd>,
    client: Client<HttpConnector, Body>,
    permits: Arc<Semaphore>,
}

impl Forwarder {
    /// For this member.
    pub fn new(pd: Arc<Pd>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .timer(TokioTimer::new())
            .build(connector);
        Self { pd, client, permits: Arc::new(Semaphore::new(FORWARDS_MAX)) }
    }

    /// Where a call is to be passed on to; none when it is for this member.
    fn target(&self, path: &str, headers: &HeaderMap) -> Result<Option<Authority>, Status> {
        let Some(host) = headers.get(FORWARDED_HOST) else { return Ok(None) };
        if NOT_FORWARDED.iter().any(|own| path.starts_with(own)) {
            return Ok(None);
        }
        let host = host.to_str().map_err(|_| Status::invalid_argument("pd-forwarded-host is not text"))?;
        if host.is_empty() || has_url(&self.pd.members.own().client_urls, host) {
            return Ok(None);
        }
        match self.pd.leadership.state().leader {
            None => Err(header::not_leader()),
            Some(leader) if has_url(&leader.client_urls, host) => {
                let authority = without_scheme(host).parse();
                authority.map(Some).map_err(|_| {
                    Status::invalid_argument(format!("pd-forwarded-host {host} is no http://host:port"))
                })
            }
            Some(leader) => Err(Status::invalid_argument(format!(
                "pd-forwarded-host {host} is not leader; the leader is {} at {}",
                leader.name,
                leader.client_urls.join(",")
            ))),
        }
    }

    async fn pass_on(&self, mut request: Request, to: Authority) -> Result<Response<Body>, Status> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{FORWARDS_MAX} calls are passed on already; ask the leader"))
        })?;
        request.headers_mut().remove(FORWARDED_HOST);
        request.headers_mut().remove(http::header::HOST);
        *request.version_mut() = Version::HTTP_2;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(to.clone()));
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| Status::internal(error.to_string()))?;
        let answer = self.client.request(request).await.map_err(|error| {
            debug!(%to, %error, "call not passed on");
            // In these words, because clients then ask the members who leads.
            Status::unavailable(format!("not leader: cannot reach the leader at {to}"))
        })?;
        // The permit goes when the last of the answer has, or the caller is gone.
        Ok(answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _held = &permit;
                frame
            }))
        }))
    }
}

/// Passes a call on, or lets this member answer it.
pub async fn forward(State(forwarder): State<Forwarder>, request: Request, next: Next) -> Response<Body> {
    let target = forwarder.target(request.uri().path(), request.headers());
    let passed_on = match target {
        Ok(None) => return next.run(request).await,
        Ok(Some(to)) => forwarder.pass_on(request, to).await,
        Err(status) => Err(status),
    };
    passed_on.unwrap_or_else(Status::into_http)
}

/// Whether `host` is one of the URLs, whatever the scheme.
fn has_url(urls: &[String], host: &str) -> bool {
    urls.iter().any(|url| without_scheme(url) == without_scheme(host))
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::has_url;

    #[test]
    fn a_forwarded_host_is_compared_without_its_scheme() {
        let urls = ["http://127.0.0.1:2379".to_owned()];
        for (host, ours) in [
            ("http://127.0.0.1:2379", true),
            ("https://127.0.0.1:2379/", true),
            ("127.0.0.1:2379", true),
            ("127.0.0.1:2380", false),
        ] {
            assert_eq!(has_url(&urls, host), ours, "{host}");
        }
    }
}
