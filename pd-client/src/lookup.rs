//! Where a key lives, and the ids of a split.

use bytes::Bytes;
use proto::{metapb, pdpb};

use crate::{Client, Error, Result};

/// A Region as PD knows it from heartbeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Range, epoch and peers.
    pub region: metapb::Region,
    /// The leader, when PD has heard of one.
    pub leader: Option<metapb::Peer>,
    /// Peers that their leader has not heard of for long.
    pub down_peers: Vec<pdpb::PeerStats>,
    /// Peers that lag behind the log.
    pub pending_peers: Vec<metapb::Peer>,
}

impl Route {
    fn of(answer: pdpb::GetRegionResponse) -> Option<Route> {
        let pdpb::GetRegionResponse { header: _, region, leader, down_peers, pending_peers, buckets: _ } =
            answer;
        Some(Route { region: region?, leader: leader.filter(|peer| peer.id != 0), down_peers, pending_peers })
    }
}

impl Client {
    /// The Region that holds `key`; `None` where PD knows of none (yet).
    pub async fn get_region(&self, key: impl Into<Bytes>) -> Result<Option<Route>> {
        let region_key = key.into();
        let request = pdpb::GetRegionRequest { header: self.header(), region_key, need_buckets: false };
        let answer = self
            .call("GetRegion", request, |mut stub, request| async move { stub.get_region(request).await })
            .await?;
        Ok(Route::of(answer))
    }

    /// The Region left of the one that holds `key`; `None` for the first one.
    pub async fn get_prev_region(&self, key: impl Into<Bytes>) -> Result<Option<Route>> {
        let region_key = key.into();
        let request = pdpb::GetRegionRequest { header: self.header(), region_key, need_buckets: false };
        let answer =
            self.call("GetPrevRegion", request, |mut stub, request| async move {
                stub.get_prev_region(request).await
            })
            .await?;
        Ok(Route::of(answer))
    }

    /// The Region with this id; `None` if PD knows none.
    pub async fn get_region_by_id(&self, region_id: u64) -> Result<Option<Route>> {
        let request = pdpb::GetRegionByIdRequest { header: self.header(), region_id, need_buckets: false };
        let answer = self
            .call("GetRegionByID", request, |mut stub, request| async move {
                stub.get_region_by_id(request).await
            })
            .await?;
        Ok(Route::of(answer))
    }

    /// The Regions of `[start, end)` in order, at most `limit` (0: all); an empty `end` is the end of the key space.
    pub async fn scan_regions(
        &self,
        start: impl Into<Bytes>,
        end: impl Into<Bytes>,
        limit: u32,
    ) -> Result<Vec<Route>> {
        let call = "ScanRegions";
        let request = pdpb::ScanRegionsRequest {
            header: self.header(),
            start_key: start.into(),
            limit: i32::try_from(limit).unwrap_or(i32::MAX),
            end_key: end.into(),
        };
        let answer = self
            .call(call, request, |mut stub, request| async move { stub.scan_regions(request).await })
            .await?;
        let route = |found: pdpb::Region| {
            let pdpb::Region { region, leader, down_peers, pending_peers, buckets: _ } = found;
            let region = region
                .ok_or_else(|| Error::Malformed { call, what: "an entry has no Region".to_string() })?;
            Ok(Route { region, leader: leader.filter(|peer| peer.id != 0), down_peers, pending_peers })
        };
        answer.regions.into_iter().map(route).collect()
    }

    /// The ids for splitting `region` into `new_regions` more, of the epoch that it has now: for each new one an id
    /// and an id for each of its peers, in the order of `region`'s.
    pub async fn ask_batch_split(
        &self,
        region: metapb::Region,
        new_regions: u32,
        reason: pdpb::SplitReason,
    ) -> Result<Vec<pdpb::SplitId>> {
        let call = "AskBatchSplit";
        let peers = region.peers.len();
        let request = pdpb::AskBatchSplitRequest {
            header: self.header(),
            region: Some(region),
            split_count: new_regions,
            reason: reason as i32,
        };
        let answer = self
            .call(call, request, |mut stub, request| async move { stub.ask_batch_split(request).await })
            .await?;
        let complete = |id: &pdpb::SplitId| {
            id.new_region_id != 0 && id.new_peer_ids.len() == peers && !id.new_peer_ids.contains(&0)
        };
        if answer.ids.len() != new_regions as usize || !answer.ids.iter().all(complete) {
            let what =
                format!("ids for {} new Regions instead of {new_regions}, or incomplete", answer.ids.len());
            return Err(Error::Malformed { call, what });
        }
        Ok(answer.ids)
    }

    /// Tells PD of a split that has happened: the Regions that came of it, in the order of their keys.
    pub async fn report_batch_split(&self, regions: Vec<metapb::Region>) -> Result<()> {
        let request = pdpb::ReportBatchSplitRequest { header: self.header(), regions };
        self.call("ReportBatchSplit", request, |mut stub, request| async move {
            stub.report_batch_split(request).await
        })
        .await?;
        Ok(())
    }
}
