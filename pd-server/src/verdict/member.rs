//! What this member knows of itself and of the others.

use std::time::Duration;

use raft_core::BootTime;

use super::judge::{MemberPart, Other};
use crate::PD_GROUP;
use crate::cluster::wall_clock_ns;
use crate::grpc::Gate;
use crate::keys::Keys;
use crate::member::MemberRole;

/// A leader that was not heard for this long is taken to be gone: ten of its heartbeats and an election.
const LEADER_HEARD: Duration = Duration::from_secs(1);

/// Milliseconds since 1970: what people read.
pub fn now_ms() -> u64 {
    u64::try_from(wall_clock_ns() / 1_000_000).unwrap_or(0)
}

/// Whether somebody leads who was heard lately, or this member leads and may answer.
pub fn has_leader(gate: &Gate) -> bool {
    let state = gate.pd.leadership.state();
    if state.leading {
        return gate.pd.leadership.check().is_ok();
    }
    let heard = gate.pd.raft.leader_heard(PD_GROUP);
    state.leader.is_some() && heard.is_some_and(|at| at + LEADER_HEARD >= BootTime::now())
}

/// The first client URL without its scheme.
fn address(client_urls: &[String]) -> String {
    let url = client_urls.first().map_or("", String::as_str);
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

/// All of it, as of now.
pub fn look(gate: &Gate) -> MemberPart {
    let pd = &gate.pd;
    let state = pd.leadership.state();
    let has_leader = has_leader(gate);
    let serves = pd.leadership.check().is_ok();
    let cluster_id = Some(pd.cluster_id()).filter(|id| *id != 0);
    let bootstrapped = cluster_id.map(|id| pd.kv.get(&Keys::new(id).cluster()));
    let own = pd.members.own();
    let others = pd.members.states().into_iter().filter(|other| other.member.id != own.id);
    let ahead_ms = pd.clock.unguarded_ms().saturating_sub(pd.clock.now_ms());
    MemberPart {
        as_of_ms: now_ms(),
        name: own.name.clone(),
        address: address(&own.client_urls),
        version: own.binary_version.clone(),
        leader: state.leader.filter(|_| has_leader || state.leading).map(|leader| leader.name),
        leading: state.leading,
        serves,
        term: state.term.0,
        no_leader_since_ms: gate.verdicts.no_leader_since_ms(),
        cluster_id,
        bootstrapped: match bootstrapped {
            Some(Ok(record)) => Some(record.is_some()),
            // Not drawn yet, so nothing was begun; a state that cannot be read says nothing.
            None => Some(false),
            Some(Err(_)) => None,
        },
        others: others
            .map(|other| Other {
                name: other.member.name,
                version: other.member.binary_version,
                votes: other.role != MemberRole::Learner,
                healthy: other.healthy,
                silent_ms: other.silent_ms,
                lag_entries: other.lag_entries,
            })
            .collect(),
        planner_stuck_ms: None,
        clock_ahead_ms: u64::try_from(ahead_ms).unwrap_or(0),
    }
}
