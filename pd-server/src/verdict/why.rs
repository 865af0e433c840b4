//! "Why?": the planner's own chain of reasons about a Region or a Store, in plain words with number and limit.

use dashboard::model::{Reason, Subject, Why, WhyLimit, WhyOperator, WhyPeer, WhyRegion, WhyStore};
use scheduler::{
    Drain, LimitState, NodeState, OperatorView, Peer, PeerRole, Planner, Refusal, RegionExplanation,
    RegionId, RegionTrouble, RegionVerdict, RegionView, StoreExplanation, StoreId, StoreStanding,
    StoreTrouble, Time,
};

use super::phrase::{bytes, count, duration};
use super::reason::{reason, remedies};

#[cfg(test)]
mod tests;

/// What the planner knows about a Region, as of one moment.
#[derive(Debug)]
pub struct RegionFacts {
    now: Time,
    explanation: RegionExplanation,
    stores: Vec<StoreStanding>,
    verdict: Option<RegionVerdict>,
    max_store_down_ms: u64,
    max_replicas: usize,
}

/// What the planner knows about a Store, as of one moment.
#[derive(Debug)]
pub struct StoreFacts {
    now: Time,
    explanation: StoreExplanation,
    standing: StoreStanding,
    drain: Option<Drain>,
    max_store_down_ms: u64,
}

impl RegionFacts {
    /// Asks the planner, in its owner's thread; none when nothing is known of the Region.
    pub fn ask(planner: &Planner, now: Time, region: &RegionView) -> Option<RegionFacts> {
        let explanation = planner.explain_region(now, region.meta.id)?;
        let stores = region.meta.peers.iter().filter_map(|p| planner.standing_of(now, p.store)).collect();
        let config = planner.config();
        Some(RegionFacts {
            now,
            explanation,
            stores,
            verdict: planner.judge_region(now, region),
            max_store_down_ms: config.max_store_down_time_ms,
            max_replicas: config.max_replicas,
        })
    }
}

impl StoreFacts {
    /// Asks the planner, in its owner's thread; none when the Store is not known.
    pub fn ask(planner: &Planner, now: Time, store: StoreId) -> Option<StoreFacts> {
        Some(StoreFacts {
            now,
            explanation: planner.explain_store(now, store)?,
            standing: planner.standing_of(now, store)?,
            drain: planner.drain_of(now, store),
            max_store_down_ms: planner.config().max_store_down_time_ms,
        })
    }
}

/// Wall time of the planner's moments.
#[derive(Clone, Copy)]
struct Clock {
    now: Time,
    wall_ms: u64,
}

impl Clock {
    fn ms(self, at: Time) -> u64 {
        (self.wall_ms + at.ms_since(self.now)).saturating_sub(self.now.ms_since(at))
    }
}

/// Why a Region is as it is. `wall_ms` is the wall time now, in ms since 1970.
pub fn region(facts: RegionFacts, view: &RegionView, wall_ms: u64) -> Why {
    let RegionFacts { now, explanation, stores, verdict, max_store_down_ms, max_replicas } = facts;
    let lost = verdict.filter(|v| v.trouble == Some(RegionTrouble::NoQuorum));
    let clock = Clock { now, wall_ms };
    let id = view.meta.id;
    let standing = |store| stores.iter().find(|s| s.store == store);
    let ails = |p: &Peer| peer_state(p, view, standing(p.store), now) != HEALTHY;
    let mut lines: Vec<Reason> = view
        .meta
        .peers
        .iter()
        .filter_map(|p| {
            peer_line(p, view, standing(p.store), now, replaced(lost.as_ref(), max_store_down_ms))
        })
        .collect();
    // Without a majority the planner's reasons decide nothing.
    lines.extend(explanation.now.iter().filter(|_| lost.is_none()).map(reason));
    let healthy = explanation.is_healthy && !view.meta.peers.iter().any(ails);
    let voters = view.meta.peers.iter().filter(|p| p.role == PeerRole::Voter).count();
    let mut next: Vec<String> =
        view.meta.peers.iter().filter(|p| ails(p)).map(|p| format!("pd-ctl why store {}", p.store)).collect();
    if lost.is_none() {
        next.extend(remedies(&explanation.now));
    }
    next.push(format!("pd-ctl region {id}"));
    Why {
        as_of_ms: wall_ms,
        subject: Subject::Region(id.0),
        summary: match &lost {
            Some(lost) => without_majority(id, view, lost, &stores, now),
            None => region_summary(id, &explanation, healthy, voters, max_replicas, &lines),
        },
        healthy,
        lines,
        kept: kept(&explanation, clock),
        next: unique(next),
        region: Some(WhyRegion {
            id: id.0,
            start_hex: hex::encode_upper(&view.meta.start_key),
            end_hex: hex::encode_upper(&view.meta.end_key),
            conf_ver: view.meta.epoch.conf_ver,
            version: view.meta.epoch.version,
            leader: Some(view.leader.store.0).filter(|store| *store != 0),
            peers: view.meta.peers.iter().map(|p| why_peer(p, view, standing(p.store), now)).collect(),
            bytes: view.size_bytes,
            keys: view.keys,
            heard_ms: clock.ms(view.last_heartbeat),
        }),
        store: None,
        operator: explanation.operator.as_ref().map(|operator| why_operator(operator, clock)),
    }
}

