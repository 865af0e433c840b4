//! Look-ups of many Regions at once: the stream of batched questions, and scans of several ranges.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{StreamExt, stream};
use proto::pdpb::{self as wire, ErrorType};
use scheduler::{RegionId, RegionView};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::header::{self, Asked, Refusal};
use super::regions::{SCAN_MAX, scan};
use crate::cluster::{Cluster, Tenure, wire::region_to_wire};

/// Most ranges in one call; each costs a look-up at least.
const RANGES_MAX: usize = 65_536;
/// Most keys and ids in one message of the stream: each may bring a Region into the one answer.
const QUERIES_MAX: usize = 65_536;
/// Look-ups in one message of the stream before other calls of the thread get their turn.
const LOOKUPS_IN_A_ROW: usize = 4_096;

/// Answers each message with the Regions that it asks for, in the order of the messages, until the client closes the
/// stream or the lead is lost.
pub async fn query_region(
    gate: &Gate,
    request: Request<Streaming<wire::QueryRegionRequest>>,
) -> Result<Response<BoxStream<wire::QueryRegionResponse>>, Status> {
    let tenure = gate.enter().await?;
    let asking = Some((tenure, Arc::clone(&gate.metrics), request.into_inner()));
    let answers = stream::unfold(asking, |asking| async move {
        let (tenure, metrics, mut questions) = asking?;
        let question = tokio::select! {
            question = questions.next() => question?,
            () = tenure.ended() => return Some((Err(header::not_leader()), None)),
        };
        let answer = match question {
            Ok(question) => {
                let (began, asked) =
                    (Instant::now(), question.keys.len() + question.prev_keys.len() + question.ids.len());
                let answer = answer_query(&tenure, question).await;
                metrics.query_region.record_time(began.elapsed(), 1);
                metrics.looked_up.inc_by(asked as u64);
                answer
            }
            Err(status) => Err(status),
        };
        let goes_on = answer.is_ok().then_some((tenure, metrics, questions));
        Some((answer, goes_on))
    });
    Ok(Response::new(Box::pin(answers)))
}

async fn answer_query(
    tenure: &Arc<Tenure>,
    question: wire::QueryRegionRequest,
) -> Result<wire::QueryRegionResponse, Status> {
    tenure.check_cluster_id(question.cluster_id())?;
    let result = match tenure.cluster().and_then(|cluster| check_query(&question).map(|()| cluster)) {
        Ok(cluster) => Ok(query(tenure, &cluster, question).await),
        Err(refusal) => Err(refusal),
    };
    tenure.check_lead().await?;
    header::answer(tenure.cluster_id, result).map(Response::into_inner)
}

fn check_query(question: &wire::QueryRegionRequest) -> Result<(), Refusal> {
    let asked = question.keys.len() + question.prev_keys.len() + question.ids.len();
    if asked > QUERIES_MAX {
        return Err(Refusal::unknown(format!("{asked} keys and ids, at most {QUERIES_MAX} in one message")));
    }
    Ok(())
}

async fn query(
    tenure: &Tenure,
    cluster: &Cluster,
    question: wire::QueryRegionRequest,
) -> wire::QueryRegionResponse {
    let regions = cluster.regions();
    let need_buckets = question.need_buckets;
    let mut found: HashMap<u64, wire::RegionResponse> = HashMap::new();
    // 0 stands for "none".
    let mut take = |view: Option<RegionView>| -> u64 {
        let Some(view) = view else { return 0 };
        let id = view.meta.id.0;
        found.entry(id).or_insert_with(|| response(tenure, &view, need_buckets));
        id
    };
    let mut looked_up = 0;
    let mut key_id_map = Vec::with_capacity(question.keys.len());
    for key in &question.keys {
        key_id_map.push(take(regions.get(key)));
        pause(&mut looked_up).await;
    }
    let mut prev_key_id_map = Vec::with_capacity(question.prev_keys.len());
    for key in &question.prev_keys {
        prev_key_id_map.push(take(regions.get_prev(key)));
        pause(&mut looked_up).await;
    }
    for id in &question.ids {
        take(regions.get_by_id(RegionId(*id)));
        pause(&mut looked_up).await;
    }
    wire::QueryRegionResponse { header: None, key_id_map, prev_key_id_map, regions_by_id: found }
}

async fn pause(looked_up: &mut usize) {
    *looked_up += 1;
    if looked_up.is_multiple_of(LOOKUPS_IN_A_ROW) {
        tokio::task::yield_now().await;
    }
}

fn response(tenure: &Tenure, view: &RegionView, need_buckets: bool) -> wire::RegionResponse {
    let region = region_to_wire(view);
    wire::RegionResponse {
        region: region.region,
        leader: region.leader,
        down_peers: region.down_peers,
        pending_peers: region.pending_peers,
        buckets: buckets(tenure, view, need_buckets),
    }
}

/// What the Region's leader last reported of its insides, if the caller wants it.
pub fn buckets(tenure: &Tenure, view: &RegionView, wanted: bool) -> Option<proto::metapb::Buckets> {
    let kept = wanted.then(|| tenure.buckets.get(view.meta.id)).flatten()?;
    Some(kept.as_ref().clone())
}

