//! Operators in the words of tikv/pd, which people read and tools take apart.

use std::fmt::Write;
use std::time::Duration;

use scheduler::{EndReason, OperatorKind, OperatorView, Peer, SplitPolicy, Step, Time};

use super::units;
use crate::cluster::{OperatorRecord, OperatorStatus};

/// What an operator does, as tikv/pd counts it: its bits, from the lowest.
const KINDS: [(&str, u32); 4] = [("admin", 1), ("replica", 1 << 4), ("region", 1 << 7), ("leader", 1 << 8)];

/// The bits of an operator: who wanted it and what it changes.
pub fn kind_bits(view: &OperatorView) -> u32 {
    let bit = |name: &str| KINDS.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
    let producer = match view.kind {
        OperatorKind::Admin => bit("admin"),
        OperatorKind::Replica => bit("replica"),
        OperatorKind::Region => bit("region"),
        OperatorKind::Leader => bit("leader"),
    };
    let content = view.steps.iter().map(|step| match step {
        Step::AddLearner(_)
        | Step::PromoteLearner(_)
        | Step::RemovePeer(_)
        | Step::EnterJoint { .. }
        | Step::LeaveJoint { .. } => bit("region"),
        Step::TransferLeader { .. } => bit("leader"),
        Step::SplitRegion { .. } => 0,
    });
    content.fold(producer, |all, bit| all | bit)
}

/// The same by names: `admin,region,leader`.
pub fn kinds(view: &OperatorView) -> String {
    let bits = kind_bits(view);
    let names: Vec<&str> = KINDS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    names.join(",")
}

/// The bit of a kind that people ask for; none for kinds that no operator here has.
pub fn kind_bit(name: &str) -> Option<u32> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

/// What it comes to: `transfer leader: store 6 to 1`, `mv peer: store [1] to [3]`.
pub fn brief(view: &OperatorView) -> String {
    let mut coming = Vec::new();
    let mut going = Vec::new();
    let mut promoted = Vec::new();
    let mut demoted = Vec::new();
    for step in &view.steps {
        match step {
            Step::AddLearner(peer) => coming.push(peer.store.0),
            Step::RemovePeer(peer) => going.push(peer.store.0),
            Step::PromoteLearner(peer) => promoted.push(peer.store.0),
            Step::EnterJoint { promote, demote } => {
                promoted.extend(promote.iter().map(|p| p.store.0));
                demoted.extend(demote.iter().map(|p| p.store.0));
            }
            Step::SplitRegion { policy, keys, .. } => {
                let mut text = format!("split: region {} use policy {}", view.region, policy_name(*policy));
                if !keys.is_empty() {
                    let keys: Vec<String> = keys.iter().map(hex::encode_upper).collect();
                    let _ = write!(text, " and keys [{}]", keys.join(" "));
                }
                return text;
            }
            Step::TransferLeader { .. } | Step::LeaveJoint { .. } => {}
        }
    }
    promoted.retain(|store| !coming.contains(store));
    demoted.retain(|store| !going.contains(store));
    let stores = |mut ids: Vec<u64>| {
        ids.sort_unstable();
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        format!("[{}]", ids.join(" "))
    };
    match (coming.is_empty(), going.is_empty(), promoted.is_empty(), demoted.is_empty()) {
        (false, false, _, _) => format!("mv peer: store {} to {}", stores(going), stores(coming)),
        (false, true, _, _) => format!("add peer: store {}", stores(coming)),
        (true, false, false, _) => {
            format!("promote peer: store {}, rm peer: store {}", stores(promoted), stores(going))
        }
        (true, false, true, _) => format!("rm peer: store {}", stores(going)),
        (true, true, false, _) => format!("promote peer: store {}", stores(promoted)),
        (true, true, true, false) => format!("demote peer: store {}", stores(demoted)),
        (true, true, true, true) => match transfer(&view.steps) {
            Some((from, to)) => format!("transfer leader: store {from} to {to}"),
            None => "leave joint state".to_owned(),
        },
    }
}

