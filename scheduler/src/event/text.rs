//! An event as one line: time in ms, the input's name, then `field=value` in any order. Keys and labels are in hex; lists
//! are joined by commas; a Peer is `id@store` and its role (`v`oter, `l`earner, `i`ncoming, `d`emoting; `w` added for a
//! witness). A field left out is 0 or empty.
//!
//! ```text
//! 39803 region-heartbeat region=4 end=7800ff epoch=1/3 peers=5@1v leader=5@1v term=6 size=1
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::{Event, Input};
use crate::config::Config;
use crate::effect::SplitPolicy;
use crate::model::{
    DownPeer, Flow, NodeState, Peer, PeerId, PeerRole, RegionEpoch, RegionId, RegionMeta, RegionReport,
    StoreId, StoreLabel, StoreMeta, StoreStats, Time,
};
use crate::operator::OperatorRequest;
use crate::planner::IdRange;

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {what}")]
pub struct BadEvent {
    what: String,
}

impl BadEvent {
    fn new(what: impl Into<String>) -> BadEvent {
        BadEvent { what: what.into() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { f, at: self.at };
        match &self.input {
            Input::RegionHeartbeat(report) => line.region_heartbeat(report),
            Input::StoreMeta(meta) => {
                line.name("store-meta")?;
                line.number("store", meta.id.0)?;
                line.text("state", node_state_name(meta.node_state))?;
                let label = |l: &StoreLabel| format!("{}:{}", hex(l.key.as_bytes()), hex(l.value.as_bytes()));
                line.list("labels", meta.labels.iter().map(label))
            }
            Input::StoreHeartbeat(stats) => line.store_heartbeat(stats),
            Input::StreamOpened(store) => line.of_id("stream-opened", "store", store.0),
            Input::StreamClosed(store) => line.of_id("stream-closed", "store", store.0),
            Input::Config(config) => line.config(config),
            Input::Ids(ids) => {
                line.name("ids")?;
                line.number("first", ids.first)?;
                line.number("count", ids.count)
            }
            Input::SplitRequest { region, epoch, count } => {
                line.of_id("split-request", "region", region.0)?;
                line.text("epoch", &epoch_text(*epoch))?;
                line.number("count", *count)
            }
            Input::AddOperator(request) => line.add_operator(request),
            Input::CancelOperator(region) => line.of_id("cancel-operator", "region", region.0),
            Input::Tick => line.name("tick"),
        }
    }
}

struct Line<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    at: Time,
}

impl Line<'_, '_> {
    fn name(&mut self, name: &str) -> fmt::Result {
        write!(self.f, "{} {name}", self.at.0)
    }

    fn of_id(&mut self, name: &str, field: &str, id: u64) -> fmt::Result {
        self.name(name)?;
        self.number(field, id)
    }

    fn number(&mut self, field: &str, value: u64) -> fmt::Result {
        if value == 0 { Ok(()) } else { write!(self.f, " {field}={value}") }
    }

    fn text(&mut self, field: &str, value: &str) -> fmt::Result {
        if value.is_empty() { Ok(()) } else { write!(self.f, " {field}={value}") }
    }

    fn list(&mut self, field: &str, values: impl Iterator<Item = String>) -> fmt::Result {
        let joined: Vec<String> = values.collect();
        self.text(field, &joined.join(","))
    }

    fn region_heartbeat(&mut self, report: &RegionReport) -> fmt::Result {
        let meta = &report.meta;
        self.of_id("region-heartbeat", "region", meta.id.0)?;
        self.text("start", &hex(&meta.start_key))?;
        self.text("end", &hex(&meta.end_key))?;
        self.text("epoch", &epoch_text(meta.epoch))?;
        self.list("peers", meta.peers.iter().map(peer_text))?;
        self.text("leader", &peer_text(&report.leader))?;
        self.number("term", report.term)?;
        self.list("down", report.down.iter().map(|d| format!("{}:{}", d.peer, d.seconds)))?;
        self.list("pending", report.pending.iter().map(PeerId::to_string))?;
        self.number("bytes-written", report.flow.bytes_written)?;
        self.number("keys-written", report.flow.keys_written)?;
        self.number("bytes-read", report.flow.bytes_read)?;
        self.number("keys-read", report.flow.keys_read)?;
        self.number("size", report.size_bytes)?;
        self.number("keys", report.keys)?;
        self.number("interval", report.interval_s)
    }

