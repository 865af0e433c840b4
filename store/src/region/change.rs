//! Changes of membership on a Region's peers: simple (one peer at once) and joint (several, entered and left).
//!
//! Each change adds 1 to `conf_ver`: entering a joint one adds the number of changes, leaving it the number of peers
//! in a joint role.

use proto::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};
use proto::metapb::{Peer, PeerRole, Region};

use super::command::OneChange;
use super::{epoch_of, is_joint};

/// Why a change is not possible. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// A change names no peer, or a kind that does not exist.
    #[error("a change of peers without a peer or of an unknown kind")]
    Malformed,
    /// The Region must leave its joint membership first.
    #[error("region {0} is in a joint membership that must be left first")]
    Joint(u64),
    /// There is nothing to leave.
    #[error("region {0} is in no joint membership")]
    NotJoint(u64),
    /// Another peer is on that Store.
    #[error("store {store} holds peer {there} of the region, so peer {asked} is refused")]
    StoreTaken {
        /// The Store.
        store: u64,
        /// The peer there.
        there: u64,
        /// The one asked for.
        asked: u64,
    },
    /// No such peer.
    #[error("the region has no peer {0}")]
    NoPeer(u64),
    /// It is what it should become.
    #[error("peer {0} is that already")]
    NoChange(u64),
    /// A voter leaves in two steps: demoted by the joint change, removed after it.
    #[error("voter {0} cannot be removed inside a joint change; demote it")]
    RemovesVoter(u64),
    /// The same peer twice in one joint change.
    #[error("peer {0} is named twice")]
    Twice(u64),
    /// No voter would be left.
    #[error("no voter would be left")]
    NoVoter,
    /// One peer leads, and this would remove or demote it outside a joint change.
    #[error("peer {0} leads; move the lead first")]
    Leader(u64),
}

/// The Region after `changes`: one is a simple change, more enter a joint one.
pub fn apply_changes(region: &Region, changes: &[OneChange]) -> Result<Region, ChangeRefused> {
    if is_joint(region) {
        return Err(ChangeRefused::Joint(region.id));
    }
    let joint = changes.len() > 1;
    let mut next = region.clone();
    let mut named = Vec::with_capacity(changes.len());
    for change in changes {
        let (kind, peer) = parse(change)?;
        if named.contains(&peer.id) {
            return Err(ChangeRefused::Twice(peer.id));
        }
        named.push(peer.id);
        apply_one(&mut next, kind, peer, joint)?;
    }
    let voters = |peer: &Peer| matches!(peer.role(), PeerRole::Voter | PeerRole::IncomingVoter);
    if !next.peers.iter().any(voters) {
        return Err(ChangeRefused::NoVoter);
    }
    bump(&mut next, changes.len() as u64);
    Ok(next)
}

/// The Region after it has left its joint membership.
pub fn leave_joint(region: &Region) -> Result<Region, ChangeRefused> {
    if !is_joint(region) {
        return Err(ChangeRefused::NotJoint(region.id));
    }
    let mut next = region.clone();
    let mut left = 0;
    for peer in &mut next.peers {
        let role = match peer.role() {
            PeerRole::IncomingVoter => PeerRole::Voter,
            PeerRole::DemotingVoter => PeerRole::Learner,
            PeerRole::Voter | PeerRole::Learner => continue,
        };
        peer.set_role(role);
        left += 1;
    }
    bump(&mut next, left);
    Ok(next)
}

/// Whether `leader` may propose these changes: it must stay a voter, but for a joint change, which it may leave as a
/// learner once another leads.
pub fn leader_may_propose(region: &Region, changes: &[OneChange], leader: u64) -> Result<(), ChangeRefused> {
    if changes.is_empty() {
        let demoting = |peer: &Peer| peer.id == leader && peer.role() == PeerRole::DemotingVoter;
        return if region.peers.iter().any(demoting) { Err(ChangeRefused::Leader(leader)) } else { Ok(()) };
    }
    for change in changes {
        let (kind, peer) = parse(change)?;
        let loses = match kind {
            ConfChangeType::AddNode => false,
            ConfChangeType::RemoveNode => true,
            ConfChangeType::AddLearnerNode => changes.len() == 1,
        };
        if loses && peer.id == leader {
            return Err(ChangeRefused::Leader(leader));
        }
    }
    Ok(())
}

