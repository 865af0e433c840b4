//! A refusal of the planner as a line: its words, the number that decided and its limit, whom it is about, and the
//! command against it.

use dashboard::model::{Reason, Subject};
use scheduler::Refusal;

/// A refusal as a line.
pub fn reason(refusal: &Refusal) -> Reason {
    let (number, limit) = numbers(refusal);
    Reason {
        text: refusal.to_string(),
        kind: Some(refusal.kind().to_string()),
        number,
        limit,
        subject: about(refusal),
        ..Reason::default()
    }
}

/// The number that decided, and its limit.
fn numbers(refusal: &Refusal) -> (Option<u64>, Option<u64>) {
    let (number, limit) = match refusal {
        Refusal::LowSpace { used_per_mille, limit_per_mille, .. } => (*used_per_mille, *limit_per_mille),
        Refusal::Snapshots { count, limit, .. }
        | Refusal::PendingPeers { count, limit, .. }
        | Refusal::MovesInFlight { count, limit, .. }
        | Refusal::TooManySplits { count, limit }
        | Refusal::Full { count, limit, .. } => (*count, *limit),
        Refusal::OperatorLimit { running, limit } => (*running as u64, *limit as u64),
        Refusal::StoreLimit { available, needed, .. } | Refusal::IdsLacking { available, needed } => {
            (*available, *needed)
        }
        Refusal::TooFewHealthy { healthy, needed, .. } => (*healthy as u64, *needed as u64),
        Refusal::NoTarget { stores, up, .. } => (*up as u64, *stores as u64),
        Refusal::NotPrepared { reported, known, .. } => (*known, *reported),
        Refusal::StaleTerm { given, known, .. } => (*given, *known),
        Refusal::StoreSilent { silent_ms, .. } => return (Some(*silent_ms), None),
        Refusal::UnknownRegion(_)
        | Refusal::UnknownStore(_)
        | Refusal::BadReport { .. }
        | Refusal::StaleEpoch { .. }
        | Refusal::Halted
        | Refusal::SwitchedOff(_)
        | Refusal::SchedulerRemoved(_)
        | Refusal::SchedulerPaused { .. }
        | Refusal::CheckerPaused { .. }
        | Refusal::OperatorRuns(_)
        | Refusal::NoOperator(_)
        | Refusal::NothingToDo(_)
        | Refusal::Joint(_)
        | Refusal::NoLeader(_)
        | Refusal::HoldsReplica(_)
        | Refusal::HoldsNoReplica(_)
        | Refusal::StoreLeaves(_)
        | Refusal::StoreBusy(_)
        | Refusal::Ailing(_)
        | Refusal::NotVoter(_)
        | Refusal::NoLeaderTarget(_)
        | Refusal::BadRequest(_) => return (None, None),
    };
    (Some(number), Some(limit))
}

/// The Store or Region that it is about.
fn about(refusal: &Refusal) -> Option<Subject> {
    let (store, region) = match refusal {
        Refusal::UnknownStore(store)
        | Refusal::HoldsReplica(store)
        | Refusal::HoldsNoReplica(store)
        | Refusal::StoreLeaves(store)
        | Refusal::StoreBusy(store)
        | Refusal::StoreSilent { store, .. }
        | Refusal::LowSpace { store, .. }
        | Refusal::Snapshots { store, .. }
        | Refusal::PendingPeers { store, .. }
        | Refusal::MovesInFlight { store, .. }
        | Refusal::StoreLimit { store, .. }
        | Refusal::NotPrepared { store, .. } => (Some(*store), None),
        Refusal::UnknownRegion(region)
        | Refusal::OperatorRuns(region)
        | Refusal::NoOperator(region)
        | Refusal::NothingToDo(region)
        | Refusal::Joint(region)
        | Refusal::NoLeader(region)
        | Refusal::NoLeaderTarget(region)
        | Refusal::BadReport { region, .. }
        | Refusal::StaleEpoch { region, .. }
        | Refusal::StaleTerm { region, .. }
        | Refusal::NoTarget { region, .. }
        | Refusal::TooFewHealthy { region, .. } => (None, Some(*region)),
        Refusal::Halted
        | Refusal::SwitchedOff(_)
        | Refusal::SchedulerRemoved(_)
        | Refusal::SchedulerPaused { .. }
        | Refusal::CheckerPaused { .. }
        | Refusal::IdsLacking { .. }
        | Refusal::TooManySplits { .. }
        | Refusal::OperatorLimit { .. }
        | Refusal::Ailing(_)
        | Refusal::NotVoter(_)
        | Refusal::Full { .. }
        | Refusal::BadRequest(_) => (None, None),
    };
    store.map(|store| Subject::Store(store.0)).or(region.map(|region| Subject::Region(region.0)))
}

/// Commands that take a reason away.
pub fn remedies(refusals: &[Refusal]) -> Vec<String> {
    let remedy = |refusal: &Refusal| match refusal {
        Refusal::Halted => Some("pd-ctl config set halt-scheduling false".to_owned()),
        Refusal::NoTarget { .. } => Some("pd-ctl store".to_owned()),
        Refusal::CheckerPaused { .. } | Refusal::SchedulerPaused { .. } | Refusal::SchedulerRemoved(_) => {
            Some("pd-ctl scheduler show".to_owned())
        }
        Refusal::StoreLimit { store, .. } => Some(format!("pd-ctl store limit {store}")),
        Refusal::OperatorLimit { .. } => Some("pd-ctl operator show".to_owned()),
        // The others are told by their numbers: there is no one command against them.
        _ => None,
    };
    refusals.iter().filter_map(remedy).collect()
}
