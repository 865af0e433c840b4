//! A Region as its leader reports it, and as readers of the index get it.

use bytes::Bytes;

use super::{PeerId, RegionEpoch, RegionId, StoreId, Time};

/// What a Peer may do in its Raft group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerRole {
    /// Counts in the quorum.
    #[default]
    Voter,
    /// Follows, without a vote.
    Learner,
    /// Becomes a voter: counts only in the new half of a joint quorum.
    IncomingVoter,
    /// Becomes a learner: counts only in the old half of a joint quorum.
    DemotingVoter,
}

impl PeerRole {
    /// True for the two roles that exist only inside a joint change.
    #[must_use]
    pub const fn is_joint(self) -> bool {
        match self {
            PeerRole::IncomingVoter | PeerRole::DemotingVoter => true,
            PeerRole::Voter | PeerRole::Learner => false,
        }
    }
}

/// One replica of a Region on one Store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Its own id.
    pub id: PeerId,
    /// Where it is.
    pub store: StoreId,
    /// What it may do.
    pub role: PeerRole,
    /// True for a witness: it votes and keeps the log, but no data.
    pub is_witness: bool,
}

impl Peer {
    /// A voter.
    #[must_use]
    pub const fn voter(id: PeerId, store: StoreId) -> Peer {
        Peer { id, store, role: PeerRole::Voter, is_witness: false }
    }

    /// A learner.
    #[must_use]
    pub const fn learner(id: PeerId, store: StoreId) -> Peer {
        Peer { id, store, role: PeerRole::Learner, is_witness: false }
    }
}

/// The lasting part of a Region: its range and who holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionMeta {
    /// Its id.
    pub id: RegionId,
    /// First key of the range; empty for the start of the key space.
    pub start_key: Bytes,
    /// First key behind the range; empty for the end of the key space.
    pub end_key: Bytes,
    /// Which picture this is.
    pub epoch: RegionEpoch,
    /// All replicas, in the order in which the Region itself lists them.
    pub peers: Vec<Peer>,
}

impl RegionMeta {
    /// The replica on `store`.
    #[must_use]
    pub fn peer_on(&self, store: StoreId) -> Option<&Peer> {
        self.peers.iter().find(|p| p.store == store)
    }

    /// The replica with this id.
    #[must_use]
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.iter().find(|p| p.id == id)
    }

    /// True while a joint change is open.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.peers.iter().any(|p| p.role.is_joint())
    }

    /// True when the range holds `key`.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start_key.as_ref() <= key && (self.end_key.is_empty() || key < self.end_key.as_ref())
    }

    /// True when both parts have a key once it is cut at `key`: it lies inside, behind the start.
    #[must_use]
    pub fn can_split_at(&self, key: &[u8]) -> bool {
        self.contains(key) && key != self.start_key.as_ref()
    }
}

/// A Peer that its leader has not heard of for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownPeer {
    /// Which.
    pub peer: PeerId,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// What was read and written since the heartbeat before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes written.
    pub bytes_written: u64,
    /// Keys written.
    pub keys_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Keys read.
    pub keys_read: u64,
}

/// One Region heartbeat as a compact value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionReport {
    /// Range, epoch, Peers.
    pub meta: RegionMeta,
    /// The sender: the Peer that leads.
    pub leader: Peer,
    /// Its Raft term; 0 when the store does not say.
    pub term: u64,
    /// Peers not heard of.
    pub down: Vec<DownPeer>,
    /// Peers whose log is too far behind to catch up without a snapshot.
    pub pending: Vec<PeerId>,
    /// Traffic over `interval_s`.
    pub flow: Flow,
    /// About how many bytes it holds; 0 when not computed yet.
    pub size_bytes: u64,
    /// About how many keys it holds.
    pub keys: u64,
    /// Seconds that `flow` covers.
    pub interval_s: u64,
    /// Processor time that it took meanwhile, in percent of one core.
    pub cpu_percent: u64,
}

/// A Region as the index knows it, copied out for a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionView {
    /// Range, epoch, Peers.
    pub meta: RegionMeta,
    /// Who leads.
    pub leader: Peer,
    /// The leader's term.
    pub term: u64,
    /// Peers not heard of.
    pub down: Vec<DownPeer>,
    /// Peers far behind.
    pub pending: Vec<PeerId>,
    /// Traffic of the last heartbeat.
    pub flow: Flow,
    /// Seconds that `flow` covers.
    pub interval_s: u64,
    /// Processor time that it took meanwhile, in percent of one core; 65,535 stands for more.
    pub cpu_percent: u64,
    /// About how many bytes, rounded up to 1 KiB. A Region that never said counts as 1 MiB.
    pub size_bytes: u64,
    /// About how many keys.
    pub keys: u64,
    /// When its last heartbeat was handled.
    pub last_heartbeat: Time,
}

impl RegionView {
    /// True when `peer` is reported down or pending.
    #[must_use]
    pub fn is_ailing(&self, peer: PeerId) -> bool {
        self.pending.contains(&peer) || self.down.iter().any(|d| d.peer == peer)
    }

    /// The size as tikv/pd counts it: MiB rounded up, at least 1.
    #[must_use]
    pub const fn size_mib(&self) -> u64 {
        let mib = self.size_bytes.div_ceil(1 << 20);
        if mib == 0 { 1 } else { mib }
    }
}