/// The same change in raft's words, with `context` for the machines.
pub fn to_raft(changes: &[OneChange], context: bytes::Bytes) -> ConfChangeV2 {
    let transition =
        if changes.len() > 1 { ConfChangeTransition::Explicit } else { ConfChangeTransition::Auto };
    let single = |change: &OneChange| ConfChangeSingle {
        change_type: change.kind,
        node_id: change.peer.map_or(0, |peer| peer.id),
    };
    ConfChangeV2 { transition: transition.into(), changes: changes.iter().map(single).collect(), context }
}

fn parse(change: &OneChange) -> Result<(ConfChangeType, Peer), ChangeRefused> {
    let kind = ConfChangeType::try_from(change.kind).map_err(|_| ChangeRefused::Malformed)?;
    let peer =
        change.peer.filter(|peer| peer.id != 0 && peer.store_id != 0).ok_or(ChangeRefused::Malformed)?;
    Ok((kind, peer))
}

fn apply_one(
    region: &mut Region,
    kind: ConfChangeType,
    peer: Peer,
    joint: bool,
) -> Result<(), ChangeRefused> {
    let at = region.peers.iter().position(|there| there.store_id == peer.store_id);
    let there = at.map(|at| region.peers[at]);
    if let Some(there) = there
        && there.id != peer.id
    {
        return Err(ChangeRefused::StoreTaken { store: peer.store_id, there: there.id, asked: peer.id });
    }
    let role = there.map(|there| there.role());
    let becomes = match (kind, role) {
        (ConfChangeType::AddNode, None | Some(PeerRole::Learner)) => {
            if joint {
                PeerRole::IncomingVoter
            } else {
                PeerRole::Voter
            }
        }
        (ConfChangeType::AddLearnerNode, None) => PeerRole::Learner,
        (ConfChangeType::AddLearnerNode, Some(PeerRole::Voter)) => {
            if joint {
                PeerRole::DemotingVoter
            } else {
                PeerRole::Learner
            }
        }
        (ConfChangeType::RemoveNode, Some(PeerRole::Voter)) if joint => {
            return Err(ChangeRefused::RemovesVoter(peer.id));
        }
        (ConfChangeType::RemoveNode, Some(_)) => {
            region.peers.retain(|there| there.id != peer.id);
            return Ok(());
        }
        (ConfChangeType::RemoveNode, None) => return Err(ChangeRefused::NoPeer(peer.id)),
        (ConfChangeType::AddNode, Some(PeerRole::Voter))
        | (ConfChangeType::AddLearnerNode, Some(PeerRole::Learner))
        | (
            ConfChangeType::AddNode | ConfChangeType::AddLearnerNode,
            Some(PeerRole::IncomingVoter | PeerRole::DemotingVoter),
        ) => return Err(ChangeRefused::NoChange(peer.id)),
    };
    match at {
        Some(at) => region.peers[at].set_role(becomes),
        None => region.peers.push(Peer { role: becomes.into(), ..peer }),
    }
    Ok(())
}

fn bump(region: &mut Region, by: u64) {
    let mut epoch = epoch_of(region);
    epoch.conf_ver += by;
    region.region_epoch = Some(epoch);
}

#[cfg(test)]
mod tests {
    use proto::metapb::RegionEpoch;

    use super::super::conf_state;
    use super::*;

    fn region(peers: &[(u64, PeerRole)]) -> Region {
        Region {
            id: 2,
            region_epoch: Some(RegionEpoch { conf_ver: 10, version: 7 }),
            peers: peers
                .iter()
                .map(|(id, role)| Peer {
                    id: *id,
                    store_id: id % 10,
                    role: (*role).into(),
                    is_witness: false,
                })
                .collect(),
            ..Region::default()
        }
    }

    fn change(kind: ConfChangeType, id: u64) -> OneChange {
        let peer = Peer { id, store_id: id % 10, ..Peer::default() };
        OneChange { kind: kind.into(), peer: Some(peer) }
    }

    use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
    use PeerRole::{DemotingVoter, IncomingVoter, Learner, Voter};

    fn roles(region: &Region) -> Vec<(u64, PeerRole)> {
        region.peers.iter().map(|peer| (peer.id, peer.role())).collect()
    }

