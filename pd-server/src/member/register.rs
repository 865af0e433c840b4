//! The register: what the replicated state holds of members, and how it is written. The one place that knows the form of
//! these records.

use std::collections::BTreeMap;

use prost::Message;
use proto::pdpb;
use tracing::warn;

use super::folder::AgreedMember;
use super::{Member, MemberId};
use crate::keys::Keys;
use crate::state::{Compare, KeyRange, KeyValue, Op, Txn, View};

/// Who belongs to the group, and who was removed from it for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Register {
    /// The members, learners included.
    pub members: BTreeMap<MemberId, Registered>,
    /// Names of those that were removed. Their ids never come back. Grows by one with each removal that an administrator
    /// asks for, so it needs no bound.
    pub removed: BTreeMap<MemberId, String>,
}

/// A member in the register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registered {
    /// What it says of itself.
    pub member: Member,
    /// What tells its data folder from any other; empty while that is not known here.
    pub incarnation: String,
    /// How much it is wanted as leader.
    pub leader_priority: i32,
}

impl Register {
    /// What this member has applied.
    pub(crate) fn read(view: &View) -> Self {
        let mut register = Self::default();
        let Some(cluster_id) = view.cluster_id() else { return register };
        let keys = Keys::new(cluster_id);
        for kv in records(view, &KeyRange::between(keys.removed_members(), keys.removed_members_end())) {
            if let Some(record) = decode(kv) {
                register.removed.insert(MemberId(record.member_id), record.name);
            }
        }
        let mut facts = Vec::new();
        for kv in records(view, &KeyRange::between(keys.members(), keys.members_end())) {
            let path = String::from_utf8_lossy(&kv.key[keys.members().len()..]).into_owned();
            match path.split_once('/') {
                Some((id, fact)) => facts.push((id.parse().map(MemberId), fact.to_owned(), kv.value)),
                None => {
                    if let Some(record) = decode(kv) {
                        let id = MemberId(record.member_id);
                        let member = from_record(record);
                        register.members.insert(id, Registered { member, ..Registered::default() });
                    }
                }
            }
        }
        for (id, fact, value) in facts {
            let Some(member) = id.ok().and_then(|id| register.members.get_mut(&id)) else { continue };
            let text = String::from_utf8_lossy(&value).into_owned();
            match fact.as_str() {
                "incarnation" => member.incarnation = text,
                // As tikv/pd: a priority that cannot be read counts as none.
                "leader_priority" => member.leader_priority = text.parse().unwrap_or_default(),
                _ => {}
            }
        }
        register
    }

    /// Adds what this member has agreed on before the records came to it. Records win, removal wins over both.
    pub(crate) fn with_agreed(mut self, agreed: Vec<AgreedMember>) -> Self {
        for member in agreed {
            let id = member.member_id;
            if self.removed.contains_key(&id) {
                continue;
            }
            let known = self.members.entry(id).or_insert_with(|| Registered {
                member: Member {
                    name: member.name,
                    id,
                    peer_urls: member.peer_urls,
                    client_urls: member.client_urls,
                    ..Member::default()
                },
                ..Registered::default()
            });
            if known.incarnation.is_empty() {
                known.incarnation = member.incarnation;
            }
        }
        self
    }

    /// The member of this name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Registered> {
        self.members.values().find(|known| known.member.name == name)
    }

    /// The names of all members, for texts.
    pub(crate) fn names(&self) -> Vec<String> {
        self.members.values().map(|known| known.member.name.clone()).collect()
    }
}

/// Writes what a member says of itself, unless it was removed.
pub(crate) fn put(keys: &Keys, members: &[(Member, String)]) -> Txn {
    let mut txn = Txn::default();
    for (member, incarnation) in members {
        let id = member.id.0;
        txn = txn.when(Compare::absent(keys.removed_member(id)));
        txn.then.push(Op::put(keys.member(id), to_record(member).encode_to_vec()));
        txn.then.push(Op::put(keys.member_binary_version(id), member.binary_version.clone()));
        txn.then.push(Op::put(keys.member_deploy_path(id), member.deploy_path.clone()));
        txn.then.push(Op::put(keys.member_git_hash(id), member.git_hash.clone()));
        txn.then.push(Op::put(keys.member_incarnation(id), incarnation.clone()));
    }
    txn
}

/// Takes a member out of the register for good.
pub(crate) fn remove(keys: &Keys, member: &Member) -> Txn {
    let id = member.id.0;
    Txn::of(vec![
        Op::delete(keys.member(id)),
        Op::Delete { range: KeyRange::prefix(keys.member_facts(id)), prev_kv: false },
        Op::put(keys.removed_member(id), to_record(member).encode_to_vec()),
    ])
    .when(Compare::absent(keys.removed_member(id)))
}

