//! The members of the group: who they are, how they found each other, and the data folder that makes one of them.

mod acquaintance;
mod folder;
mod identity;
mod listen;
mod roster;

pub use acquaintance::Refused;
pub use folder::FolderError;
pub use roster::Members;

pub(crate) use acquaintance::{agree, keep_up};
pub(crate) use folder::DataFolder;
pub(crate) use listen::PeerListeners;
pub(crate) use roster::{Door, Roster, to_record};

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
