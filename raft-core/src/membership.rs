//! The next membership, computed by the very code of raft-rs on a throw-away Raft: apply thread and Raft thread can
//! never disagree about it.

use proto::eraftpb::{ConfChangeTransition, ConfChangeV2, ConfState};
use raft::storage::MemStorage;
use raft::{Config, Raft};

use crate::convert;

/// What `change` makes of `current`, or why it is not possible.
pub(crate) fn next(current: &ConfState, change: &ConfChangeV2) -> Result<ConfState, String> {
    let change = convert::conf_change_in(change).map_err(|e| e.to_string())?;
    let storage = MemStorage::new_with_conf_state(convert::conf_state_in(current));
    // The id is only a point of view, and the timeouts never run.
    let config = Config { id: u64::MAX, election_tick: 10, heartbeat_tick: 1, ..Config::default() };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let mut raft = Raft::new(&config, storage, &logger).map_err(|e| e.to_string())?;
    raft.apply_conf_change(&change).map(|next| convert::conf_state_out(&next)).map_err(|e| e.to_string())
}

/// The form in which a change is proposed: whatever needs a joint membership enters it explicitly, so that it is left
/// explicitly, too (rule 13).
pub(crate) fn explicit(mut change: ConfChangeV2) -> ConfChangeV2 {
    let joint = change.changes.len() > 1 || change.transition != ConfChangeTransition::Auto as i32;
    if joint {
        change.transition = ConfChangeTransition::Explicit as i32;
    }
    change
}

/// Whether the membership is joint.
pub(crate) fn is_joint(conf: &ConfState) -> bool {
    !conf.voters_outgoing.is_empty()
}

/// Whether `id` is the only voter.
pub(crate) fn is_sole_voter(conf: &ConfState, id: u64) -> bool {
    conf.voters == [id] && conf.voters_outgoing.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::eraftpb::{ConfChangeSingle, ConfChangeType};

    fn change(changes: &[(ConfChangeType, u64)]) -> ConfChangeV2 {
        let changes =
            changes.iter().map(|(t, id)| ConfChangeSingle { change_type: *t as i32, node_id: *id }).collect();
        explicit(ConfChangeV2 { changes, ..ConfChangeV2::default() })
    }

    #[test]
    fn one_to_three_by_learners_and_one_joint_change() {
        use ConfChangeType::{AddLearnerNode, AddNode};
        let one = ConfState { voters: vec![1], ..ConfState::default() };
        let two = next(&one, &change(&[(AddLearnerNode, 2)])).unwrap();
        let three = next(&two, &change(&[(AddLearnerNode, 3)])).unwrap();
        assert_eq!(three, ConfState { voters: vec![1], learners: vec![2, 3], ..ConfState::default() });
        let joint = next(&three, &change(&[(AddNode, 2), (AddNode, 3)])).unwrap();
        let expected = ConfState { voters: vec![1, 2, 3], voters_outgoing: vec![1], ..ConfState::default() };
        assert_eq!(joint, expected);
        assert!(is_joint(&joint) && !is_sole_voter(&joint, 1));
        // The entry that leaves a joint membership is an empty change.
        let left = next(&joint, &ConfChangeV2::default()).unwrap();
        assert_eq!(left, ConfState { voters: vec![1, 2, 3], ..ConfState::default() });
    }

    #[test]
    fn the_impossible_is_refused_with_a_reason() {
        let one = ConfState { voters: vec![1], ..ConfState::default() };
        assert!(
            next(&one, &change(&[(ConfChangeType::RemoveNode, 1)]))
                .unwrap_err()
                .contains("removed all voters")
        );
        assert!(next(&one, &ConfChangeV2::default()).is_err());
    }
}