    #[test]
    fn simple_changes_add_one_to_conf_ver() {
        type Peers = &'static [(u64, PeerRole)];
        let cases: [(Peers, OneChange, Peers); 6] = [
            (&[(1, Voter)], change(AddLearnerNode, 2), &[(1, Voter), (2, Learner)]),
            (&[(1, Voter), (2, Learner)], change(AddNode, 2), &[(1, Voter), (2, Voter)]),
            (&[(1, Voter)], change(AddNode, 2), &[(1, Voter), (2, Voter)]),
            (&[(1, Voter), (2, Voter)], change(RemoveNode, 2), &[(1, Voter)]),
            (&[(1, Voter), (2, Learner)], change(RemoveNode, 2), &[(1, Voter)]),
            (&[(1, Voter), (2, Voter)], change(AddLearnerNode, 2), &[(1, Voter), (2, Learner)]),
        ];
        for (before, one, after) in cases {
            let next = apply_changes(&region(before), &[one]).unwrap();
            assert_eq!(roles(&next), after);
            assert_eq!(epoch_of(&next), RegionEpoch { conf_ver: 11, version: 7 });
        }
    }

    #[test]
    fn a_joint_change_is_entered_and_left() {
        let before = region(&[(1, Voter), (2, Voter), (3, Voter), (4, Learner)]);
        let entered = apply_changes(&before, &[change(AddNode, 4), change(AddLearnerNode, 2)]).unwrap();
        assert_eq!(roles(&entered), [(1, Voter), (2, DemotingVoter), (3, Voter), (4, IncomingVoter)]);
        assert_eq!(epoch_of(&entered).conf_ver, 12, "one for each change");
        let state = conf_state(&entered);
        assert_eq!((state.voters, state.voters_outgoing), (vec![1, 3, 4], vec![1, 2, 3]));
        assert_eq!((state.learners, state.learners_next), (vec![], vec![2]));

        let left = leave_joint(&entered).unwrap();
        assert_eq!(roles(&left), [(1, Voter), (2, Learner), (3, Voter), (4, Voter)]);
        assert_eq!(epoch_of(&left).conf_ver, 14, "one for each peer in a joint role");
    }

    #[test]
    fn what_is_refused() {
        use ChangeRefused::*;
        let plain = region(&[(1, Voter), (2, Learner)]);
        let joint = region(&[(1, Voter), (2, IncomingVoter)]);
        let two = [change(AddNode, 2), change(AddNode, 2)];
        assert_eq!(apply_changes(&plain, &two), Err(Twice(2)));
        assert_eq!(apply_changes(&joint, &[change(RemoveNode, 2)]), Err(Joint(2)));
        assert_eq!(apply_changes(&plain, &[change(RemoveNode, 1)]), Err(NoVoter));
        assert_eq!(apply_changes(&plain, &[change(RemoveNode, 3)]), Err(NoPeer(3)));
        assert_eq!(apply_changes(&plain, &[change(AddNode, 1)]), Err(NoChange(1)));
        let taken = StoreTaken { store: 2, there: 2, asked: 12 };
        assert_eq!(apply_changes(&plain, &[change(AddNode, 12)]), Err(taken));
        let removes = [change(RemoveNode, 1), change(AddNode, 2)];
        assert_eq!(apply_changes(&plain, &removes), Err(RemovesVoter(1)));
        assert_eq!(apply_changes(&plain, &[OneChange::default()]), Err(Malformed));
        assert_eq!(leave_joint(&plain), Err(NotJoint(2)));
    }

    #[test]
    fn a_leader_stays_a_voter() {
        let plain = region(&[(1, Voter), (2, Voter)]);
        assert!(leader_may_propose(&plain, &[change(RemoveNode, 1)], 1).is_err());
        assert!(leader_may_propose(&plain, &[change(AddLearnerNode, 1)], 1).is_err());
        assert!(leader_may_propose(&plain, &[change(RemoveNode, 1)], 2).is_ok());
        let joint = [change(AddLearnerNode, 1), change(AddNode, 3)];
        assert!(leader_may_propose(&plain, &joint, 1).is_ok());
        assert!(leader_may_propose(&region(&[(1, DemotingVoter), (2, Voter)]), &[], 1).is_err());
    }

    #[test]
    fn raft_hears_the_same() {
        let one = to_raft(&[change(AddNode, 2)], bytes::Bytes::new());
        assert_eq!(one.transition(), ConfChangeTransition::Auto);
        let two = to_raft(&[change(AddNode, 4), change(AddLearnerNode, 2)], bytes::Bytes::new());
        assert_eq!(two.transition(), ConfChangeTransition::Explicit);
        assert_eq!(two.changes[0].node_id, 4);
        assert!(to_raft(&[], bytes::Bytes::new()).changes.is_empty());
    }
}
