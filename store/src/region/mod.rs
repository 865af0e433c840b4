//! A Region on this Store: what it is, how commands change it, and the state machine that applies them.

mod change;
mod command;
mod epoch;
mod machine;
mod peer;
mod recorder;
mod snapshot;
mod split;
mod state;

pub use change::{apply_changes, leave_joint, to_raft};
pub use command::{Command, PeerChange, Split, SplitPart, Write};
pub use epoch::{EpochCheck, Scope};
pub use machine::RegionMachine;
pub use peer::{Flow, Peer, Stage};
pub use recorder::Recorder;
pub use snapshot::{SnapshotSummary, inspect};
pub use split::{MAX_PARTS, SplitPoints, Thresholds, apply_split};
pub use state::{RegionState, RegionStates, StateStage, conf_state, is_joint, same_conf_state};

pub(crate) use change::leader_may_propose;
pub(crate) use command::{Body, Mutation, OneChange};
pub(crate) use machine::{birth, region_id};

use proto::metapb::{Peer as PeerMeta, Region, RegionEpoch};

use crate::{PeerId, StoreId};

/// The epoch of a Region; 0/0 where the message has none.
pub fn epoch_of(region: &Region) -> RegionEpoch {
    region.region_epoch.unwrap_or_default()
}

/// The peer with this id.
pub fn peer_of(region: &Region, id: PeerId) -> Option<&PeerMeta> {
    region.peers.iter().find(|peer| peer.id == id.0)
}

/// The peer on this Store.
pub fn peer_on(region: &Region, store: StoreId) -> Option<&PeerMeta> {
    region.peers.iter().find(|peer| peer.store_id == store.0)
}
