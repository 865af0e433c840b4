//! The text form, there and back.

use bytes::Bytes;

use crate::config::Config;
use crate::effect::SplitPolicy;
use crate::event::{Event, Input};
use crate::model::{
    DownPeer, Flow, NodeState, Peer, PeerId, PeerRole, Rate, RegionEpoch, RegionId, RegionMeta, RegionReport,
    StoreId, StoreLabel, StoreLimit, StoreMeta, StoreStats, StoreWeights, Time, Weight,
};
use crate::operator::{OperatorRequest, TargetRole};
use crate::planner::IdRange;
use crate::producers::{CheckerName, SchedulerName};

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
        cpu_percent: 12,
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
    let targets = vec![(StoreId(1), TargetRole::Leader), (StoreId(2), TargetRole::Learner)];
    comes_back(Input::AddOperator(OperatorRequest::TransferRegion { region, targets }));
    comes_back(Input::CancelAllOperators);
    let weights = StoreWeights { leader: Weight(0), region: Weight(500) };
    comes_back(Input::StoreWeights { store, weights });
    let scheduler = SchedulerName::BalanceLeader;
    comes_back(Input::PauseScheduler { scheduler, for_ms: 30_000 });
    comes_back(Input::PauseChecker { checker: CheckerName::Rule, for_ms: 0 });
    let limit = StoreLimit { add_peer: Rate(7), remove_peer: Rate::UNLIMITED };
    comes_back(Input::Config(Config {
        default_store_limit: limit,
        store_limits: [(StoreId(3), StoreLimit::default())].into(),
        schedulers: [SchedulerName::BalanceRegion].into(),
        enable_make_up_replica: false,
        enable_tikv_split_region: false,
        ..Config::default()
    }));
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
