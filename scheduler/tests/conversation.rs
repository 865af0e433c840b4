//! Conversations as recorded between real stores and tikv/pd: the same heartbeats bring the same commands, in the same
//! order, with the same ids.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use scheduler::{Action, Command, Config, Effect, Event, PeerChangeKind, PeerRole, Planner, Time};

/// Lines are events; a line that starts with `<` is what the planner commands since the line before, and nothing else.
fn check(conversation: &str) {
    let mut planner = Planner::new(Config::default(), 0, Time(0));
    let mut said: Vec<String> = Vec::new();
    for line in conversation.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(expected) = line.strip_prefix("< ") {
            assert!(!said.is_empty(), "nothing was said, expected: {expected}");
            assert_eq!(said.remove(0), expected);
            continue;
        }
        assert_eq!(said, Vec::<String>::new(), "said but not expected before: {line}");
        let event: Event = line.parse().unwrap();
        let (answer, effects) = planner.play(event);
        answer.unwrap();
        said = effects.iter().filter_map(command).collect();
    }
    assert_eq!(said, Vec::<String>::new());
}

fn command(effect: &Effect) -> Option<String> {
    let Effect::Command(Command { store, region, epoch, target, action }) = effect else { return None };
    let action = match action {
        Action::ChangePeers(changes) if changes.is_empty() => "leave-joint".to_owned(),
        Action::ChangePeers(changes) => {
            let change = |c: &scheduler::PeerChange| {
                let kind = match c.kind {
                    PeerChangeKind::AddNode => "add",
                    PeerChangeKind::RemoveNode => "remove",
                    PeerChangeKind::AddLearnerNode => "add-learner",
                };
                let role = if c.peer.role == PeerRole::Learner { "l" } else { "v" };
                format!("{kind} {}@{}{role}", c.peer.id, c.peer.store)
            };
            changes.iter().map(change).collect::<Vec<_>>().join(", ")
        }
        Action::TransferLeader(to) => format!("transfer-leader {}@{}", to.id, to.store),
        Action::Split { policy, .. } => format!("split {policy:?}"),
    };
    Some(format!(
        "store {store} region {region} epoch {}/{} target {}: {action}",
        epoch.conf_ver, epoch.version, target.id
    ))
}

/// Record n 171 to 220: a Region of one replica gets its second and third when two stores join.
#[test]
fn a_region_grows_to_three_voters() {
    check(
        "
        0 store-meta store=1 state=serving
        0 store-heartbeat store=1 regions=1
        0 ids first=10 count=1
        1 region-heartbeat region=4 epoch=1/3 peers=5@1v leader=5@1v term=6 size=1
        2 tick
        37227 store-meta store=8 state=preparing
        37227 store-meta store=9 state=preparing
        37230 store-heartbeat store=1 regions=1
        37231 store-heartbeat store=8
        37232 store-heartbeat store=9
        37300 tick
        < store 1 region 4 epoch 1/3 target 5: add-learner 10@8l
        39817 region-heartbeat region=4 epoch=2/3 peers=5@1v,10@8l leader=5@1v pending=10 term=6 size=1
        39900 ids first=14 count=200
        39990 region-heartbeat region=4 epoch=2/3 peers=5@1v,10@8l leader=5@1v term=6 size=1
        < store 1 region 4 epoch 2/3 target 5: add 10@8v
        40020 region-heartbeat region=4 epoch=3/3 peers=5@1v,10@8v leader=5@1v term=6 size=1
        < store 1 region 4 epoch 3/3 target 5: add-learner 14@9l
        40063 region-heartbeat region=4 epoch=4/3 peers=5@1v,10@8v,14@9l leader=5@1v pending=14 term=6 size=1
        40189 region-heartbeat region=4 epoch=4/3 peers=5@1v,10@8v,14@9l leader=5@1v term=6 size=1
        < store 1 region 4 epoch 4/3 target 5: add 14@9v
        40218 region-heartbeat region=4 epoch=5/3 peers=5@1v,10@8v,14@9v leader=5@1v term=6 size=1
        42000 tick
        ",
    );
}

/// Record n 881 to 900 and what follows: a replica leaves the store that is deleted, by a joint change.
#[test]
fn a_replica_leaves_a_deleted_store() {
    check(
        "
        0 store-meta store=1 state=serving
        0 store-meta store=8 state=serving
        0 store-meta store=9 state=serving
        0 store-meta store=100 state=serving
        0 store-heartbeat store=1 regions=1
        0 store-heartbeat store=8 regions=1
        0 store-heartbeat store=9 regions=1
        0 store-heartbeat store=100
        0 ids first=113 count=200
        1 region-heartbeat region=44 epoch=5/8 peers=45@1v,46@8v,47@9v leader=46@8v term=7 size=763680
        2 tick
        10 store-meta store=1 state=removing
        10 tick
        < store 8 region 44 epoch 5/8 target 46: add-learner 113@100l
        118 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v pending=113 term=7 size=763680
        237 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 6/8 target 46: add 113@100v, add-learner 45@1l
        261 region-heartbeat region=44 epoch=8/8 peers=45@1d,46@8v,47@9v,113@100i leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 8/8 target 46: leave-joint
        291 region-heartbeat region=44 epoch=10/8 peers=45@1l,46@8v,47@9v,113@100v leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 10/8 target 46: remove 45@1l
        310 region-heartbeat region=44 epoch=11/8 peers=46@8v,47@9v,113@100v leader=46@8v term=7 size=763680
        900 tick
        ",
    );
}

