//! Writes: through the Region's log; answered once this leader has applied them.

use bytes::Bytes;
use prost::Message;
use proto::errorpb;

use super::request::Admitted;
use crate::StoreCore;
use crate::region::{Body, Command, Mutation, Write};
use crate::region_error::{self, RegionError};

/// Most bytes of one log entry, as TiKV's `raft-entry-max-size`.
const MAX_ENTRY_BYTES: usize = 8 << 20;

/// Writes all of `mutations`. More than fit into one entry go into several, one after another: when an error comes
/// back, the first of them may have been done.
pub async fn write(
    core: &StoreCore,
    request: &Admitted,
    mutations: Vec<Mutation>,
) -> Result<(), RegionError> {
    for mutation in &mutations {
        request.check_key(&mutation.key)?;
        if mutation.size() > MAX_ENTRY_BYTES {
            let region = request.peer.region_id();
            return Err(region_error::entry_too_large(region, mutation.size(), MAX_ENTRY_BYTES));
        }
    }
    for part in entries(mutations) {
        let body = Body::Write(Write { epoch: Some(request.epoch), mutations: part });
        propose(core, request, Command { body: Some(body) }.encode_to_vec().into()).await?;
    }
    Ok(())
}

async fn propose(core: &StoreCore, request: &Admitted, data: Bytes) -> Result<(), RegionError> {
    let peer = &request.peer;
    let handle = core.handle().ok_or_else(|| region_error::region_not_found(peer.region_id()))?;
    let applied = handle.propose(peer.region_id().0, None, data).await;
    let applied = applied.map_err(|refusal| region_error::of_refusal(&peer.region(), refusal))?;
    if applied.output.is_empty() {
        return Ok(());
    }
    // Applied, but without effect: the epoch was over by then.
    Err(match errorpb::Error::decode(applied.output) {
        Ok(error) => Box::new(error),
        Err(error) => region_error::other(error),
    })
}

/// Cuts writes into entries of at most [`Write::MAX_KEYS`] keys and about [`MAX_ENTRY_BYTES`].
fn entries(mutations: Vec<Mutation>) -> Vec<Vec<Mutation>> {
    let mut entries: Vec<Vec<Mutation>> = Vec::new();
    let mut bytes = 0;
    for mutation in mutations {
        bytes += mutation.size();
        match entries.last_mut() {
            Some(last) if last.len() < Write::MAX_KEYS && bytes <= MAX_ENTRY_BYTES => last.push(mutation),
            Some(_) | None => {
                bytes = mutation.size();
                entries.push(vec![mutation]);
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(bytes: usize) -> Mutation {
        Mutation { key: Bytes::new(), value: Some(vec![0; bytes].into()) }
    }

    #[test]
    fn large_batches_become_several_entries_in_order() {
        assert!(entries(vec![]).is_empty());
        let many = entries(vec![mutation(1); Write::MAX_KEYS + 1]);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [Write::MAX_KEYS, 1]);
        let large = entries(vec![mutation(3 << 20); 5]);
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
