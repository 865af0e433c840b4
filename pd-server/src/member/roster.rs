//! Who is who: the first members as agreed, the replicated records, and what members say of themselves when they greet.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use proto::pdpb;
use raft_core::net::Gatekeeper;
use raft_core::{Destination, GroupStatus, Role, Router};
use tokio::sync::watch;
use tracing::warn;

use super::folder::{AgreedMember, Agreement, DataFolder};
use super::identity::{Agreed, Identity, judge};
use super::{Member, MemberId};
use crate::config::{Config, InitialMember};
use crate::keys::Keys;
use crate::state::{KeyRange, View};
use crate::tso::{Reading, WallClock};
use crate::{COMPATIBLE_VERSION, PD_GROUP};

/// A leader counts a member as healthy that it heard of within this time: several of its heartbeats.
const HEALTHY_MS: u64 = 1_000;

/// All members; cheap to clone.
#[derive(Clone)]
pub struct Members {
    roster: Arc<Roster>,
}

/// What this process knows of members. Behind a [`Door`] it is the Raft core's address book and gatekeeper.
pub(crate) struct Roster {
    own: Member,
    initial: Vec<InitialMember>,
    folder: Arc<DataFolder>,
    view: View,
    /// Learns what the others' clocks show.
    clock: Arc<WallClock>,
    /// The last greeting of each other member, by name. At most as many as there are members: others are refused.
    met: Mutex<BTreeMap<String, Met>>,
    /// Counts the greetings that changed something.
    changed: watch::Sender<u64>,
    addresses: ArcSwap<BTreeMap<u64, String>>,
    /// Set once the group runs here.
    status: OnceLock<watch::Receiver<GroupStatus>>,
}

/// What another member last said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub identity: Identity,
    /// Its clock, if it was asked and not only came by.
    pub reading: Option<Reading>,
}

impl Members {
    pub(crate) fn new(roster: Arc<Roster>) -> Self {
        Self { roster }
    }

    /// This member.
    pub fn own(&self) -> &Member {
        &self.roster.own
    }

    /// All members, by id: always in the same order, so that answers stay equal byte by byte.
    pub fn list(&self) -> Vec<Member> {
        self.roster.members().into_values().collect()
    }

    /// The member with this id.
    pub fn get(&self, id: MemberId) -> Option<Member> {
        self.roster.members().remove(&id)
    }

    /// Whether the member was heard of by the leader lately; `None` if this member cannot know (it does not lead).
    /// Itself counts as healthy.
    pub fn healthy(&self, id: MemberId) -> Option<bool> {
        if id == self.roster.own.id {
            return Some(true);
        }
        let status = self.roster.status.get()?.borrow();
        match status.role {
            Role::Leader => Some(status.progress.iter().any(|p| p.id == id.0 && p.heard_ms <= HEALTHY_MS)),
            Role::Follower | Role::PreCandidate | Role::Candidate => None,
        }
    }

    pub(crate) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }
}

impl Roster {
    pub(crate) fn new(config: &Config, folder: Arc<DataFolder>, view: View, clock: Arc<WallClock>) -> Self {
        let texts = |urls: &[crate::config::ServerUrl]| urls.iter().map(ToString::to_string).collect();
        let own = Member {
            name: config.name.clone(),
            id: folder.record().member_id,
            peer_urls: texts(&config.advertise_peer_urls),
            client_urls: texts(&config.advertise_client_urls),
            binary_version: COMPATIBLE_VERSION.into(),
            deploy_path: deploy_path(),
            git_hash: String::new(),
        };
        let roster = Self {
            own,
            initial: config.initial_cluster.clone(),
            folder,
            view,
            clock,
            met: Mutex::default(),
            changed: watch::Sender::default(),
            addresses: ArcSwap::default(),
            status: OnceLock::new(),
        };
        roster.refresh_addresses();
        roster
    }

    pub(crate) fn own(&self) -> &Member {
        &self.own
    }

    /// The other first members as configured.
    pub(crate) fn others_configured(&self) -> impl Iterator<Item = &InitialMember> {
        self.initial.iter().filter(|member| member.name != self.own.name)
    }

    /// The group runs here.
    pub(crate) fn set_status(&self, status: watch::Receiver<GroupStatus>) {
        // Set once, when the group is created.
        let _ = self.status.set(status);
    }

    /// What this member says of itself now.
    pub(crate) fn identity(&self) -> Identity {
        let record = self.folder.record();
        let mut initial: Vec<String> = self.initial.iter().map(|member| member.name.clone()).collect();
        initial.sort_unstable();
        let (agreed, started) = record.group.map_or((Vec::new(), false), |group| {
            (group.members.iter().map(Agreed::from).collect(), group.started)
        });
        Identity {
            name: self.own.name.clone(),
            member_id: self.own.id.0,
            incarnation: record.incarnation,
            cluster_id: self.view.cluster_id().unwrap_or(0),
            peer_urls: self.own.peer_urls.clone(),
            client_urls: self.own.client_urls.clone(),
            binary_version: self.own.binary_version.clone(),
            deploy_path: self.own.deploy_path.clone(),
            git_hash: self.own.git_hash.clone(),
            initial,
            agreed,
            started,
            wall_ms: self.clock.unguarded_ms(),
        }
    }

