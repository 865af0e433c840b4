//! Look-ups of Regions, straight from the published index: no lock, no hop to the owner.

use std::sync::Arc;

use bytes::Bytes;
use proto::pdpb as wire;
use scheduler::{RegionId, RegionView};

use super::header::Refusal;
use super::region_queries;
use crate::cluster::{Routes, Tenure, wire::region_to_wire};

/// Most Regions in one answer to a scan without a limit: about 20 MiB. Callers that get as many scan on from the last
/// end key, as they do with a limit of their own.
pub const SCAN_MAX: usize = 100_000;
/// Regions read in one go.
const PAGE: usize = 1_024;

/// The Region that holds a key; a hole is an answer without a Region.
pub async fn get_region(
    tenure: Arc<Tenure>,
    request: wire::GetRegionRequest,
) -> Result<wire::GetRegionResponse, Refusal> {
    let view = tenure.cluster()?.regions().get(&request.region_key);
    Ok(found(&tenure, view, request.need_buckets))
}

/// The Region before the one that holds a key.
pub async fn get_prev_region(
    tenure: Arc<Tenure>,
    request: wire::GetRegionRequest,
) -> Result<wire::GetRegionResponse, Refusal> {
    let view = tenure.cluster()?.regions().get_prev(&request.region_key);
    Ok(found(&tenure, view, request.need_buckets))
}

/// The Region with an id.
pub async fn get_region_by_id(
    tenure: Arc<Tenure>,
    request: wire::GetRegionByIdRequest,
) -> Result<wire::GetRegionResponse, Refusal> {
    let view = tenure.cluster()?.regions().get_by_id(RegionId(request.region_id));
    Ok(found(&tenure, view, request.need_buckets))
}

/// Regions in key order from the one that holds the start key. A reversed range holds none.
pub async fn scan_regions(
    tenure: Arc<Tenure>,
    request: wire::ScanRegionsRequest,
) -> Result<wire::ScanRegionsResponse, Refusal> {
    let cluster = tenure.cluster()?;
    let limit =
        usize::try_from(request.limit).ok().filter(|limit| *limit > 0).map_or(SCAN_MAX, |l| l.min(SCAN_MAX));
    let reversed = !request.end_key.is_empty() && request.start_key >= request.end_key;
    let views = if reversed {
        Vec::new()
    } else {
        scan(cluster.regions(), request.start_key, &request.end_key, limit).await
    };
    let mut answer = wire::ScanRegionsResponse::default();
    for view in &views {
        let region = region_to_wire(view);
        answer.region_metas.extend(region.region.clone());
        answer.leaders.push(region.leader.unwrap_or_default());
        answer.regions.push(region);
    }
    Ok(answer)
}

/// Scans page by page, so that a long scan does not keep other calls of its thread waiting.
pub async fn scan(regions: &Routes, mut from: Bytes, end: &[u8], limit: usize) -> Vec<RegionView> {
    let mut views: Vec<RegionView> = Vec::new();
    loop {
        let page = regions.scan(&from, end, PAGE.min(limit - views.len()));
        let Some(last) = page.last().map(|last| last.meta.end_key.clone()) else { return views };
        // Between two pages Regions may have merged: one that reaches back over what is listed is left out.
        let fresh = |view: &RegionView| views.is_empty() || view.meta.start_key >= from;
        let fresh: Vec<_> = page.into_iter().filter(fresh).collect();
        views.extend(fresh);
        let over = last.is_empty() || (!end.is_empty() && last.as_ref() >= end);
        if over || views.len() >= limit {
            return views;
        }
        from = last;
        tokio::task::yield_now().await;
    }
}

fn found(tenure: &Tenure, view: Option<RegionView>, need_buckets: bool) -> wire::GetRegionResponse {
    let Some(view) = view else { return wire::GetRegionResponse::default() };
    let region = region_to_wire(&view);
    wire::GetRegionResponse {
        header: None,
        region: region.region,
        leader: region.leader,
        down_peers: region.down_peers,
        pending_peers: region.pending_peers,
        buckets: region_queries::buckets(tenure, &view, need_buckets),
    }
}