    fn store_heartbeat(&mut self, stats: &StoreStats) -> fmt::Result {
        self.of_id("store-heartbeat", "store", stats.store.0)?;
        self.number("capacity", stats.capacity_bytes)?;
        self.number("available", stats.available_bytes)?;
        self.number("used", stats.used_bytes)?;
        self.number("regions", stats.region_count)?;
        self.number("sending", stats.sending_snapshots)?;
        self.number("receiving", stats.receiving_snapshots)?;
        self.number("applying", stats.applying_snapshots)?;
        self.number("busy", u64::from(stats.is_busy))
    }

    fn config(&mut self, config: &Config) -> fmt::Result {
        self.name("config")?;
        self.number("max-replicas", config.max_replicas as u64)?;
        self.number("max-store-down-time", config.max_store_down_time_ms)?;
        self.number("halt", u64::from(config.halt_scheduling))?;
        self.number("leader-limit", config.leader_schedule_limit as u64)?;
        self.number("region-limit", config.region_schedule_limit as u64)?;
        self.number("replica-limit", config.replica_schedule_limit as u64)?;
        self.number("max-snapshots", config.max_snapshot_count)?;
        self.number("max-pending", config.max_pending_peer_count)?;
        self.number("low-space", config.low_space_per_mille)
    }

    fn add_operator(&mut self, request: &OperatorRequest) -> fmt::Result {
        let (kind, fields): (&str, Vec<(&str, u64)>) = match request {
            OperatorRequest::AddPeer { store, .. } => ("add-peer", vec![("store", store.0)]),
            OperatorRequest::AddLearner { store, .. } => ("add-learner", vec![("store", store.0)]),
            OperatorRequest::RemovePeer { store, .. } => ("remove-peer", vec![("store", store.0)]),
            OperatorRequest::TransferPeer { from, to, .. } => {
                ("transfer-peer", vec![("from", from.0), ("to", to.0)])
            }
            OperatorRequest::TransferLeader { to, .. } => ("transfer-leader", vec![("to", to.0)]),
            OperatorRequest::Split { .. } => ("split", vec![]),
        };
        self.of_id("add-operator", "region", request.region().0)?;
        self.text("kind", kind)?;
        for (field, value) in fields {
            self.number(field, value)?;
        }
        match request {
            OperatorRequest::Split { policy, keys, .. } => {
                self.text("policy", policy_name(*policy))?;
                self.list("keys", keys.iter().map(|k| hex(k)))
            }
            OperatorRequest::AddPeer { .. }
            | OperatorRequest::AddLearner { .. }
            | OperatorRequest::RemovePeer { .. }
            | OperatorRequest::TransferPeer { .. }
            | OperatorRequest::TransferLeader { .. } => Ok(()),
        }
    }
}

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
        let text = self.text("epoch");
        let (conf_ver, version) =
            text.split_once('/').ok_or_else(|| BadEvent::new("an epoch is conf_ver/version"))?;
        Ok(RegionEpoch { conf_ver: number(conf_ver)?, version: number(version)? })
    }

    fn node_state(&mut self) -> Result<NodeState, BadEvent> {
        let text = self.text("state");
        let all = [NodeState::Preparing, NodeState::Serving, NodeState::Removing, NodeState::Removed];
        let found = all.into_iter().find(|s| node_state_name(*s) == text);
        found.ok_or_else(|| BadEvent::new(format!("`{text}` is no state of a store")))
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
        Ok(Config {
            max_replicas: self.count("max-replicas")?,
            max_store_down_time_ms: self.number("max-store-down-time")?,
            halt_scheduling: self.number("halt")? != 0,
            leader_schedule_limit: self.count("leader-limit")?,
            region_schedule_limit: self.count("region-limit")?,
            replica_schedule_limit: self.count("replica-limit")?,
            max_snapshot_count: self.number("max-snapshots")?,
            max_pending_peer_count: self.number("max-pending")?,
            low_space_per_mille: self.number("low-space")?,
        })
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
            "split" => OperatorRequest::Split {
                region,
                policy: policy(self.text("policy"))?,
                keys: self.list("keys", unhex)?,
            },
            other => return Err(BadEvent::new(format!("`{other}` is no operator"))),
        })
    }
}

