//! The members of the group: who they are, how they found each other, how they come and go, and the data folder that
//! makes one of them.

mod acquaintance;
mod changes;
mod folder;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod identity;
mod joining;
mod listen;
mod policy;
mod register;
mod roster;
mod service;

pub use acquaintance::Refused;
pub use changes::{ChangeError, Membership};
pub use folder::FolderError;
pub use roster::{Members, Removed, Told};
pub use service::ClusterService;

pub(crate) use acquaintance::{agree, keep_up};
pub(crate) use folder::DataFolder;
pub(crate) use joining::join;
pub(crate) use listen::PeerListeners;
pub(crate) use register::{put, put_leader};
pub(crate) use roster::{Door, Roster};

use serde::{Deserialize, Serialize};

/// A member's Raft id: drawn at random with its data folder, never 0, never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub u64);

/// A member as others know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name, unique in the group.
    pub name: String,
    /// Its id.
    pub id: MemberId,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// The version of its program, e.g. `v9.0.0-beta.2`.
    pub binary_version: String,
    /// The folder of its program.
    pub deploy_path: String,
    /// The commit that its program was built from.
    pub git_hash: String,
}

/// A member's part in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Raft's leader, ready or not.
    Leader,
    /// Votes.
    Follower,
    /// Has been added and does not vote (yet).
    Learner,
}

/// How a member stands, as far as the asked member can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Who.
    pub member: Member,
    /// Its part.
    pub role: MemberRole,
    /// How much it is wanted as leader.
    pub leader_priority: i32,
    /// Whether the leader heard of it within the last second; `None` where the asked member does not lead.
    pub healthy: Option<bool>,
    /// Milliseconds since the leader heard of it; 0 for the leader itself, `None` where the asked member does not lead.
    pub silent_ms: Option<u64>,
    /// Index of the last entry known to be in its log; of itself what it has applied. `None` where that is not known.
    pub index: Option<u64>,
    /// Entries that it is behind the log of the asked member.
    pub lag_entries: Option<u64>,
}
