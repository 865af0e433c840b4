//! Who is promoted, who may go, who is wanted as leader: decided on what the leader sees, without any side effect.

use std::collections::BTreeMap;

use raft_core::{BootTime, GroupStatus, Progress};

use super::MemberId;
use super::roster::HEALTHY_MS;

/// A member counts as caught up when it lacks at most this many entries: a busy group appends some in each round trip.
const LAG_MAX_ENTRIES: u64 = 100;

/// A voter that is to be leader was heard of within this: twice the pause between heartbeats, and what the Raft core asks
/// for besides.
const HEARD_MAX_MS: u64 = 200;

/// Why a member is not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotRemovable {
    /// Nobody would be left.
    LastVoter,
    /// Those left could not decide anything.
    NoQuorum {
        /// Voters that would be left.
        left: usize,
        /// Of those, how many would have to answer.
        needed: usize,
        /// Those that do not.
        silent: Vec<MemberId>,
    },
}

/// The learners that become voters now, together. They have caught up, and the number of voters is odd afterwards: from
/// one voter to three at once, since a second voter alone could stop the group (rule 13) and makes nothing safer.
pub(crate) fn promotions(status: &GroupStatus) -> Vec<MemberId> {
    let conf = &status.conf_state;
    if !conf.voters_outgoing.is_empty() {
        return Vec::new();
    }
    let wanted = if conf.voters.len().is_multiple_of(2) { 1 } else { 2 };
    let ready = status.progress.iter().filter(|p| conf.learners.contains(&p.id) && is_caught_up(p, status));
    let ready: Vec<MemberId> = ready.map(|p| MemberId(p.id)).take(wanted).collect();
    if ready.len() == wanted { ready } else { Vec::new() }
}

/// Whether these learners may vote now: each of them, and a majority of the voters with them, has answered what this leader
/// sent after `since`. Who has just died looks as if it had caught up, and its vote would be missing from then on.
pub(crate) fn may_promote(status: &GroupStatus, promoted: &[MemberId], since: BootTime) -> bool {
    let voters = status.conf_state.voters.iter().copied();
    let all: Vec<u64> = voters.chain(promoted.iter().map(|id| id.0)).collect();
    let answering = all.iter().filter(|id| answers(status, **id, since)).count();
    promoted.iter().all(|id| answers(status, id.0, since)) && answering > all.len() / 2
}

/// Whether a member has a part in what was decided so far: it votes, or has acknowledged something.
pub(crate) fn has_part(status: &GroupStatus, id: MemberId) -> bool {
    let conf = &status.conf_state;
    conf.voters.contains(&id.0)
        || conf.voters_outgoing.contains(&id.0)
        || status.progress.iter().any(|p| p.id == id.0 && p.matched > 0)
}

/// Whether the group can do without a member: of those left a majority has answered what this leader sent after `since`.
pub(crate) fn may_remove(status: &GroupStatus, id: MemberId, since: BootTime) -> Result<(), NotRemovable> {
    let voters = &status.conf_state.voters;
    if !voters.contains(&id.0) {
        return Ok(());
    }
    let left: Vec<u64> = voters.iter().copied().filter(|voter| *voter != id.0).collect();
    if left.is_empty() {
        return Err(NotRemovable::LastVoter);
    }
    let silent = left.iter().copied().filter(|voter| !answers(status, *voter, since));
    let silent: Vec<MemberId> = silent.map(MemberId).collect();
    let needed = left.len() / 2 + 1;
    if left.len() - silent.len() < needed {
        return Err(NotRemovable::NoQuorum { left: left.len(), needed, silent });
    }
    Ok(())
}

/// The voter that is wanted as leader more than the present one, and could take over at once.
pub(crate) fn wanted_leader(status: &GroupStatus, priorities: &BTreeMap<MemberId, i32>) -> Option<MemberId> {
    let priority = |id: u64| priorities.get(&MemberId(id)).copied().unwrap_or_default();
    let own = priority(status.id);
    let able = status.progress.iter().filter(|p| {
        status.conf_state.voters.contains(&p.id)
            && p.heard_ms <= HEARD_MAX_MS
            && is_caught_up(p, status)
            && priority(p.id) > own
    });
    able.max_by_key(|p| (priority(p.id), p.id)).map(|p| MemberId(p.id))
}

/// Whether a member has answered what this leader sent after `since`.
fn answers(status: &GroupStatus, id: u64, since: BootTime) -> bool {
    id == status.id || status.progress.iter().any(|p| p.id == id && p.answered >= since)
}

fn is_caught_up(progress: &Progress, status: &GroupStatus) -> bool {
    !progress.snapshot
        && progress.matched > 0
        && progress.heard_ms <= HEALTHY_MS
        && progress.matched + LAG_MAX_ENTRIES >= status.last
}

#[cfg(test)]
mod tests {
    use proto::eraftpb::ConfState;
    use raft_core::Role;

    use super::*;

    /// Member 1 leads and has 1,000 entries; of the others (id, matched, silence).
    fn status(voters: &[u64], learners: &[u64], others: &[(u64, u64, u64)]) -> GroupStatus {
        let progress = |(id, matched, heard_ms): &(u64, u64, u64)| Progress {
            id: *id,
            matched: *matched,
            heard_ms: *heard_ms,
            answered: BootTime(100_000 - heard_ms),
            snapshot: false,
        };
        GroupStatus {
            id: 1,
            role: Role::Leader,
            leader: 1,
            last: 1_000,
            conf_state: ConfState {
                voters: voters.to_vec(),
                learners: learners.to_vec(),
                ..ConfState::default()
            },
            progress: others.iter().map(progress).collect(),
            ..GroupStatus::default()
        }
    }

