//! "Why?": the planner's own chain of reasons about a Region or a Store, in plain words with number and limit.

use dashboard::model::{Reason, Subject, Why, WhyLimit, WhyOperator, WhyPeer, WhyRegion, WhyStore};
use scheduler::{
    Drain, LimitState, NodeState, OperatorView, Peer, PeerRole, Planner, RegionExplanation, RegionId,
    RegionView, StoreExplanation, StoreId, StoreStanding, StoreTrouble, Time,
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
    let RegionFacts { now, explanation, stores, max_store_down_ms, max_replicas } = facts;
    let clock = Clock { now, wall_ms };
    let id = view.meta.id;
    let standing = |store| stores.iter().find(|s| s.store == store);
    let ails = |p: &Peer| peer_state(p, view, standing(p.store), now) != HEALTHY;
    let mut lines: Vec<Reason> = view
        .meta
        .peers
        .iter()
        .filter_map(|p| peer_line(p, view, standing(p.store), now, max_store_down_ms))
        .collect();
    lines.extend(explanation.now.iter().map(reason));
    let healthy = explanation.is_healthy && !view.meta.peers.iter().any(ails);
    let voters = view.meta.peers.iter().filter(|p| p.role == PeerRole::Voter).count();
    let mut next: Vec<String> =
        view.meta.peers.iter().filter(|p| ails(p)).map(|p| format!("pd-ctl why store {}", p.store)).collect();
    next.extend(remedies(&explanation.now));
    next.push(format!("pd-ctl region {id}"));
    Why {
        as_of_ms: wall_ms,
        subject: Subject::Region(id.0),
        summary: region_summary(id, &explanation, healthy, voters, max_replicas, &lines),
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
                format!("; its replicas are made up elsewhere after {}", duration(max_store_down_ms))
            }
            StoreTrouble::Down => "; its replicas are made up elsewhere".to_owned(),
            StoreTrouble::Gone => String::new(),
        };
        lines.push(Reason {
            text: format!("store {id} {} for {}{rule}", trouble.words(), duration(silent_ms)),
            number: Some(silent_ms),
            limit: Some(max_store_down_ms),
            subject: Some(Subject::Store(id.0)),
            ..Reason::default()
        });
    }
    if let Some(drain) = &drain {
        lines.extend(drain_lines(drain));
    }
    lines.extend(explanation.refuses_peers.iter().map(reason));
    lines.extend(explanation.refuses_balance.iter().map(reason));
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
            liveness: format!("{:?}", summary.liveness),
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
    limit_ms: u64,
) -> Option<Reason> {
    let on = format!("the replica on store {}", peer.store);
    let subject = Some(Subject::Store(peer.store.0));
    let state = peer_state(peer, view, store, now);
    let down = view.down.iter().find(|d| d.peer == peer.id);
    let (text, number, limit) = match (state, store, down) {
        (HEALTHY, _, _) => return None,
        ("down" | "disconnected", Some(store), _) if store.trouble(now).is_some() => {
            let silent_ms = now.ms_since(store.silent_since);
            let (silent, limit) = (duration(silent_ms), duration(limit_ms));
            let text =
                format!("{on} counts as lost: its store is silent for {silent}, replaced after {limit}");
            (text, Some(silent_ms / 1_000), Some(limit_ms / 1_000))
        }
        ("down", _, Some(down)) => {
            let (missed, limit) = (duration(down.seconds.saturating_mul(1_000)), duration(limit_ms));
            let text = format!("{on} is missed by its leader for {missed}, replaced after {limit}");
            (text, Some(down.seconds), Some(limit_ms / 1_000))
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
