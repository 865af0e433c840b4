//! One event log, fed to the planner in two processes, gives the same bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the second process is the subject of this test")]

mod simulated;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use scheduler::{
    CheckerName, Config, Event, Input, NodeState, OperatorRequest, Planner, RegionEpoch, RegionId,
    SchedulerName, StoreId, StoreWeights, TargetRole, Time, Weight,
};
use simulated::Cluster;

const ASKED: &str = "SCHEDULER_TEST_REPLAY";
const BEGIN: &str = "-- replay begins --";
const END: &str = "-- replay ends --";
const SEED: u64 = 42;

/// A few minutes in the life of a small cluster: growth, a store added, one drained, one killed, requests by hand.
fn log() -> String {
    let mut cluster = Cluster::new(Config::default(), SEED, 4);
    cluster.tell(Input::Config(Config { max_store_down_time_ms: 40_000, ..Config::default() }));
    let placements: Vec<_> =
        (0..40u64).map(|n| (vec![n % 3 + 1, (n + 1) % 3 + 1], 5 + n * 13 % 90)).collect();
    cluster.add_regions(&placements);
    cluster.run(20_000);
    cluster.add_store(5);
    cluster.run(10_000);
    cluster.set_state(2, NodeState::Removing);
    cluster.run(10_000);
    cluster.kill(3);
    let epoch = RegionEpoch { conf_ver: 999, version: 1 };
    cluster.tell(Input::SplitRequest { region: RegionId(7), epoch, count: 2 });
    cluster.tell(Input::AddOperator(OperatorRequest::TransferLeader { region: RegionId(9), to: StoreId(9) }));
    cluster.tell(Input::CancelOperator(RegionId(11)));
    let weights = StoreWeights { leader: Weight(2_000), region: Weight(500) };
    cluster.tell(Input::StoreWeights { store: StoreId(1), weights });
    cluster.tell(Input::PauseScheduler { scheduler: SchedulerName::BalanceRegion, for_ms: 7_000 });
    cluster.tell(Input::PauseChecker { checker: CheckerName::Rule, for_ms: 3_000 });
    let targets = vec![
        (StoreId(1), TargetRole::Voter),
        (StoreId(4), TargetRole::Leader),
        (StoreId(5), TargetRole::Voter),
    ];
    cluster.tell(Input::AddOperator(OperatorRequest::TransferRegion { region: RegionId(13), targets }));
    cluster.run(2_000);
    cluster.tell(Input::CancelAllOperators);
    cluster.run(150_000);
    cluster.log.iter().fold(String::new(), |mut lines, event| {
        writeln!(lines, "{event}").unwrap();
        lines
    })
}

fn replay(log: &str) -> String {
    let mut planner = Planner::new(Config::default(), SEED, Time(0));
    let mut out = String::new();
    for line in log.lines() {
        let event: Event = line.parse().unwrap();
        let (answer, effects) = planner.play(event);
        writeln!(out, "{answer:?}").unwrap();
        for effect in effects {
            writeln!(out, "{effect:?}").unwrap();
        }
    }
    writeln!(out, "{:?}", planner.next_wakeup()).unwrap();
    out
}

/// The second process: does nothing unless asked.
#[test]
fn replays_when_asked() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    let mut log = String::new();
    std::io::stdin().read_to_string(&mut log).unwrap();
    let mut out = std::io::stdout().lock();
    write!(out, "{BEGIN}\n{}{END}\n", replay(&log)).unwrap();
}

fn replay_elsewhere(log: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "replays_when_asked", "--nocapture", "--test-threads=1"])
        .env(ASKED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = text.find(BEGIN).unwrap() + BEGIN.len() + 1;
    text[begin..text.find(END).unwrap()].to_owned()
}

#[test]
fn one_log_gives_the_same_bytes_in_two_processes() {
    let log = log();
    let (one, two) = (replay_elsewhere(&log), replay_elsewhere(&log));
    assert!(one == two, "two processes differ");
    assert!(one == replay(&log), "this process differs");
    for expected in [
        "AdminMoveRegion",
        "EnterJoint",
        "LeaveJoint",
        "TransferLeader",
        "Buried",
        "BalanceSize",
        "ReplaceDownPeer",
    ] {
        assert!(one.contains(expected), "the log shows too little: no {expected}");
    }
}
