//! One member of the placement driver: its parts, built in the order in which they need each other.

use crate::config::Config;
use crate::ids::Ids;
use crate::leadership::Leadership;
use crate::member::Members;
use crate::state::Kv;
use crate::tso::TsoHandle;

/// A running member, as the services see it.
///
/// [`crate::server::run`] is called with an `Arc` of it and a `tokio_util::sync::CancellationToken`: it listens on
/// `config.client_urls` and serves until the token is cancelled, then ends its streams and returns.
pub struct Pd {
    /// What the process was told.
    pub config: Config,
    /// The members.
    pub members: Members,
    /// The replicated state.
    pub kv: Kv,
    /// Who leads.
    pub leadership: Leadership,
    /// Timestamps.
    pub tso: TsoHandle,
    /// Ids.
    pub ids: Ids,
    /// The Raft runtime, for its counters.
    pub raft: raft_core::Handle,
}

impl Pd {
    /// The cluster's id; 0 until the first leader has drawn it and this member has applied that.
    pub fn cluster_id(&self) -> u64 {
        self.kv.cluster_id().unwrap_or(0)
    }
}
