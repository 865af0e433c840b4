//! Reads: confirmed by a round of the Raft group (ReadIndex), then from the engine.

use bytes::Bytes;
use tracing::error;

use super::request::Admitted;
use crate::region::Peer;
use crate::region_error::{self, RegionError};
use crate::{StoreCore, keys};

/// Returns once this peer has applied all that was acknowledged to anyone before the call.
pub async fn confirm(core: &StoreCore, peer: &Peer) -> Result<(), RegionError> {
    let handle = core.handle().ok_or_else(|| region_error::region_not_found(peer.region_id()))?;
    let confirmed = handle.read_index(peer.region_id().0).await;
    confirmed.map_err(|refusal| region_error::of_refusal(&peer.region(), refusal))
}

/// Values of keys, in their order.
pub async fn get(
    core: &StoreCore,
    request: &Admitted,
    keys: &[Bytes],
) -> Result<Vec<Option<Bytes>>, RegionError> {
    for key in keys {
        request.check_key(key)?;
    }
    confirm(core, &request.peer).await?;
    let mut values = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        let value = core.engine.get(&keys::data_key(key)).map_err(|failed| engine_failed(core, &failed))?;
        bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        values.push(value);
    }
    request.check_after(core)?;
    request.peer.flow.read(keys.len() as u64, bytes as u64);
    core.flow.read(keys.len() as u64, bytes as u64);
    Ok(values)
}

/// The engine cannot be read: told to the client as an error that it may retry elsewhere.
pub fn engine_failed(core: &StoreCore, failed: &std::io::Error) -> RegionError {
    error!(store = %core.id, %failed, "the engine cannot be read");
    region_error::other(format!("the engine cannot be read: {failed}"))
}
