//! "Why?": the planner's own chain of reasons about a Region or a Store, in plain words with number and limit.

use dashboard::model::{Reason, Subject, Why, WhyOperator, WhyPeer, WhyRegion, WhyStore};
use scheduler::{
    Drain, NodeState, OperatorView, Peer, PeerRole, Planner, RegionExplanation, RegionId, RegionView,
    StoreExplanation, StoreId, StoreStanding, StoreTrouble, Time,
};

use super::phrase::{bytes, count, duration};
use super::reason::{reason, remedies};

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

#[cfg(test)]
mod tests {
    use scheduler::{Config, NodeState, RegionEpoch, RegionMeta, RegionReport, StoreMeta, StoreStats};

    use super::*;

    const DOWN_MS: u64 = 30 * 60 * 1_000;

    /// Three stores and one Region on them.
    fn planner() -> Planner {
        let mut planner = Planner::new(Config::default(), 7, Time(0));
        for id in 1..=3 {
            put(&mut planner, id, NodeState::Serving);
            beat(&mut planner, id, Time(0), 1 << 39);
        }
        let peers: Vec<Peer> = (1..=3).map(|n| Peer::voter(scheduler::PeerId(10 + n), StoreId(n))).collect();
        let report = RegionReport {
            leader: peers[0],
            meta: RegionMeta {
                id: RegionId(7),
                peers,
                epoch: RegionEpoch { conf_ver: 3, version: 1 },
                ..RegionMeta::default()
            },
            term: 5,
            size_bytes: 10 << 20,
            ..RegionReport::default()
        };
        planner.handle_region_heartbeat(Time(0), &report).unwrap();
        planner
    }

    fn put(planner: &mut Planner, id: u64, node_state: NodeState) {
        let meta = StoreMeta { id: StoreId(id), node_state, ..StoreMeta::default() };
        planner.handle_store_meta(Time(0), meta).unwrap();
    }

    fn beat(planner: &mut Planner, id: u64, now: Time, available_bytes: u64) {
        let stats = StoreStats {
            store: StoreId(id),
            capacity_bytes: 1 << 40,
            available_bytes,
            region_count: 1,
            ..StoreStats::default()
        };
        planner.handle_store_heartbeat(now, stats).unwrap();
    }

    fn beat_all(planner: &mut Planner, stores: &[u64], now: Time) {
        for store in stores {
            beat(planner, *store, now, 1 << 39);
        }
    }

    fn region_why(planner: &Planner, now: Time) -> Why {
        let view = planner.reader().get_by_id(RegionId(7)).unwrap();
        region(RegionFacts::ask(planner, now, &view).unwrap(), &view, 1_000_000 + now.0)
    }

    fn store_why(planner: &Planner, now: Time, id: u64) -> Why {
        store(StoreFacts::ask(planner, now, StoreId(id)).unwrap(), 1_000_000 + now.0)
    }

    #[test]
    fn a_healthy_region_says_so() {
        let why = region_why(&planner(), Time(1_000));
        assert_eq!(why.summary, "region 7 is healthy: 3 of 3 replicas, nothing to do");
        assert!(why.healthy && why.lines.is_empty());
        assert_eq!(why.region.unwrap().heard_ms, 1_000_000);
    }

    #[test]
    fn a_replica_on_a_silent_store_is_told_with_time_and_limit() {
        let mut planner = planner();
        let now = Time(60_000);
        beat_all(&mut planner, &[1, 2], now);
        let why = region_why(&planner, now);
        assert!(!why.healthy);
        assert_eq!((why.lines[0].number, why.lines[0].limit), (Some(60), Some(DOWN_MS / 1_000)));
        assert_eq!(why.lines[0].subject, Some(Subject::Store(3)));
        assert!(why.summary.starts_with("region 7 is not whole, and it is not time yet to repair it"));
        assert_eq!(why.next[0], "pd-ctl why store 3");
        let why = store_why(&planner, now, 3);
        assert_eq!(why.summary, "store 3 is not heard and holds 1 replica");
        assert_eq!(why.lines[0].number, Some(60_000));
    }

    #[test]
    fn a_repair_without_a_place_gives_the_planner_s_chain() {
        let mut planner = planner();
        let now = Time(DOWN_MS);
        beat_all(&mut planner, &[1, 2], now);
        planner.tick(now);
        let why = region_why(&planner, now);
        let kinds: Vec<&str> = why.lines.iter().filter_map(|line| line.kind.as_deref()).collect();
        assert_eq!(kinds.last(), Some(&"NoTarget"), "{why:?}");
        assert!(kinds.contains(&"HoldsReplica"));
        assert!(why.summary.contains("needs a repair and gets none: no store can take a replica"));
        assert!(why.kept.iter().any(|kept| kept.kind.as_deref() == Some("NoTarget") && kept.at_ms.is_some()));
    }

    #[test]
    fn an_operator_under_way_is_shown_with_its_step() {
        let mut planner = planner();
        put(&mut planner, 4, NodeState::Serving);
        let now = Time(DOWN_MS);
        beat_all(&mut planner, &[1, 2, 4], now);
        planner.handle_ids(now, scheduler::IdRange { first: 100, count: 100 });
        planner.tick(now);
        let why = region_why(&planner, now);
        let operator = why.operator.unwrap();
        assert_eq!(operator.step, 0);
        assert!(operator.cause.contains("down-peer"), "{operator:?}");
        let begin = format!("region 7: {} is under way, step 1 of", operator.cause);
        assert!(why.summary.starts_with(&begin), "{}", why.summary);
    }

    #[test]
    fn a_full_store_gets_no_more_by_number_and_limit() {
        let mut planner = planner();
        beat(&mut planner, 2, Time(1), 1 << 30);
        let why = store_why(&planner, Time(1), 2);
        assert_eq!(why.lines[0].kind.as_deref(), Some("LowSpace"));
        assert_eq!((why.lines[0].number, why.lines[0].limit), (Some(1_000), Some(800)));
        assert!(
            why.summary.starts_with("store 2 holds 1 replica and gets no more: store 2 uses"),
            "{}",
            why.summary
        );
    }

    #[test]
    fn a_stuck_drain_names_its_reason() {
        let mut planner = planner();
        put(&mut planner, 3, NodeState::Removing);
        planner.tick(Time(1));
        let why = store_why(&planner, Time(1), 3);
        assert_eq!(why.summary, "the drain of store 3 is stuck: 1 replica (10 MiB) left");
        assert!(why.lines[1].text.contains("no store can take a replica of region 7"), "{:?}", why.lines);
        assert!(why.next.contains(&"pd-ctl why region 7".to_owned()));
    }
}
