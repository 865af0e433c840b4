//! All Regions, streamed: a page of the index is read when the client has taken the one before, so that a million
//! Regions cost no more memory than a thousand.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, StatusCode};
use scheduler::{Peer, PeerId, PeerRole, RegionView};
use serde::Serialize;
use tracing::warn;

use super::{bootstrapped, json};
use crate::cluster::Cluster;
use crate::grpc::Gate;

/// Regions read and written in one go.
const PAGE: usize = 512;

/// `{"count":N,"regions":[...]}` in key order. The count is of the moment at which the answer began.
async fn regions(State(gate): State<Gate>) -> Response<Body> {
    let (tenure, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    if tenure.check_lead().await.is_err() {
        return super::not_leader(&gate);
    }
    let head = format!("{{\"count\":{},\"regions\":[", cluster.regions().len());
    let listing = Listing { cluster, next: Some(Bytes::new()), head: Some(head), first: true };
    let body = Body::from_stream(stream::unfold(listing, |mut listing| async move {
        let page = listing.page()?;
        Some((Ok::<_, std::convert::Infallible>(page), listing))
    }));
    json::with_type(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), body)
}

/// Where a listing stands.
struct Listing {
    cluster: Arc<Cluster>,
    /// The key to go on from; `None` when all is written.
    next: Option<Bytes>,
    head: Option<String>,
    first: bool,
}

impl Listing {
    fn page(&mut self) -> Option<Bytes> {
        let from = self.next.take()?;
        let mut out = self.head.take().unwrap_or_default().into_bytes();
        let page = self.cluster.regions().scan(&from, &[], PAGE);
        // Between two pages Regions may have merged: one that reaches back over what is listed is left out.
        let listed = !self.first;
        for view in page.iter().filter(|view| !listed || view.meta.start_key >= from) {
            if !std::mem::take(&mut self.first) {
                out.push(b',');
            }
            if let Err(error) = serde_json::to_writer(&mut out, &Region::from(view)) {
                warn!(region = view.meta.id.0, %error, "a region could not be written");
            }
        }
        // A short page may be one with holes in it: only the end of the key space, or nothing at all, ends the list.
        match page.last() {
            Some(last) if !last.meta.end_key.is_empty() => self.next = Some(last.meta.end_key.clone()),
            Some(_) | None => out.extend_from_slice(b"]}"),
        }
        Some(out.into())
    }
}

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new().route("/pd/api/v1/regions", get(regions))
}

#[derive(Serialize)]
struct Region {
    id: u64,
    start_key: String,
    end_key: String,
    epoch: Epoch,
    peers: Vec<PeerOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<PeerOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    down_peers: Vec<DownPeer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending_peers: Vec<PeerOut>,
    cpu_usage: u64,
    written_bytes: u64,
    read_bytes: u64,
    written_keys: u64,
    read_keys: u64,
    approximate_size: u64,
    approximate_keys: u64,
    approximate_kv_size: u64,
    approximate_columnar_kv_size: u64,
}

#[derive(Serialize)]
struct Epoch {
    conf_ver: u64,
    version: u64,
}

#[derive(Serialize)]
struct PeerOut {
    role_name: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    id: u64,
    store_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_witness: bool,
}

#[derive(Serialize)]
struct DownPeer {
    down_seconds: u64,
    peer: PeerOut,
}

impl From<&Peer> for PeerOut {
    fn from(peer: &Peer) -> Self {
        let (role_name, role) = match peer.role {
            PeerRole::Voter => ("Voter", None),
            PeerRole::Learner => ("Learner", Some(1)),
            PeerRole::IncomingVoter => ("IncomingVoter", Some(2)),
            PeerRole::DemotingVoter => ("DemotingVoter", Some(3)),
        };
        Self {
            role_name,
            is_learner: peer.role == PeerRole::Learner,
            id: peer.id.0,
            store_id: peer.store.0,
            role,
            is_witness: peer.is_witness,
        }
    }
}

impl From<&RegionView> for Region {
    fn from(view: &RegionView) -> Self {
        let meta = &view.meta;
        let peer = |id: PeerId| meta.peer(id).map(PeerOut::from);
        Self {
            id: meta.id.0,
            start_key: hex::encode_upper(&meta.start_key),
            end_key: hex::encode_upper(&meta.end_key),
            epoch: Epoch { conf_ver: meta.epoch.conf_ver, version: meta.epoch.version },
            peers: meta.peers.iter().map(PeerOut::from).collect(),
            leader: (view.leader.id != PeerId(0)).then(|| PeerOut::from(&view.leader)),
            down_peers: view
                .down
                .iter()
                .filter_map(|down| Some(DownPeer { down_seconds: down.seconds, peer: peer(down.peer)? }))
                .collect(),
            pending_peers: view.pending.iter().filter_map(|id| peer(*id)).collect(),
            cpu_usage: 0,
            written_bytes: view.flow.bytes_written,
            read_bytes: view.flow.bytes_read,
            written_keys: view.flow.keys_written,
            read_keys: view.flow.keys_read,
            approximate_size: view.size_mib(),
            approximate_keys: view.keys,
            approximate_kv_size: 0,
            approximate_columnar_kv_size: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use scheduler::{Flow, Peer, PeerId, RegionEpoch, RegionId, RegionMeta, RegionView, StoreId};

    #[test]
    fn a_region_reads_as_recorded_of_tikv_pd() {
        let leader = Peer::voter(PeerId(1070), StoreId(2));
        let view = RegionView {
            meta: RegionMeta {
                id: RegionId(107),
                start_key: "t00007\0\0\u{fd}".into(),
                end_key: Default::default(),
                epoch: RegionEpoch { conf_ver: 5, version: 60 },
                peers: vec![leader, Peer::learner(PeerId(1079), StoreId(5))],
            },
            leader,
            flow: Flow { bytes_written: 42_000, keys_written: 420, bytes_read: 420_000, keys_read: 4_200 },
            size_bytes: 21 << 20,
            keys: 7_001,
            ..Default::default()
        };
        let mut text = serde_json::to_string(&Region::from(&view)).unwrap();
        text = text.replace("C3BD", "FD");
        assert_eq!(
            text,
            "{\"id\":107,\"start_key\":\"7430303030370000FD\",\"end_key\":\"\",\
             \"epoch\":{\"conf_ver\":5,\"version\":60},\
             \"peers\":[{\"role_name\":\"Voter\",\"id\":1070,\"store_id\":2},\
             {\"role_name\":\"Learner\",\"is_learner\":true,\"id\":1079,\"store_id\":5,\"role\":1}],\
             \"leader\":{\"role_name\":\"Voter\",\"id\":1070,\"store_id\":2},\"cpu_usage\":0,\"written_bytes\":42000,\
             \"read_bytes\":420000,\"written_keys\":420,\"read_keys\":4200,\"approximate_size\":21,\
             \"approximate_keys\":7001,\"approximate_kv_size\":0,\"approximate_columnar_kv_size\":0}"
        );
    }
}
