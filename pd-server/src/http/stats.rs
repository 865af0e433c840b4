//! Sums over the Regions of a key range. One pass over what readers see: it ends whatever the number of Regions, and asks
//! the planner's owner nothing.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::Response;
use scheduler::{Glance, PeerId};
use serde::Serialize;

use super::query::Query;
use super::region_checks::EMPTY_MIB;
use super::region_list::Pass;
use super::{bootstrapped, json};
use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new().route("/pd/api/v1/stats/region", get(regions))
}

/// By store; the ids are text, and so is their order.
type ByStore = BTreeMap<String, u64>;

/// Sizes in MiB. Without sums the maps are `null`.
#[derive(Default, Serialize)]
struct Stats {
    count: u64,
    empty_count: u64,
    storage_size: u64,
    user_storage_size: u64,
    user_columnar_storage_size: u64,
    storage_keys: u64,
    store_leader_count: Option<ByStore>,
    store_peer_count: Option<ByStore>,
    store_leader_size: Option<ByStore>,
    store_leader_keys: Option<ByStore>,
    store_peer_size: Option<ByStore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_peer_keys: Option<ByStore>,
}

/// What one store has.
#[derive(Clone, Copy, Default)]
struct Share {
    leaders: u64,
    leader_size: u64,
    leader_keys: u64,
    peers: u64,
    peer_size: u64,
    peer_keys: u64,
}

/// Sums from `start_key` to `end_key`; with `count` only how many Regions there are.
async fn regions(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let (start, end) = match (query.key("start_key"), query.key("end_key")) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(text), _) | (_, Err(text)) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let only_count = query.has("count");
    let mut stats = Stats::default();
    let mut shares: BTreeMap<u64, Share> = BTreeMap::new();
    let mut pass = Pass::new(&start, &end);
    pass.rest(cluster.regions().heard(), |region| {
        stats.count += 1;
        if !only_count {
            add(&mut stats, &mut shares, region);
        }
        true
    })
    .await;
    if !only_count {
        spread(&mut stats, &shares);
    }
    json::ok(&stats)
}

fn add(stats: &mut Stats, shares: &mut BTreeMap<u64, Share>, region: &Glance<'_>) {
    let (size, keys, leader) = (region.size_mib(), region.keys(), region.leader());
    stats.empty_count += u64::from(size <= EMPTY_MIB);
    stats.storage_size = stats.storage_size.saturating_add(size);
    stats.storage_keys = stats.storage_keys.saturating_add(keys);
    if leader.id != PeerId(0) {
        let share = shares.entry(leader.store.0).or_default();
        share.leaders += 1;
        share.leader_size = share.leader_size.saturating_add(size);
        share.leader_keys = share.leader_keys.saturating_add(keys);
    }
    for peer in region.peers() {
        let share = shares.entry(peer.store.0).or_default();
        share.peers += 1;
        share.peer_size = share.peer_size.saturating_add(size);
        share.peer_keys = share.peer_keys.saturating_add(keys);
    }
}

fn spread(stats: &mut Stats, shares: &BTreeMap<u64, Share>) {
    let of_those = |are_there: fn(&Share) -> u64, of: fn(&Share) -> u64| {
        let there = shares.iter().filter(|(_, share)| are_there(share) > 0);
        Some(there.map(|(store, share)| (store.to_string(), of(share))).collect())
    };
    let leading = |of| of_those(|share| share.leaders, of);
    let holding = |of| of_those(|share| share.peers, of);
    stats.store_leader_count = leading(|share| share.leaders);
    stats.store_leader_size = leading(|share| share.leader_size);
    stats.store_leader_keys = leading(|share| share.leader_keys);
    stats.store_peer_count = holding(|share| share.peers);
    stats.store_peer_size = holding(|share| share.peer_size);
    stats.store_peer_keys = holding(|share| share.peer_keys);
}
