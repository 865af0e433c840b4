//! Region heartbeats: the hot path.

use std::sync::atomic::Ordering::Relaxed;

use super::Planner;
use crate::checker;
use crate::index::{REGION_PEERS_MAX, Slot, fingerprint, flag};
use crate::model::{NodeState, Peer, PeerRole, RegionReport, StoreState, Time};
use crate::refusal::Refusal;

/// Heartbeats whose lines are touched before the first of them is handled, so that the memory's delays overlap.
const BATCH: usize = 32;

impl Planner {
    /// One Region heartbeat.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed then.
    pub fn handle_region_heartbeat(&mut self, now: Time, report: &RegionReport) -> Result<(), Refusal> {
        let slot = self.cluster.index.find(report.meta.id);
        let taken = self.take_heartbeat(now, report, slot);
        self.use_free_places(now);
        taken
    }

    /// Many Region heartbeats, in order. The hot path: one that changes only counters allocates nothing and touches no
    /// page. Returns the places and reasons of those refused.
    pub fn handle_region_heartbeats(&mut self, now: Time, reports: &[RegionReport]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        for (batch, reports) in reports.chunks(BATCH).enumerate() {
            let mut slots = [None; BATCH];
            for (slot, report) in slots.iter_mut().zip(reports) {
                *slot = self.cluster.index.find(report.meta.id);
            }
            for (place, (report, slot)) in reports.iter().zip(slots).enumerate() {
                // A heartbeat before it in the batch may have moved the Region.
                let slot = slot.filter(|s| self.cluster.index.line(*s).id() == report.meta.id);
                let slot = slot.or_else(|| self.cluster.index.find(report.meta.id));
                if let Err(refusal) = self.take_heartbeat(now, report, slot) {
                    refused.push((batch * BATCH + place, refusal));
                }
            }
        }
        self.use_free_places(now);
        refused
    }

    fn take_heartbeat(
        &mut self,
        now: Time,
        report: &RegionReport,
        slot: Option<Slot>,
    ) -> Result<(), Refusal> {
        let print = fingerprint(report);
        let known = slot.filter(|slot| {
            let line = self.cluster.index.line(*slot);
            line.fingerprint.load(Relaxed) == print
                && (report.term == 0 || report.term >= line.term.load(Relaxed))
        });
        let Some(slot) = known else {
            return self.take_changed(now, report, print).inspect_err(|refusal| self.notes.count(refusal));
        };
        let index = &mut self.cluster.index;
        index.put_counters(slot, report, now);
        let ailing_changed = index.put_ailing(slot, report);
        if self.cluster.index.line(slot).has(flag::OPERATOR) {
            self.advance_operator(now, report.meta.id);
        } else if ailing_changed {
            self.look_at(now, slot);
        }
        Ok(())
    }

    /// A heartbeat that changes more than counters.
    fn take_changed(&mut self, now: Time, report: &RegionReport, print: u64) -> Result<(), Refusal> {
        self.check_report(report)?;
        let put = self.cluster.index.put(report, print, now)?;
        if put.range_changed {
            for region in self.cluster.index.take_dropped() {
                self.unhealthy.remove(&region);
            }
        }
        let id = report.meta.id;
        if self.operators.runs(id) {
            self.cluster.index.line(put.slot).set(flag::OPERATOR, true);
            self.advance_operator(now, id);
        } else if self.is_plainly_healthy(report) {
            self.unhealthy.remove(&id);
        } else {
            self.look_at(now, put.slot);
        }
        Ok(())
    }

    /// What the checker would say of almost all Regions, without asking the index.
    fn is_plainly_healthy(&self, report: &RegionReport) -> bool {
        let peers = &report.meta.peers;
        let is_in_place = |p: &Peer| {
            let store = self.cluster.stores.get(p.store);
            p.role == PeerRole::Voter && store.is_some_and(|s| s.state() == StoreState::Up && !s.is_lost)
        };
        peers.len() == self.cluster.config.max_replicas
            && report.down.is_empty()
            && peers.iter().all(is_in_place)
    }

    /// What a store must never send.
    fn check_report(&self, report: &RegionReport) -> Result<(), Refusal> {
        let meta = &report.meta;
        let bad = |what| Err(Refusal::BadReport { region: meta.id, what });
        if meta.id.0 == 0 {
            return bad("a region id is never 0");
        }
        if report.leader.id.0 == 0 {
            return bad("the heartbeat names no leader");
        }
        if meta.peers.is_empty() {
            return bad("the heartbeat names no peers");
        }
        if meta.peers.len() > REGION_PEERS_MAX {
            return bad("more than 64 peers");
        }
        if meta.peer(report.leader.id).is_none_or(|p| p.store != report.leader.store) {
            return bad("the leader is not one of the peers");
        }
        if !meta.end_key.is_empty() && meta.start_key >= meta.end_key {
            return bad("the start key must lie before the end key");
        }
        let distinct = |(i, p): (usize, &crate::model::Peer)| {
            meta.peers[i + 1..].iter().all(|other| other.id != p.id && other.store != p.store)
        };
        if !meta.peers.iter().enumerate().all(distinct) {
            return bad("two peers share an id or a store");
        }
        match self.cluster.stores.get(report.leader.store) {
            None => Err(Refusal::UnknownStore(report.leader.store)),
            Some(store) if store.meta.node_state == NodeState::Removed => {
                Err(Refusal::StoreLeaves(report.leader.store))
            }
            Some(_) => Ok(()),
        }
    }

    /// Judges a Region without operator and repairs it at once when it can be.
    fn look_at(&mut self, now: Time, slot: Slot) {
        let view = self.cluster.index.view(slot);
        match checker::wish(&view, &self.cluster, now) {
            Some(wish) => {
                self.unhealthy.insert(view.meta.id);
                self.repair_or_note(now, slot, &view, wish);
            }
            None => {
                self.unhealthy.remove(&view.meta.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::index::report;
    use crate::model::{StoreId, StoreMeta};

    #[test]
    fn an_unchanged_heartbeat_touches_no_page() {
        let mut planner = Planner::new(Config { halt_scheduling: true, ..Config::default() }, 0, Time(0));
        for id in 1..=3 {
            let node_state = NodeState::Serving;
            let meta = StoreMeta { id: StoreId(id), node_state, labels: Vec::new() };
            planner.handle_store_meta(Time(0), meta).unwrap();
        }
        let mut first = report(1, "", "m", (5, 5), &[1, 2, 3]);
        planner.handle_region_heartbeat(Time(1), &first).unwrap();
        let page = planner.cluster.index.published(b"a");
        first.size_bytes *= 3;
        first.keys += 1;
        first.flow.bytes_written = 9;
        planner.handle_region_heartbeats(Time(2), std::slice::from_ref(&first));
        assert!(std::sync::Arc::ptr_eq(&page, &planner.cluster.index.published(b"a")));
        first.leader = first.meta.peers[1];
        planner.handle_region_heartbeats(Time(3), std::slice::from_ref(&first));
        assert!(!std::sync::Arc::ptr_eq(&page, &planner.cluster.index.published(b"a")));
        planner.cluster.index.check();
    }
}
