//! What members tell each other before anything else, and whether it lets them talk.

use bytes::Bytes;
use prost::Message;

use super::folder::AgreedMember;
use super::register::Register;
use super::{Member, MemberId};

/// A member's greeting. Members of other versions read it: fields are added, never changed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Identity {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    #[prost(string, tag = "3")]
    pub incarnation: String,
    /// 0 while it does not know one.
    #[prost(uint64, tag = "4")]
    pub cluster_id: u64,
    #[prost(string, repeated, tag = "5")]
    pub peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub client_urls: Vec<String>,
    #[prost(string, tag = "7")]
    pub binary_version: String,
    #[prost(string, tag = "8")]
    pub deploy_path: String,
    #[prost(string, tag = "9")]
    pub git_hash: String,
    /// The names of its `initial-cluster`, sorted.
    #[prost(string, repeated, tag = "10")]
    pub initial: Vec<String>,
    /// With whom it has agreed to begin, by name; empty while it has not.
    #[prost(message, repeated, tag = "11")]
    pub agreed: Vec<Agreed>,
    /// The group has begun there.
    #[prost(bool, tag = "12")]
    pub started: bool,
    /// Its wall clock, in milliseconds.
    #[prost(int64, tag = "13")]
    pub wall_ms: i64,
    /// Only in a farewell, and in what comes with a refusal: the id of the member that is told, which was removed from the
    /// group.
    #[prost(uint64, tag = "14")]
    pub removed_id: u64,
}

/// A first member, as far as it identifies one.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Agreed {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    #[prost(string, tag = "3")]
    pub incarnation: String,
}

/// Why a member is not talked to. The text is told to it and must say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this is not the greeting of a member: {0}")]
    NotAMember(String),
    #[error(
        "member {theirs} belongs to cluster {their_cluster}, member {ours} to cluster {our_cluster}; check the peer URLs and data folders"
    )]
    OtherCluster { theirs: String, their_cluster: u64, ours: String, our_cluster: u64 },
    #[error(
        "the name {0} is already the name of the member that was greeted; each member needs a name of its own"
    )]
    SameName(String),
    #[error(
        "member {name} is known here with id {known}, but comes with id {found}: its data folder was lost or replaced. It must \
         not come back under its name, or it could vote twice. Replace it: on a living member run `pd-ctl member delete name \
         {name}`, then start it with an empty --data-dir and --join"
    )]
    OtherIncarnation { name: String, known: u64, found: u64 },
    #[error(
        "member {name} with id {id} was removed from this group for good; to add a member again, start it with an empty --data-dir and --join"
    )]
    Removed { name: String, id: u64 },
    #[error("this member is about to join its group and does not know the others yet")]
    Joining,
    #[error("{name} is no member of this group, which consists of {}", members.join(", "))]
    Unknown { name: String, members: Vec<String> },
    #[error("member {name} was started with initial-cluster {}, this one with {}; all first members need the same", theirs.join(", "), ours.join(", "))]
    OtherInitialCluster { name: String, theirs: Vec<String>, ours: Vec<String> },
}

impl Identity {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let identity = Self::decode(bytes).map_err(|error| Refusal::NotAMember(error.to_string()))?;
        if identity.name.is_empty() || identity.member_id == 0 {
            return Err(Refusal::NotAMember("it has no name or no id".into()));
        }
        Ok(identity)
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// What tells a member that it was removed: no more than it needs for believing it.
    pub(crate) fn word_of_removal(&self, removed: MemberId) -> Self {
        Self {
            name: self.name.clone(),
            member_id: self.member_id,
            incarnation: self.incarnation.clone(),
            cluster_id: self.cluster_id,
            removed_id: removed.0,
            ..Self::default()
        }
    }

    /// As others are told about it.
    pub(crate) fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            id: MemberId(self.member_id),
            peer_urls: self.peer_urls.clone(),
            client_urls: self.client_urls.clone(),
            binary_version: self.binary_version.clone(),
            deploy_path: self.deploy_path.clone(),
            git_hash: self.git_hash.clone(),
        }
    }

    /// As it stands in an agreement.
    pub(crate) fn agreed_member(&self) -> AgreedMember {
        AgreedMember {
            name: self.name.clone(),
            member_id: MemberId(self.member_id),
            incarnation: self.incarnation.clone(),
            peer_urls: self.peer_urls.clone(),
            client_urls: self.client_urls.clone(),
        }
    }
}

impl From<&AgreedMember> for Agreed {
    fn from(member: &AgreedMember) -> Self {
        Self {
            name: member.name.clone(),
            member_id: member.member_id.0,
            incarnation: member.incarnation.clone(),
        }
    }
}

/// Whether we, who know what stands in our own identity and in the register, talk to them.
pub(crate) fn judge(ours: &Identity, register: &Register, theirs: &Identity) -> Result<(), Refusal> {
    let name = || theirs.name.clone();
    if ours.cluster_id != 0 && theirs.cluster_id != 0 && ours.cluster_id != theirs.cluster_id {
        return Err(Refusal::OtherCluster {
            theirs: name(),
            their_cluster: theirs.cluster_id,
            ours: ours.name.clone(),
            our_cluster: ours.cluster_id,
        });
    }
    if register.removed.contains_key(&MemberId(theirs.member_id)) {
        return Err(Refusal::Removed { name: name(), id: theirs.member_id });
    }
    if ours.agreed.is_empty() {
        return judge_first(ours, theirs);
    }
    let Some(known) = register.by_name(&theirs.name) else {
        return Err(Refusal::Unknown { name: name(), members: register.names() });
    };
    let other_folder = !known.incarnation.is_empty() && known.incarnation != theirs.incarnation;
    if known.member.id.0 != theirs.member_id || other_folder {
        return Err(Refusal::OtherIncarnation {
            name: name(),
            known: known.member.id.0,
            found: theirs.member_id,
        });
    }
    Ok(())
}