/// A step: `add learner peer 4 on store 3`.
pub fn step(step: &Step) -> String {
    match step {
        Step::AddLearner(peer) => format!("add learner peer {} on store {}", peer.id, peer.store),
        Step::PromoteLearner(peer) => {
            format!("promote learner peer {} on store {} to voter", peer.id, peer.store)
        }
        Step::RemovePeer(peer) => format!("remove peer on store {}", peer.store),
        Step::TransferLeader { from, to } => {
            format!("transfer leader from store {from} to store {}", to.store)
        }
        Step::EnterJoint { promote, demote } => format!("use joint consensus{}", changes(promote, demote)),
        Step::LeaveJoint { promote, demote } => format!("leave joint state{}", changes(promote, demote)),
        Step::SplitRegion { policy, .. } => format!("split region with policy {}", policy_name(*policy)),
    }
}

/// The word for how it is.
pub fn status(status: &OperatorStatus) -> &'static str {
    match status {
        OperatorStatus::Running => "RUNNING",
        OperatorStatus::Success => "SUCCESS",
        OperatorStatus::Ended(EndReason::StepTimedOut { .. }) => "TIMEOUT",
        OperatorStatus::Ended(EndReason::Replaced) => "REPLACE",
        OperatorStatus::Ended(
            EndReason::Cancelled(_)
            | EndReason::ForeignChange { .. }
            | EndReason::StepImpossible { .. }
            | EndReason::RegionVanished,
        ) => "CANCEL",
    }
}

/// The whole operator on one line.
pub fn line(record: &OperatorRecord) -> String {
    let view = &record.view;
    let steps: Vec<String> =
        view.steps.iter().enumerate().map(|(place, s)| format!("{place}:{{{}}}", step(s))).collect();
    let created = moment(record.created_ns(), view.created);
    let mut text = format!(
        "{} {{{}}} (kind:{}, region:{}({}, {}), createAt:{created}, startAt:{created}, currentStep:{}, size:{}, \
         steps:[{}], timeout:[{}])",
        view.cause,
        brief(view),
        kinds(view),
        view.region,
        view.epoch.version,
        view.epoch.conf_ver,
        view.current,
        view.size_mib,
        steps.join(", "),
        limit(view),
    );
    match status(&record.status) {
        "SUCCESS" => text.push_str(" finished"),
        "TIMEOUT" => text.push_str(" timeout"),
        _ => {}
    }
    text
}

/// An operator that has ended, with when and after how long.
pub fn finished_line(record: &OperatorRecord) -> String {
    let text = line(record);
    let (Some(at), Some(ns)) = (record.finished, record.finished_ns()) else { return text };
    let took = Duration::from_millis(at.ms_since(record.view.created));
    format!("{text} (finishAt:{}, duration:{})", moment(ns, at), elapsed(took))
}

/// The time that it may take: `1m0s`.
pub fn limit(view: &OperatorView) -> String {
    units::duration(Duration::from_millis(view.limit_ms))
}

fn transfer(steps: &[Step]) -> Option<(u64, u64)> {
    steps.iter().find_map(|step| match step {
        Step::TransferLeader { from, to } => Some((from.0, to.store.0)),
        Step::AddLearner(_)
        | Step::PromoteLearner(_)
        | Step::RemovePeer(_)
        | Step::EnterJoint { .. }
        | Step::LeaveJoint { .. }
        | Step::SplitRegion { .. } => None,
    })
}

fn changes(promote: &[Peer], demote: &[Peer]) -> String {
    let mut text = String::new();
    for peer in promote {
        let _ = write!(text, ", promote learner peer {} on store {} to voter", peer.id, peer.store);
    }
    for peer in demote {
        let _ = write!(text, ", demote voter peer {} on store {} to learner", peer.id, peer.store);
    }
    text
}

fn policy_name(policy: SplitPolicy) -> &'static str {
    match policy {
        SplitPolicy::Scan => "SCAN",
        SplitPolicy::Approximate => "APPROXIMATE",
        SplitPolicy::UseKey => "USEKEY",
    }
}

/// `2026-11-23 20:31:37.278 +0000 UTC m=+36.761000000`: wall time, and seconds since this member leads.
fn moment(ns: i64, at: Time) -> String {
    let since_epoch = Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    let wall = units::time(since_epoch);
    let wall = wall.trim_end_matches('Z').replace('T', " ");
    format!("{wall} +0000 UTC m=+{}.{:09}", at.0 / 1_000, at.0 % 1_000 * 1_000_000)
}

