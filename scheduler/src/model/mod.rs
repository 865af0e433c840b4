//! The planner's own small types. Wire types stop at the caller's edge.

mod id;
mod rate;
mod region;
mod store;

pub use id::{OperatorId, PeerId, RegionEpoch, RegionId, StoreId, Time};
pub use rate::{LimitKind, Rate, StoreLimit, StoreWeights, Weight};
pub use region::{DownPeer, Flow, Peer, PeerRole, RegionMeta, RegionReport, RegionView};
pub use store::{Liveness, NodeState, StoreLabel, StoreMeta, StoreState, StoreStats};
