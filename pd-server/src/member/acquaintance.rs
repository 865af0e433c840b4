//! Members greet each other: at the first start until all have agreed, later now and then, to learn of moved addresses
//! and to compare clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use raft_core::BootTime;
use raft_core::net::{GreetError, greet};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::folder::AgreedMember;
use super::identity::{Agreed, Identity};
use super::roster::{Roster, Told};
use super::{Member, MemberId};
use crate::pd::StartError;
use crate::tso::Reading;

/// How long one greeting may take.
const GREET_LIMIT: Duration = Duration::from_secs(2);

/// Pause between two rounds of greetings while the group is not there yet.
const MEETING_PAUSE: Duration = Duration::from_millis(200);

/// Pause between two rounds of greetings of a running group.
const ACQUAINTANCE_PAUSE: Duration = Duration::from_secs(10);

/// The same while no leader is known.
const LEADERLESS_PAUSE: Duration = Duration::from_secs(1);

/// How often the log repeats what the first start waits for.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// Another member does not want this one in the group: waiting would not change it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("refused by member {member} at {address}: {reason}")]
pub struct Refused {
    /// Who refuses.
    pub member: String,
    /// Where it was asked.
    pub address: String,
    /// Its own words, which say what to do.
    pub reason: String,
    /// What came with them, if it speaks of a removal.
    word: Option<Box<Identity>>,
}

impl Refused {
    pub(crate) fn new(member: String, address: String, reason: String) -> Self {
        Self { member, address, reason, word: None }
    }
}

/// Why another member was not greeted.
enum NotGreeted {
    Refused(Refused),
    /// Not there, or not yet one with which this one agrees.
    NotYet(String),
}

/// The first start: waits until all members of `initial-cluster` have greeted each other and each has kept the same
/// set of members, durably. Only then may the group begin: else one could begin with a member that was replaced
/// meanwhile. Returns the set, at once if the group has begun; goes on where an interrupted start stopped.
///
/// # Errors
/// Another member refuses this one, or the agreement cannot be kept.
pub(crate) async fn agree(roster: &Roster, started: bool) -> Result<Vec<AgreedMember>, StartError> {
    if started && let Some(agreement) = roster.agreement() {
        return Ok(agreement.members);
    }
    let mut reported: BTreeMap<String, String> = BTreeMap::new();
    let mut report_at = Instant::now();
    loop {
        let mut missing = BTreeMap::new();
        for (member, why) in greet_others(roster).await {
            match why {
                NotGreeted::Refused(refused) => return Err(refused.into()),
                NotGreeted::NotYet(reason) => missing.insert(member, reason),
            };
        }
        if roster.agreement().is_none()
            && let Some(members) = all_met(roster)
        {
            roster.agree(members, false)?;
        }
        if let Some(agreement) = roster.agreement() {
            let waiting = not_agreed(roster, &agreement.members);
            if waiting.is_empty() {
                return Ok(agreement.members);
            }
            for name in waiting {
                missing.entry(name).or_insert_with(|| "it has not agreed on the members yet".into());
            }
        }
        if missing != reported || report_at.elapsed() > REPORT_PAUSE {
            for (member, reason) in &missing {
                info!(member, reason, "first start: waiting for a member");
            }
            report_at = Instant::now();
            reported = missing;
        }
        sleep(MEETING_PAUSE).await;
    }
}

/// Greets the others for as long as the group runs, each by itself: one that does not answer delays no other. Who is
/// added is greeted from then on, who is removed no more.
pub(crate) async fn keep_up(roster: Arc<Roster>) {
    let mut changed = roster.changed();
    let mut removed = roster.removed();
    let mut greeted: BTreeSet<MemberId> = BTreeSet::new();
    let mut greetings = JoinSet::new();
    loop {
        changed.borrow_and_update();
        for id in roster.others().into_keys() {
            if greeted.insert(id) {
                greetings.spawn(keep_up_with(Arc::clone(&roster), id));
            }
        }
        tokio::select! {
            news = changed.changed() => if news.is_err() { return },
            // Nobody wants to be greeted by who was removed.
            _ = removed.wait_for(Option::is_some) => return,
            Some(ended) = greetings.join_next() => if let Ok(id) = ended { greeted.remove(&id); },
        }
    }
}

/// Greets one member until it is none any more.
async fn keep_up_with(roster: Arc<Roster>, id: MemberId) -> MemberId {
    // Where it last said to be.
    while let Some(other) = roster.others().remove(&id) {
        let is_greeted = greet_member(&roster, &other).await;
        // A leader gives no timestamp before a majority of clocks is known: no long pause until then.
        let is_urgent = !is_greeted && !roster.is_clock_compared();
        pause(&roster, if is_urgent { MEETING_PAUSE } else { ACQUAINTANCE_PAUSE }).await;
    }
    id
}

