//! The client port: gRPC (HTTP/2 with prior knowledge) and HTTP/1 on one socket, routed by path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::cluster::Tenures;
use crate::config::ServerUrl;
use crate::grpc::Gate;
use crate::metrics::Metrics;
use crate::pd::Pd;
use crate::{grpc, http, page, verdict};

/// Connections a listener serves at once. A store holds one, a client a few; beyond it new ones wait in the kernel's
/// backlog until one ends.
const CONNECTIONS_MAX: usize = 16_384;
/// Streams a connection may have open: a client library opens a handful and one a call in flight.
const STREAMS_PER_CONNECTION_MAX: u32 = 8_192;
/// Flow-control windows: large enough that a burst of Region heartbeats or timestamps never waits for an update.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// We ping a silent peer that often, and drop it when it does not answer within [`PING_TIMEOUT`].
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Longer than any pause from which a client comes back and expects its streams to be there.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A client of HTTP/1 has that long to send its header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long connections get to finish what they are at when the server stops: streams end at once and calls are short.
const DRAIN_LIMIT: Duration = Duration::from_millis(400);
/// Pause after a failed accept (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets of the client URLs, bound before anything else starts so that a busy port ends the process early.
#[derive(Debug)]
pub struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Binds every URL. The error names the one that cannot be bound.
    pub async fn bind(urls: &[ServerUrl]) -> io::Result<Self> {
        let mut bound = Vec::with_capacity(urls.len());
        for url in urls {
            let listener = TcpListener::bind(url.address()).await;
            bound.push(
                listener.map_err(|e| {
                    io::Error::new(e.kind(), format!("cannot listen on client URL {url}: {e}"))
                })?,
            );
        }
        Ok(Self(bound))
    }
}

/// Serves clients until `stop` is cancelled, then lets connections finish for a bounded time.
///
/// Starts with the member's tenure watch: whatever this member does only while it leads begins and ends in there.
pub async fn run(pd: Arc<Pd>, listeners: Listeners, stop: CancellationToken) -> io::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let tenures = Tenures::start(Arc::clone(&pd), Arc::clone(&metrics), stop.clone());
    let gate = Gate::new(pd, tenures, metrics);
    tokio::spawn(verdict::watch(gate.clone(), stop.clone()));
    let page = page::start(&gate, &http::routes(&gate), &stop)?;
    let app = Router::new().merge(grpc::routes(&gate)).merge(http::routes(&gate)).merge(page);
    let app = http::forgive_slashes(app);
    let connections = TaskTracker::new();
    let accepting = TaskTracker::new();
    for listener in listeners.0 {
        info!(address = %listener.local_addr()?, "serving clients");
        accepting.spawn(accept(listener, app.clone(), connections.clone(), stop.clone()));
    }
    accepting.close();
    accepting.wait().await;
    connections.close();
    if tokio::time::timeout(DRAIN_LIMIT, connections.wait()).await.is_err() {
        info!(left = connections.len(), "connections cut off at the end");
    }
    Ok(())
}

async fn accept(listener: TcpListener, app: Router, connections: TaskTracker, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, app, stop).await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, app: Router, stop: CancellationToken) {
    // Without it a small reply waits for the acknowledgement of the one before: 40 ms a timestamp.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection gone before it was served");
        return;
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}
