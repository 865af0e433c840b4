//! Votes that come too early: the first leader of a split's new Region asks its fellows before they have applied the
//! split. Kept until they have, so that the Region is not without a leader for an election timeout.

use std::collections::VecDeque;

use parking_lot::Mutex;
use proto::raftcore::Envelope;

use crate::{PeerId, RegionId};

/// Most votes kept. When full, the oldest is forgotten: its candidate asks again.
const MAX_KEPT: usize = 1_024;

/// The votes kept on one Store.
#[derive(Default)]
pub struct EarlyVotes {
    kept: Mutex<VecDeque<(RegionId, PeerId, Envelope)>>,
}

impl EarlyVotes {
    /// Keeps one.
    pub fn keep(&self, region: RegionId, peer: PeerId, envelope: Envelope) {
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((region, peer, envelope));
    }

    /// Takes those for a peer that is there now; those for others of its Region are forgotten.
    pub fn take(&self, region: RegionId, peer: PeerId) -> Vec<Envelope> {
        let mut taken = Vec::new();
        self.kept.lock().retain_mut(|(of, to, envelope)| {
            if *of == region && *to == peer {
                taken.push(std::mem::take(envelope));
            }
            *of != region
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_wait_for_their_peer_within_a_bound() {
        let votes = EarlyVotes::default();
        let vote = |group_id| Envelope { group_id, ..Envelope::default() };
        votes.keep(RegionId(2), PeerId(3), vote(2));
        votes.keep(RegionId(2), PeerId(9), vote(2));
        votes.keep(RegionId(4), PeerId(5), vote(4));
        assert_eq!(votes.take(RegionId(2), PeerId(3)), [vote(2)]);
        assert!(votes.take(RegionId(2), PeerId(9)).is_empty());
        for n in 0..MAX_KEPT as u64 {
            votes.keep(RegionId(100 + n), PeerId(1), vote(n));
        }
        assert!(votes.take(RegionId(4), PeerId(5)).is_empty(), "the oldest went first");
        assert_eq!(votes.take(RegionId(100), PeerId(1)).len(), 1);
    }
}