/// Nothing is agreed yet: all that counts is that they mean the same group.
fn judge_first(ours: &Identity, theirs: &Identity) -> Result<(), Refusal> {
    let name = || theirs.name.clone();
    if theirs.name == ours.name && theirs.member_id != ours.member_id {
        return Err(Refusal::SameName(name()));
    }
    if !ours.initial.contains(&theirs.name) {
        return Err(Refusal::Unknown { name: name(), members: ours.initial.clone() });
    }
    if theirs.agreed.is_empty() && ours.initial != theirs.initial {
        return Err(Refusal::OtherInitialCluster {
            name: name(),
            theirs: theirs.initial.clone(),
            ours: ours.initial.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str, id: u64) -> Identity {
        Identity {
            name: name.into(),
            member_id: id,
            incarnation: format!("{id:x}"),
            initial: vec!["pd1".into(), "pd2".into()],
            ..Identity::default()
        }
    }

    /// With the register that has what was agreed.
    fn judge(ours: &Identity, theirs: &Identity) -> Result<(), Refusal> {
        super::judge(ours, &register(ours), theirs)
    }

    fn register(ours: &Identity) -> Register {
        let agreed = ours.agreed.iter().map(|member| AgreedMember {
            name: member.name.clone(),
            member_id: MemberId(member.member_id),
            incarnation: member.incarnation.clone(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
        });
        Register::default().with_agreed(agreed.collect())
    }

    fn agreed(mut identity: Identity) -> Identity {
        let member =
            |name: &str, id: u64| Agreed { name: name.into(), member_id: id, incarnation: format!("{id:x}") };
        identity.agreed = vec![member("pd1", 1), member("pd2", 2)];
        identity
    }

    #[test]
    fn members_of_one_group_talk() {
        assert_eq!(judge(&identity("pd1", 1), &identity("pd2", 2)), Ok(()));
        assert_eq!(judge(&agreed(identity("pd1", 1)), &identity("pd2", 2)), Ok(()));
        assert_eq!(judge(&identity("pd1", 1), &agreed(identity("pd2", 2))), Ok(()));
        let mut restarted = agreed(identity("pd2", 2));
        restarted.initial = vec!["pd2".into()];
        assert_eq!(
            judge(&identity("pd1", 1), &restarted),
            Ok(()),
            "initial-cluster only counts at the first start"
        );
    }

    #[test]
    fn others_are_told_why_not_and_what_to_do() {
        let ours = agreed(identity("pd1", 1));
        let wiped = judge(&ours, &identity("pd2", 7)).unwrap_err();
        assert_eq!(wiped, Refusal::OtherIncarnation { name: "pd2".into(), known: 2, found: 7 });
        let text = wiped.to_string();
        assert!(text.contains("pd-ctl member delete name pd2") && text.contains("--join"), "{text}");
        let mut copied = identity("pd2", 2);
        copied.incarnation = "ff".into();
        assert!(judge(&ours, &copied).is_err(), "the same id from another folder");

        let stranger = judge(&ours, &identity("pd9", 9)).unwrap_err().to_string();
        assert_eq!(stranger, "pd9 is no member of this group, which consists of pd1, pd2");
        let fresh = identity("pd1", 1);
        assert!(matches!(judge(&fresh, &identity("pd9", 9)), Err(Refusal::Unknown { .. })));
        assert_eq!(judge(&fresh, &identity("pd1", 3)), Err(Refusal::SameName("pd1".into())));
        let mut larger = identity("pd2", 2);
        larger.initial.push("pd3".into());
        let text = judge(&fresh, &larger).unwrap_err().to_string();
        assert!(text.contains("initial-cluster pd1, pd2, pd3, this one with pd1, pd2"), "{text}");

        let (mut here, mut there) = (ours.clone(), agreed(identity("pd2", 2)));
        (here.cluster_id, there.cluster_id) = (10, 11);
        let text = judge(&here, &there).unwrap_err().to_string();
        assert!(text.contains("cluster 11") && text.contains("cluster 10"), "{text}");
        there.cluster_id = 0;
        assert_eq!(judge(&here, &there), Ok(()));
    }

    #[test]
    fn the_register_decides_once_there_is_one() {
        let ours = agreed(identity("pd1", 1));
        let mut register = register(&ours);
        register.members.remove(&MemberId(2));
        register.removed.insert(MemberId(2), "pd2".into());
        let gone = super::judge(&ours, &register, &identity("pd2", 2)).unwrap_err();
        assert_eq!(gone, Refusal::Removed { name: "pd2".into(), id: 2 });
        assert!(gone.to_string().contains("--join"), "{gone}");
        let joined = identity("pd3", 3).agreed_member();
        register = register.with_agreed(vec![AgreedMember { incarnation: String::new(), ..joined }]);
        assert_eq!(
            super::judge(&ours, &register, &identity("pd3", 3)),
            Ok(()),
            "its folder is not known yet"
        );
        let other = super::judge(&ours, &register, &identity("pd3", 4)).unwrap_err();
        assert!(other.to_string().contains("pd-ctl member delete name pd3"), "{other}");
    }

    #[test]
    fn nonsense_is_no_greeting() {
        assert!(matches!(Identity::parse(b"GET / HTTP/1.1"), Err(Refusal::NotAMember(_))));
        assert!(matches!(Identity::parse(b""), Err(Refusal::NotAMember(_))));
        let identity = agreed(identity("pd1", 1));
        assert_eq!(Identity::parse(&identity.to_bytes()), Ok(identity));
    }
}