    fn ids(ids: &[u64]) -> Vec<MemberId> {
        ids.iter().copied().map(MemberId).collect()
    }

    #[test]
    fn voters_stay_odd() {
        let ready = |id| (id, 1_000, 10);
        assert_eq!(promotions(&status(&[1], &[2], &[ready(2)])), [], "a second voter alone helps nobody");
        assert_eq!(promotions(&status(&[1], &[2, 3], &[ready(2), ready(3)])), ids(&[2, 3]));
        assert_eq!(promotions(&status(&[1, 2], &[3], &[ready(2), ready(3)])), ids(&[3]));
        assert_eq!(promotions(&status(&[1, 2, 3], &[4], &[ready(2), ready(3), ready(4)])), []);
        let five = status(&[1, 2, 3], &[4, 5, 6], &[ready(2), ready(3), ready(4), ready(5), ready(6)]);
        assert_eq!(promotions(&five), ids(&[4, 5]));
        let mut joint = status(&[1, 2], &[3], &[ready(2), ready(3)]);
        joint.conf_state.voters_outgoing = vec![1];
        assert_eq!(promotions(&joint), [], "one change at a time");
    }

    #[test]
    fn only_who_has_caught_up_and_answers_is_promoted() {
        let with = |third| promotions(&status(&[1], &[2, 3], &[(2, 1_000, 0), third]));
        assert_eq!(with((3, 900, 1_000)), ids(&[2, 3]));
        assert_eq!(with((3, 899, 0)), [], "lags");
        assert_eq!(with((3, 1_000, 1_001)), [], "is silent");
        assert_eq!(with((3, 0, 0)), [], "has nothing");
        let mut on_its_way = status(&[1], &[2, 3], &[(2, 1_000, 0), (3, 1_000, 0)]);
        on_its_way.progress[1].snapshot = true;
        assert_eq!(promotions(&on_its_way), []);
    }

    #[test]
    fn only_who_answers_from_now_on_is_promoted() {
        let one = status(&[1], &[2, 3], &[(2, 1_000, 10), (3, 1_000, 500)]);
        assert!(may_promote(&one, &ids(&[2, 3]), BootTime(99_500)));
        assert!(!may_promote(&one, &ids(&[2, 3]), BootTime(99_501)), "3 may have died since");
        // The voters must be able to take it, too: of five, with one dead and one silent, three answer.
        let five = status(&[1, 6, 7], &[2, 3], &[(2, 1_000, 0), (3, 1_000, 0), (6, 0, 9_999), (7, 0, 9_999)]);
        assert!(may_promote(&five, &ids(&[2, 3]), BootTime(99_900)));
        let even = status(&[1, 6], &[2], &[(2, 1_000, 0), (6, 0, 9_999)]);
        assert!(may_promote(&even, &ids(&[2]), BootTime(99_900)));
        let four = status(&[1, 5, 6, 7], &[2], &[(2, 1_000, 0), (5, 0, 9_999), (6, 0, 9_999), (7, 0, 9_999)]);
        assert!(!may_promote(&four, &ids(&[2]), BootTime(99_900)), "two of five");
    }

    #[test]
    fn who_votes_or_has_acknowledged_has_a_part() {
        let status = status(&[1, 2], &[3, 4], &[(2, 0, 0), (3, 1, 0), (4, 0, 0)]);
        let parts: Vec<bool> = (1..=4).map(|id| has_part(&status, MemberId(id))).collect();
        assert_eq!(parts, [true, true, true, false], "the last one was only taken in");
    }

    #[test]
    fn nobody_goes_whose_absence_stops_the_group() {
        assert_eq!(
            may_remove(&status(&[1], &[], &[]), MemberId(1), BootTime(99_900)),
            Err(NotRemovable::LastVoter)
        );
        let one_dead = status(&[1, 2, 3], &[4], &[(2, 1_000, 10), (3, 5, 60_000), (4, 0, 60_000)]);
        assert_eq!(may_remove(&one_dead, MemberId(3), BootTime(99_900)), Ok(()), "the dead one");
        assert_eq!(may_remove(&one_dead, MemberId(4), BootTime(99_900)), Ok(()), "a learner");
        let refused = may_remove(&one_dead, MemberId(2), BootTime(99_900));
        assert_eq!(refused, Err(NotRemovable::NoQuorum { left: 2, needed: 2, silent: ids(&[3]) }));
        assert!(may_remove(&one_dead, MemberId(3), BootTime(99_991)).is_err(), "2 was not heard of since");
        assert_eq!(
            may_remove(&status(&[1, 2], &[], &[(2, 0, 60_000)]), MemberId(2), BootTime(99_900)),
            Ok(())
        );
    }

    #[test]
    fn the_lead_goes_to_the_highest_priority_that_can_take_it() {
        let group = status(&[1, 2, 3], &[4], &[(2, 1_000, 10), (3, 1_000, 10), (4, 1_000, 10)]);
        let wanted = |priorities: &[(u64, i32)]| {
            let priorities = priorities.iter().map(|(id, n)| (MemberId(*id), *n)).collect();
            wanted_leader(&group, &priorities).map(|id| id.0)
        };
        assert_eq!(wanted(&[]), None);
        assert_eq!(wanted(&[(1, 3), (2, 3)]), None, "as much is not more");
        assert_eq!(wanted(&[(2, 1), (3, 2)]), Some(3));
        assert_eq!(wanted(&[(1, -1)]), Some(3), "below nothing");
        assert_eq!(wanted(&[(4, 9)]), None, "a learner does not lead");
        let far = status(&[1, 2], &[], &[(2, 1_000, 201)]);
        assert_eq!(wanted_leader(&far, &BTreeMap::from([(MemberId(2), 9)])), None);
    }
}
