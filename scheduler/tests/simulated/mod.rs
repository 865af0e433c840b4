//! A small cluster that carries out the planner's commands as stores would, and reports what became of them. It checks
//! on the way what must hold for every command and every step.

#![allow(dead_code, reason = "each test file uses its own part of it")]

mod raft_group;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use scheduler::{
    Command, Config, DownPeer, Effect, Event, IdRange, Input, NodeState, Peer, PeerId, PeerRole, Planner,
    RegionEpoch, RegionId, RegionMeta, RegionReport, StoreEvent, StoreId, StoreMeta, StoreStats, Time,
};

/// How long an election takes after a leader's store died.
const ELECTION_MS: u64 = 5_000;
/// After this long a leader reports a silent peer as down.
const DOWN_AFTER_MS: u64 = 20_000;

pub struct SimStore {
    pub state: NodeState,
    pub alive: bool,
    pub died: Time,
    pub heartbeat_at: Time,
}

pub struct SimRegion {
    pub report: RegionReport,
    /// When each new peer has caught up.
    pub catching_up: BTreeMap<PeerId, Time>,
    pub heartbeat_at: Time,
}

pub struct Cluster {
    pub now: Time,
    pub planner: Planner,
    pub stores: BTreeMap<StoreId, SimStore>,
    pub regions: BTreeMap<RegionId, SimRegion>,
    pub next_id: u64,
    pub effects: Vec<Effect>,
    pub moved_bytes: u64,
    pub buried: BTreeSet<StoreId>,
    outbox: VecDeque<Command>,
    /// Region heartbeats, in ms.
    pub region_interval_ms: u64,
    /// Commands are lost while true.
    pub deaf: bool,
    /// All that the planner was told.
    pub log: Vec<Event>,
}

impl Cluster {
    pub fn new(config: Config, seed: u64, stores: u64) -> Cluster {
        let mut cluster = Cluster {
            now: Time(1_000),
            planner: Planner::new(config, seed, Time(1_000)),
            stores: BTreeMap::new(),
            regions: BTreeMap::new(),
            next_id: 1_000_000,
            effects: Vec::new(),
            moved_bytes: 0,
            buried: BTreeSet::new(),
            outbox: VecDeque::new(),
            region_interval_ms: 10_000,
            deaf: false,
            log: Vec::new(),
        };
        for id in 1..=stores {
            cluster.add_store(id);
        }
        cluster
    }

    pub fn add_store(&mut self, id: u64) {
        let store =
            SimStore { state: NodeState::Serving, alive: true, died: Time(0), heartbeat_at: self.now };
        self.stores.insert(StoreId(id), store);
        self.tell_store(id);
    }

    pub fn set_state(&mut self, id: u64, state: NodeState) {
        self.stores.get_mut(&StoreId(id)).unwrap().state = state;
        self.tell_store(id);
    }

    fn tell_store(&mut self, id: u64) {
        let node_state = self.stores[&StoreId(id)].state;
        let meta = StoreMeta { id: StoreId(id), node_state, labels: Vec::new() };
        self.note(Input::StoreMeta(meta.clone()));
        self.planner.handle_store_meta(self.now, meta).unwrap();
    }

    pub fn kill(&mut self, id: u64) {
        let store = self.stores.get_mut(&StoreId(id)).unwrap();
        store.alive = false;
        store.died = self.now;
        self.note(Input::StreamClosed(StoreId(id)));
        self.planner.handle_stream_closed(self.now, StoreId(id));
    }

    pub fn revive(&mut self, id: u64) {
        let store = self.stores.get_mut(&StoreId(id)).unwrap();
        store.alive = true;
        store.heartbeat_at = self.now;
    }

    /// `count` regions that tile the key space, each on `stores[i]` with the first one leading.
    pub fn add_regions(&mut self, placements: &[(Vec<u64>, u64)]) {
        let count = placements.len();
        let key = |n: usize| if n == 0 || n == count { String::new() } else { format!("k{n:06}") };
        for (n, (stores, size_mib)) in placements.iter().enumerate() {
            let id = RegionId(n as u64 + 1);
            let peers: Vec<Peer> = stores
                .iter()
                .map(|s| {
                    self.next_id += 1;
                    Peer::voter(PeerId(self.next_id), StoreId(*s))
                })
                .collect();
            let report = RegionReport {
                leader: peers[0],
                meta: RegionMeta {
                    id,
                    start_key: key(n).into(),
                    end_key: key(n + 1).into(),
                    epoch: RegionEpoch { conf_ver: 1, version: 1 },
                    peers,
                },
                term: 6,
                size_bytes: size_mib << 20,
                keys: 1000,
                interval_s: 10,
                ..RegionReport::default()
            };
            let region = SimRegion { report, catching_up: BTreeMap::new(), heartbeat_at: self.now };
            self.regions.insert(id, region);
        }
    }

    pub fn region(&self, id: u64) -> &RegionReport {
        &self.regions[&RegionId(id)].report
    }

    fn note(&mut self, input: Input) {
        self.log.push(Event { at: self.now, input });
    }

    /// Tells the planner something by hand; its effects are taken in the next step.
    pub fn tell(&mut self, input: Input) {
        self.note(input.clone());
        let (_, effects) = self.planner.play(Event { at: self.now, input });
        for effect in effects {
            self.take_effect(effect);
        }
    }

