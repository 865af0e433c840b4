//! The peer URLs: they serve the Raft core's own service, and newcomers that ask to join.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use raft_core::net::{self, Gatekeeper};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::service::Routes;
use tracing::{debug, info, warn};

use super::service::ClusterService;
use crate::config::{MEMBERS_MAX, ServerUrl};

/// A member that is silent for so long is asked whether it still lives, and cut off if not: a stopped process or a
/// broken network says nothing by itself.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Connections served at once on one URL: each member holds one or two, greetings and snapshots come on more. Beyond
/// it the oldest wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = MEMBERS_MAX * 16;

/// Pause after a failed accept (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets of the peer URLs.
pub(crate) struct PeerListeners {
    listeners: Vec<(ServerUrl, TcpListener)>,
}

impl PeerListeners {
    /// Binds all of them.
    ///
    /// # Errors
    /// Names the URL that cannot be listened on.
    pub(crate) async fn bind(urls: &[ServerUrl]) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(urls.len());
        for url in urls {
            let listener = TcpListener::bind(url.address()).await.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on peer URL {url}: {error}"))
            })?;
            listeners.push((url.clone(), listener));
        }
        Ok(Self { listeners })
    }

    /// Serves for as long as the returned tasks are kept: with them all connections end, also those that carry a
    /// stream which has no end of its own.
    pub(crate) fn serve(
        self,
        raft: &raft_core::Handle,
        gatekeeper: &Arc<dyn Gatekeeper>,
        cluster: ClusterService,
    ) -> JoinSet<()> {
        let service = net::service(Arc::new(raft.clone()), Arc::clone(gatekeeper));
        let routes = Routes::new(service).add_service(cluster.server()).prepare();
        let accept = |(url, listener)| {
            info!(%url, "serving members");
            accept(listener, routes.clone())
        };
        self.listeners.into_iter().map(accept).collect()
    }
}

pub(super) async fn accept(listener: TcpListener, routes: Routes) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, routes.clone()));
            }
            Err(error) => {
                warn!(%error, "cannot accept a member's connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, routes: Routes) {
    // Small messages must not wait for the acknowledgement of those before.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection of a member gone before it was served");
        return;
    }
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await;
    if let Err(error) = served {
        debug!(%error, "connection of a member ended");
    }
}
