//! A newcomer's way into a running group: it asks the members that it was told of, and those that they name, until the
//! leader has taken it in.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::etcdserverpb as etcd;
use tokio::time::sleep;
use tracing::{info, warn};

use super::MemberId;
use super::acquaintance::Refused;
use super::folder::AgreedMember;
use super::roster::Roster;
use super::service::{Asked, ask_for_members, ask_to_join};
use crate::config::ServerUrl;
use crate::pd::StartError;

/// Pause between two rounds of asking.
const ASK_PAUSE: Duration = Duration::from_millis(500);

/// Has this member taken in by the group at `urls`, as a learner. Waits for as long as the group has no leader. Returns
/// the members, this one among them. Asking twice is asking once.
///
/// # Errors
/// The group does not want this member, or what it answers cannot be used.
pub(crate) async fn join(roster: &Roster, urls: &[ServerUrl]) -> Result<Vec<AgreedMember>, StartError> {
    let told: BTreeSet<String> = urls.iter().map(ToString::to_string).collect();
    let mut said = BTreeSet::new();
    loop {
        let mut reasons = BTreeSet::new();
        for url in candidates(&told, &mut reasons).await {
            let own = roster.own();
            if own.client_urls.contains(&url) {
                // Taken in and not told: it answers nobody yet, itself neither.
                continue;
            }
            let greeting = roster.identity().to_bytes();
            match ask_to_join(&url, own.peer_urls.clone(), &greeting).await {
                Ok(members) => {
                    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
                    info!(url, members = names.join(", "), "taken in by the group, as a learner");
                    return Ok(agreed(roster, members));
                }
                Err(Asked::Refused(reason)) => {
                    return Err(Refused::new("of the group".into(), url, reason).into());
                }
                Err(Asked::Unanswered(reason)) => {
                    reasons.insert(format!("{url}: {reason}"));
                }
            }
        }
        if reasons != said {
            for reason in &reasons {
                warn!(reason, "not taken in yet");
            }
            said = reasons;
        }
        sleep(ASK_PAUSE).await;
    }
}

/// Whom to ask: whoever was named, and whoever those name.
async fn candidates(told: &BTreeSet<String>, reasons: &mut BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for url in told {
        match ask_for_members(url).await {
            Ok(members) => {
                found.insert(url.clone());
                found.extend(members.into_iter().flat_map(|member| member.client_ur_ls));
            }
            Err(Asked::Refused(reason) | Asked::Unanswered(reason)) => {
                reasons.insert(format!("{url}: {reason}"));
            }
        }
    }
    found
}

/// As this member keeps it. Of the others' folders it learns from the replicated records.
fn agreed(roster: &Roster, members: Vec<etcd::Member>) -> Vec<AgreedMember> {
    let own = roster.identity().agreed_member();
    let others =
        members.into_iter().filter(|member| member.id != own.member_id.0).map(|member| AgreedMember {
            name: member.name,
            member_id: MemberId(member.id),
            incarnation: String::new(),
            peer_urls: member.peer_ur_ls,
            client_urls: member.client_ur_ls,
        });
    let mut all: Vec<AgreedMember> = others.chain([own.clone()]).collect();
    all.sort_unstable();
    all
}