fn number(text: &str) -> Result<u64, BadEvent> {
    text.parse().map_err(|_| BadEvent::new(format!("`{text}` is no number")))
}

fn epoch_text(epoch: RegionEpoch) -> String {
    format!("{}/{}", epoch.conf_ver, epoch.version)
}

fn peer_text(peer: &Peer) -> String {
    let role = match peer.role {
        PeerRole::Voter => 'v',
        PeerRole::Learner => 'l',
        PeerRole::IncomingVoter => 'i',
        PeerRole::DemotingVoter => 'd',
    };
    format!("{}@{}{role}{}", peer.id, peer.store, if peer.is_witness { "w" } else { "" })
}

fn peer(text: &str) -> Result<Peer, BadEvent> {
    let bad = || BadEvent::new(format!("`{text}` is no peer: id@store and v, l, i or d"));
    let (id, rest) = text.split_once('@').ok_or_else(bad)?;
    let (rest, is_witness) = rest.strip_suffix('w').map_or((rest, false), |rest| (rest, true));
    let roles = [
        ('v', PeerRole::Voter),
        ('l', PeerRole::Learner),
        ('i', PeerRole::IncomingVoter),
        ('d', PeerRole::DemotingVoter),
    ];
    let (store, role) =
        roles.into_iter().find_map(|(c, role)| Some((rest.strip_suffix(c)?, role))).ok_or_else(bad)?;
    Ok(Peer { id: PeerId(number(id)?), store: StoreId(number(store)?), role, is_witness })
}

fn down_peer(text: &str) -> Result<DownPeer, BadEvent> {
    let (peer, seconds) = text.split_once(':').ok_or_else(|| BadEvent::new("a down peer is id:seconds"))?;
    Ok(DownPeer { peer: PeerId(number(peer)?), seconds: number(seconds)? })
}

fn label(text: &str) -> Result<StoreLabel, BadEvent> {
    let (key, value) = text.split_once(':').ok_or_else(|| BadEvent::new("a label is key:value"))?;
    let utf8 =
        |hex| String::from_utf8(unhex(hex)?.to_vec()).map_err(|_| BadEvent::new("a label is not UTF-8"));
    Ok(StoreLabel { key: utf8(key)?, value: utf8(value)? })
}

const fn node_state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Preparing => "preparing",
        NodeState::Serving => "serving",
        NodeState::Removing => "removing",
        NodeState::Removed => "removed",
    }
}

const fn policy_name(policy: SplitPolicy) -> &'static str {
    match policy {
        SplitPolicy::Scan => "scan",
        SplitPolicy::Approximate => "approximate",
        SplitPolicy::UseKey => "use-key",
    }
}

