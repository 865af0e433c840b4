//! Who is who: the first members as agreed, the replicated records, and what members say of themselves when they greet.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use raft_core::net::Gatekeeper;
use raft_core::{BootTime, Destination, GroupStatus, Role, Router};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::folder::{AgreedMember, Agreement, DataFolder};
use super::identity::{Agreed, Identity, Refusal, judge};
use super::register::Register;
use super::{Member, MemberId, MemberRole, MemberState};
use crate::config::{Config, InitialMember};
use crate::state::View;
use crate::tso::{Reading, WallClock};
use crate::{COMPATIBLE_VERSION, PD_GROUP};

/// A leader counts a member as healthy that it heard of within this time: several of its heartbeats.
pub(super) const HEALTHY_MS: u64 = 1_000;

/// What another member's clock showed counts for this long: several greetings. Of a member that is gone it says nothing.
const READING_MAX: Duration = Duration::from_secs(60);

/// How often a member looks whether its own part in the group has changed, to log it, and whose clocks count.
const PART_PAUSE: Duration = Duration::from_secs(1);

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
    /// What the replicated state holds of members, as last read: many ask, and a read of the state may have to wait for
    /// writes.
    recorded: ArcSwap<Register>,
    reloading: Mutex<()>,
    /// Learns what the others' clocks show.
    clock: Arc<WallClock>,
    /// The last greeting of each other member, by name. At most as many as there are members: others are refused.
    met: Mutex<BTreeMap<String, Met>>,
    /// Counts the greetings and changes of the register that brought news.
    changed: watch::Sender<u64>,
    addresses: ArcSwap<BTreeMap<u64, String>>,
    /// Set once the group runs here.
    status: OnceLock<watch::Receiver<GroupStatus>>,
    /// Set once this member was removed from the group.
    removed: watch::Sender<Option<Removed>>,
}

/// This member was removed from its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What it says at its end.
    pub text: String,
    /// How it knows.
    pub told: Told,
}