/// A majority of the voters is lost: only Stores that come back help.
fn without_majority(
    id: RegionId,
    view: &RegionView,
    lost: &RegionVerdict,
    stores: &[StoreStanding],
    now: Time,
) -> String {
    let silent = |p: &Peer| stores.iter().any(|s| s.store == p.store && may_come_back(s, now));
    let back: Vec<String> =
        view.meta.peers.iter().filter(|p| silent(p)).map(|p| p.store.to_string()).collect();
    let lives = if lost.living == 1 { "lives" } else { "live" };
    let remedy = match back.as_slice() {
        [] => "see why its replicas do not answer each other".to_owned(),
        some => format!("bring store {} back, and do not remove it", some.join(" or ")),
    };
    format!(
        "region {id} has lost the majority: {} of {} {lives}, so nothing can be repaired; {remedy}",
        lost.living,
        count(lost.voters as u64, "voter")
    )
}

fn may_come_back(store: &StoreStanding, now: Time) -> bool {
    matches!(store.trouble(now), Some(StoreTrouble::Disconnected | StoreTrouble::Down))
}

/// What becomes of a lost replica, and after how long.
fn replaced(lost: Option<&RegionVerdict>, limit_ms: u64) -> (String, Option<u64>) {
    match lost {
        Some(_) => ("not replaced, for the majority is lost".to_owned(), None),
        None => (format!("replaced after {}", duration(limit_ms)), Some(limit_ms / 1_000)),
    }
}

fn region_summary(
    id: RegionId,
    explanation: &RegionExplanation,
    healthy: bool,
    voters: usize,
    wanted: usize,
    lines: &[Reason],
) -> String {
    let operator = explanation.operator.as_ref();
    let last = lines.last().map_or(String::new(), |line| format!(": {}", line.text));
    match operator {
        Some(operator) => {
            let step = (operator.current + 1).min(operator.steps.len());
            let waits = operator.waits_for.as_ref().map_or(String::new(), |why| format!("; it waits: {why}"));
            let (cause, steps) = (operator.cause, operator.steps.len());
            format!("region {id}: {cause} is under way, step {step} of {steps}{waits}")
        }
        None if healthy => format!("region {id} is healthy: {voters} of {wanted} replicas, nothing to do"),
        None if explanation.is_healthy => {
            format!("region {id} is not whole, and it is not time yet to repair it{last}")
        }
        None if explanation.now.is_empty() => {
            format!("region {id} needs a repair, which starts with its turn")
        }
        None => format!("region {id} needs a repair and gets none{last}"),
    }
}

