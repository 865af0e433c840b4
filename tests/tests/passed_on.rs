//! Calls that a follower passes on to the leader, as clients ask with `pd-forwarded-host`, and look-ups of many Regions in
//! one message: the same answers as one by one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use proto::keyspacepb::{LoadKeyspaceRequest, keyspace_client::KeyspaceClient};
use proto::meta_storagepb::{PutRequest, WatchRequest, meta_storage_client::MetaStorageClient};
use proto::metapb::PeerRole;
use proto::pdpb::{
    BatchScanRegionsRequest, GetRegionByIdRequest, GetRegionRequest, KeyRange, QueryRegionRequest,
    RequestHeader, ScanRegionsRequest, TsoRequest, pd_client::PdClient,
};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::writes::{Plan, Writers};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

/// Enough that Regions split: 4 x 100 keys of 1 KiB are 400 KB, six Regions of 64 KiB and more.
const PLAN: Plan = Plan { writers: 4, keys_each: 100, value_size: 1 << 10 };
const WRITES: u64 = 600;
const REGIONS: usize = 5;
/// An end that clients see at once, not by a time-out of their own.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_passes_calls_on_and_many_regions_come_at_once() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let leader = cluster.wait_for_pd_leader().await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;
    let leader_url = cluster.members()[leader].client_url();
    let follower = (leader + 1) % cluster.members().len();
    let follower_url = cluster.members()[follower].client_url();
    let cluster_id = cluster.client().await?.cluster_id();
    let header = || Some(RequestHeader { cluster_id, ..Default::default() });

    // Without the header a follower refuses, with a wrong one it says what is wrong.
    let mut pd = PdClient::new(channel(&follower_url).await?).max_decoding_message_size(usize::MAX);
    let scan = || ScanRegionsRequest { header: header(), ..Default::default() };
    let refused = pd.scan_regions(scan()).await.err().context("a follower does not scan")?;
    ensure!((refused.code(), refused.message()) == (Code::Unavailable, "not leader"), "{refused:?}");
    let mut wrong = Request::new(scan());
    wrong.metadata_mut().insert("pd-forwarded-host", "http://127.0.0.1:1".parse()?);
    let refused = pd.scan_regions(wrong).await.err().context("a wrong host")?;
    ensure!(
        refused.code() == Code::InvalidArgument && refused.message().contains("is not leader"),
        "{refused:?}"
    );

    // Unary. Nothing is to move while answers are compared.
    writers.stop().await?;
    let scanned = async || {
        let regions = pd.clone().scan_regions(passed_on(&leader_url, scan())).await?.into_inner().regions;
        let three = |r: &proto::pdpb::Region| {
            let peers = r.region.as_ref().map_or(&[][..], |region| &region.peers);
            peers.len() == 3 && peers.iter().all(|peer| peer.role() == PeerRole::Voter)
        };
        ensure!(regions.len() >= REGIONS && regions.iter().all(three), "not settled yet: {regions:?}");
        Ok(regions)
    };
    eventually("several Regions of three voters", PATIENCE, scanned).await?;
    let halt = "{\"halt-scheduling\": \"true\"}";
    let (status, _, text) =
        http::send(Method::POST, &format!("{follower_url}/pd/api/v1/config"), halt).await?;
    ensure!(status.is_success(), "{status} {text:?}");
    let regions = eventually("no operator", PATIENCE, async || {
        let running = http::get_json(&format!("{follower_url}/pd/api/v1/operators")).await?;
        ensure!(running.as_array().is_some_and(Vec::is_empty), "{running}");
        scanned().await
    })
    .await?;

    // A stream of batched look-ups, against single look-ups.
    let keys: Vec<_> = regions.iter().filter_map(|r| Some(r.region.as_ref()?.start_key.clone())).collect();
    let ids: Vec<u64> = regions.iter().filter_map(|r| Some(r.region.as_ref()?.id)).collect();
    let question = QueryRegionRequest {
        header: header(),
        keys: keys.clone(),
        prev_keys: keys.clone(),
        ids: [&ids[..], &[u64::MAX]].concat(),
        need_buckets: true,
    };
    let stream =
        tokio_stream::iter([question.clone(), QueryRegionRequest { header: header(), ..Default::default() }]);
    let mut answers = pd.query_region(passed_on(&leader_url, stream)).await?.into_inner();
    let answer = answers.next().await.context("an answer")??;
    let empty = answers.next().await.context("an answer to an empty question")??;
    ensure!(empty.regions_by_id.is_empty() && empty.header.is_some(), "{empty:?}");
    ensure!(answers.next().await.is_none(), "the stream ends when its client is done");
    ensure!(answer.key_id_map.len() == keys.len(), "{answer:?}");
    ensure!(!answer.regions_by_id.contains_key(&u64::MAX), "an unknown id is left out");
    for (at, key) in keys.iter().enumerate() {
        let single = GetRegionRequest { header: header(), region_key: key.clone(), ..Default::default() };
        let here = pd.get_region(passed_on(&leader_url, single.clone())).await?.into_inner();
        let id = here.region.as_ref().map_or(0, |region| region.id);
        ensure!(answer.key_id_map[at] == id, "key {at}: {} and {id}", answer.key_id_map[at]);
        let batched = answer.regions_by_id.get(&id).context("the Region of a key")?;
        ensure!((&batched.region, &batched.leader) == (&here.region, &here.leader), "{batched:?}, {here:?}");
        let before = pd.get_prev_region(passed_on(&leader_url, single)).await?.into_inner();
        let before = before.region.map_or(0, |region| region.id);
        ensure!(answer.prev_key_id_map[at] == before, "before key {at}: {}", answer.prev_key_id_map[at]);
    }
    let by_id = GetRegionByIdRequest { header: header(), region_id: ids[1], ..Default::default() };
    let by_id = pd.get_region_by_id(passed_on(&leader_url, by_id)).await?.into_inner();
    ensure!(by_id.region == answer.regions_by_id[&ids[1]].region, "{by_id:?}");

    // Ranges: the whole key space cut at a key gives every Region once.
    let cut = keys[2].clone();
    let range = |start_key, end_key| KeyRange { start_key, end_key };
    let ranges = vec![range(Default::default(), cut.clone()), range(cut, Default::default())];
    let batch = BatchScanRegionsRequest {
        header: header(),
        ranges,
        contain_all_key_range: true,
        ..Default::default()
    };
    let batch = pd.batch_scan_regions(passed_on(&leader_url, batch)).await?.into_inner();
    let scanned: Vec<_> = batch.regions.iter().map(|region| region.region.clone()).collect();
    let expected: Vec<_> = regions.iter().map(|region| region.region.clone()).collect();
    ensure!(scanned == expected, "{scanned:?} and {expected:?}");

    // A wrong cluster id ends a passed-on stream with the leader's own words.
    let bad = QueryRegionRequest {
        header: Some(RequestHeader { cluster_id: 1, ..Default::default() }),
        ..question
    };
    let mut answers = pd.query_region(passed_on(&leader_url, tokio_stream::iter([bad]))).await?.into_inner();
    let refused = answers.next().await.context("an end")?.err().context("a refusal")?;
    ensure!(refused.code() == Code::FailedPrecondition, "{refused:?}");

    // Keys: written and watched through the follower; our own records cannot be written.
    let mut meta = MetaStorageClient::new(channel(&follower_url).await?);
    let watch = WatchRequest { key: "/a/1".into(), ..Default::default() };
    let mut events = meta.watch(passed_on(&leader_url, watch)).await?.into_inner();
    let put = |key: &str| PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() };
    let written = meta
        .put(passed_on(&leader_url, put("/a/1")))
        .await?
        .into_inner()
        .header
        .context("a header")?
        .revision;
    let event = tokio::time::timeout(PATIENCE, events.next()).await?.context("an event")??;
    let changed = event.events.first().and_then(|event| event.kv.as_ref()).context("a change")?;
    ensure!(changed.mod_revision == written, "{event:?}, written at {written}");
    let own = format!("/pd/{cluster_id}/timestamp");
    let refused = meta.put(passed_on(&leader_url, put(&own))).await.err().context("our own record")?;
    ensure!(refused.code() == Code::PermissionDenied && refused.message().contains(&own), "{refused:?}");
    let leased = PutRequest { lease: 7, ..put("/a/2") };
    let refused = meta.put(passed_on(&leader_url, leased)).await.err().context("no leases yet")?;
    ensure!(refused.code() == Code::NotFound, "{refused:?}");

    // Keyspaces are never passed on.
    let mut keyspaces = KeyspaceClient::new(channel(&follower_url).await?);
    let load =
        |name: &str| LoadKeyspaceRequest { header: header(), name: name.to_owned(), ..Default::default() };
    let refused =
        keyspaces.load_keyspace(passed_on(&leader_url, load("DEFAULT"))).await.err().context("not here")?;
    ensure!(refused.code() == Code::Unavailable, "{refused:?}");
    let mut keyspaces = KeyspaceClient::new(channel(&leader_url).await?);
    let found = keyspaces.load_keyspace(load("DEFAULT")).await?.into_inner();
    ensure!(found.keyspace.is_some_and(|meta| meta.name == "DEFAULT"), "the keyspace that is always there");

    // Timestamps rise over both ways, and a stream that is passed on ends when the leader dies.
    let ask = TsoRequest { header: header(), count: 1, ..Default::default() };
    let (sender, questions) = tokio::sync::mpsc::channel(4);
    let stream = tokio_stream::wrappers::ReceiverStream::new(questions);
    sender.send(ask.clone()).await?;
    let mut timestamps = pd.tso(passed_on(&leader_url, stream)).await?.into_inner();
    let first = timestamps.next().await.context("a timestamp")??.timestamp.context("a timestamp")?;
    sender.send(ask).await?;
    let second = timestamps.next().await.context("a timestamp")??.timestamp.context("a timestamp")?;
    ensure!((second.physical, second.logical) > (first.physical, first.logical), "{first:?}, {second:?}");
    cluster.member(leader).kill()?;
    let end = tokio::time::timeout(ENDS_WITHIN, timestamps.next()).await.context("the stream stays open")?;
    ensure!(!matches!(end, Some(Ok(_))), "a timestamp of a dead leader: {end:?}");
    cluster.wait_for_pd_leader().await?;
    cluster.passed()
}

/// A request that asks to be passed on to the leader.
fn passed_on<T>(leader_url: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("pd-forwarded-host", leader_url.parse().expect("a URL is a header"));
    request
}

async fn channel(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect().await?)
}
