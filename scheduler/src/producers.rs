//! Who makes operators by itself: the schedulers, which improve the balance, and the checkers, which keep a Region
//! right. Each has the name that tikv/pd's tools know, can be paused for a time, and a scheduler can be taken out.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::Time;

/// A scheduler that exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchedulerName {
    /// Evens out the number of leaders.
    BalanceLeader,
    /// Evens out sizes.
    BalanceRegion,
}

impl SchedulerName {
    /// All that exist.
    pub const ALL: [SchedulerName; 2] = [SchedulerName::BalanceLeader, SchedulerName::BalanceRegion];

    /// Its name in routes and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SchedulerName::BalanceLeader => "balance-leader-scheduler",
            SchedulerName::BalanceRegion => "balance-region-scheduler",
        }
    }

    /// Its kind in the replicated configuration.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            SchedulerName::BalanceLeader => "balance-leader",
            SchedulerName::BalanceRegion => "balance-region",
        }
    }

    /// The scheduler of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<SchedulerName> {
        SchedulerName::ALL.into_iter().find(|scheduler| scheduler.name() == name)
    }

    /// The scheduler of that kind.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<SchedulerName> {
        SchedulerName::ALL.into_iter().find(|scheduler| scheduler.kind() == kind)
    }
}

impl fmt::Display for SchedulerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A checker that exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckerName {
    /// Ends joint states that nobody owns.
    JointState,
    /// Keeps each Region as its placement rule wants it: adds, replaces, promotes, removes.
    Rule,
}

impl CheckerName {
    /// All that exist.
    pub const ALL: [CheckerName; 2] = [CheckerName::JointState, CheckerName::Rule];

    /// Its name in routes and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CheckerName::JointState => "joint-state",
            CheckerName::Rule => "rule",
        }
    }

    /// The checker of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<CheckerName> {
        CheckerName::ALL.into_iter().find(|checker| checker.name() == name)
    }
}

impl fmt::Display for CheckerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A time in which nothing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it was asked for.
    pub since: Time,
    /// When work goes on by itself.
    pub until: Time,
}

/// What a scheduler does just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerState {
    /// It works.
    Runs,
    /// It was told to wait.
    Paused(Pause),
    /// It was taken out, until it is put in again.
    Removed,
}

/// The pauses in force. They live as long as the planner: a new leader begins without any.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    schedulers: BTreeMap<SchedulerName, Pause>,
    checkers: BTreeMap<CheckerName, Pause>,
}

impl Pauses {
    pub fn scheduler(&self, name: SchedulerName, now: Time) -> Option<Pause> {
        self.schedulers.get(&name).copied().filter(|pause| now < pause.until)
    }

    pub fn checker(&self, name: CheckerName, now: Time) -> Option<Pause> {
        self.checkers.get(&name).copied().filter(|pause| now < pause.until)
    }

    /// 0 ends the pause.
    pub fn pause_scheduler(&mut self, name: SchedulerName, now: Time, for_ms: u64) {
        self.schedulers.insert(name, Pause { since: now, until: now.after_ms(for_ms) });
    }

    /// 0 ends the pause.
    pub fn pause_checker(&mut self, name: CheckerName, now: Time, for_ms: u64) {
        self.checkers.insert(name, Pause { since: now, until: now.after_ms(for_ms) });
    }
}
