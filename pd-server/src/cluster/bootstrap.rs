//! The birth of a cluster: the first store brings itself and the one Region that is the whole key space.

use bytes::Bytes;
use prost::Message;
use proto::{metapb, pdpb};

use crate::keys::{self, Keys};
use crate::state::{Compare, Op, Txn};

/// What is wrong with a request to bootstrap. The texts are those that stores log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBootstrap {
    /// No store.
    #[error("missing store meta for bootstrap {0}")]
    NoStore(u64),
    /// A store without an id.
    #[error("invalid zero store id")]
    ZeroStore,
    /// No Region.
    #[error("missing region meta for bootstrap {0}")]
    NoRegion(u64),
    /// The first Region is not the whole key space.
    #[error("invalid first region key range, must all be empty for bootstrap {0}")]
    KeyRange(u64),
    /// A Region without an id.
    #[error("invalid zero region id")]
    ZeroRegion,
    /// Not exactly one peer.
    #[error("invalid first region peer count {found}, must be 1 for bootstrap {cluster_id}")]
    PeerCount {
        /// Peers given.
        found: usize,
        /// The cluster.
        cluster_id: u64,
    },
    /// The peer is on another store.
    #[error("invalid peer store id {found} != {store} for bootstrap {cluster_id}")]
    PeerStore {
        /// Where the peer is said to be.
        found: u64,
        /// The store that bootstraps.
        store: u64,
        /// The cluster.
        cluster_id: u64,
    },
    /// A peer without an id.
    #[error("invalid zero peer id")]
    ZeroPeer,
}

/// Checks a request and takes it apart.
pub fn check(
    cluster_id: u64,
    request: pdpb::BootstrapRequest,
) -> Result<(metapb::Store, metapb::Region), BadBootstrap> {
    let store = request.store.ok_or(BadBootstrap::NoStore(cluster_id))?;
    if store.id == 0 {
        return Err(BadBootstrap::ZeroStore);
    }
    let region = request.region.ok_or(BadBootstrap::NoRegion(cluster_id))?;
    if !region.start_key.is_empty() || !region.end_key.is_empty() {
        return Err(BadBootstrap::KeyRange(cluster_id));
    }
    if region.id == 0 {
        return Err(BadBootstrap::ZeroRegion);
    }
    let [peer] = region.peers.as_slice() else {
        return Err(BadBootstrap::PeerCount { found: region.peers.len(), cluster_id });
    };
    if peer.store_id != store.id {
        return Err(BadBootstrap::PeerStore { found: peer.store_id, store: store.id, cluster_id });
    }
    if peer.id == 0 {
        return Err(BadBootstrap::ZeroPeer);
    }
    Ok((store, region))
}

/// The one transaction that makes the cluster; it changes nothing where there is one.
pub fn transaction(
    keys: &Keys,
    cluster_id: u64,
    max_replicas: u64,
    now_ns: u64,
    store: &metapb::Store,
    region: &metapb::Region,
) -> Txn {
    let cluster =
        metapb::Cluster { id: cluster_id, max_peer_count: u32::try_from(max_replicas).unwrap_or(u32::MAX) };
    Txn::default()
        .when(Compare::absent(keys.cluster()))
        .then(Op::put(keys.cluster(), Bytes::from(cluster.encode_to_vec())))
        .then(Op::put(keys.bootstrap_time(), keys::encode_be(now_ns)))
        .then(Op::put(keys.store(store.id), Bytes::from(store.encode_to_vec())))
        .then(Op::put(keys.region(region.id), Bytes::from(region.encode_to_vec())))
}

#[cfg(test)]
mod tests {
    use super::{BadBootstrap, check};
    use proto::{metapb, pdpb};

    #[test]
    fn only_a_whole_key_space_on_the_store_itself_will_do() {
        let good = || pdpb::BootstrapRequest {
            header: None,
            store: Some(metapb::Store { id: 1, ..Default::default() }),
            region: Some(metapb::Region {
                id: 2,
                peers: vec![metapb::Peer { id: 3, store_id: 1, ..Default::default() }],
                ..Default::default()
            }),
        };
        type Change = fn(&mut pdpb::BootstrapRequest);
        fn region(request: &mut pdpb::BootstrapRequest) -> &mut metapb::Region {
            request.region.as_mut().unwrap()
        }
        let table: &[(Change, BadBootstrap)] = &[
            (|r| r.store = None, BadBootstrap::NoStore(9)),
            (|r| r.store.as_mut().unwrap().id = 0, BadBootstrap::ZeroStore),
            (|r| r.region = None, BadBootstrap::NoRegion(9)),
            (|r| region(r).start_key = "a".into(), BadBootstrap::KeyRange(9)),
            (|r| region(r).end_key = "a".into(), BadBootstrap::KeyRange(9)),
            (|r| region(r).id = 0, BadBootstrap::ZeroRegion),
            (|r| region(r).peers.clear(), BadBootstrap::PeerCount { found: 0, cluster_id: 9 }),
            (
                |r| region(r).peers[0].store_id = 7,
                BadBootstrap::PeerStore { found: 7, store: 1, cluster_id: 9 },
            ),
            (|r| region(r).peers[0].id = 0, BadBootstrap::ZeroPeer),
        ];
        assert!(check(9, good()).is_ok());
        for (change, error) in table {
            let mut request = good();
            change(&mut request);
            assert_eq!(check(9, request).as_ref(), Err(error));
        }
    }
}
