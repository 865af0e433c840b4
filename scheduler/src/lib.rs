//! The planner of a placement driver: it learns from heartbeats where every Region is and tells Stores what to do.
//!
//! It is a value without clock, chance, threads, I/O or wire types: the caller hands in events and the time
//! (`Planner::handle_*`, `Planner::tick`), drains [`Effect`]s after each call, and calls `tick` again at
//! `Planner::next_wakeup`. Other threads look Regions up through a [`RegionReader`], which never blocks the planner.
//!
//! ```
//! use scheduler::{Config, Planner, Time};
//!
//! let mut planner = Planner::new(Config::default(), 7, Time(0));
//! planner.tick(Time(0));
//! while let Some(effect) = planner.poll_effect() {
//!     drop(effect); // carry it out
//! }
//! ```

mod balance;
mod checker;
mod cluster;
mod config;
mod effect;
mod event;
mod explain;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod index;
mod limits;
pub mod model;
mod notes;
mod operator;
mod planner;
mod producers;
mod refusal;
mod stores;
mod survey;

pub use config::Config;
pub use effect::{
    Action, Command, Effect, OperatorChange, OperatorEvent, PeerChange, PeerChangeKind, SplitPolicy,
    StoreEvent,
};
pub use event::{BadEvent, Event, Input};
pub use explain::{Noted, RegionExplanation, StoreExplanation, StoreSummary};
pub use index::{Glance, RegionReader};
pub use limits::LimitState;
pub use model::{
    DownPeer, Flow, LimitKind, Liveness, NodeState, OperatorId, Peer, PeerId, PeerRole, Rate, RegionEpoch,
    RegionId, RegionMeta, RegionReport, RegionView, StoreId, StoreLabel, StoreLimit, StoreMeta, StoreState,
    StoreStats, StoreWeights, Time, Weight,
};
pub use operator::{
    Cause, EndReason, OperatorKind, OperatorRequest, OperatorView, Step, StepBlock, TargetRole,
};
pub use planner::{IdRange, Planner, SplitGrant, SplitIds};
pub use producers::{CheckerName, Pause, SchedulerName, SchedulerState};
pub use refusal::{Refusal, RefusalKind};
pub use survey::{
    By, Cell, CellTrouble, ClusterHealth, Drain, Finding, FindingKind, FindingSubject, Heard, KeyMap,
    MapRequest, RegionCause, RegionTrouble, RegionVerdict, RepairStop, Standing, StoreStanding, StoreTrouble,
    Survey, TroubleKinds,
};