/// How a member learned that it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its own state has it.
    ByState,
    /// Who removed it says so.
    ByFarewell,
    /// Another member refuses it.
    ByRefusal,
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

    /// All members, learners included, by id: always in the same order, so that answers stay equal byte by byte.
    pub fn list(&self) -> Vec<Member> {
        self.roster.members().into_values().collect()
    }

    /// The member with this id.
    pub fn get(&self, id: MemberId) -> Option<Member> {
        self.roster.members().remove(&id)
    }

    /// The id of a former member of this name that was removed for good.
    pub fn removed_id(&self, name: &str) -> Option<MemberId> {
        let removed = self.roster.register().removed;
        removed.into_iter().find(|(_, former)| former == name).map(|(id, _)| id)
    }

    /// How each member stands, by id.
    pub fn states(&self) -> Vec<MemberState> {
        let register = self.roster.register();
        let status = self.roster.status.get().map(|status| status.borrow().clone()).unwrap_or_default();
        let state = |member: Member| MemberState {
            leader_priority: register.members.get(&member.id).map_or(0, |known| known.leader_priority),
            ..self.state(member, &status)
        };
        self.list().into_iter().map(state).collect()
    }

    /// Whether the member was heard of by the leader lately; `None` if this member cannot know (it does not lead).
    /// Itself counts as healthy until it was removed.
    pub fn healthy(&self, id: MemberId) -> Option<bool> {
        if id == self.roster.own.id {
            return Some(self.roster.removed.borrow().is_none());
        }
        let status = self.roster.status.get()?.borrow();
        match status.role {
            Role::Leader => Some(status.progress.iter().any(|p| p.id == id.0 && p.heard_ms <= HEALTHY_MS)),
            Role::Follower | Role::PreCandidate | Role::Candidate => None,
        }
    }

    /// Resolves when this member was removed from its group, with what to say about it.
    pub fn removed(&self) -> impl Future<Output = Removed> + Send + 'static {
        let mut removed = self.roster.removed();
        async move {
            loop {
                if let Some(removed) = removed.borrow_and_update().clone() {
                    return removed;
                }
                if removed.changed().await.is_err() {
                    // The process stops by other means.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    pub(crate) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    fn state(&self, member: Member, status: &GroupStatus) -> MemberState {
        let id = member.id.0;
        let role = if status.leader == id {
            MemberRole::Leader
        } else if status.conf_state.voters.contains(&id) || status.conf_state.voters_outgoing.contains(&id) {
            MemberRole::Follower
        } else {
            MemberRole::Learner
        };
        let seen = status.progress.iter().find(|seen| seen.id == id);
        let is_own = member.id == self.roster.own.id;
        let index = seen.map(|seen| seen.matched).or(is_own.then_some(status.applied));
        MemberState {
            role,
            leader_priority: 0,
            healthy: self.healthy(member.id),
            silent_ms: seen
                .map(|seen| seen.heard_ms)
                .or((is_own && status.role == Role::Leader).then_some(0)),
            index,
            lag_entries: index.map(|index| status.last.saturating_sub(index)),
            member,
        }
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
            recorded: ArcSwap::from_pointee(Register::read(&view)),
            reloading: Mutex::default(),
            view,
            clock,
            met: Mutex::default(),
            changed: watch::Sender::default(),
            addresses: ArcSwap::default(),
            status: OnceLock::new(),
            removed: watch::Sender::default(),
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

    /// Whether the folder has begun to join a running group.
    pub(crate) fn joins(&self) -> bool {
        self.folder.record().joins
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
            removed_id: 0,
        }
    }

    /// The members as far as this one knows: the replicated records, and what was agreed where there are none yet.
    pub(crate) fn register(&self) -> Register {
        let agreed = self.agreement().map_or_else(Vec::new, |group| group.members);
        Register::clone(&self.recorded.load()).with_agreed(agreed)
    }

    /// Follows the register for as long as the group runs: who was removed is no longer listened to, who was added is
    /// found.
    pub(crate) async fn follow_register(&self, raft: raft_core::Handle) {
        let mut changes = self.view.members_changed();
        let mut voted = None;
        loop {
            changes.borrow_and_update();
            self.reload();
            let removed = &self.recorded.load().removed;
            raft.set_removed(PD_GROUP, removed.keys().map(|id| id.0).collect());
            if removed.contains_key(&self.own.id) {
                self.note_removal(Told::ByState);
            }
            while let Err(_elapsed) = timeout(PART_PAUSE, changes.changed()).await {
                self.tell_own_part(&mut voted);
                self.judge_clock(&self.met.lock());
            }
        }
    }

    /// Takes a changed register into account: at once where this member has changed it.
    pub(crate) fn reload(&self) {
        // Nobody stores what was read before another one's.
        let _reloading = self.reloading.lock();
        let recorded = Register::read(&self.view);
        if **self.recorded.load() == recorded {
            return;
        }
        self.recorded.store(Arc::new(recorded));
        let register = self.register();
        let mut met = self.met.lock();
        let had = met.len();
        met.retain(|_, met| register.members.contains_key(&MemberId(met.identity.member_id)));
        if met.len() < had {
            self.judge_clock(&met);
        }
        drop(met);
        self.refresh_addresses();
        self.tell_change();
    }

    /// Takes another member's word that this one was removed, if it means this member of this cluster. While a leader is heard
    /// only that one is believed: it talks to its members only.
    pub(crate) fn hear_of_removal(&self, theirs: &Identity, told: Told) {
        let cluster_id = self.view.cluster_id().unwrap_or(0);
        let is_meant = theirs.removed_id == self.own.id.0
            && theirs.member_id != self.own.id.0
            && (cluster_id == 0 || cluster_id == theirs.cluster_id);
        if !is_meant {
            return;
        }
        let leader = self.status.get().map_or(0, |status| status.borrow().leader);
        if leader == 0 || leader == theirs.member_id {
            self.note_removal(told);
        } else {
            warn!(by = theirs.name, leader, "said to be removed, and yet there is a leader; not believed");
        }
    }

    /// Tells when this member was removed.
    pub(crate) fn removed(&self) -> watch::Receiver<Option<Removed>> {
        self.removed.subscribe()
    }

    /// This member was removed: keeps that for good, and has the process end.
    fn note_removal(&self, told: Told) {
        if self.removed.borrow().is_some() {
            return;
        }
        let text = format!(
            "member {} with id {} was removed from its group; its data folder {} cannot be used any more",
            self.own.name,
            self.own.id.0,
            self.folder.path().display()
        );
        if let Err(error) = self.folder.mark_removed() {
            // The others refuse it all the same.
            error!(%error, "the data folder cannot keep that this member was removed");
        }
        info!(
            name = self.own.name,
            member_id = self.own.id.0,
            ?told,
            "this member was removed from its group"
        );
        self.removed.send_replace(Some(Removed { text, told }));
    }

    /// Whether this member votes is worth a line whenever it changes.
    fn tell_own_part(&self, voted: &mut Option<bool>) {
        let Some(status) = self.status.get() else { return };
        let (votes, learns) = {
            let status = status.borrow();
            (status.conf_state.voters.contains(&status.id), status.conf_state.learners.contains(&status.id))
        };
        if votes == learns || *voted == Some(votes) {
            return;
        }
        if voted.replace(votes).is_some() || learns {
            let part = if votes {
                "this member votes from now on"
            } else {
                "this member learns and does not vote yet"
            };
            info!(name = self.own.name, part, "part in the group");
        }
    }

    /// Takes a greeting, if its sender is one of us. `reading` is its clock as seen when we asked.
    pub(crate) fn meet(&self, greeting: &[u8], reading: Option<Reading>) -> Result<(), String> {
        let theirs = Identity::parse(greeting).map_err(|refusal| refusal.to_string())?;
        if theirs.removed_id != 0 {
            // Perhaps of somebody whom this member has not met: it may have been away for long. And no more than this is said.
            self.hear_of_removal(&theirs, Told::ByFarewell);
            return Ok(());
        }
        if self.folder.record().joins && self.agreement().is_none() {
            return Err(Refusal::Joining.to_string());
        }
        judge(&self.identity(), &self.register(), &theirs).map_err(|refusal| refusal.to_string())?;
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
        self.judge_clock(&met);
        drop(met);
        if news {
            self.refresh_addresses();
            self.tell_change();
        }
        Ok(())
    }

    /// Whether enough clocks are known to hold back a wrong own one.
    pub(crate) fn is_clock_compared(&self) -> bool {
        self.clock
            .is_compared(self.voters().map_or_else(|| self.register().members.len(), |voters| voters.len()))
    }

    /// Holds the own clock back by those of the other voters (rule 6): a learner decides nothing, its clock neither.
    fn judge_clock(&self, met: &BTreeMap<String, Met>) {
        let (voters, now) = (self.voters(), BootTime::now());
        let counted = met
            .values()
            .filter(|met| voters.as_ref().is_none_or(|voters| voters.contains(&met.identity.member_id)));
        let readings =
            counted.filter_map(|met| met.reading).filter(|reading| now <= reading.at + READING_MAX);
        self.clock.set_readings(&readings.collect::<Vec<_>>());
    }

    /// Who votes, once the group runs here and has told it.
    fn voters(&self) -> Option<Vec<u64>> {
        let voters = self.status.get()?.borrow().conf_state.voters.clone();
        (!voters.is_empty()).then_some(voters)
    }

    /// What the others last said of themselves.
    pub(crate) fn met(&self) -> BTreeMap<String, Met> {
        self.met.lock().clone()
    }

    /// Tells of greetings and changes of the register that brought news.
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

    /// Members whose replicated record differs from what they say of themselves, this one included, each with the
    /// incarnation of its folder.
    pub(crate) fn unrecorded(&self) -> Vec<(Member, String)> {
        let recorded = self.recorded.load();
        let known = self.register();
        let met = self.met();
        let own = (self.own.clone(), self.folder.record().incarnation);
        std::iter::once(own)
            .chain(met.into_values().map(|met| (met.identity.member(), met.identity.incarnation)))
            .filter(|(member, _)| known.members.contains_key(&member.id))
            .filter(|(member, incarnation)| {
                recorded
                    .members
                    .get(&member.id)
                    .is_none_or(|known| (&known.member, &known.incarnation) != (member, incarnation))
            })
            .collect()
    }

    /// All members by id; this one alone while none are known.
    pub(crate) fn members(&self) -> BTreeMap<MemberId, Member> {
        let mut members: BTreeMap<MemberId, Member> =
            self.register().members.into_iter().map(|(id, known)| (id, known.member)).collect();
        if members.is_empty() {
            members.insert(self.own.id, self.own.clone());
        }
        members
    }

    /// The others with their peer URLs, the one first under which they last said to be.
    pub(crate) fn others(&self) -> BTreeMap<MemberId, Member> {
        let mut others = self.members();
        others.remove(&self.own.id);
        for met in self.met().into_values() {
            if let Some(other) = others.get_mut(&MemberId(met.identity.member_id)) {
                other.peer_urls = met.identity.peer_urls;
            }
        }
        others
    }

    /// The group's status, once it runs here.
    pub(crate) fn status(&self) -> Option<&watch::Receiver<GroupStatus>> {
        self.status.get()
    }

    fn tell_change(&self) {
        self.changed.send_modify(|count| *count += 1);
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

    fn notice(&self, theirs: &[u8]) -> Bytes {
        let (Some(roster), Ok(theirs)) = (self.0.upgrade(), Identity::parse(theirs)) else {
            return Bytes::new();
        };
        let id = MemberId(theirs.member_id);
        if !roster.recorded.load().removed.contains_key(&id) {
            return Bytes::new();
        }
        roster.identity().word_of_removal(id).to_bytes()
    }
}

/// The folder of this program; empty where the system does not tell.
fn deploy_path() -> String {
    let program = std::env::current_exe().ok();
    program.and_then(|program| Some(program.parent()?.display().to_string())).unwrap_or_default()
}
