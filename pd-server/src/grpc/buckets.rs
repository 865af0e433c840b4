//! Reports of buckets inside Regions: kept for who asks for a Region with its buckets.

use futures::StreamExt;
use proto::pdpb as wire;
use scheduler::RegionId;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use super::gate::Gate;
use super::header::{self, Asked, Refusal};
use crate::cluster::Reported;

/// Reads reports until the store closes its side, which ends the call with "EOF" as stores know it.
pub async fn serve(
    gate: &Gate,
    request: Request<Streaming<wire::ReportBucketsRequest>>,
) -> Result<Response<wire::ReportBucketsResponse>, Status> {
    let tenure = gate.enter().await?;
    let mut reports = request.into_inner();
    loop {
        let report = tokio::select! {
            report = reports.next() => report,
            () = tenure.ended() => return Err(header::not_leader()),
        };
        let Some(report) = report else { return Err(Status::unknown("EOF")) };
        let report = report?;
        tenure.check_cluster_id(report.cluster_id())?;
        let Ok(cluster) = tenure.cluster() else {
            return header::answer(tenure.cluster_id, Err(Refusal::not_bootstrapped()));
        };
        if let Some(buckets) = report.buckets {
            let region = buckets.region_id;
            let leader = cluster.regions().get_by_id(RegionId(region)).map_or(0, |view| view.leader.store.0);
            match tenure.buckets.report(cluster.regions(), buckets) {
                Reported::Kept | Reported::Stale => gate.metrics.per_store().buckets(leader, true),
                reported @ (Reported::UnknownRegion | Reported::Full) => {
                    gate.metrics.per_store().buckets(leader, false);
                    debug!(region, ?reported, "buckets not kept");
                }
            }
        }
    }
}
