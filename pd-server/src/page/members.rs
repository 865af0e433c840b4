//! The members as rows: each says itself how it is; who does not answer is shown as it was, with its age.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashboard::Depth;
use dashboard::model::{Health, MemberList, MemberRole, MemberRow, SafePoint, View};
use futures::future::join_all;
use parking_lot::Mutex;
use raft_core::Role;

use super::fetch::Fetch;
use super::folder::Folder;
use super::leaders::Leaders;
use super::meter::Meter;
use super::now_ms;
use crate::PD_GROUP;
use crate::grpc::Gate;
use crate::keys::{self, Keys};
use crate::member::{Member, MemberId};
use crate::tso::LOGICAL_BITS;

/// What this member says of itself.
pub fn own(gate: &Gate, meter: &Meter, folder: &Arc<Folder>) -> MemberRow {
    let own = gate.pd.members.own();
    let status = gate.pd.raft.status(PD_GROUP).map(|status| status.borrow().clone());
    let role = match status.as_ref().map(|status| (status.role, &status.conf_state)) {
        Some((Role::Leader, _)) => MemberRole::Leader,
        Some((Role::Follower | Role::PreCandidate | Role::Candidate, members)) => {
            if members.voters.contains(&own.id.0) { MemberRole::Follower } else { MemberRole::Learner }
        }
        None => MemberRole::Unknown,
    };
    let (now_ms, rates) = (now_ms(), meter.rates(gate));
    MemberRow {
        role,
        healthy: Some(true),
        term: status.as_ref().map(|status| status.term),
        applied: status.as_ref().map(|status| status.applied),
        fsync_mean_ms: rates.sync_mean_ms,
        fsync_p99_ms: rates.sync_p99_ms,
        clock_ms: Some(now_ms),
        version: crate::OWN_VERSION.to_owned(),
        data_bytes: folder.bytes(),
        last_heard_ms: Some(now_ms),
        ..unknown(own)
    }
}

/// With what rows are made.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Rates of this member.
    pub meter: &'a Meter,
    /// Its data.
    pub folder: &'a Arc<Folder>,
    /// How others are asked.
    pub fetch: &'a Fetch,
}

/// What the other members said last.
#[derive(Default)]
pub struct Others(Mutex<BTreeMap<MemberId, MemberRow>>);

impl Others {
    /// All members by id. Others are asked only when rows are wanted.
    pub async fn rows(&self, gate: &Gate, means: Means<'_>, depth: Depth) -> Vec<MemberRow> {
        let members = gate.pd.members.list();
        let own_id = gate.pd.members.own().id;
        let asked = members.iter().map(async |member| {
            if member.id == own_id {
                return own(gate, means.meter, means.folder);
            }
            match depth {
                Depth::Figures => self.kept(member, None),
                Depth::Rows => self.ask(member, means.fetch).await,
            }
        });
        let mut rows = join_all(asked).await;
        self.0.lock().retain(|id, _| members.iter().any(|member| member.id == *id));
        let furthest = rows.iter().filter_map(|row| row.applied).max();
        for row in &mut rows {
            row.lag = furthest.zip(row.applied).map(|(furthest, applied)| furthest - applied);
        }
        rows
    }

    async fn ask(&self, member: &Member, fetch: &Fetch) -> MemberRow {
        let before_ms = now_ms();
        let Some(row) = fetch.member(member).await else { return self.kept(member, Some(false)) };
        let after_ms = now_ms();
        // Its clock was read somewhere in between; the middle is the best guess.
        let middle_ms = before_ms.midpoint(after_ms);
        let offset = row.clock_ms.map(|theirs| signed(theirs).saturating_sub(signed(middle_ms)));
        // Who it is, we know better than whoever listens at its address.
        let known = unknown(member);
        let row = MemberRow {
            id: known.id,
            name: known.name,
            client_urls: known.client_urls,
            clock_offset_ms: offset,
            healthy: Some(true),
            last_heard_ms: Some(after_ms),
            ..row
        };
        self.0.lock().insert(member.id, row.clone());
        row
    }

    /// As it was heard last, in no role: that may have changed.
    fn kept(&self, member: &Member, healthy: Option<bool>) -> MemberRow {
        let kept = self.0.lock().get(&member.id).cloned().unwrap_or_else(|| unknown(member));
        MemberRow { healthy, role: MemberRole::Unknown, ..kept }
    }
}

/// The list that is shown.
pub fn list(
    gate: &Gate,
    rows: Vec<MemberRow>,
    leaders: &Leaders,
    health: &Health,
    view: Option<&View>,
    as_of_ms: u64,
) -> MemberList {
    let state = gate.pd.leadership.state();
    // The leader knows best when it began; while it is not heard, what this member saw holds.
    let told = view.filter(|view| state.leader.as_ref().is_some_and(|leader| leader.name == view.from));
    let leads_since_ms = told.and_then(|view| view.leads_since_ms).or_else(|| leaders.since_ms());
    MemberList {
        as_of_ms,
        from: gate.pd.members.own().name.clone(),
        leader: state.leader.map(|leader| leader.name),
        term: state.term.0,
        leads_since_ms,
        no_leader_since_ms: health.no_leader_since_ms,
        rows,
        changes: leaders.changes(),
        timestamps: view.and_then(|view| view.timestamps.clone()),
        safe_points: safe_points(gate, as_of_ms),
    }
}

/// What holds garbage collection back, as far as this member has applied it.
fn safe_points(gate: &Gate, now_ms: u64) -> Vec<SafePoint> {
    let Some(cluster_id) = gate.pd.kv.cluster_id() else { return Vec::new() };
    let found = gate.pd.kv.get(&Keys::new(cluster_id).gc_safe_point()).ok().flatten();
    let value = found.and_then(|kv| keys::decode_hex(&kv.value).ok()).filter(|value| *value > 0);
    let row = |value: u64| SafePoint {
        service: "gc".to_owned(),
        value: value.to_string(),
        age_ms: now_ms.saturating_sub(value >> LOGICAL_BITS),
    };
    value.map(row).into_iter().collect()
}

fn unknown(member: &Member) -> MemberRow {
    MemberRow {
        id: member.id.0.to_string(),
        name: member.name.clone(),
        role: MemberRole::Unknown,
        client_urls: member.client_urls.clone(),
        healthy: None,
        term: None,
        applied: None,
        lag: None,
        fsync_mean_ms: None,
        fsync_p99_ms: None,
        clock_offset_ms: None,
        clock_ms: None,
        version: member.binary_version.clone(),
        data_bytes: None,
        last_heard_ms: None,
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
