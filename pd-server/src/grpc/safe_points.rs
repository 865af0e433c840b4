//! Safe points of reading and of garbage collection, as far as stores poll and report them.

use std::sync::Arc;

use proto::pdpb as wire;
use tonic::{Response, Status};

use super::gate::Gate;
use super::header::Refusal;
use crate::cluster::{CallError, Tenure};
use crate::keys::{self, Keys};

/// The safe point of unified garbage collection; 0 while it was never set.
pub async fn get_gc_safe_point(
    tenure: Arc<Tenure>,
    _: wire::GetGcSafePointRequest,
) -> Result<wire::GetGcSafePointResponse, Refusal> {
    tenure.cluster()?;
    let failed = |text: String| Refusal::Status(Status::unknown(format!("gc safe point: {text}")));
    let safe_point =
        match tenure.pd.kv.get(&tenure.keys.gc_safe_point()).map_err(|e| failed(e.to_string()))? {
            Some(found) => keys::decode_hex(&found.value).map_err(|e| failed(e.to_string()))?,
            None => 0,
        };
    Ok(wire::GetGcSafePointResponse { header: None, safe_point })
}

/// A store's smallest resolved timestamp; an unknown store is told by a status.
pub async fn report_min_resolved_ts(
    tenure: Arc<Tenure>,
    request: wire::ReportMinResolvedTsRequest,
) -> Result<wire::ReportMinResolvedTsResponse, Refusal> {
    let reported = tenure.cluster()?.report_min_resolved_ts(request.store_id, request.min_resolved_ts).await;
    reported.map_err(|error| match error {
        CallError::Store(refusal) => Refusal::Status(Status::unknown(refusal.to_string())),
        other => other.into(),
    })?;
    Ok(wire::ReportMinResolvedTsResponse::default())
}

/// Whether a restore from snapshots is under way: a marker among the keys. Any member answers.
pub fn is_snapshot_recovering(gate: &Gate) -> Result<Response<wire::IsSnapshotRecoveringResponse>, Status> {
    let keys = Keys::new(gate.started()?);
    let marked = gate.pd.kv.get(&keys.snapshot_recovering()).map(|found| found.is_some());
    gate.any(
        marked
            .map(|marked| wire::IsSnapshotRecoveringResponse { header: None, marked })
            .map_err(|error| Refusal::unknown(error.to_string())),
    )
}
