//! One Region judged: how urgent its trouble is, and which one thing is to blame.

use super::condition::{Conditions, StoreTrouble};
use super::finding::RegionCause;
use crate::index::{Ailing, StoreSlot};
use crate::model::{Peer, PeerRole, StoreId, Time};

/// What is wrong with a Region; only the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegionTrouble {
    /// Half of its voters or more are lost.
    NoQuorum,
    /// One living voter is left, or one that is not far behind for long.
    LastReplica,
    /// Fewer voters live than there should be.
    Short,
    /// A replica is far behind.
    Pending,
    /// A learner, a surplus voter, an open change of membership.
    Leftover,
}

/// What is to be seen of it, in bits: several may be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TroubleKinds(u8);

impl TroubleKinds {
    /// Fewer voters than there should be, dead or alive.
    pub const MISSING: TroubleKinds = TroubleKinds(1);
    /// A replica is lost.
    pub const DOWN: TroubleKinds = TroubleKinds(2);
    /// A replica is far behind.
    pub const PENDING: TroubleKinds = TroubleKinds(4);
    /// A replica's Store is on its way out.
    pub const OFFLINE: TroubleKinds = TroubleKinds(8);
    /// A learner, a surplus voter, an open change of membership.
    pub const UNPLACED: TroubleKinds = TroubleKinds(16);

    /// True when all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: TroubleKinds) -> bool {
        self.0 & other.0 == other.0
    }

    fn add(&mut self, other: TroubleKinds) {
        self.0 |= other.0;
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A Region that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// None when it only waits for a drain.
    pub trouble: Option<RegionTrouble>,
    pub kinds: TroubleKinds,
    pub cause: Option<RegionCause>,
    /// What else would have to come back, or one of them, where the quorum is lost: the first that was lost.
    pub also: Option<StoreId>,
    /// All living voters but one are far behind. After a change of the leader that is so for a moment: it counts as the
    /// last replica when it stays.
    pub is_thin: bool,
    /// Voters, dead or alive.
    pub voters: usize,
    /// Of them not lost.
    pub living: usize,
}

/// A lost replica and since when its Store is silent.
#[derive(Clone, Copy)]
struct Lost {
    since: Time,
    cause: RegionCause,
}

/// Judges one Region; none when it is as it should be.
pub(super) fn judge(
    peers: impl Iterator<Item = (StoreSlot, Peer)>,
    ailing: Option<&Ailing>,
    conditions: &Conditions,
) -> Option<Judged> {
    let wanted = conditions.max_replicas;
    let (mut voters, mut living, mut healthy) = (0_usize, 0_usize, 0_usize);
    // The old half of a joint quorum.
    let (mut old_voters, mut old_living) = (0_usize, 0_usize);
    let mut kinds = TroubleKinds::default();
    let (mut first, mut last): (Option<Lost>, Option<Lost>) = (None, None);
    let mut is_joint = false;
    for (slot, peer) in peers {
        let lost = lost(slot, &peer, ailing, conditions);
        let pends = ailing.is_some_and(|a| a.pending.contains(&peer.id));
        let (counts_new, counts_old) = match peer.role {
            PeerRole::Voter => (true, true),
            PeerRole::IncomingVoter => (true, false),
            PeerRole::DemotingVoter => (false, true),
            PeerRole::Learner => (false, false),
        };
        is_joint |= peer.role.is_joint();
        voters += usize::from(counts_new);
        old_voters += usize::from(counts_old);
        if peer.role == PeerRole::Learner {
            kinds.add(TroubleKinds::UNPLACED);
        }
        if pends {
            kinds.add(TroubleKinds::PENDING);
        }
        if let Some(lost) = lost {
            kinds.add(TroubleKinds::DOWN);
            first = Some(first.map_or(lost, |f| if lost.since < f.since { lost } else { f }));
            last = Some(last.map_or(lost, |l| if lost.since > l.since { lost } else { l }));
            continue;
        }
        if conditions.leaves(slot) {
            kinds.add(TroubleKinds::OFFLINE);
        }
        living += usize::from(counts_new);
        old_living += usize::from(counts_old);
        healthy += usize::from(counts_new && !pends);
    }
    if voters < wanted {
        kinds.add(TroubleKinds::MISSING);
    }
    if is_joint || voters > wanted {
        kinds.add(TroubleKinds::UNPLACED);
    }
    if kinds.is_empty() {
        return None;
    }
    let is_thin = healthy <= 1 && living > 1 && wanted > 1;
    let too_few = conditions.too_few_stores.then_some(RegionCause::TooFewStores);
    let no_quorum = living * 2 <= voters || (is_joint && old_living * 2 <= old_voters);
    let (trouble, cause) = if no_quorum {
        // The last straw.
        (Some(RegionTrouble::NoQuorum), last.map(|l| l.cause))
    } else if living <= 1 && wanted > 1 {
        (Some(RegionTrouble::LastReplica), last.map(|l| l.cause).or(too_few))
    } else if living < wanted {
        (Some(RegionTrouble::Short), first.map(|f| f.cause).or(too_few))
    } else if kinds.has(TroubleKinds::PENDING) {
        (Some(RegionTrouble::Pending), None)
    } else if kinds.has(TroubleKinds::UNPLACED) || kinds.has(TroubleKinds::DOWN) {
        (Some(RegionTrouble::Leftover), first.map(|f| f.cause))
    } else {
        (None, None)
    };
    let also = first.filter(|_| no_quorum).and_then(|f| f.cause.store());
    let also = also.filter(|store| cause.and_then(RegionCause::store) != Some(*store));
    Some(Judged { trouble, kinds, cause, also, is_thin, voters, living })
}

fn lost(slot: StoreSlot, peer: &Peer, ailing: Option<&Ailing>, conditions: &Conditions) -> Option<Lost> {
    if let Some(trouble) = conditions.trouble(slot) {
        let cause = RegionCause::Store(peer.store, trouble);
        return Some(Lost { since: conditions.silent_since(slot), cause });
    }
    let missed = ailing?.down.iter().find(|d| d.peer == peer.id)?;
    // By how long it is missed, among others that are missed; a silent Store is told first.
    let since = Time(u64::MAX - missed.seconds);
    Some(Lost { since, cause: RegionCause::PeerDown(peer.store) })
}

impl StoreTrouble {
    /// In plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            StoreTrouble::Disconnected => "is not heard",
            StoreTrouble::Down => "is down",
            StoreTrouble::Gone => "was removed",
        }
    }
}
