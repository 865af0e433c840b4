//! The small model of what stores do with commands: Regions with their peers, split and changed as TiKV does.
//!
//! It refuses what a TiKV would refuse, and what would harm the Region, so that a wrong command fails the replay.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::command::{Action, Change, ChangeKind, Command};

/// Version of a Region's range and membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words of the wire")]
pub struct Epoch {
    pub conf_ver: u64,
    pub version: u64,
}

/// What a replica may do in its Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Votes.
    Voter,
    /// Only follows.
    Learner,
    /// Becomes a voter when the joint state is left.
    IncomingVoter,
    /// Becomes a learner when the joint state is left.
    DemotingVoter,
}

/// A replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the wire")]
pub struct Peer {
    pub id: u64,
    pub store_id: u64,
    pub role: Role,
}

/// A Region as its leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Drawn by PD.
    pub id: u64,
    /// Its first key.
    pub start: Vec<u8>,
    /// The first key behind it; empty is the end of the key space.
    pub end: Vec<u8>,
    /// Present epoch.
    pub epoch: Epoch,
    /// Its replicas.
    pub peers: Vec<Peer>,
    /// The peer id of its leader.
    pub leader: u64,
    /// The leader's Raft term.
    pub term: u64,
}

/// All Regions of the stores. They tile the key space.
#[derive(Debug, Default)]
pub struct Regions {
    by_id: BTreeMap<u64, Region>,
}

/// Ids that PD granted for one new Region of a split.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The new Region.
    pub region_id: u64,
    /// One for each peer of the parent, in its order.
    pub peer_ids: Vec<u64>,
}

impl Regions {
    /// Puts the first Region there.
    ///
    /// # Errors
    /// When it is not the whole key space, or not the first.
    pub fn bootstrap(&mut self, region: Region) -> Result<()> {
        ensure!(self.by_id.is_empty(), "a second first Region");
        ensure!(region.start.is_empty() && region.end.is_empty(), "not the whole key space: {region:?}");
        self.by_id.insert(region.id, region);
        Ok(())
    }

