//! The survey's judgement on one Region, for who asks about that one: the same as in the whole.

use super::condition::{Conditions, Standing};
use super::finding::RegionCause;
use super::judge::{RegionTrouble, judge};
use crate::index::{Ailing, StoreSlot};
use crate::model::{RegionView, StoreId};

/// How a Region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionVerdict {
    /// What is wrong; none when it only waits for a drain.
    pub trouble: Option<RegionTrouble>,
    /// Because of what.
    pub cause: Option<RegionCause>,
    /// Voters, dead or alive.
    pub voters: usize,
    /// Of them not lost.
    pub living: usize,
}

impl RegionVerdict {
    /// Judges `view`; none when it is as it should be. Of `standing` the Stores and the number of replicas matter.
    #[must_use]
    pub fn of(view: &RegionView, standing: &Standing) -> Option<RegionVerdict> {
        let names: Vec<StoreId> = view.meta.peers.iter().map(|peer| peer.store).collect();
        let conditions = Conditions::new(standing, &names);
        let ailing = Ailing { down: view.down.clone(), pending: view.pending.clone() };
        let peers = (0..).map(StoreSlot).zip(view.meta.peers.iter().copied());
        let judged = judge(peers, Some(&ailing), &conditions)?;
        let (voters, living) = (judged.voters, judged.living);
        Some(RegionVerdict { trouble: judged.trouble, cause: judged.cause, voters, living })
    }
}