    /// Takes a greeting, if its sender is one of us. `reading` is its clock as seen when we asked.
    pub(crate) fn meet(&self, greeting: &[u8], reading: Option<Reading>) -> Result<(), String> {
        let theirs = Identity::parse(greeting).map_err(|refusal| refusal.to_string())?;
        judge(&self.identity(), &theirs).map_err(|refusal| refusal.to_string())?;
        if theirs.member_id == self.own.id.0 {
            return Ok(());
        }
        let mut met = self.met.lock();
        let former = met.get(&theirs.name);
        let reading = reading.or(former.and_then(|former| former.reading));
        let news = former.is_none_or(|former| {
            let (a, b) = (&former.identity, &theirs);
            (a.member(), &a.agreed, a.started) != (b.member(), &b.agreed, b.started)
        });
        met.insert(theirs.name.clone(), Met { identity: theirs, reading });
        // At once, not when all have answered: a new leader waits for a majority.
        let readings: Vec<Reading> = met.values().filter_map(|met| met.reading).collect();
        self.clock.set_readings(&readings);
        drop(met);
        if news {
            self.refresh_addresses();
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Whether enough clocks are known to hold back a wrong own one.
    pub(crate) fn is_clock_compared(&self) -> bool {
        self.clock.is_compared(self.agreement().map_or(0, |group| group.members.len()))
    }

    /// What the others last said of themselves.
    pub(crate) fn met(&self) -> BTreeMap<String, Met> {
        self.met.lock().clone()
    }

    /// Tells of greetings that changed something.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// With whom this member has agreed to begin.
    pub(crate) fn agreement(&self) -> Option<Agreement> {
        self.folder.record().group
    }

    /// Keeps an agreement, durably.
    pub(crate) fn agree(&self, members: Vec<AgreedMember>, started: bool) -> std::io::Result<()> {
        self.folder.agree(Agreement { members, started })?;
        self.refresh_addresses();
        Ok(())
    }

    /// Members whose replicated record differs from what they say of themselves, this one included.
    pub(crate) fn unrecorded(&self) -> Vec<Member> {
        let recorded = self.recorded();
        let met = self.met();
        std::iter::once(self.own.clone())
            .chain(met.into_values().map(|met| met.identity.member()))
            .filter(|member| recorded.get(&member.id) != Some(member))
            .collect()
    }

    /// All members by id: the records, and of those that have none what was agreed.
    fn members(&self) -> BTreeMap<MemberId, Member> {
        let mut members = self.recorded();
        let agreed = self.agreement().map_or_else(Vec::new, |group| group.members);
        for member in agreed {
            members.entry(member.member_id).or_insert_with(|| Member {
                name: member.name,
                id: member.member_id,
                peer_urls: member.peer_urls,
                client_urls: member.client_urls,
                ..Member::default()
            });
        }
        if members.is_empty() {
            members.insert(self.own.id, self.own.clone());
        }
        members
    }

    fn recorded(&self) -> BTreeMap<MemberId, Member> {
        let Some(cluster_id) = self.view.cluster_id() else { return BTreeMap::new() };
        let keys = Keys::new(cluster_id);
        let found = match self.view.range(&KeyRange::between(keys.members(), keys.members_end()), 0, None) {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "records of members cannot be read");
                return BTreeMap::new();
            }
        };
        let mut members = BTreeMap::new();
        for kv in found.kvs {
            // Below a member's record lie single facts about it, for tools that look for those.
            let name = kv.key.slice(keys.members().len()..);
            if name.contains(&b'/') {
                continue;
            }
            match pdpb::Member::decode(kv.value) {
                Ok(record) => members.insert(MemberId(record.member_id), from_record(record)),
                Err(error) => {
                    warn!(%error, "a member's record cannot be read");
                    None
                }
            };
        }
        members
    }

    fn refresh_addresses(&self) {
        let mut addresses = BTreeMap::new();
        let met = self.met.lock();
        let said = met.values().map(|met| met.identity.member());
        for member in self.members().into_values().chain(said) {
            if let Some(address) = member.peer_urls.first().and_then(|url| url.strip_prefix("http://")) {
                addresses.insert(member.id.0, address.to_owned());
            }
        }
        self.addresses.store(Arc::new(addresses));
    }
}

/// The roster as the Raft core holds it. Lines to other members outlive a stopped member by a while; they must not keep
/// its files open.
pub(crate) struct Door(pub(crate) Weak<Roster>);

impl Router for Door {
    fn route(&self, group: u64, to: u64) -> Option<Destination> {
        let roster = self.0.upgrade().filter(|_| group == PD_GROUP)?;
        let address = roster.addresses.load().get(&to)?.clone();
        Some(Destination { address, context: Bytes::new() })
    }
}

impl Gatekeeper for Door {
    fn greeting(&self) -> Bytes {
        self.0.upgrade().map(|roster| roster.identity().to_bytes()).unwrap_or_default()
    }

    fn admit(&self, theirs: &[u8]) -> Result<(), String> {
        let roster = self.0.upgrade().ok_or("this member is stopping")?;
        roster.meet(theirs, None)
    }
}

/// A member's replicated record.
pub(crate) fn to_record(member: &Member) -> pdpb::Member {
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

/// The folder of this program; empty where the system does not tell.
fn deploy_path() -> String {
    let program = std::env::current_exe().ok();
    program.and_then(|program| Some(program.parent()?.display().to_string())).unwrap_or_default()
}
