//! Operators as people see them: with the times of the wall clock, and after their end.

use scheduler::{EndReason, OperatorId, OperatorRequest, OperatorView, RegionId, Time};

use super::Cluster;
use super::requests::{AskOperator, CallError, Request};

/// How an operator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorStatus {
    /// Under way.
    Running,
    /// All its steps are done.
    Success,
    /// It ended before its last step.
    Ended(EndReason),
}

/// The moment at which the planner's clock shows 0.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Nanoseconds of wall time since 1970.
    pub wall_ns: i64,
}

impl Epoch {
    /// A moment of the planner in nanoseconds of wall time since 1970.
    #[must_use]
    pub fn wall_ns(self, at: Time) -> i64 {
        let since_ns = i64::try_from(at.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        self.wall_ns.saturating_add(since_ns)
    }
}

/// An operator that runs, or ran not long ago.
#[derive(Clone, Debug)]
pub struct OperatorRecord {
    /// As it is, or as it was when it ended.
    pub view: OperatorView,
    /// How it is.
    pub status: OperatorStatus,
    /// When it ended.
    pub finished: Option<Time>,
    /// What the times mean.
    pub epoch: Epoch,
}

impl OperatorRecord {
    /// When it began, in nanoseconds of wall time.
    #[must_use]
    pub fn created_ns(&self) -> i64 {
        self.epoch.wall_ns(self.view.created)
    }

    /// When it ended, in nanoseconds of wall time.
    #[must_use]
    pub fn finished_ns(&self) -> Option<i64> {
        self.finished.map(|at| self.epoch.wall_ns(at))
    }
}

impl Cluster {
    /// A person asks for an operator. Returns once it has started.
    pub async fn add_operator(&self, request: OperatorRequest) -> Result<OperatorId, CallError> {
        self.call(|reply| Request::AddOperator(AskOperator { request, reply })).await
    }

    /// The operators that run, by Region.
    pub async fn operators(&self) -> Result<Vec<OperatorRecord>, CallError> {
        self.ask(Request::Operators).await
    }

    /// The operator of a Region: the one that runs, else the last that ended within ten minutes.
    pub async fn operator_of(&self, region: RegionId) -> Result<Option<OperatorRecord>, CallError> {
        self.ask(|reply| Request::OperatorOf { region, reply }).await
    }

    /// Of each Region the last operator that ended within ten minutes, newest first.
    pub async fn operator_records(&self) -> Result<Vec<OperatorRecord>, CallError> {
        self.ask(Request::OperatorRecords).await
    }
}