/// Regions of several ranges, which must be in order and apart. A Region that reaches over two ranges comes once.
pub async fn batch_scan_regions(
    tenure: Arc<Tenure>,
    request: wire::BatchScanRegionsRequest,
) -> Result<wire::BatchScanRegionsResponse, Refusal> {
    let cluster = tenure.cluster()?;
    check_ranges(&request.ranges)?;
    let limit =
        usize::try_from(request.limit).ok().filter(|limit| *limit > 0).map_or(SCAN_MAX, |l| l.min(SCAN_MAX));
    let mut views: Vec<RegionView> = Vec::new();
    for range in &request.ranges {
        let left = limit - views.len();
        if left == 0 {
            break;
        }
        let found = scan(cluster.regions(), range.start_key.clone(), &range.end_key, left).await;
        let complete = found.len() < left;
        if request.contain_all_key_range
            && let Some(hole) = hole(&found, range, complete)
        {
            let kind = ErrorType::RegionsNotContainAllKeyRange;
            let text = format!("no region is known at key {}", hex::encode_upper(hole));
            return Err(Refusal::Header(kind, text));
        }
        let again = views.last().map(|last| last.meta.id);
        views.extend(found.into_iter().filter(|view| Some(view.meta.id) != again));
    }
    let regions = views.iter().map(|view| {
        let mut region = region_to_wire(view);
        // Clients take a missing leader for a damaged answer.
        region.leader.get_or_insert_default();
        region.buckets = buckets(&tenure, view, request.need_buckets);
        region
    });
    Ok(wire::BatchScanRegionsResponse { header: None, regions: regions.collect() })
}

fn check_ranges(ranges: &[wire::KeyRange]) -> Result<(), Refusal> {
    if ranges.len() > RANGES_MAX {
        return Err(Refusal::unknown(format!(
            "{} key ranges, at most {RANGES_MAX} in one call",
            ranges.len()
        )));
    }
    let mut end: Option<&Bytes> = None;
    for range in ranges {
        if !range.end_key.is_empty() && range.start_key > range.end_key {
            return Err(Refusal::unknown("invalid key range, start key > end key"));
        }
        // An empty end is the end of the key space: nothing comes after it.
        if end.is_some_and(|end| end.is_empty() || range.start_key < *end) {
            return Err(Refusal::unknown("invalid key range, ranges overlapped"));
        }
        end = Some(&range.end_key);
    }
    Ok(())
}

/// The first key of a range that no Region holds. What a limit cut off (`complete` is false) is no hole.
fn hole(found: &[RegionView], range: &wire::KeyRange, complete: bool) -> Option<Bytes> {
    let mut covered = range.start_key.clone();
    for view in found {
        if view.meta.start_key > covered {
            return Some(covered);
        }
        covered = view.meta.end_key.clone();
        if covered.is_empty() {
            return None;
        }
    }
    let reached = !range.end_key.is_empty() && covered >= range.end_key;
    (complete && !reached).then_some(covered)
}

#[cfg(test)]
mod tests {
    use super::{QUERIES_MAX, check_query, check_ranges, hole};
    use proto::pdpb::{KeyRange, QueryRegionRequest};
    use scheduler::{RegionMeta, RegionView};

    fn range(start: &str, end: &str) -> KeyRange {
        KeyRange { start_key: start.to_owned().into(), end_key: end.to_owned().into() }
    }

    fn view(start: &str, end: &str) -> RegionView {
        let meta = RegionMeta {
            start_key: start.to_owned().into(),
            end_key: end.to_owned().into(),
            ..RegionMeta::default()
        };
        RegionView { meta, ..RegionView::default() }
    }

    #[test]
    fn a_question_has_a_bound_over_all_its_kinds() {
        let ids = |count| QueryRegionRequest { ids: vec![1; count], ..QueryRegionRequest::default() };
        let with_keys =
            |question| QueryRegionRequest { keys: vec!["k".into()], prev_keys: vec!["k".into()], ..question };
        assert!(check_query(&with_keys(ids(QUERIES_MAX - 2))).is_ok());
        assert!(check_query(&with_keys(ids(QUERIES_MAX - 1))).is_err());
    }

    #[test]
    fn ranges_are_in_order_and_apart() {
        assert!(check_ranges(&[range("a", "b"), range("b", "c"), range("d", "")]).is_ok());
        assert!(check_ranges(&[range("", "")]).is_ok());
        for wrong in [
            vec![range("b", "a")],
            vec![range("a", "c"), range("b", "d")],
            vec![range("c", "d"), range("a", "b")],
            vec![range("a", ""), range("b", "c")],
        ] {
            assert!(check_ranges(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn holes_are_found_and_a_limit_is_none() {
        let whole = [view("", "b"), view("b", "d"), view("d", "")];
        assert_eq!(hole(&whole, &range("a", "z"), true), None);
        assert_eq!(hole(&whole, &range("a", ""), true), None);
        assert_eq!(hole(&whole[..2], &range("a", "c"), true), None);
        assert_eq!(hole(&whole[..2], &range("a", "z"), true), Some("d".into()));
        assert_eq!(hole(&whole[..2], &range("a", "z"), false), None, "the limit cut it off");
        assert_eq!(hole(&[view("c", "d")], &range("a", "d"), true), Some("a".into()));
        assert_eq!(hole(&[view("a", "b"), view("c", "d")], &range("a", "d"), false), Some("b".into()));
        assert_eq!(hole(&[], &range("a", "b"), true), Some("a".into()));
    }
}