fn policy(text: &str) -> Result<SplitPolicy, BadEvent> {
    let all = [SplitPolicy::Scan, SplitPolicy::Approximate, SplitPolicy::UseKey];
    let found = all.into_iter().find(|p| policy_name(*p) == text);
    found.ok_or_else(|| BadEvent::new(format!("`{text}` is no policy of a split")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Bytes, BadEvent> {
    let bad = || BadEvent::new(format!("`{text}` is not hex"));
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad());
    (0..text.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(input: Input) {
        let event = Event { at: Time(12), input };
        assert_eq!(event.to_string().parse::<Event>(), Ok(event));
    }

    #[test]
    fn every_input_comes_back_as_it_was_written() {
        let peers = vec![
            Peer::voter(PeerId(5), StoreId(1)),
            Peer { is_witness: true, ..Peer::learner(PeerId(6), StoreId(2)) },
            Peer { role: PeerRole::IncomingVoter, ..Peer::voter(PeerId(7), StoreId(3)) },
            Peer { role: PeerRole::DemotingVoter, ..Peer::voter(PeerId(8), StoreId(4)) },
        ];
        comes_back(Input::RegionHeartbeat(RegionReport {
            leader: peers[0],
            meta: RegionMeta {
                id: RegionId(4),
                start_key: Bytes::from_static(b"a\x00\xff"),
                end_key: Bytes::new(),
                epoch: RegionEpoch { conf_ver: 3, version: 9 },
                peers,
            },
            term: 6,
            down: vec![DownPeer { peer: PeerId(8), seconds: 70 }],
            pending: vec![PeerId(6), PeerId(8)],
            flow: Flow { bytes_written: 1, keys_written: 2, bytes_read: 3, keys_read: 4 },
            size_bytes: 5,
            keys: 6,
            interval_s: 7,
        }));
        let labels = vec![StoreLabel { key: "zone".into(), value: "z=1, x".into() }];
        comes_back(Input::StoreMeta(StoreMeta { id: StoreId(3), node_state: NodeState::Removing, labels }));
        comes_back(Input::StoreHeartbeat(StoreStats {
            store: StoreId(3),
            capacity_bytes: 1,
            available_bytes: 2,
            used_bytes: 3,
            region_count: 4,
            sending_snapshots: 5,
            receiving_snapshots: 6,
            applying_snapshots: 7,
            is_busy: true,
        }));
        comes_back(Input::StreamOpened(StoreId(1)));
        comes_back(Input::StreamClosed(StoreId(1)));
        comes_back(Input::Config(Config { halt_scheduling: true, ..Config::default() }));
        comes_back(Input::Ids(IdRange { first: 9, count: 10 }));
        let epoch = RegionEpoch { conf_ver: 3, version: 9 };
        comes_back(Input::SplitRequest { region: RegionId(4), epoch, count: 2 });
        let (region, store) = (RegionId(4), StoreId(2));
        comes_back(Input::AddOperator(OperatorRequest::AddPeer { region, store }));
        comes_back(Input::AddOperator(OperatorRequest::AddLearner { region, store }));
        comes_back(Input::AddOperator(OperatorRequest::RemovePeer { region, store }));
        comes_back(Input::AddOperator(OperatorRequest::TransferPeer { region, from: store, to: StoreId(3) }));
        comes_back(Input::AddOperator(OperatorRequest::TransferLeader { region, to: store }));
        let keys = vec![Bytes::from_static(b"k"), Bytes::from_static(b"l")];
        comes_back(Input::AddOperator(OperatorRequest::Split { region, policy: SplitPolicy::UseKey, keys }));
        comes_back(Input::CancelOperator(region));
        comes_back(Input::Tick);
    }

    #[test]
    fn a_line_that_is_no_event_is_refused_by_name() {
        let refused = |line: &str| line.parse::<Event>().unwrap_err().to_string();
        assert_eq!(refused(""), "not an event: an empty line");
        assert_eq!(refused("x tick"), "not an event: `x` is no number");
        assert_eq!(refused("1 tock"), "not an event: `tock` is no input");
        assert_eq!(refused("1 tick store=1"), "not an event: `tick` has no field `store`");
        assert_eq!(refused("1 stream-opened store"), "not an event: `store` is no field=value");
        assert_eq!(refused("1 store-meta state=up"), "not an event: `up` is no state of a store");
        assert!(refused("1 region-heartbeat leader=1@1x").contains("is no peer"));
        assert!(refused("1 region-heartbeat leader=1@1v epoch=1/1 start=0g").contains("is not hex"));
        assert!(refused("1 region-heartbeat leader=1@1v epoch=1/1 start=é").contains("is not hex"));
    }
}