/// Why a Store is as it is, and gets nothing or loses nothing.
pub fn store(facts: StoreFacts, wall_ms: u64) -> Why {
    let StoreFacts { now, explanation, standing, drain, max_store_down_ms } = facts;
    let clock = Clock { now, wall_ms };
    let summary = explanation.summary;
    let id = summary.store;
    let mut lines = Vec::new();
    let silent_ms = now.ms_since(standing.silent_since);
    let trouble = standing.trouble(now);
    if let Some(trouble) = trouble {
        let rule = match trouble {
            StoreTrouble::Disconnected => {
                let after = duration(max_store_down_ms);
                format!("; where a majority is left, its replicas are made up elsewhere after {after}")
            }
            StoreTrouble::Down => "; where a majority is left, its replicas are made up elsewhere".to_owned(),
            StoreTrouble::Gone => String::new(),
        };
        lines.push(Reason {
            text: match trouble {
                // From its last heartbeat on it is silent, not gone.
                StoreTrouble::Gone => format!("store {id} was removed"),
                StoreTrouble::Disconnected | StoreTrouble::Down => {
                    format!("store {id} {} for {}{rule}", trouble.words(), duration(silent_ms))
                }
            },
            number: Some(silent_ms).filter(|_| trouble != StoreTrouble::Gone),
            limit: Some(max_store_down_ms).filter(|_| trouble != StoreTrouble::Gone),
            subject: Some(Subject::Store(id.0)),
            ..Reason::default()
        });
    }
    if let Some(drain) = &drain {
        lines.extend(drain_lines(drain));
    }
    for refusal in explanation.refuses_peers.iter().chain(&explanation.refuses_balance) {
        let line = reason(refusal);
        // What stops all schedulers alike is one reason, and its silence was told above.
        let is_told = lines.iter().any(|told: &Reason| {
            told.text == line.text || told.kind == line.kind && line.kind.as_deref() == Some("Halted")
        });
        let is_trouble =
            trouble.is_some() && matches!(refusal, Refusal::StoreSilent { .. } | Refusal::StoreLeaves(_));
        if !is_told && !is_trouble {
            lines.push(line);
        }
    }
    let stuck = drain.as_ref().is_some_and(|d| d.stopped.is_some());
    let healthy = trouble.is_none() && !stuck && explanation.refuses_peers.is_empty();
    let mut next = remedies(&explanation.refuses_peers);
    if let Some(stop) = drain.as_ref().and_then(|d| d.stopped.as_ref()) {
        next.extend(stop.regions.iter().take(3).map(|region| format!("pd-ctl why region {region}")));
        next.extend(remedies(std::slice::from_ref(&stop.refusal)));
    }
    if let Some((region, refusal)) =
        drain.as_ref().filter(|d| d.stopped.is_none()).and_then(|d| d.waits.as_ref())
    {
        next.push(format!("pd-ctl why region {region}"));
        next.extend(remedies(std::slice::from_ref(refusal)));
    }
    next.push(format!("pd-ctl store {id}"));
    Why {
        as_of_ms: wall_ms,
        subject: Subject::Store(id.0),
        summary: store_summary(&explanation, &standing, drain.as_ref(), now, &lines),
        healthy,
        lines,
        kept: explanation.kept.iter().map(|noted| noted_reason(noted, clock)).collect(),
        next: unique(next),
        region: None,
        store: Some(WhyStore {
            id: id.0,
            node_state: node_state(summary.node_state).to_owned(),
            // Nobody waits to hear of a store that was removed.
            liveness: match summary.node_state {
                NodeState::Removed => "Unknown".to_owned(),
                NodeState::Preparing | NodeState::Serving | NodeState::Removing => {
                    format!("{:?}", summary.liveness)
                }
            },
            leaders: summary.leader_count,
            regions: summary.region_count,
            learners: summary.learner_count,
            pending: summary.pending_count,
            bytes: summary.region_size_bytes,
            target_bytes: explanation.target_size_bytes,
            last_heartbeat_ms: summary.last_heartbeat.map(|at| clock.ms(at)),
            limits: explanation.limits.iter().map(limit).collect(),
        }),
        operator: None,
    }
}

fn store_summary(
    explanation: &StoreExplanation,
    standing: &StoreStanding,
    drain: Option<&Drain>,
    now: Time,
    lines: &[Reason],
) -> String {
    let summary = explanation.summary;
    let id = summary.store;
    let holds = count(summary.region_count, "replica");
    if let Some(drain) = drain {
        let stuck = if drain.stopped.is_some() { "is stuck" } else { "goes on" };
        let left = count(drain.left, "replica");
        return format!("the drain of store {id} {stuck}: {left} ({}) left", bytes(drain.left_bytes));
    }
    if let Some(trouble) = standing.trouble(now) {
        return format!("store {id} {} and holds {holds}", trouble.words());
    }
    match (explanation.refuses_peers.first(), explanation.target_size_bytes) {
        (Some(refusal), _) => format!("store {id} holds {holds} and gets no more: {refusal}"),
        (None, Some(target)) => {
            let held = bytes(summary.region_size_bytes);
            let why = lines.first().map_or(String::new(), |line| format!("; {}", line.text));
            format!("store {id} holds {holds}, {held} of the {} that are its share{why}", bytes(target))
        }
        (None, None) => format!("store {id} holds {holds}; the balance has not begun yet"),
    }
}

fn drain_lines(drain: &Drain) -> Vec<Reason> {
    let store = Some(Subject::Store(drain.store.0));
    let mut lines = vec![Reason {
        text: format!("{} ({}) are left to move away", count(drain.left, "replica"), bytes(drain.left_bytes)),
        number: Some(drain.left),
        limit: Some(0),
        subject: store,
        ..Reason::default()
    }];
    if let (None, Some((region, refusal))) = (&drain.stopped, &drain.waits) {
        lines.push(Reason { text: format!("region {region} waits: {refusal}"), ..reason(refusal) });
    }
    if let Some(stop) = &drain.stopped {
        let looked = stop.looked as u64;
        lines.push(Reason {
            text: format!(
                "each of the {} looked at is refused, the first because: {}",
                count(looked, "region"),
                stop.refusal
            ),
            ..reason(&stop.refusal)
        });
    }
    lines
}

