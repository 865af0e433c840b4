//! The members of the group: who they are, how they found each other, and the data folder that makes one of them.

use serde::{Deserialize, Serialize};

/// A member's Raft id: drawn at random with its data folder, never 0, never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// All members, as the replicated records say, or as agreed at the first start while there are none yet.
#[derive(Clone)]
pub struct Members {}

impl Members {
    /// This member.
    pub fn own(&self) -> &Member {
        todo!()
    }

    /// All members, by id: always in the same order, so that answers stay equal byte by byte.
    pub fn list(&self) -> Vec<Member> {
        todo!()
    }

    /// The member with this id.
    pub fn get(&self, id: MemberId) -> Option<Member> {
        let _ = id;
        todo!()
    }

    /// Whether the member answered the leader lately; `None` if this member cannot know (it does not lead). Itself
    /// counts as healthy.
    pub fn healthy(&self, id: MemberId) -> Option<bool> {
        let _ = id;
        todo!()
    }
}