/// Sets how much a member is wanted as leader, unless it was removed.
pub(crate) fn set_priority(keys: &Keys, id: MemberId, priority: i32) -> Txn {
    Txn::of(vec![Op::put(keys.member_leader_priority(id.0), priority.to_string())])
        .when(Compare::absent(keys.removed_member(id.0)))
}

/// The leader's record.
pub(crate) fn put_leader(keys: &Keys, member: &Member) -> Op {
    Op::put(keys.leader(), to_record(member).encode_to_vec())
}

fn records(view: &View, range: &KeyRange) -> Vec<KeyValue> {
    match view.range(range, 0, None) {
        Ok(found) => found.kvs,
        Err(error) => {
            warn!(%error, "records of members cannot be read");
            Vec::new()
        }
    }
}

fn decode(kv: KeyValue) -> Option<pdpb::Member> {
    pdpb::Member::decode(kv.value)
        .inspect_err(|error| {
            warn!(key = %String::from_utf8_lossy(&kv.key), %error, "a member's record cannot be read");
        })
        .ok()
}

fn to_record(member: &Member) -> pdpb::Member {
    pdpb::Member {
        name: member.name.clone(),
        member_id: member.id.0,
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        deploy_path: member.deploy_path.clone(),
        binary_version: member.binary_version.clone(),
        git_hash: member.git_hash.clone(),
        ..pdpb::Member::default()
    }
}

fn from_record(record: pdpb::Member) -> Member {
    Member {
        name: record.name,
        id: MemberId(record.member_id),
        peer_urls: record.peer_urls,
        client_urls: record.client_urls,
        deploy_path: record.deploy_path,
        binary_version: record.binary_version,
        git_hash: record.git_hash,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::eraftpb::ConfState;
    use raft_core::{Committed, StateMachine};

    use super::*;
    use crate::keys;
    use crate::state::{Machine, testing};

    fn member(name: &str, id: u64) -> Member {
        Member { name: name.into(), id: MemberId(id), ..Member::default() }
    }

    fn agreed(name: &str, id: u64) -> AgreedMember {
        AgreedMember {
            name: name.into(),
            member_id: MemberId(id),
            incarnation: format!("folder {id}"),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
        }
    }

    fn change(index: u64, txn: &Txn) -> Committed {
        let change =
            proto::eraftpb::ConfChangeV2 { context: testing::txn(1, txn.clone()), ..Default::default() };
        Committed::ConfChange { index, term: 1, change, next: ConfState::default() }
    }

    #[test]
    fn members_come_and_go_with_changes_of_the_membership() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, view) = Machine::open(dir.path().into()).unwrap();
        let keys = Keys::new(7);
        let first = [(Bytes::from(keys::CLUSTER_ID), keys::encode_be(7))];
        machine.apply(vec![Committed::Normal { index: 1, term: 1, data: testing::puts(1, first) }]).unwrap();
        let two = [(member("a", 1), "x".to_owned()), (member("b", 2), "y".to_owned())];
        let done = machine
            .apply(vec![change(2, &put(&keys, &two)), change(3, &set_priority(&keys, MemberId(2), -3))]);
        assert!(done.unwrap().iter().all(|outcome| !outcome.refused));
        let register = Register::read(&view);
        assert_eq!(register.names(), ["a", "b"]);
        let b = register.by_name("b").unwrap();
        assert_eq!((b.member.id, b.incarnation.as_str(), b.leader_priority), (MemberId(2), "y", -3));

        let removal = remove(&keys, &member("b", 2));
        let done = machine
            .apply(vec![change(4, &removal), change(5, &removal), change(6, &put(&keys, &two))])
            .unwrap();
        assert_eq!(done.iter().map(|outcome| outcome.refused).collect::<Vec<_>>(), [false, true, true]);
        let register = Register::read(&view);
        assert_eq!((register.names(), register.removed[&MemberId(2)].as_str()), (vec!["a".to_owned()], "b"));
        let keys_left = view.range(&KeyRange::prefix(keys.member_facts(2)), 0, None).unwrap();
        assert_eq!(keys_left.count, 0, "no fact outlives its member");
    }

    #[test]
    fn what_was_agreed_fills_in_until_the_records_are_there() {
        let mut register = Register::default();
        let renamed = Registered { member: member("b2", 2), ..Registered::default() };
        register.members.insert(MemberId(2), renamed);
        register.removed.insert(MemberId(3), "c".into());
        let register = register.with_agreed(vec![agreed("a", 1), agreed("b", 2), agreed("c", 3)]);
        assert_eq!(register.names(), ["a", "b2"]);
        assert_eq!(register.by_name("b2").unwrap().incarnation, "folder 2");
    }
}
