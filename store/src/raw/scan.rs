//! Scans over a part of one Region; the client goes on in the next one by itself.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use proto::kvrpcpb::{KvPair, RawScanRequest};

use super::read::{confirm, engine_failed};
use super::request::Admitted;
use crate::engine::Order;
use crate::region_error::{self, RegionError};
use crate::{KeyRange, StoreCore, keys};

/// Most pairs of one answer: the bound that the stock client keeps to.
pub const MAX_LIMIT: u32 = 10_240;
/// Most bytes of one answer. A scan that meets it is refused rather than cut: a short answer means "no more keys".
const MAX_BYTES: usize = 64 << 20;

/// The pairs that a request asks for.
pub async fn scan(
    core: &Arc<StoreCore>,
    request: &Admitted,
    ask: &RawScanRequest,
) -> Result<Vec<KvPair>, RegionError> {
    let Some((range, order)) = bounds(&request.range, ask, || {
        region_error::key_not_in_region(&ask.start_key, &request.peer.region())
    })?
    else {
        return Ok(Vec::new());
    };
    confirm(core, &request.peer).await?;
    let (engine, limit, key_only) = (core.engine.clone(), ask.limit as usize, ask.key_only);
    let work = tokio::task::spawn_blocking(move || {
        let (start, end) = keys::data_bounds(&range);
        let mut pairs = Vec::new();
        let mut bytes = 0;
        engine.scan(&start, &end, order, &mut |key, value| {
            if pairs.len() == limit || bytes > MAX_BYTES {
                return ControlFlow::Break(());
            }
            let key = Bytes::copy_from_slice(keys::user_key(key));
            let value = if key_only { Bytes::new() } else { Bytes::copy_from_slice(value) };
            bytes += key.len() + value.len();
            pairs.push(KvPair { key, value, ..KvPair::default() });
            ControlFlow::Continue(())
        })?;
        Ok::<_, std::io::Error>((pairs, bytes))
    });
    let done = work.await.map_err(region_error::other)?;
    let (pairs, bytes) = done.map_err(|failed| engine_failed(core, &failed))?;
    request.check_after(core)?;
    if bytes > MAX_BYTES {
        let message = format!("the answer would be above {MAX_BYTES} bytes; ask with a smaller limit");
        return Err(region_error::other(message));
    }
    request.peer.flow.read(pairs.len() as u64, bytes as u64);
    core.flow.read(pairs.len() as u64, bytes as u64);
    Ok(pairs)
}

/// The part of the Region that is asked for. Forwards it is `[start_key, end_key)`; in reverse `start_key` is the
/// upper bound, not inside, and `end_key` the lower one, inside; an empty bound is none.
fn bounds(
    region: &KeyRange,
    ask: &RawScanRequest,
    elsewhere: impl FnOnce() -> RegionError,
) -> Result<Option<(KeyRange, Order)>, RegionError> {
    if ask.limit == 0 {
        return Ok(None);
    }
    if ask.reverse {
        let asked = KeyRange::new(ask.end_key.clone(), ask.start_key.clone());
        return Ok(region.intersect(&asked).map(|range| (range, Order::Descending)));
    }
    if !region.contains(&ask.start_key) {
        return Err(elsewhere());
    }
    let asked = KeyRange::new(ask.start_key.clone(), ask.end_key.clone());
    Ok(region.intersect(&asked).map(|range| (range, Order::Ascending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(start: &'static str, end: &'static str, reverse: bool) -> RawScanRequest {
        RawScanRequest {
            start_key: start.into(),
            end_key: end.into(),
            limit: 10,
            reverse,
            ..RawScanRequest::default()
        }
    }

    fn of(ask: &RawScanRequest) -> Result<Option<(KeyRange, Order)>, RegionError> {
        bounds(&KeyRange::new("b", "m"), ask, RegionError::default)
    }

    #[test]
    fn a_scan_stays_in_its_region() {
        let forwards = |start, end| of(&ask(start, end, false)).map(|found| found.map(|(range, _)| range));
        assert_eq!(forwards("c", "f"), Ok(Some(KeyRange::new("c", "f"))));
        assert_eq!(forwards("c", ""), Ok(Some(KeyRange::new("c", "m"))));
        assert_eq!(forwards("f", "c"), Ok(None));
        assert!(forwards("a", "c").is_err() && forwards("m", "").is_err());
        let (range, order) = of(&ask("f", "c", true)).unwrap().unwrap();
        assert_eq!((range, order), (KeyRange::new("c", "f"), Order::Descending));
        let (range, _) = of(&ask("", "", true)).unwrap().unwrap();
        assert_eq!(range, KeyRange::new("b", "m"));
        let (range, _) = of(&ask("z", "f", true)).unwrap().unwrap();
        assert_eq!(range, KeyRange::new("f", "m"));
        let nothing = RawScanRequest { limit: 0, ..ask("c", "f", false) };
        assert_eq!(of(&nothing), Ok(None));
    }
}
