//! The real transport: the gRPC service `raftcore.Raft` and the client side that feeds it.
//!
//! Wiring: `Peers::new`, then `Runtime::start` with it as transport, then `Peers::attach` with the runtime's handle,
//! and `service` into the owner's tonic router.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use proto::raftcore::Envelope;
use proto::raftcore::raft_server::{Raft, RaftServer};

use crate::{Handle, Router, Transport};

/// The owner's say on who may talk to whom.
pub trait Gatekeeper: Send + Sync + 'static {
    /// Our own identity, opaque to this crate (below 8 KiB).
    fn greeting(&self) -> Bytes;

    /// Whether the other side may talk Raft with us; the text is told to it and logged.
    fn admit(&self, theirs: &[u8]) -> Result<(), String>;
}

/// Why a greeting failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetError {
    /// No answer within the time limit, or no connection.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The other side does not want us.
    #[error("{address} refuses us: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// Its own words.
        reason: String,
    },
}

/// The client side: one bounded queue and one connection for each destination address.
pub struct Peers {}

impl Peers {
    /// Makes a transport whose connections live on the given tokio runtime.
    pub fn new(
        router: Arc<dyn Router>,
        gatekeeper: Arc<dyn Gatekeeper>,
        tokio: tokio::runtime::Handle,
    ) -> Arc<Self> {
        let _ = (router, gatekeeper, tokio);
        todo!()
    }

    /// Tells it whom to report unreachable peers and finished snapshots to. Until then it reports to no one.
    pub fn attach(&self, handle: Handle) {
        let _ = handle;
        todo!()
    }
}

impl Transport for Peers {
    fn send(&self, envelope: Envelope) {
        let _ = envelope;
        todo!()
    }

    fn send_snapshot(&self, envelope: Envelope, file: PathBuf) {
        let _ = (envelope, file);
        todo!()
    }
}

/// The server side, to be added to the owner's tonic router.
pub fn service(handle: Handle, gatekeeper: Arc<dyn Gatekeeper>) -> RaftServer<impl Raft> {
    let _ = (handle, gatekeeper);
    RaftServer::new(Service {})
}

/// Greets whoever listens at `address` (`host:port`) and returns its identity; gives up after 3 s.
pub async fn greet(address: &str, identity: Bytes) -> Result<Bytes, GreetError> {
    let _ = (address, identity);
    todo!()
}

struct Service {}

impl Raft for Service {}