const HEALTHY: &str = "healthy";

fn peer_state(peer: &Peer, view: &RegionView, store: Option<&StoreStanding>, now: Time) -> &'static str {
    let missed = view.down.iter().any(|d| d.peer == peer.id);
    match store.map_or(Some(StoreTrouble::Gone), |s| s.trouble(now)) {
        Some(StoreTrouble::Down | StoreTrouble::Gone) => "down",
        Some(StoreTrouble::Disconnected) => "disconnected",
        None if missed => "down",
        None if view.pending.contains(&peer.id) => "pending",
        None if store.is_some_and(|s| s.node_state == NodeState::Removing) => "offline",
        None => HEALTHY,
    }
}

/// What is wrong with a replica, with how long and how long that is borne.
fn peer_line(
    peer: &Peer,
    view: &RegionView,
    store: Option<&StoreStanding>,
    now: Time,
    (replaced, limit): (String, Option<u64>),
) -> Option<Reason> {
    let on = format!("the replica on store {}", peer.store);
    let subject = Some(Subject::Store(peer.store.0));
    let state = peer_state(peer, view, store, now);
    let down = view.down.iter().find(|d| d.peer == peer.id);
    let (text, number, limit) = match (state, store, down) {
        (HEALTHY, _, _) => return None,
        ("down" | "disconnected", Some(store), _) if store.trouble(now).is_some() => {
            let silent_ms = now.ms_since(store.silent_since);
            let text = match store.trouble(now) {
                Some(StoreTrouble::Gone) => format!("{on} counts as lost: its store was removed"),
                _ => format!(
                    "{on} counts as lost: its store is silent for {}; {replaced}",
                    duration(silent_ms)
                ),
            };
            (text, Some(silent_ms / 1_000), limit)
        }
        ("down", _, Some(down)) => {
            let missed = duration(down.seconds.saturating_mul(1_000));
            (format!("{on} is missed by its leader for {missed}; {replaced}"), Some(down.seconds), limit)
        }
        ("pending", _, _) => (format!("{on} is so far behind that it needs a snapshot"), None, None),
        ("offline", _, _) => (format!("{on} is to move away: its store is on its way out"), None, None),
        (_, _, _) => (format!("{on} is lost: nobody knows its store"), None, None),
    };
    Some(Reason { text, number, limit, subject, ..Reason::default() })
}

fn why_peer(peer: &Peer, view: &RegionView, store: Option<&StoreStanding>, now: Time) -> WhyPeer {
    WhyPeer {
        id: peer.id.0,
        store: peer.store.0,
        role: format!("{:?}", peer.role),
        state: peer_state(peer, view, store, now).to_owned(),
        down_s: view.down.iter().find(|d| d.peer == peer.id).map(|d| d.seconds),
    }
}

fn why_operator(operator: &OperatorView, clock: Clock) -> WhyOperator {
    WhyOperator {
        cause: operator.cause.to_string(),
        kind: format!("{:?}", operator.kind).to_lowercase(),
        steps: operator.steps.iter().map(ToString::to_string).collect(),
        step: operator.current as u64,
        created_ms: clock.ms(operator.created),
        waits_for: operator.waits_for.as_ref().map(ToString::to_string),
    }
}

fn limit(limit: &LimitState) -> WhyLimit {
    WhyLimit {
        kind: limit.kind.to_string(),
        rate: limit.available.map_or("unlimited".to_owned(), |_| limit.rate.to_string()),
        available: limit.available,
        refused: limit.refused,
    }
}

fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Preparing => "Preparing",
        NodeState::Serving => "Serving",
        NodeState::Removing => "Removing",
        NodeState::Removed => "Removed",
    }
}

/// Refusals and ends of operators, oldest first.
fn kept(explanation: &RegionExplanation, clock: Clock) -> Vec<Reason> {
    let ended = explanation.ended.iter().map(|(at, how)| Reason {
        text: how.clone(),
        at_ms: Some(clock.ms(*at)),
        ..Reason::default()
    });
    let refused = explanation.kept.iter().map(|noted| noted_reason(noted, clock));
    let mut all: Vec<Reason> = ended.chain(refused).collect();
    all.sort_by_key(|reason| reason.at_ms);
    all
}

fn noted_reason(noted: &scheduler::Noted, clock: Clock) -> Reason {
    Reason { at_ms: Some(clock.ms(noted.at)), times: Some(noted.times), ..reason(&noted.refusal) }
}

fn unique(commands: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    for command in commands {
        if !seen.contains(&command) {
            seen.push(command);
        }
    }
    seen
}
