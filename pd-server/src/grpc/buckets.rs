//! Reports of buckets inside Regions: accepted and counted. Their use comes with hot Regions.

use futures::StreamExt;
use proto::pdpb as wire;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::header::{self, Asked, Refusal};

/// Reads reports until the store closes its side, which ends the call with "EOF" as stores know it.
pub async fn serve(
    gate: &Gate,
    request: Request<Streaming<wire::ReportBucketsRequest>>,
) -> Result<Response<wire::ReportBucketsResponse>, Status> {
    let tenure = gate.enter(request.metadata()).await?;
    let mut reports = request.into_inner();
    loop {
        let report = tokio::select! {
            report = reports.next() => report,
            () = tenure.ended() => return Err(header::not_leader()),
        };
        let Some(report) = report else { return Err(Status::unknown("EOF")) };
        tenure.check_cluster_id(report?.cluster_id())?;
        if tenure.cluster().is_err() {
            return header::answer(tenure.cluster_id, Err(Refusal::not_bootstrapped()));
        }
        gate.metrics.bucket_reports.inc();
    }
}
