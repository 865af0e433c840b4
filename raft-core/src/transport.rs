//! How messages leave. `net` has the real one, over gRPC with a bounded queue a peer.

use std::path::PathBuf;

use bytes::Bytes;
use proto::raftcore::Envelope;

/// Where a peer can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `host:port` of its Raft service.
    pub address: String,
    /// Put into the envelope: what the owner over there needs to create a missing peer. May be empty.
    pub context: Bytes,
}

/// The owner's address book.
pub trait Router: Send + Sync + 'static {
    /// Where member `to` of `group` lives; `None` drops the message.
    fn route(&self, group: u64, to: u64) -> Option<Destination>;
}

/// Takes messages away. Never blocks and may drop: Raft repeats itself.
pub trait Transport: Send + Sync + 'static {
    /// Sends one message.
    fn send(&self, envelope: Envelope);

    /// Sends a snapshot message with its file; the transport reports the end by [`crate::Handle::report_snapshot`].
    fn send_snapshot(&self, envelope: Envelope, file: PathBuf);
}
