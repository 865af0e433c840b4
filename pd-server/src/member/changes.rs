//! How members come and go: asked of the leader, decided by `policy`, and done as changes of the Raft membership that carry
//! the members' records with them. Every step can be repeated: what is done already is found done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::eraftpb::{ConfChangeSingle, ConfChangeType};
use raft_core::{BootTime, GroupStatus, ProposeError};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::acquaintance::bid_farewell;
use super::identity::{Identity, Refusal};
use super::policy::{self, NotRemovable};
use super::register::{self, Register};
use super::{Member, MemberId, Members, service};
use crate::config::{MEMBERS_MAX, ServerUrl, check_name};
use crate::keys::Keys;
use crate::leadership::{Leadership, NotLeader, Term, TransferError};
use crate::state::{Compare, Kv, KvError, Txn};

/// How long a change may take to be agreed on. A healthy group needs a round trip; one without a quorum never agrees.
const CHANGE_MAX: Duration = Duration::from_secs(5);

/// Pause before a change that came at a bad moment (another one under way, a hand-over) is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a sign of life is waited for, of those who would be left before a removal is refused, of those who would vote
/// before they do: many heartbeats.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(1);

/// How often a leader looks whether somebody has caught up.
const TEND_PAUSE: Duration = Duration::from_millis(200);

/// How long a leader serves before it gives the lead to a member that is wanted more: a member that stops hands its lead
/// over, and must not get it back while it goes.
const PRIORITY_AFTER: Duration = Duration::from_secs(3);

/// How often it looks for one.
const PRIORITY_LOOK: Duration = Duration::from_secs(1);

/// Pause after a hand-over that failed.
const PRIORITY_PAUSE: Duration = Duration::from_secs(5);

/// Why a change of the members was not made. Each text says what to do; nothing was changed, except after
/// [`ChangeError::Slow`].
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader changes members.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// No member has this id.
    #[error("member not found")]
    NotFound,
    /// The only voter cannot go.
    #[error(
        "{name} is the only voting member: without it there is no group; add members first (pd-server --join), or stop its \
         process if the group is to end"
    )]
    LastVoter {
        /// The member.
        name: String,
    },
    /// Those left could not decide anything.
    #[error(
        "without {name} {left} voting members are left, of which {needed} must answer, and {} does not answer: start that \
         one again, or remove it first (pd-ctl member delete name {})",
        silent.join(", "), silent.first().map_or("", String::as_str)
    )]
    NoQuorum {
        /// The member.
        name: String,
        /// Voters that would be left.
        left: usize,
        /// How many of them would have to answer.
        needed: usize,
        /// Who does not.
        silent: Vec<String>,
    },
    /// A newcomer is not wanted.
    #[error("{0}")]
    Unwanted(String),
    /// The lead cannot be handed over, which must come before the leader's own removal.
    #[error("{name} leads, and its lead cannot be handed over: {reason}; try again")]
    NotHandedOver {
        /// The leader.
        name: String,
        /// Why.
        reason: String,
    },
    /// No agreement within the time.
    #[error(
        "not agreed within {} s: it may or may not be done later; look at the members (pd-ctl member) and ask again",
        CHANGE_MAX.as_secs()
    )]
    Slow,
    /// The Raft core or the state refuses.
    #[error(transparent)]
    Kv(#[from] KvError),
}

/// Changes the members of the group; cheap to clone.
#[derive(Clone)]
pub struct Membership {
    kv: Kv,
    leadership: Leadership,
    members: Members,
    /// One change at a time: each is judged by what the one before has made.
    one: Arc<Mutex<()>>,
}

impl Membership {
    pub(crate) fn new(kv: Kv, leadership: Leadership, members: Members) -> Self {
        Self { kv, leadership, members, one: Arc::default() }
    }

    /// The members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The state, for headers.
    pub(crate) fn kv(&self) -> &Kv {
        &self.kv
    }

