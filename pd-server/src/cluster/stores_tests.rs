//! What may become of a store, case by case.

use super::{HEARTBEAT_PERSIST_INTERVAL, LabelChange, Liveness, StoreBook, StoreRefusal};
use proto::metapb::{NodeState, Store, StoreLabel, StoreState};
use proto::pdpb::StoreStats;
use semver::Version;
use std::time::Duration;

fn store(id: u64, version: &str) -> Store {
    Store { id, address: format!("127.0.0.1:{id}"), version: version.to_owned(), ..Default::default() }
}

fn book(ids: &[u64]) -> StoreBook {
    let mut book = StoreBook::new(Vec::new(), Version::new(0, 0, 0));
    for id in ids {
        let meta = book.put(&store(*id, "8.5.0"), None).unwrap();
        let version = book.version_with(&meta);
        book.install(meta);
        book.set_cluster_version(version);
    }
    book
}

#[test]
fn a_taken_address_names_its_holder_and_the_way_out() {
    let book = book(&[1, 2]);
    let refusal = book
        .put(&Store { id: 50, address: "127.0.0.1:1".to_owned(), ..store(50, "8.5.0") }, None)
        .unwrap_err();
    let text = refusal.to_string();
    assert!(text.starts_with("duplicated store address: id:50 address:\"127.0.0.1:1\""), "{text}");
    assert!(text.contains("already registered by id:1 address:\"127.0.0.1:1\""), "{text}");
    assert!(text.contains("DELETE /pd/api/v1/store/1"), "{text}");
}

#[test]
fn the_cluster_version_is_the_least_and_never_falls() {
    let mut book = book(&[1]);
    assert_eq!(book.cluster_version().to_string(), "8.5.0");
    assert_eq!(
        book.put(&store(2, ""), None).unwrap_err().to_string(),
        "version should compatible with version  8.5.0, got 1.0.0"
    );
    let newer = book.put(&store(2, "9.0.0"), None).unwrap();
    let version = book.version_with(&newer);
    assert_eq!(version.to_string(), "8.5.0");
    book.install(newer);
    let leaving = book.remove(1, true, 3).unwrap().unwrap();
    book.install(leaving);
    let buried = book.bury(1).unwrap();
    assert_eq!(book.version_with(&buried).to_string(), "9.0.0");
}

#[test]
fn a_store_goes_from_preparing_to_removed_and_does_not_come_back() {
    let mut book = book(&[1, 2, 3]);
    let refused = book.remove(1, false, 3).unwrap_err();
    assert_eq!(refused, StoreRefusal::NotEnough { id: 1, left: 2, need: 3 });
    assert!(book.bury(1).is_none());
    let serving = book.serve(1).unwrap();
    book.install(serving);
    let leaving = book.remove(1, false, 2).unwrap().unwrap();
    assert_eq!((leaving.state(), leaving.node_state()), (StoreState::Offline, NodeState::Removing));
    book.install(leaving);
    assert_eq!(book.remove(1, false, 2).unwrap(), None);
    let buried = book.bury(1).unwrap();
    book.install(buried);
    assert_eq!(book.remove(1, false, 2).unwrap_err(), StoreRefusal::Tombstone(1));
    assert_eq!(book.put(&store(1, "8.5.0"), None).unwrap_err(), StoreRefusal::Tombstone(1));
    assert_eq!(
        book.heartbeat(1, StoreStats { store_id: 1, ..Default::default() }).unwrap_err(),
        StoreRefusal::Tombstone(1)
    );
    // Its address is free again.
    assert!(book.put(&Store { id: 9, ..store(1, "8.5.0") }, None).is_ok());
}

#[test]
fn registering_again_merges_labels_and_keeps_state_and_heartbeat() {
    let mut book = book(&[1]);
    let serving = book.serve(1).unwrap();
    book.install(serving);
    book.heartbeat(77, StoreStats { store_id: 1, ..Default::default() }).unwrap();
    let label = |key: &str, value: &str| StoreLabel { key: key.to_owned(), value: value.to_owned() };
    let first = book
        .put(&Store { labels: vec![label("zone", "z1"), label("disk", "ssd")], ..store(1, "8.5.0") }, None)
        .unwrap();
    book.install(first);
    let again = book
        .put(&Store { labels: vec![label("ZONE", "z2"), label("disk", "")], ..store(1, "8.5.1") }, None)
        .unwrap();
    assert_eq!(again.labels, vec![label("zone", "z2")]);
    assert_eq!(
        (again.node_state(), again.last_heartbeat, again.version.as_str()),
        (NodeState::Serving, 77, "8.5.1")
    );
}

