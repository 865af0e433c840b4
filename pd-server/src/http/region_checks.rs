//! Regions that are not as they should be, by kind, and whether a range is replicated as the rule wants it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::Response;
use proto::metapb::NodeState;
use scheduler::{Glance, PeerRole};

use super::path::Path;
use super::query::{self, Query};
use super::region_list::{self, Pass, Select};
use super::{bootstrapped, json, not_found};
use crate::cluster::Cluster;
use crate::grpc::Gate;

/// A Region of up to that size, in MiB, counts as empty.
pub const EMPTY_MIB: u64 = 1;
/// From here on a Region counts as too large: what stores split at, unless they are told otherwise. In MiB.
const OVERSIZED_MIB: u64 = 144;
/// The same in keys.
const OVERSIZED_KEYS: u64 = 1_440_000;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/regions/check/{kind}", get(check))
        .route("/pd/api/v1/regions/replicated", get(replicated))
}

/// In which way a Region is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    MissPeer,
    ExtraPeer,
    PendingPeer,
    DownPeer,
    LearnerPeer,
    OfflinePeer,
    Empty,
    Oversized,
    Undersized,
}

/// All kinds, by the names that [`Kind::of`] knows.
const KINDS: [&str; 9] = [
    "miss-peer",
    "extra-peer",
    "pending-peer",
    "down-peer",
    "learner-peer",
    "offline-peer",
    "empty-region",
    "oversized-region",
    "undersized-region",
];

/// How many Regions are of each kind, in one pass over all of them.
pub async fn count_kinds(gate: &Gate, cluster: &Cluster) -> Vec<(&'static str, u64)> {
    let kinds = KINDS.iter().filter_map(|name| Some((*name, Kind::of(name)?.select(gate, cluster))));
    let mut counts: Vec<(&'static str, Select, u64)> =
        kinds.map(|(name, select)| (name, select, 0)).collect();
    let mut pass = Pass::new(&[], &[]);
    pass.rest(cluster.regions().heard(), |region| {
        for (_, select, count) in &mut counts {
            *count += u64::from(select(region));
        }
        true
    })
    .await;
    counts.into_iter().map(|(name, _, count)| (name, count)).collect()
}

impl Kind {
    fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "miss-peer" => Kind::MissPeer,
            "extra-peer" => Kind::ExtraPeer,
            "pending-peer" => Kind::PendingPeer,
            "down-peer" => Kind::DownPeer,
            "learner-peer" => Kind::LearnerPeer,
            "offline-peer" => Kind::OfflinePeer,
            "empty-region" => Kind::Empty,
            "oversized-region" => Kind::Oversized,
            "undersized-region" => Kind::Undersized,
            _ => return None,
        })
    }

    /// What tells the Regions of this kind. The limits are those of the moment at which the list begins.
    fn select(self, gate: &Gate, cluster: &Cluster) -> Select {
        let settings = gate.pd.online.now();
        let replicas = usize::try_from(settings.max_replicas()).unwrap_or(usize::MAX);
        match self {
            Kind::MissPeer => Arc::new(move |region| region.peers().count() < replicas),
            Kind::ExtraPeer => Arc::new(move |region| region.peers().count() > replicas),
            Kind::PendingPeer => Arc::new(|region| region.is_ailing() && !region.view().pending.is_empty()),
            Kind::DownPeer => Arc::new(|region| region.is_ailing() && !region.view().down.is_empty()),
            Kind::LearnerPeer => Arc::new(|region| region.peers().any(|peer| peer.role == PeerRole::Learner)),
            Kind::OfflinePeer => {
                let leaving = leaving(cluster);
                Arc::new(move |region| region.peers().any(|peer| leaving.contains(&peer.store.0)))
            }
            Kind::Empty => Arc::new(|region| region.size_mib() <= EMPTY_MIB),
            Kind::Oversized => {
                Arc::new(|region| region.size_mib() >= OVERSIZED_MIB || region.keys() >= OVERSIZED_KEYS)
            }
            Kind::Undersized => {
                let size = settings.whole("schedule.max-merge-region-size");
                let keys = settings.max_merge_region_keys();
                Arc::new(move |region| region.size_mib() <= size && region.keys() <= keys)
            }
        }
    }
}

/// The Regions of one kind.
async fn check(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let Some(kind) = Kind::of(&name) else { return not_found() };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    region_list::select(cluster.regions(), usize::MAX, kind.select(&gate, &cluster)).await
}

/// Whether every Region between two keys in hex has its voters, all of them well, and nothing beside them.
async fn replicated(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let key = |name: &str| match query.get(name) {
        Some(text) => query::hex_key(text),
        None => Err(format!("{name} is missing: a range is given by startKey and endKey in hex")),
    };
    let (start, end) = match (key("startKey"), key("endKey")) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(text), _) | (_, Err(text)) => return json::bad_request(&text),
    };
    if !end.is_empty() && start >= end {
        return json::bad_request("endKey should be greater than startKey");
    }
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let wanted = usize::try_from(gate.pd.online.now().max_replicas()).unwrap_or(usize::MAX);
    let leaving = leaving(&cluster);
    let mut all = true;
    let mut pass = Pass::new(&start, &end);
    pass.rest(cluster.regions().heard(), |region| {
        all = fits(region, wanted, &leaving);
        all
    })
    .await;
    json::ok(&if all { "REPLICATED" } else { "INPROGRESS" })
}

fn fits(region: &Glance<'_>, wanted: usize, leaving: &BTreeSet<u64>) -> bool {
    let good = |peer: scheduler::Peer| peer.role == PeerRole::Voter && !leaving.contains(&peer.store.0);
    region.peers().count() == wanted && region.peers().all(good) && !region.is_ailing()
}

/// Stores on their way out.
fn leaving(cluster: &Cluster) -> BTreeSet<u64> {
    let stores = cluster.stores();
    let removing = stores.table.values().filter(|record| record.meta.node_state() == NodeState::Removing);
    removing.map(|record| record.meta.id).collect()
}