    /// The lead, for headers.
    pub(crate) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Takes in the member that greets, as a learner: it votes once it has caught up. A member that is there already is
    /// found there.
    ///
    /// # Errors
    /// This member does not lead, or the group does not want the newcomer.
    pub async fn add(&self, greeting: &[u8]) -> Result<Member, ChangeError> {
        let unwanted = |refusal: Refusal| ChangeError::Unwanted(refusal.to_string());
        let newcomer = Identity::parse(greeting).map_err(unwanted)?;
        let _one = self.one.lock().await;
        let (term, keys) = self.lead().await?;
        let register = self.members.roster().register();
        if let Some(known) = judge_newcomer(&self.members.roster().identity(), &register, &newcomer)? {
            // It would vote a second time in a term, or miss what it has acknowledged (rule 3).
            let forgot = policy::has_part(&self.status(), known.id);
            return if forgot { Err(has_forgotten(&known)) } else { Ok(known) };
        }
        let member = newcomer.member();
        let records = register::put(&keys, &[(member.clone(), newcomer.incarnation.clone())])
            .when(Compare::absent(keys.member(member.id.0)));
        self.change(term, &[(ConfChangeType::AddLearnerNode, member.id)], Some(records)).await?;
        self.members.roster().reload();
        info!(name = member.name, member_id = member.id.0, peer_urls = ?member.peer_urls, "member added, it learns");
        Ok(member)
    }

    /// Removes a member for good. A leader hands its lead over and has its heir do it. Returns who was removed; one that
    /// was removed before is found removed.
    ///
    /// # Errors
    /// This member does not lead, nobody has this id, or the group could not do without the member.
    pub async fn remove(&self, id: MemberId) -> Result<String, ChangeError> {
        // A task of its own: who hangs up must not leave a leader's removal half done, with the lead moved.
        let membership = self.clone();
        let removal = tokio::spawn(async move { membership.remove_now(id).await });
        removal.await.unwrap_or(Err(ChangeError::Slow))
    }

    async fn remove_now(&self, id: MemberId) -> Result<String, ChangeError> {
        let one = self.one.lock().await;
        let (term, keys) = self.lead().await?;
        let register = self.members.roster().register();
        let Some(known) = register.members.get(&id) else {
            return register.removed.get(&id).cloned().ok_or(ChangeError::NotFound);
        };
        let member = known.member.clone();
        self.judge_removal(id).await.map_err(|why| not_removable(why, &member, &register))?;
        if id == self.members.own().id {
            drop(one);
            return self.remove_own(member).await;
        }
        let records = register::remove(&keys, &member);
        self.change(term, &[(ConfChangeType::RemoveNode, id)], Some(records)).await?;
        self.members.roster().reload();
        info!(name = member.name, member_id = id.0, "member removed for good");
        let (roster, leaver) = (Arc::clone(self.members.roster()), member.clone());
        tokio::spawn(async move { bid_farewell(&roster, &leaver).await });
        Ok(member.name)
    }

    /// Sets how much a member is wanted as leader. Returns once that is kept; the lead moves later, if it does.
    ///
    /// # Errors
    /// This member does not lead, or nobody has this id.
    pub async fn set_priority(&self, id: MemberId, priority: i32) -> Result<(), ChangeError> {
        let (term, keys) = self.lead().await?;
        let register = self.members.roster().register();
        let known = register.members.get(&id).ok_or(ChangeError::NotFound)?;
        let done = self.kv.txn(term, register::set_priority(&keys, id, priority)).await?;
        if !done.succeeded {
            return Err(ChangeError::NotFound);
        }
        self.members.roster().reload();
        info!(name = known.member.name, priority, "leader priority set");
        Ok(())
    }

    /// What a leader does about members in its term: leaves a joint membership, promotes who has caught up, and gives the
    /// lead to who is wanted more. Runs until it is dropped.
    pub(crate) async fn tend(&self, term: Term) {
        let mut priority_from = Instant::now() + PRIORITY_AFTER;
        loop {
            sleep(TEND_PAUSE).await;
            if let Err(error) = self.promote(term).await {
                debug!(term = term.0, %error, "members not promoted yet");
            }
            if Instant::now() >= priority_from {
                let pause = if self.follow_priorities().await { PRIORITY_LOOK } else { PRIORITY_PAUSE };
                priority_from = Instant::now() + pause;
            }
        }
    }

