//! Why nothing is done, or why this: the answers to "why is my Region not repaired?".

use crate::limits::LimitState;
use crate::model::{Liveness, NodeState, RegionId, StoreId, Time, Weight};
use crate::operator::OperatorView;
use crate::refusal::Refusal;

/// A refusal and when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When it was given last.
    pub at: Time,
    /// How often in a row.
    pub times: u64,
    /// What was refused and why.
    pub refusal: Refusal,
}

/// All that is known about what happens to a Region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionExplanation {
    /// Which.
    pub region: RegionId,
    /// True when it is as the rule wants it.
    pub is_healthy: bool,
    /// What a look at it just now says, in the order in which it was found out.
    pub now: Vec<Refusal>,
    /// Its operator.
    pub operator: Option<OperatorView>,
    /// How its operators before ended, oldest first.
    pub ended: Vec<(Time, String)>,
    /// Refusals kept, oldest first.
    pub kept: Vec<Noted>,
}

/// All that is known about what happens to a Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreExplanation {
    /// Its numbers.
    pub summary: StoreSummary,
    /// What it should hold, in bytes; none before the balance may run, or when the Store takes no part in it.
    pub target_size_bytes: Option<u64>,
    /// Its limits, and how much of them is left.
    pub limits: [LimitState; 2],
    /// Why no scheduler evens out its load just now, each by its own reason; empty when they all may.
    pub refuses_balance: Vec<Refusal>,
    /// Why it gets no new replica just now; empty when it may.
    pub refuses_peers: Vec<Refusal>,
    /// Refusals kept, oldest first.
    pub kept: Vec<Noted>,
}

/// A Store's numbers as the index has them. Sizes in bytes, by the Regions' own estimates, at least 1 MiB each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSummary {
    /// Which.
    pub store: StoreId,
    /// What was decided about it.
    pub node_state: NodeState,
    /// How it is heard.
    pub liveness: Liveness,
    /// When it was heard last; none when never since the planner began.
    pub last_heartbeat: Option<Time>,
    /// How much it shall lead, compared with others.
    pub leader_weight: Weight,
    /// How much it shall hold, compared with others.
    pub region_weight: Weight,
    /// Regions that it leads.
    pub leader_count: u64,
    /// Replicas that it holds, leaders included.
    pub region_count: u64,
    /// Learners among them.
    pub learner_count: u64,
    /// Replicas on it that are pending.
    pub pending_count: u64,
    /// Size of what it leads.
    pub leader_size_bytes: u64,
    /// Size of what it holds.
    pub region_size_bytes: u64,
}
