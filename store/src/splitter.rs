//! Cuts Regions that are too large, or that PD wants cut.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::errorpb;
use proto::pdpb::SplitReason;
use tracing::{debug, info, warn};

use crate::engine::Order;
use crate::region::{Body, Command, Peer, Split, SplitPart, SplitPoints, Thresholds};
use crate::{KeyRange, StoreCore, keys};

/// How long PD may take to give ids; a split is tried again at the next look.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Where to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At these keys, as far as they are inside.
    Keys(Vec<Bytes>),
    /// Where both halves are as large.
    Half,
}

/// Looks for Regions that are too large, or whose size is only guessed, and cuts what is too large, until dropped.
pub async fn run(core: Arc<StoreCore>, pd: pd_client::Client) {
    let mut looks = tokio::time::interval(core.tuning.split_check);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(handle) = core.handle() else { continue };
        let t = core.tuning.thresholds;
        let large = |peer: &Arc<Peer>| peer.size.bytes() >= t.max_bytes || peer.size.keys() >= t.max_keys;
        let due = |peer: &Arc<Peer>| (large(peer) || !peer.size.is_counted()) && peer.leads(handle);
        let due = core.regions.all().into_iter().filter(due);
        for peer in due.collect::<Vec<_>>() {
            let Some(turn) = peer.admin_turn() else { continue };
            let cut = async {
                let points = points(&core, &peer).await?;
                if points.is_empty() {
                    return Ok(());
                }
                split(&core, &pd, &peer, At::Keys(points)).await
            };
            if let Err(why) = cut.await {
                debug!(store = %core.id, region = %peer.region_id(), why, "region not split");
            }
            drop(turn);
        }
    }
}

/// Scans a Region: sets its size right, and tells where to cut it if it is too large.
async fn points(core: &Arc<StoreCore>, peer: &Arc<Peer>) -> Result<Vec<Bytes>, String> {
    let before = (peer.size.bytes(), peer.size.keys());
    let scanned = scan(core, peer, core.tuning.thresholds).await?;
    let (bytes, keys) = scanned.totals();
    peer.size.count(before, bytes, keys);
    Ok(scanned.finish())
}

/// The key with half of the bytes before it, if there is one to cut at.
async fn half(core: &Arc<StoreCore>, peer: &Arc<Peer>) -> Result<Vec<Bytes>, String> {
    let whole =
        Thresholds { split_bytes: u64::MAX, max_bytes: u64::MAX, split_keys: u64::MAX, max_keys: u64::MAX };
    let (bytes, _) = scan(core, peer, whole).await?.totals();
    let halves = Thresholds { split_bytes: bytes.div_ceil(2).max(1), max_bytes: 0, ..whole };
    let mut points = scan(core, peer, halves).await?.finish();
    points.truncate(1);
    Ok(points)
}

async fn scan(
    core: &Arc<StoreCore>,
    peer: &Arc<Peer>,
    thresholds: Thresholds,
) -> Result<SplitPoints, String> {
    let (engine, range) = (core.engine.clone(), peer.range());
    let scan = tokio::task::spawn_blocking(move || {
        let mut points = SplitPoints::new(thresholds);
        let (start, end) = keys::data_bounds(&range);
        engine.scan(&start, &end, Order::Ascending, &mut |key, value| {
            let key = keys::user_key(key);
            points.visit(key, (key.len() + value.len()) as u64);
            ControlFlow::Continue(())
        })?;
        Ok::<_, std::io::Error>(points)
    });
    scan.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Cuts a Region: ids from PD, the cut through its log, the report. The caller holds the Region's admin turn.
pub async fn split(
    core: &Arc<StoreCore>,
    pd: &pd_client::Client,
    peer: &Arc<Peer>,
    at: At,
) -> Result<(), String> {
    let handle = core.handle().ok_or("not started")?;
    let wanted = match at {
        At::Keys(keys) => keys,
        At::Half => half(core, peer).await?,
    };
    let region = peer.region();
    let points = usable(&KeyRange::of(&region), wanted);
    if points.is_empty() {
        return Err("no key to cut at lies inside".into());
    }
    let count = u32::try_from(points.len()).unwrap_or(u32::MAX);
    let pd = pd.with_deadline(ASK_TIMEOUT);
    let ids = pd.ask_batch_split(region.as_ref().clone(), count, SplitReason::Size).await;
    let ids = ids.map_err(|error| error.to_string())?;
    let parts = points
        .into_iter()
        .zip(ids)
        .map(|(key, id)| SplitPart { key, region_id: id.new_region_id, peer_ids: id.new_peer_ids })
        .collect();
    let body = Body::Split(Split { epoch: region.region_epoch, parts });
    let data = Command { body: Some(body) }.encode_to_vec();
    let applied =
        handle.propose(peer.region_id().0, None, data.into()).await.map_err(|refused| refused.to_string())?;
    if !applied.output.is_empty() {
        let error = errorpb::Error::decode(applied.output).map_err(|error| error.to_string())?;
        return Err(error.message);
    }
    let made = core.regions.overlapping(&KeyRange::of(&region));
    info!(store = %core.id, region = region.id, into = ?made.iter().map(|region| region.id).collect::<Vec<_>>(), "region split");
    let made = made.iter().map(|region| region.as_ref().clone()).collect();
    if let Err(error) = pd.report_batch_split(made).await {
        // PD only logs the report; it learns the Regions from their heartbeats.
        warn!(store = %core.id, region = region.id, %error, "PD does not take the report of a split");
    }
    Ok(())
}

/// The keys that a Region can be cut at, in order, each once, as many as one split may have.
fn usable(range: &KeyRange, mut keys: Vec<Bytes>) -> Vec<Bytes> {
    keys.retain(|key| range.can_split_at(key));
    keys.sort();
    keys.dedup();
    keys.truncate(crate::region::MAX_PARTS);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_outside_or_twice_are_left_out() {
        let keys = ["m", "b", "z", "c", "m", "a"].map(|key| Bytes::from_static(key.as_bytes()));
        assert_eq!(usable(&KeyRange::new("b", "x"), keys.to_vec()), ["c", "m"]);
    }
}