    async fn promote(&self, term: Term) -> Result<(), ChangeError> {
        let _one = self.one.lock().await;
        let status = self.status();
        if is_joint(&status) {
            return self.leave_joint(term).await;
        }
        let promoted = policy::promotions(&status);
        if promoted.is_empty() {
            return Ok(());
        }
        let (begun, since) = (Instant::now(), BootTime::now());
        while !policy::may_promote(&self.status(), &promoted, since) {
            if begun.elapsed() >= SIGN_OF_LIFE_MAX {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
        let changes: Vec<_> = promoted.iter().map(|id| (ConfChangeType::AddNode, *id)).collect();
        self.change(term, &changes, None).await?;
        let names: Vec<String> =
            promoted.iter().filter_map(|id| self.members.get(*id)).map(|member| member.name).collect();
        info!(members = names.join(", "), "members have caught up and vote from now on");
        if is_joint(&self.status()) { self.leave_joint(term).await } else { Ok(()) }
    }

    /// False if the lead was to move and did not.
    async fn follow_priorities(&self) -> bool {
        let register = self.members.roster().register();
        let priorities: BTreeMap<MemberId, i32> =
            register.members.iter().map(|(id, known)| (*id, known.leader_priority)).collect();
        let Some(to) = policy::wanted_leader(&self.status(), &priorities) else { return true };
        let name = register.members.get(&to).map_or("", |known| known.member.name.as_str());
        info!(to = name, "lead goes to a member of higher priority");
        match self.leadership.transfer(Some(to)).await {
            Ok(_) => true,
            Err(error) => {
                warn!(to = name, %error, "lead not handed over, tried again later");
                false
            }
        }
    }

    /// Counts on those only that answer what is sent from now on: one that has just died still looks alive.
    async fn judge_removal(&self, id: MemberId) -> Result<(), NotRemovable> {
        let (begun, since) = (Instant::now(), BootTime::now());
        loop {
            let judged = policy::may_remove(&self.status(), id, since);
            match judged {
                Err(NotRemovable::NoQuorum { .. }) if begun.elapsed() < SIGN_OF_LIFE_MAX => {
                    sleep(AGAIN).await;
                }
                Ok(()) | Err(NotRemovable::LastVoter | NotRemovable::NoQuorum { .. }) => return judged,
            }
        }
    }

    /// The heir does it: a leader that removed itself would leave the group without one.
    async fn remove_own(&self, own: Member) -> Result<String, ChangeError> {
        let not_handed_over = |error: TransferError| ChangeError::NotHandedOver {
            name: own.name.clone(),
            reason: error.to_string(),
        };
        let deadline = Instant::now() + CHANGE_MAX;
        info!(name = own.name, "leader is to be removed: hands its lead over first");
        self.leadership.transfer(None).await.map_err(not_handed_over)?;
        let asked = async {
            loop {
                match self.leadership.leader_to_name().await {
                    Some(leader) if leader.id == own.id => {
                        // It came back, by priority perhaps.
                        self.leadership.transfer(None).await.map_err(not_handed_over)?;
                    }
                    Some(leader) => match service::ask_to_remove(&leader, own.id).await {
                        Ok(()) => return Ok(own.name.clone()),
                        Err(service::Asked::Refused(reason)) => return Err(ChangeError::Unwanted(reason)),
                        Err(service::Asked::Unanswered(reason)) => {
                            debug!(leader = leader.name, reason, "removal not done yet");
                        }
                    },
                    None => {}
                }
                sleep(AGAIN).await;
            }
        };
        timeout_at(deadline, asked).await.unwrap_or(Err(ChangeError::Slow))
    }

    async fn leave_joint(&self, term: Term) -> Result<(), ChangeError> {
        self.propose(term, Vec::new(), None).await?;
        info!("joint membership left");
        Ok(())
    }

    /// Makes a change once no other one is in its way.
    async fn change(
        &self,
        term: Term,
        changes: &[(ConfChangeType, MemberId)],
        records: Option<Txn>,
    ) -> Result<(), ChangeError> {
        let changes: Vec<ConfChangeSingle> = changes
            .iter()
            .map(|(kind, id)| ConfChangeSingle { change_type: (*kind).into(), node_id: id.0 })
            .collect();
        if is_joint(&self.status()) {
            self.leave_joint(term).await?;
        }
        self.propose(term, changes, records).await
    }

    async fn propose(
        &self,
        term: Term,
        changes: Vec<ConfChangeSingle>,
        records: Option<Txn>,
    ) -> Result<(), ChangeError> {
        let proposed = async {
            loop {
                match self.kv.change_members(term, changes.clone(), records.clone()).await {
                    Err(KvError::Propose(ProposeError::Busy(busy))) => {
                        debug!(%busy, "change of members waits");
                    }
                    done => return done,
                }
                sleep(AGAIN).await;
            }
        };
        match timeout_at(Instant::now() + CHANGE_MAX, proposed).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ChangeError::Slow),
        }
    }

