//! The peer URLs: they serve the Raft core's own service and nothing else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use raft_core::net::{self, Gatekeeper};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::{debug, error, info};

use crate::config::ServerUrl;

/// A member that is silent for so long is asked whether it still lives, and cut off if not: a stopped process or a
/// broken network says nothing by itself.
const KEEPALIVE: Duration = Duration::from_secs(5);

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

    /// Serves until `stop`.
    pub(crate) fn serve(
        self,
        raft: &raft_core::Handle,
        gatekeeper: &Arc<dyn Gatekeeper>,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (url, listener) in self.listeners {
            let service = net::service(Arc::new(raft.clone()), Arc::clone(gatekeeper));
            let stop = stop.clone();
            tasks.spawn(async move {
                info!(%url, "serving members");
                let incoming = TcpListenerStream::new(listener).map(|stream| {
                    // Small messages must not wait for the acknowledgement of those before.
                    stream.inspect(|stream| {
                        if let Err(error) = stream.set_nodelay(true) {
                            debug!(%error, "connection of a member gone before it was served");
                        }
                    })
                });
                let served = Server::builder()
                    .http2_keepalive_interval(Some(KEEPALIVE))
                    .http2_keepalive_timeout(Some(KEEPALIVE))
                    .add_service(service)
                    .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
                    .await;
                if let Err(error) = served {
                    error!(%url, %error, "members are not served any more");
                }
            });
        }
        tasks
    }
}
