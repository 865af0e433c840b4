//! The real transport: the gRPC service `raftcore.Raft` and the client side that feeds it.
//!
//! Wiring: [`Peers::new`], then [`crate::Runtime::start`] with it as transport, then [`Peers::attach`] with the
//! runtime's handle, and [`service`] into the owner's tonic router.

mod line;
mod peers;
mod queue;
mod server;
mod snapshot;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::raftcore::raft_client::RaftClient;
use proto::raftcore::raft_server::{Raft, RaftServer};
use proto::raftcore::{Envelope, Greeting};
use tonic::transport::{Channel, Endpoint};

use crate::Handle;

pub use peers::Peers;

/// Largest message in either direction: a batch with one entry of the largest size fits with room to spare.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// A peer that does not answer within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A stopped process or a cut wire sends no reset: the connection is asked this often whether it is alive,
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
/// and is given up after this long without an answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Carries the caller's identity on the streams, where the server checks it again.
const IDENTITY: &str = "raftcore-identity-bin";

/// The owner's say on who may talk to whom.
pub trait Gatekeeper: Send + Sync + 'static {
    /// Our own identity, opaque to this crate (below 8 KiB).
    fn greeting(&self) -> Bytes;

    /// Whether the other side may talk Raft with us; the text is told to it and logged.
    fn admit(&self, theirs: &[u8]) -> Result<(), String>;

    /// What is told besides to a side that was not admitted: opaque to this crate (below 1 KiB), for what must not be
    /// guessed from a text.
    fn notice(&self, theirs: &[u8]) -> Bytes {
        let _ = theirs;
        Bytes::new()
    }
}

/// Takes what the network brings; a [`Handle`] does, and an owner may stand in front of it.
pub trait Inbound: Send + Sync + 'static {
    /// A message. Never blocks.
    fn envelope(&self, envelope: Envelope);

    /// A received snapshot and its file in `snapshot_dir`, which is the receiver's now.
    fn snapshot(&self, envelope: Envelope, file: PathBuf);

    /// Where received files are put.
    fn snapshot_dir(&self) -> PathBuf;
}

impl Inbound for Handle {
    fn envelope(&self, envelope: Envelope) {
        self.step(envelope);
    }

    fn snapshot(&self, envelope: Envelope, file: PathBuf) {
        self.step_snapshot(envelope, file);
    }

    fn snapshot_dir(&self) -> PathBuf {
        Handle::snapshot_dir(self)
    }
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
        /// Its [`Gatekeeper::notice`]; empty if the refusal is ours.
        notice: Bytes,
    },
}

/// The server side, to be added to the owner's tonic router.
pub fn service(inbound: Arc<dyn Inbound>, gatekeeper: Arc<dyn Gatekeeper>) -> RaftServer<impl Raft> {
    RaftServer::new(server::Service::new(inbound, gatekeeper))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Greets whoever listens at `address` (`host:port`) and returns its identity.
pub async fn greet(address: &str, identity: Bytes, timeout: Duration) -> Result<Bytes, GreetError> {
    let asked = tokio::time::timeout(timeout, async {
        let mut client = connect(address).await?;
        greet_on(address, &mut client, identity).await
    });
    asked.await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} ms", timeout.as_millis());
        Err(GreetError::Unreachable { address: address.into(), reason })
    })
}

/// Connects to the Raft service at `address`.
async fn connect(address: &str) -> Result<RaftClient<Channel>, GreetError> {
    let unreachable = |e: tonic::transport::Error| GreetError::Unreachable {
        address: address.into(),
        // tonic's own text is "transport error"; the cause says what happened.
        reason: std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string),
    };
    let bare = address.strip_prefix("http://").unwrap_or(address);
    let endpoint = Endpoint::from_shared(format!("http://{bare}")).map_err(unreachable)?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(unreachable)?;
    Ok(RaftClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES))
}

async fn greet_on(
    address: &str,
    client: &mut RaftClient<Channel>,
    identity: Bytes,
) -> Result<Bytes, GreetError> {
    match client.greet(Greeting { identity }).await {
        Ok(answer) => Ok(answer.into_inner().identity),
        Err(status) => Err(failure(address, &status)),
    }
}

/// Connects, and makes sure that both sides want to talk.
async fn connect_admitted(
    address: &str,
    gatekeeper: &dyn Gatekeeper,
) -> Result<RaftClient<Channel>, GreetError> {
    let asked = tokio::time::timeout(2 * CONNECT_TIMEOUT, async {
        let mut client = connect(address).await?;
        let theirs = greet_on(address, &mut client, gatekeeper.greeting()).await?;
        Ok((client, theirs))
    });
    let (client, theirs) = asked.await.unwrap_or_else(|_| {
        Err(GreetError::Unreachable { address: address.into(), reason: "no answer to the greeting".into() })
    })?;
    gatekeeper.admit(&theirs).map_err(|ours| GreetError::Refused {
        address: address.into(),
        reason: format!("we refuse it: {ours}"),
        notice: Bytes::new(),
    })?;
    Ok(client)
}

fn failure(address: &str, status: &tonic::Status) -> GreetError {
    let (address, reason) = (address.to_owned(), status.message().to_owned());
    match status.code() {
        tonic::Code::FailedPrecondition => {
            GreetError::Refused { address, reason, notice: Bytes::copy_from_slice(status.details()) }
        }
        _ => GreetError::Unreachable { address, reason },
    }
}