    /// The term in which this member leads, and where records lie.
    async fn lead(&self) -> Result<(Term, Keys), ChangeError> {
        let term = self.leadership.serve().await?;
        let cluster_id = self.kv.cluster_id().ok_or(NotLeader)?;
        // A ready leader has applied all that was changed before its term, and may not have looked yet.
        self.members.roster().reload();
        Ok((term, Keys::new(cluster_id)))
    }

    fn status(&self) -> GroupStatus {
        self.members.roster().status().map(|status| status.borrow().clone()).unwrap_or_default()
    }
}

fn is_joint(status: &GroupStatus) -> bool {
    !status.conf_state.voters_outgoing.is_empty()
}

/// Whether a newcomer is wanted; the member itself if it is one already.
fn judge_newcomer(
    ours: &Identity,
    register: &Register,
    newcomer: &Identity,
) -> Result<Option<Member>, ChangeError> {
    let unwanted = |text: String| Err(ChangeError::Unwanted(text));
    match super::identity::judge(ours, register, newcomer) {
        Ok(()) => return Ok(register.by_name(&newcomer.name).map(|known| known.member.clone())),
        Err(Refusal::Unknown { .. }) => {}
        Err(
            refusal @ (Refusal::NotAMember(_)
            | Refusal::OtherCluster { .. }
            | Refusal::SameName(_)
            | Refusal::OtherIncarnation { .. }
            | Refusal::Removed { .. }
            | Refusal::Joining
            | Refusal::OtherInitialCluster { .. }),
        ) => return unwanted(refusal.to_string()),
    }
    if let Some(known) = register.members.get(&MemberId(newcomer.member_id)) {
        return unwanted(format!(
            "member {} comes with id {}, which is that of member {}: its data folder is a copy; start it with an empty \
             --data-dir",
            newcomer.name, newcomer.member_id, known.member.name
        ));
    }
    if let Err(reason) = check_name(&newcomer.name) {
        return unwanted(reason);
    }
    if newcomer.peer_urls.is_empty() || newcomer.client_urls.is_empty() {
        return unwanted(format!("member {} names no peer URL or no client URL", newcomer.name));
    }
    for url in newcomer.peer_urls.iter().chain(&newcomer.client_urls) {
        // Every client is told of it from then on.
        if let Err(reason) = ServerUrl::parse(url) {
            return unwanted(format!("member {} advertises {reason}", newcomer.name));
        }
    }
    for known in register.members.values() {
        if let Some(url) = newcomer.client_urls.iter().find(|url| known.member.client_urls.contains(url)) {
            let name = &known.member.name;
            return unwanted(format!(
                "client URL {url} is that of member {name}; choose another --advertise-client-urls, or remove {name} first \
                 (pd-ctl member delete name {name})"
            ));
        }
        if let Some(url) = newcomer.peer_urls.iter().find(|url| known.member.peer_urls.contains(url)) {
            let name = &known.member.name;
            return unwanted(format!(
                "peer URL {url} is that of member {name}; choose another --advertise-peer-urls, or remove {name} first \
                 (pd-ctl member delete name {name})"
            ));
        }
    }
    if register.members.len() >= MEMBERS_MAX {
        return unwanted(format!(
            "the group has {} members, at most {MEMBERS_MAX} make sense",
            register.members.len()
        ));
    }
    Ok(None)
}

/// Refuses a member that was one and does not know it any more.
fn has_forgotten(member: &Member) -> ChangeError {
    let name = &member.name;
    ChangeError::Unwanted(format!(
        "member {name} with id {} votes or has acknowledged entries, and its data folder holds nothing of it: it is an old \
         copy or has lost files. Replace it: on a living member run `pd-ctl member delete name {name}`, then start it with an \
         empty --data-dir and --join",
        member.id.0
    ))
}

