//! What a store does when it boots, step by step, and what it finds after a restart of the server.

use std::time::{Duration, Instant};

use proto::meta_storagepb::{self, meta_storage_client::MetaStorageClient};
use proto::{metapb, pdpb};
use tonic::Code;

use crate::server::{PATIENCE, Pd, Server};

/// The first store with its first Region.
pub fn first_store() -> (metapb::Store, metapb::Region) {
    let store = metapb::Store {
        id: 1,
        address: "127.0.0.1:20161".to_owned(),
        peer_address: "127.0.0.1:20161".to_owned(),
        version: "8.5.0".to_owned(),
        ..Default::default()
    };
    let region = metapb::Region {
        id: 2,
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![metapb::Peer { id: 3, store_id: 1, ..Default::default() }],
        ..Default::default()
    };
    (store, region)
}

/// Bootstraps the cluster and registers its first store.
pub async fn bootstrap(pd: &mut Pd) {
    let (store, region) = first_store();
    let request =
        pdpb::BootstrapRequest { header: pd.header(), store: Some(store.clone()), region: Some(region) };
    let answer = pd.client.bootstrap(request).await.unwrap().into_inner();
    assert_eq!(answer.header.unwrap().error, None);
    let request = pdpb::PutStoreRequest { header: pd.header(), store: Some(store) };
    let answer = pd.client.put_store(request).await.unwrap().into_inner();
    assert_eq!(answer.header.unwrap().error, None);
}

/// Finds it whichever way it is looked for, without a leader.
async fn finds_the_first_region(pd: &mut Pd) {
    let (_, region) = first_store();
    for region_key in ["", "any"] {
        let request = pdpb::GetRegionRequest {
            header: pd.header(),
            region_key: region_key.into(),
            ..Default::default()
        };
        let found = pd.client.get_region(request.clone()).await.unwrap().into_inner();
        assert_eq!((found.region.as_ref(), found.leader), (Some(&region), None));
        assert_eq!(pd.client.get_prev_region(request).await.unwrap().into_inner().region, None);
    }
    for (region_id, known) in [(region.id, Some(&region)), (region.id + 1, None)] {
        let request = pdpb::GetRegionByIdRequest { header: pd.header(), region_id, ..Default::default() };
        let found = pd.client.get_region_by_id(request).await.unwrap().into_inner();
        assert_eq!(found.region.as_ref(), known);
    }
    #[allow(deprecated, reason = "stock clients of several versions ask so")]
    let request = pdpb::ScanRegionsRequest { header: pd.header(), ..Default::default() };
    let found = pd.client.scan_regions(request).await.unwrap().into_inner();
    assert_eq!(found.regions.len(), 1);
    assert_eq!(found.regions[0].region.as_ref(), Some(&region));
}

#[tokio::test]
async fn the_first_region_is_known_before_it_is_heard_of() {
    let mut server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    finds_the_first_region(&mut pd).await;
    server.restart();
    let mut pd = server.connect().await;
    finds_the_first_region(&mut pd).await;
    // Once its store lives, PD does not repeat what may be long outdated.
    let request = pdpb::StoreHeartbeatRequest {
        header: pd.header(),
        stats: Some(pdpb::StoreStats { store_id: 1, ..Default::default() }),
        ..Default::default()
    };
    let until = Instant::now() + PATIENCE;
    loop {
        // The kill may come before the heartbeat is written down: then it is as if it had never been.
        pd.client.store_heartbeat(request.clone()).await.unwrap();
        server.restart();
        pd = server.connect().await;
        let request = pdpb::GetRegionRequest { header: pd.header(), ..Default::default() };
        if pd.client.get_region(request).await.unwrap().into_inner().region.is_none() {
            break;
        }
        assert!(Instant::now() < until, "the heartbeat is not kept");
    }
}