    /// A planner that knows nothing takes over and learns all from heartbeats.
    pub fn new_planner(&mut self, seed: u64) {
        self.planner = Planner::new(self.planner.config().clone(), seed, self.now);
        self.log.clear();
        let ids: Vec<u64> = self.stores.keys().map(|s| s.0).collect();
        for id in ids {
            self.tell_store(id);
        }
        for store in self.stores.values_mut() {
            store.heartbeat_at = self.now;
        }
        for region in self.regions.values_mut() {
            region.heartbeat_at = self.now;
        }
    }

    /// Runs for so long, in steps of 100 ms.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.step();
        }
    }

    /// Runs until it holds; at most so long.
    pub fn run_until(&mut self, ms: u64, what: &str, holds: impl Fn(&Cluster) -> bool) {
        for _ in 0..ms / 100 {
            if holds(self) {
                return;
            }
            self.step();
        }
        assert!(holds(self), "not within {ms} ms: {what}");
    }

    pub fn step(&mut self) {
        self.now = self.now.after_ms(100);
        self.store_heartbeats();
        self.elections();
        self.region_heartbeats();
        if self.planner.next_wakeup() <= self.now {
            self.note(Input::Tick);
            self.planner.tick(self.now);
        }
        self.drain();
        while let Some(command) = self.outbox.pop_front() {
            if !self.deaf && self.stores[&command.store].alive {
                self.carry_out(&command);
            }
        }
    }

    fn store_heartbeats(&mut self) {
        let due: Vec<StoreId> = self
            .stores
            .iter()
            .filter(|(_, s)| s.alive && s.heartbeat_at <= self.now && s.state != NodeState::Removed)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let region_count =
                self.regions.values().filter(|r| r.report.meta.peer_on(id).is_some()).count() as u64;
            let stats = StoreStats {
                store: id,
                capacity_bytes: 1 << 40,
                available_bytes: 1 << 39,
                used_bytes: 1 << 39,
                region_count,
                ..StoreStats::default()
            };
            self.note(Input::StoreHeartbeat(stats));
            self.planner.handle_store_heartbeat(self.now, stats).unwrap();
            self.stores.get_mut(&id).unwrap().heartbeat_at = self.now.after_ms(5_000);
        }
    }

    fn alive(&self, store: StoreId) -> bool {
        self.stores[&store].alive
    }

    fn elections(&mut self) {
        let now = self.now;
        let dead: BTreeMap<StoreId, Time> =
            self.stores.iter().filter(|(_, s)| !s.alive).map(|(id, s)| (*id, s.died)).collect();
        for region in self.regions.values_mut() {
            let report = &mut region.report;
            if dead.get(&report.leader.store).is_none_or(|died| now.ms_since(*died) < ELECTION_MS) {
                continue;
            }
            let voters: Vec<Peer> =
                report.meta.peers.iter().filter(|p| p.role != PeerRole::Learner).copied().collect();
            let alive: Vec<Peer> = voters.iter().filter(|p| !dead.contains_key(&p.store)).copied().collect();
            if alive.len() * 2 > voters.len() {
                report.leader =
                    *alive.iter().find(|p| p.role != PeerRole::DemotingVoter).unwrap_or(&alive[0]);
                report.term += 1;
                region.heartbeat_at = now;
            }
        }
    }

    fn region_heartbeats(&mut self) {
        let now = self.now;
        let mut reports = Vec::new();
        for region in self.regions.values_mut() {
            if region.catching_up.values().any(|at| *at <= now) {
                region.catching_up.retain(|_, at| *at > now);
                region.heartbeat_at = now;
            }
            if region.heartbeat_at > now || !self.stores[&region.report.leader.store].alive {
                continue;
            }
            region.heartbeat_at = now.after_ms(self.region_interval_ms);
            let mut report = region.report.clone();
            report.pending = region.catching_up.keys().copied().collect();
            report.down = report
                .meta
                .peers
                .iter()
                .filter(|p| !self.stores[&p.store].alive)
                .map(|p| (p.id, now.ms_since(self.stores[&p.store].died)))
                .filter(|(_, ms)| *ms >= DOWN_AFTER_MS)
                .map(|(peer, ms)| DownPeer { peer, seconds: ms / 1000 })
                .collect();
            reports.push(report);
        }
        for report in &reports {
            self.note(Input::RegionHeartbeat(report.clone()));
        }
        let refused = self.planner.handle_region_heartbeats(now, &reports);
        assert_eq!(refused, [], "the stores only tell the truth");
    }

    /// Takes the planner's effects.
    pub fn drain(&mut self) {
        while let Some(effect) = self.planner.poll_effect() {
            self.take_effect(effect);
        }
    }

    fn take_effect(&mut self, effect: Effect) {
        match &effect {
            Effect::Command(command) => self.outbox.push_back(command.clone()),
            Effect::NeedIds(count) => {
                let ids = IdRange { first: self.next_id + 1, count: *count };
                self.next_id += count;
                self.note(Input::Ids(ids));
                self.planner.handle_ids(self.now, ids);
            }
            Effect::Store(StoreEvent::Buried(store)) => {
                assert!(self.regions.values().all(|r| r.report.meta.peer_on(*store).is_none()));
                self.buried.insert(*store);
                self.set_state(store.0, NodeState::Removed);
            }
            Effect::Operator(_) => {}
        }
        self.effects.push(effect);
    }
}
