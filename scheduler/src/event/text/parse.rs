//! From a line to its event. Each field is taken once; one that is left over does not belong to the input.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;

use super::BadEvent;
use super::words::{
    checker, down_peer, epoch, label, limit, node_state, number, peer, policy, scheduler, store_limit,
    switch_off, target, unhex,
};
use crate::config::Config;
use crate::event::{Event, Input};
use crate::model::{
    Flow, NodeState, PeerId, RegionEpoch, RegionId, RegionMeta, RegionReport, StoreId, StoreMeta, StoreStats,
    StoreWeights, Time, Weight,
};
use crate::operator::OperatorRequest;
use crate::planner::IdRange;

impl FromStr for Event {
    type Err = BadEvent;

    fn from_str(line: &str) -> Result<Event, BadEvent> {
        let mut words = line.split_ascii_whitespace();
        let at = Time(number(words.next().ok_or_else(|| BadEvent::new("an empty line"))?)?);
        let name = words.next().ok_or_else(|| BadEvent::new("no input named"))?;
        let mut fields = Fields::default();
        for word in words {
            let (field, value) =
                word.split_once('=').ok_or_else(|| BadEvent::new(format!("`{word}` is no field=value")))?;
            fields.all.insert(field, value);
        }
        let input = match name {
            "region-heartbeat" => Input::RegionHeartbeat(fields.region_report()?),
            "store-meta" => Input::StoreMeta(StoreMeta {
                id: StoreId(fields.number("store")?),
                node_state: fields.node_state()?,
                labels: fields.list("labels", label)?,
            }),
            "store-heartbeat" => Input::StoreHeartbeat(fields.store_stats()?),
            "stream-opened" => Input::StreamOpened(StoreId(fields.number("store")?)),
            "stream-closed" => Input::StreamClosed(StoreId(fields.number("store")?)),
            "config" => Input::Config(fields.config()?),
            "ids" => Input::Ids(IdRange { first: fields.number("first")?, count: fields.number("count")? }),
            "split-request" => Input::SplitRequest {
                region: RegionId(fields.number("region")?),
                epoch: fields.epoch()?,
                count: fields.number("count")?,
            },
            "add-operator" => Input::AddOperator(fields.operator_request()?),
            "cancel-operator" => Input::CancelOperator(RegionId(fields.number("region")?)),
            "cancel-all-operators" => Input::CancelAllOperators,
            "store-weights" => Input::StoreWeights {
                store: StoreId(fields.number("store")?),
                weights: StoreWeights {
                    leader: Weight(fields.number("leader")?),
                    region: Weight(fields.number("region")?),
                },
            },
            "pause-scheduler" => Input::PauseScheduler {
                scheduler: scheduler(fields.text("scheduler"))?,
                for_ms: fields.number("for")?,
            },
            "pause-checker" => Input::PauseChecker {
                checker: checker(fields.text("checker"))?,
                for_ms: fields.number("for")?,
            },
            "tick" => Input::Tick,
            other => return Err(BadEvent::new(format!("`{other}` is no input"))),
        };
        match fields.all.keys().next() {
            None => Ok(Event { at, input }),
            Some(field) => Err(BadEvent::new(format!("`{name}` has no field `{field}`"))),
        }
    }
}

/// Fields not taken yet.
#[derive(Default)]
struct Fields<'a> {
    all: BTreeMap<&'a str, &'a str>,
}

