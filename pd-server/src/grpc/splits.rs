//! Splits: ids for the pieces, and the report of what was done.

use std::sync::Arc;

use proto::{metapb, pdpb as wire};
use scheduler::{PeerId, RegionId, SplitIds};
use tracing::info;

use super::header::{HALTED, Refusal};
use crate::cluster::{Cluster, Tenure, knows_batch_split, text, wire as convert};

/// Most peers of a Region whose split is granted, as with heartbeats.
const PEERS_MAX: usize = 64;

/// Ids for one new Region.
pub async fn ask_split(
    tenure: Arc<Tenure>,
    request: wire::AskSplitRequest,
) -> Result<wire::AskSplitResponse, Refusal> {
    let cluster = tenure.cluster()?;
    let pieces = grant(&tenure, &cluster, request.region, 1).await?;
    let piece = pieces.into_iter().next().ok_or_else(|| Refusal::unknown("no ids for the split"))?;
    Ok(wire::AskSplitResponse {
        header: None,
        new_region_id: piece.region.0,
        new_peer_ids: piece.peers.iter().map(|peer| peer.0).collect(),
    })
}

/// Ids for several new Regions.
pub async fn ask_batch_split(
    tenure: Arc<Tenure>,
    request: wire::AskBatchSplitRequest,
) -> Result<wire::AskBatchSplitResponse, Refusal> {
    let cluster = tenure.cluster()?;
    let version = cluster.stores().cluster_version.clone();
    if !knows_batch_split(&version) {
        let text =
            format!("incompatible version, the cluster version {version} knows no batch split (2.1.0 does)");
        return Err(Refusal::Header(wire::ErrorType::IncompatibleVersion, text));
    }
    let pieces = grant(&tenure, &cluster, request.region, request.split_count).await?;
    let ids = pieces.into_iter().map(|piece| wire::SplitId {
        new_region_id: piece.region.0,
        new_peer_ids: piece.peers.iter().map(|peer| peer.0).collect(),
    });
    Ok(wire::AskBatchSplitResponse { header: None, ids: ids.collect() })
}

/// One id for each piece, and one for each of its peers: as many as the request's Region has. Its leader may have added
/// one that we have not heard of, and refuses ids for another number. A request without peers gets as many as we know.
async fn grant(
    tenure: &Tenure,
    cluster: &Cluster,
    region: Option<metapb::Region>,
    count: u32,
) -> Result<Vec<SplitIds>, Refusal> {
    let region = region.ok_or_else(|| {
        Refusal::Header(wire::ErrorType::RegionNotFound, "missing region for split".to_owned())
    })?;
    if cluster.halted() {
        return Err(Refusal::unknown(HALTED));
    }
    check_epoch(cluster, &region)?;
    if region.peers.len() > PEERS_MAX {
        let found = region.peers.len();
        return Err(Refusal::unknown(format!(
            "region {} has {found} peers, at most {PEERS_MAX} are allowed",
            region.id
        )));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let epoch = convert::epoch(region.region_epoch.as_ref());
    let mut pieces = cluster.ask_split(RegionId(region.id), epoch, u64::from(count)).await?.pieces;
    if !region.peers.is_empty() {
        for piece in &mut pieces {
            piece.peers.truncate(region.peers.len());
            while piece.peers.len() < region.peers.len() {
                piece.peers.push(PeerId(tenure.pd.ids.alloc(tenure.term, 1).await?));
            }
        }
    }
    Ok(pieces)
}

/// The picture that the leader has of its Region must not be older than ours of what lies there now.
fn check_epoch(cluster: &Cluster, region: &metapb::Region) -> Result<(), Refusal> {
    let Some(known) = cluster.regions().heard().get(&region.start_key) else {
        return Err(Refusal::unknown(format!("region not found, request region: {}", text::Region(region))));
    };
    let asked = convert::epoch(region.region_epoch.as_ref());
    if asked.is_older_than(known.meta.epoch) {
        return Err(Refusal::unknown(format!(
            "invalid region epoch, request: {asked}, current: {}",
            known.meta.epoch
        )));
    }
    Ok(())
}

/// What was split: it must tile a range, and is logged.
pub async fn report_batch_split(
    tenure: Arc<Tenure>,
    request: wire::ReportBatchSplitRequest,
) -> Result<wire::ReportBatchSplitResponse, Refusal> {
    tenure.cluster()?;
    check_pieces(&request.regions).map_err(Refusal::unknown)?;
    let ids: Vec<u64> = request.regions.iter().map(|region| region.id).collect();
    info!(regions = ?ids, "regions split");
    Ok(wire::ReportBatchSplitResponse::default())
}

/// Two or more Regions, each beginning where the one before ends. The Region that kept its id stands last, so the
/// first of the list may also be the left neighbour of all.
fn check_pieces(regions: &[metapb::Region]) -> Result<(), &'static str> {
    if regions.len() <= 1 {
        return Err("invalid split region");
    }
    for pair in regions.windows(2) {
        let (left, right) = (&pair[0], &pair[1]);
        if left.end_key != right.start_key || left.end_key.is_empty() {
            return Err("invalid split region");
        }
        let reversed =
            |region: &metapb::Region| !region.end_key.is_empty() && region.start_key >= region.end_key;
        if reversed(left) || reversed(right) {
            return Err("invalid split region");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_pieces;
    use proto::metapb::Region;

    #[test]
    fn pieces_must_tile() {
        let piece = |start: &'static str, end: &'static str| Region {
            start_key: start.into(),
            end_key: end.into(),
            ..Default::default()
        };
        assert!(check_pieces(&[piece("", "b"), piece("b", "d"), piece("d", "")]).is_ok());
        for bad in [
            vec![],
            vec![piece("a", "b")],
            vec![piece("a", "b"), piece("c", "d")],
            vec![piece("b", "a"), piece("a", "c")],
            vec![piece("a", ""), piece("", "c")],
        ] {
            assert_eq!(check_pieces(&bad), Err("invalid split region"), "{bad:?}");
        }
    }
}