#[test]
fn heartbeats_are_written_rarely_and_silence_is_seen() {
    let mut book = book(&[1]);
    let stats = || StoreStats { store_id: 1, ..Default::default() };
    assert_eq!(book.get(1).unwrap().liveness(5, Duration::from_secs(60)), Liveness::Down);
    let step = i64::try_from(HEARTBEAT_PERSIST_INTERVAL.as_nanos()).unwrap();
    book.heartbeat(step - 1, stats()).unwrap();
    assert!(book.heartbeat_to_persist(1).is_none());
    book.heartbeat(step, stats()).unwrap();
    let meta = book.heartbeat_to_persist(1).unwrap();
    book.install(meta);
    assert!(book.heartbeat_to_persist(1).is_none());
    let second = 1_000_000_000;
    for (silent_s, liveness) in
        [(20, Liveness::Connected), (21, Liveness::Disconnected), (61, Liveness::Down)]
    {
        let record = book.get(1).unwrap();
        assert_eq!(
            record.liveness(step + silent_s * second, Duration::from_secs(60)),
            liveness,
            "{silent_s}"
        );
    }
}

#[test]
fn a_leaving_store_may_stay_unless_its_data_is_gone() {
    let mut book = book(&[1, 2, 3, 4]);
    assert_eq!(book.back_up(1), Ok(None), "it never left");
    let leaving = book.remove(1, false, 3).unwrap().unwrap();
    book.install(leaving);
    let back = book.back_up(1).unwrap().unwrap();
    assert_eq!((back.state(), back.node_state()), (StoreState::Up, NodeState::Serving));
    let destroyed = book.remove(1, true, 3).unwrap().unwrap();
    book.install(destroyed);
    assert_eq!(book.back_up(1), Err(StoreRefusal::Destroyed(1)));
    assert_eq!(book.purge(1), Err(StoreRefusal::NotRemoved(1)));
    let buried = book.bury(1).unwrap();
    book.install(buried);
    assert_eq!(book.back_up(1), Err(StoreRefusal::Removed(1)));
    assert_eq!(book.purge(1).unwrap().id, 1);
    book.forget(1);
    assert_eq!(book.back_up(1), Err(StoreRefusal::NotFound(1)));
}

#[test]
fn labels_are_added_replaced_deleted_and_checked_where_that_is_asked() {
    let label = |key: &str, value: &str| StoreLabel { key: key.to_owned(), value: value.to_owned() };
    let mut book = book(&[1]);
    let merge = LabelChange::Merge(vec![label("zone", "z1"), label("host", "h1")]);
    let labelled = book.relabel(1, &merge, None).unwrap();
    book.install(labelled);
    let texts = |change: LabelChange| -> Vec<String> {
        let meta = book.relabel(1, &change, None).unwrap();
        meta.labels.iter().map(|label| format!("{}={}", label.key, label.value)).collect()
    };
    assert_eq!(texts(LabelChange::Merge(vec![label("ZONE", "z2")])), ["zone=z2", "host=h1"]);
    assert_eq!(texts(LabelChange::Merge(vec![label("zone", "")])), ["host=h1"]);
    assert_eq!(texts(LabelChange::Replace(vec![label("disk", "ssd")])), ["disk=ssd"]);
    assert_eq!(texts(LabelChange::Delete("Host".to_owned())), ["zone=z1"]);
    let refused = |change, wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|key| (*key).to_owned()).collect();
        book.relabel(1, &change, Some(&wanted)).unwrap_err()
    };
    let none = || LabelChange::Merge(Vec::new());
    assert_eq!(refused(none(), &["zone", "rack"]), StoreRefusal::LabelMissing("rack".to_owned()));
    assert_eq!(refused(none(), &["zone"]), StoreRefusal::LabelUnknown("host".to_owned()));
    assert!(book.relabel(1, &none(), Some(&["host".to_owned(), "zone".to_owned()])).is_ok());
    let missing = StoreRefusal::NoLabel { id: 1, key: "disk".to_owned() };
    assert_eq!(book.relabel(1, &LabelChange::Delete("disk".to_owned()), None), Err(missing));
    assert_eq!(book.relabel(9, &none(), None), Err(StoreRefusal::InvalidId(9)));
    // The same holds for a store that registers; what kind of store it is does not count.
    let register = |labels: Vec<StoreLabel>| {
        book.put(&Store { labels, ..store(2, "8.5.0") }, Some(&["zone".to_owned()]))
    };
    assert_eq!(register(Vec::new()), Err(StoreRefusal::LabelMissing("zone".to_owned())));
    assert!(register(vec![label("zone", "z1"), label("engine", "tiflash")]).is_ok());
}