#[tokio::test]
async fn a_store_boots_step_by_step() {
    let mut server = Server::start();
    let mut pd = server.connect().await;

    // The members, with an empty header, byte-stable, and any id in the header will do.
    let ask = |header| pdpb::GetMembersRequest { header };
    let first = pd.client.get_members(ask(None)).await.unwrap().into_inner();
    let wrong = Some(pdpb::RequestHeader { cluster_id: 1, ..Default::default() });
    assert_eq!(pd.client.get_members(ask(wrong)).await.unwrap().into_inner(), first);
    assert_ne!(first.header.as_ref().unwrap().cluster_id, 0);
    let leader = first.leader.clone().unwrap();
    assert_eq!(
        (leader.name.as_str(), &leader.client_urls),
        ("pd1", &vec![format!("http://{}", server.client)])
    );
    assert_eq!((first.etcd_leader, first.members), (first.leader, vec![leader]));
    let info = pd.client.get_cluster_info(pdpb::GetClusterInfoRequest::default()).await.unwrap().into_inner();
    assert_eq!(info.service_modes, [i32::from(pdpb::ServiceMode::PdSvcMode)]);

    let recovering =
        pd.client.is_snapshot_recovering(pdpb::IsSnapshotRecoveringRequest { header: None }).await;
    assert!(!recovering.unwrap().into_inner().marked);

    // Resource control: the settings and the controller are there, and a watch from the header's revision repeats.
    let mut meta = MetaStorageClient::connect(format!("http://{}", server.client)).await.unwrap();
    let get = |key: &str, end: &str| meta_storagepb::GetRequest {
        header: None,
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..Default::default()
    };
    let settings =
        meta.get(get("resource_group/settings", "resource_group/settingt")).await.unwrap().into_inner();
    assert_eq!((settings.kvs.len(), settings.count), (1, 1));
    assert_eq!(settings.kvs[0].key, "resource_group/settings/default");
    assert_eq!(settings.kvs[0].mod_revision, 0, "reads carry keys and values only");
    let controller = meta.get(get("resource_group/controller", "")).await.unwrap().into_inner();
    let json: serde_json::Value = serde_json::from_slice(&controller.kvs[0].value).unwrap();
    assert_eq!(json["request-unit"]["read-base-cost"], 0.125);
    let watch = meta_storagepb::WatchRequest {
        key: "resource_group/settings".into(),
        range_end: "resource_group/settingt".into(),
        start_revision: 1,
        prev_kv: true,
        ..Default::default()
    };
    let mut events = meta.watch(watch).await.unwrap().into_inner();
    let event = events.message().await.unwrap().unwrap().events.remove(0).kv.unwrap();
    assert_eq!((event.key.as_ref(), event.version), (&b"resource_group/settings/default"[..], 1));

    // Ids: one, then five in a row of which the answer names the last.
    let alloc = |count| pdpb::AllocIdRequest { header: pd.header(), count };
    let (one, five) = (alloc(0), alloc(5));
    let first = pd.client.alloc_id(one).await.unwrap().into_inner();
    assert_ne!((first.id, first.count), (0, 1));
    let block = pd.client.alloc_id(five).await.unwrap().into_inner();
    assert_eq!((block.id, block.count), (first.id + 5, 5));

    let asked = pdpb::IsBootstrappedRequest { header: pd.header() };
    assert!(!pd.client.is_bootstrapped(asked.clone()).await.unwrap().into_inner().bootstrapped);
    bootstrap(&mut pd).await;
    assert!(pd.client.is_bootstrapped(asked.clone()).await.unwrap().into_inner().bootstrapped);
    let (store, region) = first_store();
    let again = pdpb::BootstrapRequest { header: pd.header(), store: Some(store), region: Some(region) };
    let error = pd.client.bootstrap(again).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(error.r#type(), pdpb::ErrorType::AlreadyBootstrapped);
    assert_eq!(error.message, "cluster is already bootstrapped");

    let stores = pdpb::GetAllStoresRequest { header: pd.header(), exclude_tombstone_stores: false };
    let stores = pd.client.get_all_stores(stores).await.unwrap().into_inner().stores;
    assert_eq!(stores.iter().map(|store| store.id).collect::<Vec<_>>(), [1]);
    let safe_point = pdpb::GetGcSafePointRequest { header: pd.header() };
    assert_eq!(pd.client.get_gc_safe_point(safe_point).await.unwrap().into_inner().safe_point, 0);

    let heartbeat = |store_id| pdpb::StoreHeartbeatRequest {
        header: pd.header(),
        stats: Some(pdpb::StoreStats {
            store_id,
            capacity: 1 << 30,
            available: 1 << 29,
            ..Default::default()
        }),
        ..Default::default()
    };
    let (known, unknown) = (heartbeat(1), heartbeat(99));
    let answer = pd.client.store_heartbeat(known).await.unwrap().into_inner();
    assert_eq!((answer.cluster_version.as_str(), answer.replication_status.is_some()), ("8.5.0", true));
    let error = pd.client.store_heartbeat(unknown).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!((error.r#type(), error.message.as_str()), (pdpb::ErrorType::Unknown, "store 99 not found"));

    let resolved =
        |store_id| pdpb::ReportMinResolvedTsRequest { header: pd.header(), store_id, min_resolved_ts: 77 };
    let (known, unknown) = (resolved(1), resolved(99));
    pd.client.report_min_resolved_ts(known).await.unwrap();
    let kept = format!("/pd/{}/raft/min_resolved_ts", pd.cluster_id);
    let until = Instant::now() + PATIENCE;
    while meta.get(get(&kept, "")).await.unwrap().into_inner().kvs.first().is_none_or(|kv| kv.value != "4d") {
        assert!(Instant::now() < until, "the minimum of resolved timestamps is not kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = pd.client.report_min_resolved_ts(unknown).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unknown, "[PD:core:ErrStoreNotFound]store 99 not found")
    );

    // Killed and started again: the same cluster, the same store, ids that never repeat.
    server.restart();
    let mut again = server.connect().await;
    assert_eq!(again.cluster_id, pd.cluster_id);
    let stores = pdpb::GetAllStoresRequest { header: again.header(), exclude_tombstone_stores: false };
    assert_eq!(again.client.get_all_stores(stores).await.unwrap().into_inner().stores.len(), 1);
    let next = pdpb::AllocIdRequest { header: again.header(), count: 1 };
    assert!(again.client.alloc_id(next).await.unwrap().into_inner().id > block.id);
}