/// Greets a member. Only its own word can tell this one that it was removed, never what this one thinks of the other: of two
/// that have not applied the same removal yet, each may refuse the other.
async fn greet_member(roster: &Roster, other: &Member) -> bool {
    let url = other.peer_urls.first().map_or("", String::as_str);
    // The Raft core's own lines to that member say it in the log.
    match greet_at(roster, &other.name, url).await {
        Ok(()) => return true,
        Err(NotGreeted::NotYet(reason)) => debug!(member = other.name, reason, "member not greeted"),
        Err(NotGreeted::Refused(refused)) => {
            debug!(member = other.name, reason = refused.reason, "member not greeted");
            if let Some(word) = refused.word {
                roster.hear_of_removal(&word, Told::ByRefusal);
            }
        }
    }
    false
}

/// Pauses; without a leader only briefly, since a member that was removed hears of no leader any more.
async fn pause(roster: &Roster, usual: Duration) {
    let Some(mut status) = roster.status().cloned() else { return sleep(usual).await };
    let leaderless = async {
        // An error means that the process stops.
        let _ = status.wait_for(|status| status.leader == 0).await;
        sleep(LEADERLESS_PAUSE).await;
    };
    tokio::select! {
        () = sleep(usual) => {}
        () = leaderless => {}
    }
}

/// Tells a member that it was removed. It hears nothing of it by itself: nobody talks Raft with it any more. Whether this
/// comes through does not matter, it asks too.
pub(crate) async fn bid_farewell(roster: &Roster, member: &Member) {
    let farewell = roster.identity().word_of_removal(member.id);
    for url in &member.peer_urls {
        let address = url.strip_prefix("http://").unwrap_or(url);
        match greet(address, farewell.to_bytes(), GREET_LIMIT).await {
            Ok(_) => return,
            Err(error) => debug!(member = member.name, %error, "no farewell"),
        }
    }
}

/// One round. Returns who could not be greeted, and why.
async fn greet_others(roster: &Roster) -> BTreeMap<String, NotGreeted> {
    let greetings = others(roster).into_iter().map(|(name, url)| async move {
        greet_at(roster, &name, &url).await.err().map(|reason| (name, reason))
    });
    join_all(greetings).await.into_iter().flatten().collect()
}

/// Names and peer URLs of the others.
fn others(roster: &Roster) -> Vec<(String, String)> {
    if roster.agreement().is_some() {
        let others = roster.others().into_values();
        return others
            .map(|other| (other.name, other.peer_urls.into_iter().next().unwrap_or_default()))
            .collect();
    }
    let configured = roster.others_configured();
    configured
        .map(|other| {
            (other.name.clone(), other.peer_urls.first().map(ToString::to_string).unwrap_or_default())
        })
        .collect()
}

async fn greet_at(roster: &Roster, name: &str, url: &str) -> Result<(), NotGreeted> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let sent = BootTime::now();
    let answer = match greet(address, roster.identity().to_bytes(), GREET_LIMIT).await {
        Ok(answer) => answer,
        Err(GreetError::Refused { address, reason, notice }) => {
            let word = Identity::parse(&notice).ok().map(Box::new);
            return Err(NotGreeted::Refused(Refused { member: name.to_owned(), address, reason, word }));
        }
        Err(unreachable) => return Err(NotGreeted::NotYet(unreachable.to_string())),
    };
    let received = BootTime::now();
    let theirs = Identity::parse(&answer).map_err(|refusal| NotGreeted::NotYet(refusal.to_string()))?;
    if theirs.name != name {
        return Err(NotGreeted::NotYet(format!("{address} is member {}", theirs.name)));
    }
    let at = BootTime(sent.0.midpoint(received.0));
    roster.meet(&answer, Some(Reading { wall_ms: theirs.wall_ms, at })).map_err(NotGreeted::NotYet)
}

/// The members, by name, if all of `initial-cluster` were met.
fn all_met(roster: &Roster) -> Option<Vec<AgreedMember>> {
    let met = roster.met();
    let mut members = vec![roster.identity().agreed_member()];
    for other in roster.others_configured() {
        members.push(met.get(&other.name)?.identity.agreed_member());
    }
    members.sort_unstable();
    Some(members)
}

/// Who has not said yet that it has kept the same set. Nobody is waited for once one of them has begun with it: that one
/// knows that all have agreed.
fn not_agreed(roster: &Roster, members: &[AgreedMember]) -> Vec<String> {
    let ours: Vec<Agreed> = members.iter().map(Agreed::from).collect();
    let met = roster.met();
    let same = |name: &String| met.get(name).is_some_and(|met| met.identity.agreed == ours);
    let begun = |name: &String| same(name) && met.get(name).is_some_and(|met| met.identity.started);
    let others: Vec<String> = members
        .iter()
        .filter(|member| member.member_id != roster.own().id)
        .map(|member| member.name.clone())
        .collect();
    if others.iter().any(begun) {
        return Vec::new();
    }
    others.into_iter().filter(|name| !same(name)).collect()
}

#[cfg(test)]
#[path = "acquaintance_tests.rs"]
mod tests;
