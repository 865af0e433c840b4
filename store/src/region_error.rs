//! Region errors as clients expect them: those that the stock client retries on, in the form in which it does.

use bytes::Bytes;
use proto::errorpb::{
    EpochNotMatch, Error, KeyNotInRegion, MismatchPeerId, NotLeader, RaftEntryTooLarge, RegionNotFound,
    RegionNotInitialized, ServerIsBusy, StaleCommand, StoreNotMatch,
};
use proto::metapb::Region;
use raft_core::{Busy, ProposeError};

use crate::region::peer_of;
use crate::{KeyRange, PeerId, RegionId, StoreId};

/// An error of a Region; boxed, since it is large and rare.
pub type RegionError = Box<Error>;

/// What no kind is made for: the client asks PD anew and tries again.
pub fn other(message: impl ToString) -> RegionError {
    Box::new(Error { message: message.to_string(), ..Error::default() })
}

/// Another peer leads, or none is known: the client asks the leader, or PD after a pause.
pub fn not_leader(region: &Region, leader: PeerId) -> RegionError {
    let leader = peer_of(region, leader).copied();
    Box::new(Error {
        message: match leader {
            Some(leader) => {
                format!("peer {} on store {} leads region {}", leader.id, leader.store_id, region.id)
            }
            None => format!("region {} has no known leader", region.id),
        },
        not_leader: Some(NotLeader { region_id: region.id, leader }),
        ..Error::default()
    })
}

/// The Region is not here.
pub fn region_not_found(region: RegionId) -> RegionError {
    Box::new(Error {
        message: format!("region {region} is not here"),
        region_not_found: Some(RegionNotFound { region_id: region.0 }),
        ..Error::default()
    })
}

/// The peer waits for its first snapshot.
pub fn not_initialized(region: RegionId) -> RegionError {
    Box::new(Error {
        message: format!("region {region} has no data here yet"),
        region_not_initialized: Some(RegionNotInitialized { region_id: region.0 }),
        ..Error::default()
    })
}

/// The client's range or peers are over; here are the present ones.
pub fn epoch_not_match(current_regions: Vec<Region>) -> RegionError {
    let text = current_regions.first().map(|region| format!("{:?}", region.region_epoch.unwrap_or_default()));
    Box::new(Error {
        message: format!("the region's epoch is {}", text.unwrap_or_default()),
        epoch_not_match: Some(EpochNotMatch { current_regions }),
        ..Error::default()
    })
}

/// The key lies elsewhere.
pub fn key_not_in_region(key: &Bytes, region: &Region) -> RegionError {
    Box::new(Error {
        message: format!("key {} is not in {}", hex::encode_upper(key), KeyRange::of(region)),
        key_not_in_region: Some(KeyNotInRegion {
            key: key.clone(),
            region_id: region.id,
            start_key: region.start_key.clone(),
            end_key: region.end_key.clone(),
        }),
        ..Error::default()
    })
}

/// The request was meant for another Store.
pub fn store_not_match(asked: StoreId, here: StoreId) -> RegionError {
    Box::new(Error {
        message: format!("the request is for store {asked}, this is store {here}"),
        store_not_match: Some(StoreNotMatch { request_store_id: asked.0, actual_store_id: here.0 }),
        ..Error::default()
    })
}

/// The request was meant for an earlier or later peer of the Region on this Store.
pub fn mismatch_peer_id(asked: PeerId, here: PeerId) -> RegionError {
    Box::new(Error {
        message: format!("the request is for peer {asked}, here is peer {here}"),
        mismatch_peer_id: Some(MismatchPeerId { request_peer_id: asked.0, store_peer_id: here.0 }),
        ..Error::default()
    })
}

/// Too much for one entry of the log.
pub fn entry_too_large(region: RegionId, entry_size: usize, most: usize) -> RegionError {
    Box::new(Error {
        message: format!("a write of {entry_size} bytes; at most {most} are possible"),
        raft_entry_too_large: Some(RaftEntryTooLarge { region_id: region.0, entry_size: entry_size as u64 }),
        ..Error::default()
    })
}

/// Real overload: the stock client hands this to its caller at once.
pub fn server_is_busy(reason: String) -> RegionError {
    Box::new(Error {
        message: reason.clone(),
        server_is_busy: Some(ServerIsBusy { reason, ..ServerIsBusy::default() }),
        ..Error::default()
    })
}

/// The lead was lost on the way: what was asked may or may not have happened.
pub fn stale_command(message: String) -> RegionError {
    Box::new(Error { message, stale_command: Some(StaleCommand {}), ..Error::default() })
}

/// What the Raft core's refusal of a read or write means to a client.
pub fn of_refusal(region: &Region, refusal: ProposeError) -> RegionError {
    match refusal {
        ProposeError::NotLeader { leader } => not_leader(region, PeerId(leader)),
        ProposeError::StaleTerm { .. } | ProposeError::Unknown => stale_command(refusal.to_string()),
        // A transfer or a change of membership lasts for moments: the client should come again, here or elsewhere.
        ProposeError::Busy(Busy::Transferring | Busy::Resting | Busy::ChangingMembership) => {
            Box::new(Error { message: refusal.to_string(), ..*not_leader(region, PeerId(0)) })
        }
        ProposeError::Busy(Busy::InboxFull | Busy::ReadsFull | Busy::Unapplied | Busy::Uncommitted) => {
            server_is_busy(refusal.to_string())
        }
        ProposeError::Refused(text) => stale_command(text),
        ProposeError::NoGroup => region_not_found(RegionId(region.id)),
    }
}

#[cfg(test)]
mod tests {
    use proto::metapb::Peer;

    use super::*;

    #[test]
    fn only_overload_is_told_as_busy() {
        let peers = vec![Peer { id: 3, store_id: 1, ..Peer::default() }];
        let region = Region { id: 2, peers, ..Region::default() };
        let of = |refusal| of_refusal(&region, refusal);
        let leader = of(ProposeError::NotLeader { leader: 3 }).not_leader.unwrap().leader;
        assert_eq!(leader.unwrap().store_id, 1);
        assert_eq!(of(ProposeError::NotLeader { leader: 9 }).not_leader.unwrap().leader, None);
        let unknown = of(ProposeError::Unknown);
        assert!(unknown.stale_command.is_some() && !unknown.message.is_empty());
        for moments in [Busy::Transferring, Busy::Resting, Busy::ChangingMembership] {
            let moving = of(ProposeError::Busy(moments));
            assert!(moving.server_is_busy.is_none() && moving.not_leader.is_some(), "{moments}");
        }
        for full in [Busy::InboxFull, Busy::ReadsFull, Busy::Unapplied, Busy::Uncommitted] {
            assert!(of(ProposeError::Busy(full)).server_is_busy.is_some(), "{full}");
        }
        assert!(of(ProposeError::NoGroup).region_not_found.is_some());
    }
}