    /// By id.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, id: u64) -> Result<&Region> {
        self.by_id.get(&id).with_context(|| format!("no Region {id}"))
    }

    /// The Region that holds a key.
    ///
    /// # Errors
    /// When there is none, before the bootstrap.
    pub fn holding(&self, key: &[u8]) -> Result<&Region> {
        self.iter().find(|region| region.holds(key)).context("no Region yet")
    }

    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.by_id.values()
    }

    /// How many replicas a store has.
    #[must_use]
    pub fn replicas_on(&self, store_id: u64) -> usize {
        self.iter().filter(|region| region.peer_on(store_id).is_some()).count()
    }

    /// Why a Region has not three voters on three stores and nothing else; `None` when it has.
    #[must_use]
    pub fn lacking_three_voters(&self) -> Option<String> {
        let lacking = self.iter().find(|region| {
            let voters = region.peers.iter().filter(|peer| peer.role == Role::Voter).count();
            voters != 3 || region.peers.len() != 3
        });
        lacking.map(|region| format!("{region:?}"))
    }

    /// Which stores lead so unevenly that moving one leader would help; `None` when none do.
    #[must_use]
    pub fn lacking_even_leaders(&self) -> Option<String> {
        let mut led: BTreeMap<u64, usize> =
            self.iter().flat_map(|r| &r.peers).map(|peer| (peer.store_id, 0)).collect();
        for region in self.iter() {
            *led.entry(region.leader_store().unwrap_or_default()).or_default() += 1;
        }
        let (least, most) = (led.values().min()?, led.values().max()?);
        (most - least >= 2).then(|| format!("leaders by store: {led:?}"))
    }

    /// Cuts a Region at `keys`: the new Regions take the left pieces, the old id keeps the rightmost. Returns the ids
    /// from left to right.
    ///
    /// # Errors
    /// When keys lie outside or out of order, or the grants do not fit the Region.
    pub fn split(&mut self, id: u64, keys: &[Vec<u8>], grants: &[Grant]) -> Result<Vec<u64>> {
        let mut parent = self.get(id)?.clone();
        ensure!(
            !keys.is_empty() && keys.len() == grants.len(),
            "{} keys, {} grants",
            keys.len(),
            grants.len()
        );
        parent.epoch.version += keys.len() as u64;
        let leader_at = parent.peers.iter().position(|peer| peer.id == parent.leader).context("a leader")?;
        let mut start = parent.start.clone();
        let mut pieces = Vec::new();
        for (key, grant) in keys.iter().zip(grants) {
            ensure!(*key > start && parent.holds(key), "{key:?} does not cut {parent:?} behind {start:?}");
            ensure!(grant.peer_ids.len() == parent.peers.len(), "{grant:?} for the peers of {parent:?}");
            let mut fresh = grant.peer_ids.clone();
            fresh.push(grant.region_id);
            for fresh_id in fresh {
                ensure!(fresh_id != 0 && !self.uses(fresh_id), "{grant:?} repeats an id");
            }
            let ids = parent.peers.iter().zip(&grant.peer_ids);
            let peers: Vec<Peer> = ids.map(|(peer, new)| Peer { id: *new, ..*peer }).collect();
            let piece = Region {
                id: grant.region_id,
                start: std::mem::replace(&mut start, key.clone()),
                end: key.clone(),
                leader: peers[leader_at].id,
                peers,
                ..parent.clone()
            };
            pieces.push(piece.id);
            self.by_id.insert(piece.id, piece);
        }
        parent.start = start;
        pieces.push(parent.id);
        self.by_id.insert(parent.id, parent);
        Ok(pieces)
    }

    /// Carries out a command that is addressed to the present epoch and leader. A split needs ids first and is not done
    /// here.
    ///
    /// # Errors
    /// When a TiKV would refuse it, or the Region would lose by it.
    pub fn carry_out(&mut self, command: &Command) -> Result<()> {
        let mut region = self.get(command.region_id)?.clone();
        ensure!(region.epoch == command.epoch, "{command:?} for another epoch of {region:?}");
        ensure!(region.leader == command.target, "{command:?} for another leader of {region:?}");
        match &command.action {
            Action::ChangePeers(changes) => {
                let fresh = changes.iter().filter(|change| region.peer(change.peer.id).is_none());
                for change in fresh {
                    ensure!(!self.uses(change.peer.id), "{change:?} repeats an id");
                }
                region.change_peers(changes).with_context(|| format!("{command:?} on {region:?}"))?;
            }
            Action::TransferLeader(candidates) => {
                let able = |id: &&u64| region.peer(**id).is_some_and(|peer| peer.role == Role::Voter);
                let leader =
                    candidates.iter().find(able).with_context(|| format!("{command:?} on {region:?}"))?;
                ensure!(*leader != region.leader, "a transfer to the leader itself: {region:?}");
                region.leader = *leader;
                region.term += 1;
            }
            Action::Split(_) => bail!("a split needs ids first"),
        }
        self.by_id.insert(region.id, region);
        Ok(())
    }

    fn uses(&self, id: u64) -> bool {
        self.iter().any(|region| region.id == id || region.peer(id).is_some())
    }
}

impl Region {
    /// Whether a key lies in its range.
    #[must_use]
    pub fn holds(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && (self.end.is_empty() || key < self.end.as_slice())
    }

