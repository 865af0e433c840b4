//! All inputs of the planner as values, so that they can be kept, sent and played again. The same events give the same
//! effects; `Event`'s text form is one line (see `text`).

mod text;

pub use text::BadEvent;

use crate::config::Config;
use crate::effect::Effect;
use crate::model::{RegionEpoch, RegionId, RegionReport, StoreId, StoreMeta, StoreStats, StoreWeights, Time};
use crate::operator::OperatorRequest;
use crate::planner::{IdRange, Planner};
use crate::producers::{CheckerName, SchedulerName};
use crate::refusal::Refusal;

/// One input and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What.
    pub input: Input,
}

/// The inputs: one for each `handle_*` of the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `handle_region_heartbeat`.
    RegionHeartbeat(RegionReport),
    /// `handle_store_meta`.
    StoreMeta(StoreMeta),
    /// `handle_store_heartbeat`.
    StoreHeartbeat(StoreStats),
    /// `handle_stream_opened`.
    StreamOpened(StoreId),
    /// `handle_stream_closed`.
    StreamClosed(StoreId),
    /// `handle_config`.
    Config(Config),
    /// `handle_ids`.
    Ids(IdRange),
    /// `handle_split_request`.
    SplitRequest {
        /// Which Region.
        region: RegionId,
        /// Its epoch.
        epoch: RegionEpoch,
        /// New Regions.
        count: u64,
    },
    /// `add_operator`.
    AddOperator(OperatorRequest),
    /// `cancel_operator`.
    CancelOperator(RegionId),
    /// `cancel_all_operators`.
    CancelAllOperators,
    /// `handle_store_weights`.
    StoreWeights {
        /// Which Store.
        store: StoreId,
        /// Its weights.
        weights: StoreWeights,
    },
    /// `pause_scheduler`.
    PauseScheduler {
        /// Which.
        scheduler: SchedulerName,
        /// For how long, in ms.
        for_ms: u64,
    },
    /// `pause_checker`.
    PauseChecker {
        /// Which.
        checker: CheckerName,
        /// For how long, in ms.
        for_ms: u64,
    },
    /// `tick`.
    Tick,
}

impl Planner {
    /// Takes an event and gives what it answers and all effects, in order.
    ///
    /// # Errors
    /// The refusal, if the call was refused; there are effects all the same.
    pub fn play(&mut self, event: Event) -> (Result<String, Refusal>, Vec<Effect>) {
        let at = event.at;
        let mut answer = Ok(String::new());
        match event.input {
            Input::RegionHeartbeat(report) => {
                answer = self.handle_region_heartbeat(at, &report).map(|()| String::new());
            }
            Input::StoreMeta(meta) => answer = self.handle_store_meta(at, meta).map(|()| String::new()),
            Input::StoreHeartbeat(stats) => {
                answer = self.handle_store_heartbeat(at, stats).map(|()| String::new());
            }
            Input::StreamOpened(store) => self.handle_stream_opened(at, store),
            Input::StreamClosed(store) => self.handle_stream_closed(at, store),
            Input::Config(config) => self.handle_config(at, config),
            Input::Ids(ids) => self.handle_ids(at, ids),
            Input::SplitRequest { region, epoch, count } => {
                answer =
                    self.handle_split_request(at, region, epoch, count).map(|grant| format!("{grant:?}"));
            }
            Input::AddOperator(request) => {
                answer = self.add_operator(at, request).map(|id| format!("operator {id}"));
            }
            Input::CancelOperator(region) => {
                answer = self.cancel_operator(at, region).map(|()| String::new());
            }
            Input::CancelAllOperators => {
                answer = Ok(format!("{} operators", self.cancel_all_operators(at)));
            }
            Input::StoreWeights { store, weights } => {
                answer = self.handle_store_weights(at, store, weights).map(|()| String::new());
            }
            Input::PauseScheduler { scheduler, for_ms } => self.pause_scheduler(at, scheduler, for_ms),
            Input::PauseChecker { checker, for_ms } => self.pause_checker(at, checker, for_ms),
            Input::Tick => self.tick(at),
        }
        let effects = std::iter::from_fn(|| self.poll_effect()).collect();
        (answer, effects)
    }
}
