//! Listening: gRPC on a Store's address, HTTP on its status address.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, warn};

/// Between two pings on a quiet HTTP/2 connection, and how long the other side may take to answer: so a client that
/// was stopped or cut off does not hold its connection for ever.
const PING: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// After a failure to accept (no file descriptors left), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The calls of `tikvpb.Tikv` that are served.
const SERVED: [&str; 7] =
    ["RawGet", "RawBatchGet", "RawPut", "RawBatchPut", "RawDelete", "RawBatchDelete", "RawScan"];

/// Binds an address; the error names it.
pub async fn bind(name: &str, address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let named =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("{name} {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let local = listener.local_addr().map_err(named)?;
    Ok((listener, local))
}

/// The router of a Store's address: what is not served is refused by name.
pub fn grpc(routes: tonic::service::Routes) -> Router {
    routes
        .into_axum_router()
        .reset_fallback()
        .fallback(unimplemented)
        .layer(middleware::from_fn(name_what_is_missing))
}

async fn unimplemented(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    Status::unimplemented(format!("{path} is not served by this store")).into_http()
}

/// Generated services refuse a method that they do not have without naming it.
async fn name_what_is_missing(request: Request, next: Next) -> Response {
    match request.uri().path().strip_prefix("/tikvpb.Tikv/") {
        Some(method) if !SERVED.contains(&method) => unimplemented(request).await.into_response(),
        Some(_) | None => next.run(request).await,
    }
}

/// Accepts connections, HTTP/1 and HTTP/2 alike, until told to stop; then those that are open end.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    connections.spawn(connection(stream, from, app.clone()));
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, from: SocketAddr, app: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%from, %error, "no TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let timer = hyper_util::rt::TokioTimer::new();
    builder.http2().timer(timer).keep_alive_interval(PING).keep_alive_timeout(PING_TIMEOUT);
    let service = TowerToHyperService::new(app);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        debug!(%from, %error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    async fn status_of(path: &str) -> (Option<String>, String) {
        let health = tonic_health::server::health_reporter().1;
        let app = grpc(tonic::service::Routes::new(health));
        let request = Request::builder().method("POST").uri(path).header("content-type", "application/grpc");
        let answer = app.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (header("grpc-status"), header("grpc-message").unwrap_or_default())
    }

    #[tokio::test]
    async fn what_is_not_served_is_refused_by_name() {
        for path in ["/tikvpb.Tikv/KvGet", "/coprocessor.Any/Thing"] {
            let (status, message) = status_of(path).await;
            assert_eq!(status.as_deref(), Some("12"), "{path}");
            assert!(
                message.contains(&path[1..].replace('/', "%2F")) || message.contains(&path[1..]),
                "{message}"
            );
        }
    }
}