    /// A replica by id.
    #[must_use]
    pub fn peer(&self, id: u64) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    /// The replica on a store.
    #[must_use]
    pub fn peer_on(&self, store_id: u64) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.store_id == store_id)
    }

    /// The leader's store.
    ///
    /// # Errors
    /// Never while the model is sound: the leader is always a peer.
    pub fn leader_store(&self) -> Result<u64> {
        Ok(self.peer(self.leader).with_context(|| format!("{self:?} has no leader"))?.store_id)
    }

    /// As metapb.Region in JSON.
    #[must_use]
    pub fn meta(&self) -> Value {
        json!({
            "id": self.id,
            "start_key": BASE64.encode(&self.start),
            "end_key": BASE64.encode(&self.end),
            "region_epoch": {"conf_ver": self.epoch.conf_ver, "version": self.epoch.version},
            "peers": self.peers.iter().map(Peer::json).collect::<Vec<_>>(),
        })
    }

    /// One change is simple, several enter a joint state, none leaves it; conf_ver counts the changed peers.
    fn change_peers(&mut self, changes: &[Change]) -> Result<()> {
        let joint = self.peers.iter().any(|p| matches!(p.role, Role::IncomingVoter | Role::DemotingVoter));
        ensure!(joint == changes.is_empty(), "joint is {joint}, and {} changes come", changes.len());
        match changes {
            [] => self.leave_joint()?,
            [change] => {
                self.change_peer(change, false)?;
                self.epoch.conf_ver += 1;
            }
            several => {
                several.iter().try_for_each(|change| self.change_peer(change, true))?;
                self.epoch.conf_ver += several.len() as u64;
            }
        }
        self.leader_store().map(|_| ())
    }

    fn leave_joint(&mut self) -> Result<()> {
        for peer in &mut self.peers {
            match peer.role {
                Role::IncomingVoter => peer.role = Role::Voter,
                Role::DemotingVoter => {
                    ensure!(peer.id != self.leader, "the leader would become a learner");
                    peer.role = Role::Learner;
                }
                Role::Voter | Role::Learner => continue,
            }
            self.epoch.conf_ver += 1;
        }
        Ok(())
    }

    fn change_peer(&mut self, change: &Change, joint: bool) -> Result<()> {
        let Change { kind, peer: wanted } = *change;
        let found = self.peers.iter().position(|peer| peer.id == wanted.id);
        ensure!(found.is_some() || self.peer_on(wanted.store_id).is_none(), "a second replica on a store");
        let role = found.map(|at| self.peers[at].role);
        let becomes = match (kind, role) {
            (ChangeKind::AddLearnerNode, None) => Role::Learner,
            (ChangeKind::AddLearnerNode, Some(Role::Voter)) if joint => Role::DemotingVoter,
            (ChangeKind::AddNode, None | Some(Role::Learner)) if joint => Role::IncomingVoter,
            (ChangeKind::AddNode, None | Some(Role::Learner)) => Role::Voter,
            (ChangeKind::RemoveNode, Some(Role::Learner | Role::Voter)) => {
                ensure!(wanted.id != self.leader, "the leader would be removed");
                self.peers.retain(|peer| peer.id != wanted.id);
                return Ok(());
            }
            (kind, role) => bail!("{kind:?} on a peer that is {role:?}"),
        };
        let expected = if kind == ChangeKind::AddLearnerNode { Role::Learner } else { Role::Voter };
        ensure!(wanted.role == expected, "{kind:?} to the role {:?}", wanted.role);
        match found {
            Some(at) => self.peers[at].role = becomes,
            None => self.peers.push(Peer { role: becomes, ..wanted }),
        }
        Ok(())
    }
}

impl Peer {
    /// As metapb.Peer in JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let role = match self.role {
            Role::Voter => "Voter",
            Role::Learner => "Learner",
            Role::IncomingVoter => "IncomingVoter",
            Role::DemotingVoter => "DemotingVoter",
        };
        json!({"id": self.id, "store_id": self.store_id, "role": role})
    }
}

#[cfg(test)]
mod tests {
    use super::{Epoch, Grant, Peer, Region, Regions, Role};
    use crate::replay::tikv::command::{Action, Change, ChangeKind, Command};

    fn peer(id: u64, store_id: u64, role: Role) -> Peer {
        Peer { id, store_id, role }
    }

    fn change(kind: ChangeKind, id: u64, store_id: u64) -> Change {
        let role = if kind == ChangeKind::AddLearnerNode { Role::Learner } else { Role::Voter };
        Change { kind, peer: peer(id, store_id, role) }
    }

    /// Region 2 on store 1, led by peer 3.
    fn one() -> Regions {
        let mut regions = Regions::default();
        let peers = vec![peer(3, 1, Role::Voter)];
        let epoch = Epoch { conf_ver: 1, version: 1 };
        let first = Region { id: 2, start: vec![], end: vec![], epoch, peers, leader: 3, term: 6 };
        regions.bootstrap(first).unwrap();
        regions
    }

    /// Commands Region 2 at its present epoch and leader.
    fn command(regions: &mut Regions, action: Action) -> anyhow::Result<()> {
        let region = regions.get(2).unwrap();
        let command = Command { region_id: 2, epoch: region.epoch, target: region.leader, action };
        regions.carry_out(&command)
    }

