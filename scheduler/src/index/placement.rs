//! Which Stores hold a Region and in which role, packed into the hot line: so a change of size finds the Stores' lists
//! without touching the page.

use crate::model::{Peer, PeerId, PeerRole};

/// Dense number of a Store in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoreSlot(pub u16);

/// The list of a Store in which a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListRole {
    /// It leads.
    Leader,
    /// It has a vote, in one half of a joint quorum at least.
    Follower,
    /// It has none.
    Learner,
}

impl ListRole {
    /// All, in order.
    pub const ALL: [ListRole; 3] = [ListRole::Leader, ListRole::Follower, ListRole::Learner];

    pub fn of(peer: &Peer, leader: PeerId) -> ListRole {
        match peer.role {
            _ if peer.id == leader => ListRole::Leader,
            PeerRole::Learner => ListRole::Learner,
            PeerRole::Voter | PeerRole::IncomingVoter | PeerRole::DemotingVoter => ListRole::Follower,
        }
    }

    pub const fn place(self) -> usize {
        match self {
            ListRole::Leader => 0,
            ListRole::Follower => 1,
            ListRole::Learner => 2,
        }
    }
}

/// Replicas that fit into the line.
const NARROW_MAX: usize = 3;
const WIDE: u64 = 1 << 63;

/// Stores and roles of a Region's replicas.
pub(crate) type Replicas = Vec<(StoreSlot, ListRole)>;

/// Packs up to three replicas; more give a mark that the page must be asked.
pub(crate) fn pack(replicas: &[(StoreSlot, ListRole)]) -> u64 {
    if replicas.len() > NARROW_MAX {
        return WIDE;
    }
    replicas.iter().enumerate().fold(0, |packed, (i, (store, role))| {
        // Role 0 marks an empty place.
        let role = role.place() as u64 + 1;
        packed | u64::from(store.0) << (16 * i) | role << (48 + 2 * i)
    })
}

/// The replicas packed; none when there were too many.
pub(crate) fn unpack(packed: u64) -> Option<impl Iterator<Item = (StoreSlot, ListRole)> + Clone> {
    if packed & WIDE != 0 {
        return None;
    }
    Some((0..NARROW_MAX).filter_map(move |i| {
        let role = match packed >> (48 + 2 * i) & 3 {
            1 => ListRole::Leader,
            2 => ListRole::Follower,
            3 => ListRole::Learner,
            _ => return None,
        };
        Some((StoreSlot((packed >> (16 * i) & 0xffff) as u16), role))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_replicas_come_back_as_they_went_in() {
        let replicas = vec![
            (StoreSlot(0), ListRole::Follower),
            (StoreSlot(u16::MAX), ListRole::Leader),
            (StoreSlot(7), ListRole::Learner),
        ];
        assert_eq!(unpack(pack(&replicas)).unwrap().collect::<Replicas>(), replicas);
        assert_eq!(unpack(pack(&replicas[..1])).unwrap().collect::<Replicas>(), replicas[..1]);
        assert_eq!(unpack(pack(&[])).unwrap().count(), 0);
    }

    #[test]
    fn a_fourth_replica_sends_to_the_page() {
        assert!(unpack(pack(&[(StoreSlot(1), ListRole::Follower); 4])).is_none());
    }
}