/// A leader that must leave hands over first, so that the snapshot comes from a store that stays.
#[test]
fn a_leader_leaves_a_deleted_store() {
    check(
        "
        0 store-meta store=1 state=removing
        0 store-meta store=8 state=serving
        0 store-meta store=9 state=serving
        0 store-meta store=100 state=serving
        0 store-heartbeat store=1 regions=1
        0 store-heartbeat store=8 regions=1
        0 store-heartbeat store=9 regions=1
        0 store-heartbeat store=100
        0 ids first=113 count=200
        1 region-heartbeat region=44 epoch=5/8 peers=45@1v,46@8v,47@9v leader=45@1v term=7 size=763680
        < store 1 region 44 epoch 5/8 target 45: transfer-leader 46@8
        20 region-heartbeat region=44 epoch=5/8 peers=45@1v,46@8v,47@9v leader=46@8v pending=45,47 term=8 size=763680
        < store 8 region 44 epoch 5/8 target 46: add-learner 113@100l
        ",
    );
}

/// The pieces of a split report one after another: the operator of the parent lives on, its next command carries the new
/// epoch.
#[test]
fn an_operator_outlives_the_split_of_its_region() {
    check(
        "
        0 store-meta store=1 state=serving
        0 store-meta store=8 state=serving
        0 store-heartbeat store=1 regions=1
        0 store-heartbeat store=8
        0 ids first=10 count=200
        1 region-heartbeat region=4 epoch=1/3 peers=5@1v leader=5@1v term=6 size=1
        < store 1 region 4 epoch 1/3 target 5: add-learner 10@8l
        2500 region-heartbeat region=6 end=61 epoch=1/4 peers=7@1v leader=7@1v term=6 size=1
        < store 1 region 6 epoch 1/4 target 7: add-learner 11@8l
        2600 tick
        2700 region-heartbeat region=4 start=61 epoch=1/4 peers=5@1v leader=5@1v term=6 size=1
        < store 1 region 4 epoch 1/4 target 5: add-learner 10@8l
        2800 region-heartbeat region=4 start=61 epoch=2/4 peers=5@1v,10@8l leader=5@1v term=6 size=1
        < store 1 region 4 epoch 2/4 target 5: add 10@8v
        ",
    );
}

/// A newcomer that falls behind or whose store is silent gets no vote, and nobody is demoted for it, until it works again.
#[test]
fn nobody_is_demoted_for_a_newcomer_that_does_not_work() {
    check(
        "
        0 store-meta store=1 state=serving
        0 store-meta store=8 state=serving
        0 store-meta store=9 state=serving
        0 store-meta store=100 state=serving
        0 store-heartbeat store=1 regions=1
        0 store-heartbeat store=8 regions=1
        0 store-heartbeat store=9 regions=1
        0 store-heartbeat store=100
        0 ids first=113 count=200
        1 region-heartbeat region=44 epoch=5/8 peers=45@1v,46@8v,47@9v leader=46@8v term=7 size=763680
        2 tick
        10 store-meta store=1 state=removing
        10 tick
        < store 8 region 44 epoch 5/8 target 46: add-learner 113@100l
        100 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 6/8 target 46: add 113@100v, add-learner 45@1l
        200 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v pending=113 term=7 size=763680
        2300 tick
        4500 tick
        9000 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v down=113:30 term=7 size=763680
        9100 stream-closed store=100
        9200 region-heartbeat region=44 epoch=6/8 peers=45@1v,46@8v,47@9v,113@100l leader=46@8v term=7 size=763680
        11300 tick
        11400 store-heartbeat store=100
        13400 tick
        < store 8 region 44 epoch 6/8 target 46: add 113@100v, add-learner 45@1l
        13500 region-heartbeat region=44 epoch=8/8 peers=45@1d,46@8v,47@9v,113@100i leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 8/8 target 46: leave-joint
        13600 region-heartbeat region=44 epoch=10/8 peers=45@1l,46@8v,47@9v,113@100v leader=46@8v pending=113 term=7 size=763680
        13700 region-heartbeat region=44 epoch=10/8 peers=45@1l,46@8v,47@9v,113@100v leader=46@8v term=7 size=763680
        < store 8 region 44 epoch 10/8 target 46: remove 45@1l
        ",
    );
}