    #[test]
    fn a_learner_comes_votes_and_replaces_the_leader() {
        let mut regions = one();
        let steps = [
            Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 10, 8)]),
            Action::ChangePeers(vec![change(ChangeKind::AddNode, 10, 8)]),
            Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 11, 9)]),
            Action::TransferLeader(vec![10]),
            Action::ChangePeers(vec![
                change(ChangeKind::AddNode, 11, 9),
                change(ChangeKind::AddLearnerNode, 3, 1),
            ]),
            Action::ChangePeers(vec![]),
            Action::ChangePeers(vec![change(ChangeKind::RemoveNode, 3, 1)]),
        ];
        for step in steps {
            command(&mut regions, step).unwrap();
        }
        let region = regions.get(2).unwrap();
        assert_eq!(region.peers, vec![peer(10, 8, Role::Voter), peer(11, 9, Role::Voter)]);
        assert_eq!((region.epoch, region.leader, region.term), (Epoch { conf_ver: 9, version: 1 }, 10, 7));
    }

    #[test]
    fn what_lacks_is_told() {
        let mut regions = one();
        assert!(regions.lacking_three_voters().is_some());
        assert!(regions.lacking_even_leaders().is_none(), "one store, one leader");
        for (id, store) in [(10, 8), (11, 9)] {
            command(&mut regions, Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, id, store)]))
                .unwrap();
            assert!(regions.lacking_three_voters().is_some(), "a learner is no voter");
            command(&mut regions, Action::ChangePeers(vec![change(ChangeKind::AddNode, id, store)])).unwrap();
        }
        assert!(regions.lacking_three_voters().is_none() && regions.lacking_even_leaders().is_none());
        let grant = Grant { region_id: 20, peer_ids: vec![21, 22, 23] };
        regions.split(2, &[b"m".to_vec()], &[grant]).unwrap();
        assert!(regions.lacking_even_leaders().is_some(), "one store leads both");
        command(&mut regions, Action::TransferLeader(vec![10])).unwrap();
        assert!(regions.lacking_even_leaders().is_none());
    }

    #[test]
    fn harmful_commands_are_refused() {
        let harmful = [
            Action::ChangePeers(vec![]),
            Action::ChangePeers(vec![change(ChangeKind::RemoveNode, 3, 1)]),
            Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 3, 1)]),
            Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 10, 1)]),
            Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 2, 8)]),
            Action::TransferLeader(vec![3]),
            Action::TransferLeader(vec![9]),
        ];
        for action in harmful {
            let mut regions = one();
            assert!(command(&mut regions, action.clone()).is_err(), "{action:?}");
            assert_eq!(regions.get(2).unwrap(), one().get(2).unwrap(), "{action:?} changed something");
        }
    }

    #[test]
    fn a_command_for_another_epoch_or_leader_is_refused() {
        let action = Action::ChangePeers(vec![change(ChangeKind::AddLearnerNode, 10, 8)]);
        let stale = Epoch { conf_ver: 1, version: 0 };
        let present = Epoch { conf_ver: 1, version: 1 };
        for (epoch, target) in [(stale, 3), (present, 4)] {
            let command = Command { region_id: 2, epoch, target, action: action.clone() };
            assert!(one().carry_out(&command).is_err());
        }
    }

    #[test]
    fn a_split_gives_the_left_pieces_away() {
        let mut regions = one();
        let grants = [Grant { region_id: 4, peer_ids: vec![5] }, Grant { region_id: 6, peer_ids: vec![7] }];
        let keys = [b"b".to_vec(), b"d".to_vec()];
        assert_eq!(regions.split(2, &keys, &grants).unwrap(), vec![4, 6, 2]);
        assert_eq!(regions.holding(b"a").unwrap().id, 4);
        assert_eq!(regions.holding(b"b").unwrap().id, 6);
        assert_eq!(regions.holding(b"d").unwrap().id, 2);
        assert!(regions.iter().all(|region| region.epoch == Epoch { conf_ver: 1, version: 3 }));
        assert_eq!(regions.get(4).unwrap().leader, 5);
        assert!(regions.split(4, &[b"x".to_vec()], &grants[..1]).is_err(), "a key outside, used ids");
    }
}
