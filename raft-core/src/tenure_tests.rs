use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const TICK: Duration = Duration::from_millis(10);

fn at(ms: u64) -> BootTime {
    BootTime(ms * MS)
}

fn conf(voters: &[u64], outgoing: &[u64]) -> ConfState {
    ConfState { voters: voters.to_vec(), voters_outgoing: outgoing.to_vec(), ..ConfState::default() }
}

/// Leader 1 of term 7 since 1,000 ms, its first entry applied.
fn leading() -> Tenure {
    let mut tenure = Tenure::new(30, TICK);
    tenure.begin(7, 100, at(1_000));
    tenure.applied(100, true);
    tenure
}

/// 290 ms * 0.99 / 1.01.
const PROMISE_NS: u64 = 284_257_425;

#[test]
fn it_ends_a_promise_after_the_sending_not_after_the_receipt() {
    let mut tenure = leading();
    tenure.acked(2, at(1_100), at(1_180));
    let lease = tenure.lease(1, &conf(&[1, 2, 3], &[]), at(1_180));
    assert_eq!(lease, Some((7, BootTime(1_100 * MS + PROMISE_NS))));
    assert_eq!(tenure.lease(1, &conf(&[1, 2, 3], &[]), at(1_385)), None);
}

#[test]
fn a_quorum_must_have_answered() {
    let mut tenure = leading();
    let five = conf(&[1, 2, 3, 4, 5], &[]);
    tenure.acked(2, at(1_100), at(1_180));
    assert_eq!(tenure.lease(1, &five, at(1_180)), None);
    tenure.acked(3, at(1_050), at(1_180));
    assert_eq!(tenure.lease(1, &five, at(1_180)).unwrap().1, BootTime(1_050 * MS + PROMISE_NS));
    // A learner's answer counts for nothing.
    tenure.acked(9, at(1_170), at(1_180));
    assert_eq!(tenure.lease(1, &five, at(1_180)).unwrap().1, BootTime(1_050 * MS + PROMISE_NS));
}

#[test]
fn a_joint_membership_needs_both_halves() {
    let mut tenure = leading();
    let joint = conf(&[1, 2, 3], &[1, 4, 5]);
    tenure.acked(2, at(1_100), at(1_180));
    assert_eq!(tenure.lease(1, &joint, at(1_180)), None);
    tenure.acked(4, at(1_020), at(1_180));
    assert_eq!(tenure.lease(1, &joint, at(1_180)).unwrap().1, BootTime(1_020 * MS + PROMISE_NS));
}

#[test]
fn the_newest_echo_of_a_member_counts_and_none_from_the_future() {
    let mut tenure = leading();
    let three = conf(&[1, 2, 3], &[]);
    tenure.acked(2, at(1_100), at(1_180));
    tenure.acked(2, at(1_050), at(1_180));
    tenure.acked(2, at(9_000), at(1_180));
    assert_eq!(tenure.lease(1, &three, at(1_180)).unwrap().1, BootTime(1_100 * MS + PROMISE_NS));
}

#[test]
fn not_before_an_own_entry_is_applied() {
    let mut tenure = Tenure::new(30, TICK);
    tenure.begin(7, 100, at(1_000));
    tenure.acked(2, at(1_010), at(1_020));
    tenure.applied(99, false);
    assert_eq!(tenure.lease(1, &conf(&[1, 2, 3], &[]), at(1_020)), None);
    tenure.applied(100, true);
    assert!(tenure.lease(1, &conf(&[1, 2, 3], &[]), at(1_020)).is_some());
}

#[test]
fn an_own_write_unfinished_for_a_second_ends_it_until_it_is_done() {
    let mut tenure = leading();
    let three = conf(&[1, 2, 3], &[]);
    tenure.wrote(101, at(2_000));
    tenure.wrote(102, at(2_005));
    tenure.acked(2, at(2_990), at(2_995));
    assert_eq!(tenure.lease(1, &three, at(2_995)).unwrap().1, at(3_000));
    assert_eq!(tenure.lease(1, &three, at(3_000)), None);
    // 101 is done, 102 began within the same grain and is watched with it.
    tenure.applied(101, true);
    assert_eq!(tenure.lease(1, &three, at(3_000)), None);
    tenure.applied(102, true);
    assert!(tenure.lease(1, &three, at(3_000)).is_some());
}

#[test]
fn an_idle_leader_probes_and_one_that_waits_does_not() {
    let mut tenure = leading();
    assert!(!tenure.probe_due(at(1_249)));
    assert!(tenure.probe_due(at(1_250)));
    tenure.wrote(101, at(1_250));
    assert!(!tenure.probe_due(at(1_600)));
    tenure.applied(101, true);
    assert!(tenure.probe_due(at(1_600)));
}

#[test]
fn void_on_change_of_term_role_and_membership_and_after_timeout_now() {
    let three = conf(&[1, 2, 3], &[]);
    let granted = || {
        let mut tenure = leading();
        tenure.acked(2, at(1_100), at(1_110));
        assert!(tenure.lease(1, &three, at(1_110)).is_some());
        tenure
    };
    let mut tenure = granted();
    tenure.reconfigured();
    assert_eq!(tenure.lease(1, &three, at(1_110)), None);
    let mut tenure = granted();
    tenure.end();
    assert_eq!(tenure.lease(1, &three, at(1_110)), None);
    let mut tenure = granted();
    tenure.begin(8, 200, at(1_110));
    tenure.applied(200, true);
    assert_eq!(tenure.lease(1, &three, at(1_111)), None);
    let mut tenure = granted();
    tenure.forfeit();
    tenure.acked(2, at(1_150), at(1_160));
    tenure.acked(3, at(1_150), at(1_160));
    assert_eq!(tenure.lease(1, &three, at(1_160)), None);
    assert!(!tenure.probe_due(at(3_000)));
}

#[test]
fn a_single_member_holds_it_by_its_own_clock_and_writes() {
    let mut tenure = leading();
    let one = conf(&[1], &[]);
    assert_eq!(tenure.lease(1, &one, at(5_000)).unwrap().1, BootTime(5_000 * MS + PROMISE_NS));
    tenure.wrote(101, at(5_000));
    assert_eq!(tenure.lease(1, &one, at(6_000)), None);
}

proptest! {
    /// Q by brute force over every subset of voters.
    #[test]
    fn the_quorum_test_agrees_with_the_progress_tracker(
        voters in proptest::collection::btree_set(1..8u64, 1..6),
        outgoing in proptest::collection::btree_set(1..8u64, 0..6),
        has in proptest::collection::btree_set(1..8u64, 0..8),
    ) {
        let (voters, outgoing): (Vec<u64>, Vec<u64>) = (voters.into_iter().collect(), outgoing.into_iter().collect());
        let state = conf(&voters, &outgoing);
        let storage = raft::storage::MemStorage::new_with_conf_state(crate::convert::conf_state_in(&state));
        let config = raft::Config { id: 1, election_tick: 10, heartbeat_tick: 2, ..Default::default() };
        let raft = raft::Raft::new(&config, storage, &slog::Logger::root(slog::Discard, slog::o!())).unwrap();
        let mut set = std::collections::HashSet::default();
        set.extend(has.iter().copied());
        prop_assert_eq!(is_quorum(&state, |id| has.contains(&id)), raft.prs().has_quorum(&set));
    }
}