impl Fields<'_> {
    fn text(&mut self, field: &str) -> &str {
        self.all.remove(field).unwrap_or_default()
    }

    fn number(&mut self, field: &str) -> Result<u64, BadEvent> {
        match self.text(field) {
            "" => Ok(0),
            text => number(text),
        }
    }

    fn count(&mut self, field: &str) -> Result<usize, BadEvent> {
        let value = self.number(field)?;
        usize::try_from(value).map_err(|_| BadEvent::new(format!("`{value}` is too large")))
    }

    fn list<T>(
        &mut self,
        field: &str,
        parse: impl Fn(&str) -> Result<T, BadEvent>,
    ) -> Result<Vec<T>, BadEvent> {
        self.text(field).split(',').filter(|item| !item.is_empty()).map(parse).collect()
    }

    fn bytes(&mut self, field: &str) -> Result<Bytes, BadEvent> {
        unhex(self.text(field))
    }

    fn epoch(&mut self) -> Result<RegionEpoch, BadEvent> {
        epoch(self.text("epoch"))
    }

    fn node_state(&mut self) -> Result<NodeState, BadEvent> {
        node_state(self.text("state"))
    }

    fn region_report(&mut self) -> Result<RegionReport, BadEvent> {
        let leader = self.text("leader");
        let leader = peer(leader)?;
        Ok(RegionReport {
            meta: RegionMeta {
                id: RegionId(self.number("region")?),
                start_key: self.bytes("start")?,
                end_key: self.bytes("end")?,
                epoch: self.epoch()?,
                peers: self.list("peers", peer)?,
            },
            leader,
            term: self.number("term")?,
            down: self.list("down", down_peer)?,
            pending: self.list("pending", |text| number(text).map(PeerId))?,
            flow: Flow {
                bytes_written: self.number("bytes-written")?,
                keys_written: self.number("keys-written")?,
                bytes_read: self.number("bytes-read")?,
                keys_read: self.number("keys-read")?,
            },
            size_bytes: self.number("size")?,
            keys: self.number("keys")?,
            interval_s: self.number("interval")?,
            cpu_percent: self.number("cpu")?,
        })
    }

    fn store_stats(&mut self) -> Result<StoreStats, BadEvent> {
        Ok(StoreStats {
            store: StoreId(self.number("store")?),
            capacity_bytes: self.number("capacity")?,
            available_bytes: self.number("available")?,
            used_bytes: self.number("used")?,
            region_count: self.number("regions")?,
            sending_snapshots: self.number("sending")?,
            receiving_snapshots: self.number("receiving")?,
            applying_snapshots: self.number("applying")?,
            is_busy: self.number("busy")? != 0,
        })
    }

    fn config(&mut self) -> Result<Config, BadEvent> {
        let off: Vec<String> = self.list("off", |word| Ok(word.to_owned()))?;
        let mut config = Config {
            max_replicas: self.count("max-replicas")?,
            max_store_down_time_ms: self.number("max-store-down-time")?,
            halt_scheduling: self.number("halt")? != 0,
            leader_schedule_limit: self.count("leader-limit")?,
            region_schedule_limit: self.count("region-limit")?,
            replica_schedule_limit: self.count("replica-limit")?,
            max_snapshot_count: self.number("max-snapshots")?,
            max_pending_peer_count: self.number("max-pending")?,
            low_space_per_mille: self.number("low-space")?,
            default_store_limit: limit(self.text("store-limit"))?,
            store_limits: self.list("store-limits", store_limit)?.into_iter().collect(),
            schedulers: self.list("schedulers", scheduler)?.into_iter().collect(),
            ..Config::default()
        };
        off.iter().try_for_each(|word| switch_off(&mut config, word))?;
        Ok(config)
    }

    fn operator_request(&mut self) -> Result<OperatorRequest, BadEvent> {
        let region = RegionId(self.number("region")?);
        let kind = self.text("kind").to_owned();
        let mut store = |field| self.number(field).map(StoreId);
        Ok(match kind.as_str() {
            "add-peer" => OperatorRequest::AddPeer { region, store: store("store")? },
            "add-learner" => OperatorRequest::AddLearner { region, store: store("store")? },
            "remove-peer" => OperatorRequest::RemovePeer { region, store: store("store")? },
            "transfer-peer" => {
                OperatorRequest::TransferPeer { region, from: store("from")?, to: store("to")? }
            }
            "transfer-leader" => OperatorRequest::TransferLeader { region, to: store("to")? },
            "transfer-region" => {
                OperatorRequest::TransferRegion { region, targets: self.list("targets", target)? }
            }
            "split" => OperatorRequest::Split {
                region,
                policy: policy(self.text("policy"))?,
                keys: self.list("keys", unhex)?,
            },
            other => return Err(BadEvent::new(format!("`{other}` is no operator"))),
        })
    }
}