fn not_removable(why: NotRemovable, member: &Member, register: &Register) -> ChangeError {
    let name = member.name.clone();
    match why {
        NotRemovable::LastVoter => ChangeError::LastVoter { name },
        NotRemovable::NoQuorum { left, needed, silent } => {
            let named = |id: MemberId| {
                register.members.get(&id).map_or_else(|| id.0.to_string(), |known| known.member.name.clone())
            };
            ChangeError::NoQuorum { name, left, needed, silent: silent.into_iter().map(named).collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::folder::AgreedMember;

    fn identity(name: &str, id: u64) -> Identity {
        Identity {
            name: name.into(),
            member_id: id,
            incarnation: format!("folder {id}"),
            peer_urls: vec![format!("http://{name}:2380")],
            client_urls: vec![format!("http://{name}:2379")],
            ..Identity::default()
        }
    }

    fn group(size: u64) -> (Identity, Register) {
        let agreed: Vec<AgreedMember> =
            (1..=size).map(|id| identity(&format!("pd{id}"), id).agreed_member()).collect();
        let ours = Identity { agreed: agreed.iter().map(Into::into).collect(), ..identity("pd1", 1) };
        (ours, Register::default().with_agreed(agreed))
    }

    #[test]
    fn a_newcomer_is_wanted_once() {
        let (ours, register) = group(3);
        let judged = |newcomer: &Identity| judge_newcomer(&ours, &register, newcomer);
        assert_eq!(judged(&identity("pd4", 4)).unwrap(), None);
        assert_eq!(judged(&identity("pd3", 3)).unwrap().unwrap().id, MemberId(3), "it is there already");
    }

    #[test]
    fn who_is_not_wanted_learns_what_to_do() {
        let (ours, mut register) = group(3);
        register.removed.insert(MemberId(9), "pd9".into());
        let refused = |newcomer: &Identity, register: &Register| {
            judge_newcomer(&ours, register, newcomer).unwrap_err().to_string()
        };
        let text = refused(&identity("pd3", 4), &register);
        assert!(text.contains("pd-ctl member delete name pd3") && text.contains("--join"), "{text}");
        let text = refused(&identity("pd9", 9), &register);
        assert!(
            text.contains("was removed from this group for good") && text.contains("empty --data-dir"),
            "{text}"
        );
        let text =
            refused(&Identity { peer_urls: vec!["http://pd2:2380".into()], ..identity("pd4", 4) }, &register);
        assert!(text.contains("http://pd2:2380 is that of member pd2"), "{text}");
        let text = refused(&Identity { client_urls: Vec::new(), ..identity("pd4", 4) }, &register);
        assert!(text.contains("names no peer URL or no client URL"), "{text}");
        let text = refused(
            &Identity { client_urls: vec!["http://pd2:2379".into()], ..identity("pd4", 4) },
            &register,
        );
        assert!(text.contains("http://pd2:2379 is that of member pd2"), "{text}");
        let text =
            refused(&Identity { client_urls: vec!["nonsense".into()], ..identity("pd4", 4) }, &register);
        assert!(text.contains("member pd4 advertises") && text.contains("nonsense"), "{text}");
        let text = refused(&identity("x/../\n<b>", 4), &register);
        assert!(text.contains("is no name"), "{text}");
        let text = refused(&identity("pd4", 2), &register);
        assert!(text.contains("id 2, which is that of member pd2"), "{text}");
        let (_, full) = group(9);
        assert!(refused(&identity("pd10", 10), &full).contains("at most 9"));
    }

    #[test]
    fn a_refused_removal_names_who_does_not_answer() {
        let (_, register) = group(3);
        let silent = NotRemovable::NoQuorum { left: 2, needed: 2, silent: vec![MemberId(3)] };
        let member = register.by_name("pd2").unwrap().member.clone();
        let text = not_removable(silent, &member, &register).to_string();
        assert!(text.contains("without pd2 2 voting members are left, of which 2 must answer"), "{text}");
        assert!(text.contains("pd-ctl member delete name pd3"), "{text}");
        let text = not_removable(NotRemovable::LastVoter, &member, &register).to_string();
        assert!(text.contains("pd2 is the only voting member") && text.contains("--join"), "{text}");
    }
}