/// Below a second in milliseconds: `52ms`; above as everywhere.
fn elapsed(took: Duration) -> String {
    if took.is_zero() || took.as_secs() > 0 {
        units::duration(took)
    } else {
        format!("{}ms", took.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::operators::Epoch;
    use scheduler::{Cause, OperatorId, PeerId, RegionEpoch, RegionId, StoreId};

    fn record(cause: Cause, steps: Vec<Step>, limit_ms: u64) -> OperatorRecord {
        let view = OperatorView {
            id: OperatorId(1),
            region: RegionId(105),
            kind: OperatorKind::Admin,
            cause,
            epoch: RegionEpoch { conf_ver: 5, version: 60 },
            size_mib: 15,
            steps,
            limit_ms,
            current: 0,
            created: Time(36_761),
            step_deadline: Time(96_761),
            waits_for: None,
        };
        let epoch = Epoch { wall_ns: 1_795_465_860_517_570_751 };
        OperatorRecord { view, status: OperatorStatus::Running, finished: None, epoch }
    }

    #[test]
    fn a_transfer_reads_as_people_know_it() {
        let to = Peer::voter(PeerId(1051), StoreId(1));
        let steps = vec![Step::TransferLeader { from: StoreId(6), to }];
        let mut record = record(Cause::AdminTransferLeader, steps, 60_000);
        let text = "admin-transfer-leader {transfer leader: store 6 to 1} (kind:admin,leader, region:105(60, 5), \
                    createAt:2026-11-23 20:31:37.278570751 +0000 UTC m=+36.761000000, startAt:2026-11-23 \
                    20:31:37.278570751 +0000 UTC m=+36.761000000, currentStep:0, size:15, steps:[0:{transfer leader \
                    from store 6 to store 1}], timeout:[1m0s])";
        assert_eq!(line(&record), text);
        record.status = OperatorStatus::Ended(EndReason::Cancelled("on request"));
        record.finished = Some(Time(36_813));
        let ended = format!(
            "{text} (finishAt:2026-11-23 20:31:37.330570751 +0000 UTC m=+36.813000000, duration:52ms)"
        );
        assert_eq!(finished_line(&record), ended);
        assert_eq!(status(&record.status), "CANCEL");
    }

    #[test]
    fn a_move_and_a_split_read_as_people_know_them() {
        let new = Peer::voter(PeerId(4), StoreId(3));
        let old = Peer::learner(PeerId(1050), StoreId(6));
        let (promote, demote) = (vec![new], vec![old]);
        let steps = vec![
            Step::AddLearner(new),
            Step::EnterJoint { promote: promote.clone(), demote: demote.clone() },
            Step::LeaveJoint { promote, demote },
            Step::RemovePeer(old),
        ];
        let joint =
            "promote learner peer 4 on store 3 to voter, demote voter peer 1050 on store 6 to learner";
        let moved = record(Cause::AdminMovePeer, steps, 60_000);
        assert_eq!(brief(&moved.view), "mv peer: store [6] to [3]");
        assert_eq!(kinds(&moved.view), "admin,region");
        let steps = format!(
            "steps:[0:{{add learner peer 4 on store 3}}, 1:{{use joint consensus, {joint}}}, 2:{{leave joint state, \
             {joint}}}, 3:{{remove peer on store 6}}]"
        );
        assert!(line(&moved).contains(&steps), "{}", line(&moved));
        let split = Step::SplitRegion {
            policy: SplitPolicy::UseKey,
            keys: vec![bytes::Bytes::from_static(b"t00005_\0\xfe")],
            start_key: bytes::Bytes::new(),
            end_key: bytes::Bytes::new(),
        };
        let split = record(Cause::AdminSplitRegion, vec![split], 60_000);
        assert_eq!(brief(&split.view), "split: region 105 use policy USEKEY and keys [7430303030355F00FE]");
        assert!(line(&split).contains("kind:admin, "), "{}", line(&split));
    }
}
