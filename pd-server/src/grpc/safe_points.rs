//! Safe points of reading and of garbage collection, as far as stores poll and report them.

use std::sync::Arc;

use bytes::Bytes;
use proto::pdpb as wire;
use tonic::{Response, Status};

use super::gate::Gate;
use super::header::Refusal;
use crate::cluster::{CallError, Tenure};
use crate::keys::{self, DecodeError, Keys};
use crate::state::{Compare, Op, Txn};

/// Tries of an update against others that move the same keys.
const TRIES_MAX: usize = 16;

/// The safe point of unified garbage collection; 0 while it was never set.
pub async fn get_gc_safe_point(
    tenure: Arc<Tenure>,
    _: wire::GetGcSafePointRequest,
) -> Result<wire::GetGcSafePointResponse, Refusal> {
    tenure.cluster()?;
    let (safe_point, _) = read(&tenure, &tenure.keys.gc_safe_point(), keys::decode_hex).await?;
    Ok(wire::GetGcSafePointResponse { header: None, safe_point })
}

/// Moves the safe point of unified garbage collection forward, up to the safe point of transactions; never back.
pub async fn update_gc_safe_point(
    tenure: Arc<Tenure>,
    request: wire::UpdateGcSafePointRequest,
) -> Result<wire::UpdateGcSafePointResponse, Refusal> {
    tenure.cluster()?;
    let (key, limit_key) = (tenure.keys.gc_safe_point(), Bytes::from_static(keys::TXN_SAFE_POINT));
    let asked = request.safe_point;
    for _ in 0..TRIES_MAX {
        let (old, seen) = read(&tenure, &key, keys::decode_hex).await?;
        let (limit, limit_seen) = read(&tenure, &limit_key, keys::decode_decimal).await?;
        if asked > limit {
            return Err(Refusal::Status(Status::unknown(format!(
                "[PD:gc:ErrGCSafePointExceedsTxnSafePoint]trying to update GC safe point to a too large value that \
                 exceeds the txn safe point, current value: {old}, given: {asked}, current txn safe point: {limit}"
            ))));
        }
        let answer = |new_safe_point| wire::UpdateGcSafePointResponse { header: None, new_safe_point };
        if asked <= old {
            return Ok(answer(old));
        }
        let put = Txn::of(vec![Op::put(key.clone(), keys::encode_hex(asked))])
            .when(Compare::unchanged(key.clone(), seen))
            .when(Compare::unchanged(limit_key.clone(), limit_seen));
        if tenure.pd.kv.txn(tenure.term, put).await?.succeeded {
            return Ok(answer(asked));
        }
    }
    Err(Refusal::Status(Status::unavailable("the GC safe point is being moved by others, try again")))
}

/// A safe point and its record; 0 while it was never set.
async fn read(
    tenure: &Tenure,
    key: &Bytes,
    decode: impl Fn(&[u8]) -> Result<u64, DecodeError>,
) -> Result<(u64, Option<Bytes>), Refusal> {
    let failed =
        |text: String| Refusal::Status(Status::unknown(format!("{}: {text}", String::from_utf8_lossy(key))));
    let asked = key.clone();
    let found = tenure.pd.kv.off_thread(move |kv| kv.get(&asked)).await;
    let Some(found) = found.map_err(|error| failed(error.to_string()))? else { return Ok((0, None)) };
    let safe_point = decode(&found.value).map_err(|error| failed(error.to_string()))?;
    Ok((safe_point, Some(found.value)))
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
pub async fn is_snapshot_recovering(
    gate: &Gate,
) -> Result<Response<wire::IsSnapshotRecoveringResponse>, Status> {
    let key = Keys::new(gate.started()?).snapshot_recovering();
    let marked = gate.pd.kv.off_thread(move |kv| kv.get(&key)).await.map(|found| found.is_some());
    gate.any(
        marked
            .map(|marked| wire::IsSnapshotRecoveringResponse { header: None, marked })
            .map_err(|error| Refusal::unknown(error.to_string())),
    )
}
