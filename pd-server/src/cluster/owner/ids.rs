//! Wishes that take ids: new Peers and the pieces of splits. They wait while ids are reserved, and are tried again.

use std::time::Duration;

use scheduler::{IdRange, OperatorId, Refusal, SplitGrant, Time};
use tracing::warn;

use super::Owner;
use crate::cluster::requests::{AskOperator, AskSplit, CallError, Request};
use crate::ids::IdError;

/// Wishes that wait for ids.
const WAITING_MAX: usize = 1_024;
/// Pause before a failed reservation of ids is tried again.
const IDS_RETRY: Duration = Duration::from_millis(200);

/// A wish that waits for ids.
pub(super) enum Waiting {
    Split(AskSplit),
    Operator(AskOperator),
}

impl Owner {
    pub(super) fn add_operator(&mut self, ask: AskOperator) {
        let now = self.now();
        match self.planner.add_operator(now, ask.request.clone()) {
            Err(Refusal::IdsLacking { needed, .. }) if self.waiting.len() < WAITING_MAX => {
                self.waiting.push_back(Waiting::Operator(ask));
                self.reserve_ids(needed);
            }
            Err(Refusal::IdsLacking { .. }) => {
                let _ = ask.reply.send(Err(CallError::Busy(WAITING_MAX)));
            }
            result => {
                let _ = ask.reply.send(result.map_err(CallError::from));
            }
        }
    }

    pub(super) fn ask_split(&mut self, ask: AskSplit) {
        let now = self.now();
        match self.planner.handle_split_request(now, ask.region, ask.epoch, ask.count) {
            Err(Refusal::IdsLacking { needed, .. }) if self.waiting.len() < WAITING_MAX => {
                self.waiting.push_back(Waiting::Split(ask));
                self.reserve_ids(needed);
            }
            Err(Refusal::IdsLacking { .. }) => {
                let _ = ask.reply.send(Err(CallError::Busy(WAITING_MAX)));
            }
            result => {
                let _ = ask.reply.send(result.map_err(CallError::from));
            }
        }
    }

    pub(super) fn reserve_ids(&mut self, count: u64) {
        if self.ids_in_flight {
            return;
        }
        self.ids_in_flight = true;
        let (ids, term) = (self.errands.ids.clone(), self.errands.term);
        let requests = self.errands.requests.clone();
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        self.errands.runtime.spawn(async move {
            let reserved = ids
                .alloc(term, count)
                .await
                .map(|last| IdRange { first: last - u64::from(count - 1), count: u64::from(count) });
            if reserved.is_err() {
                tokio::time::sleep(IDS_RETRY).await;
            }
            let _ = requests.send(Request::IdsReserved(reserved)).await;
        });
    }

    pub(super) fn ids_reserved(&mut self, now: Time, result: Result<IdRange, IdError>) {
        self.ids_in_flight = false;
        let waiting = std::mem::take(&mut self.waiting);
        match result {
            Ok(range) => {
                self.planner.handle_ids(now, range);
                for wish in waiting {
                    match wish {
                        Waiting::Split(ask) => self.ask_split(ask),
                        Waiting::Operator(ask) => self.add_operator(ask),
                    }
                }
            }
            Err(error) => {
                warn!(%error, "no ids for the planner");
                for wish in waiting {
                    let error = Err(error.clone().into());
                    let _ = match wish {
                        Waiting::Split(ask) => ask.reply.send(error.map(|()| SplitGrant::default())).is_ok(),
                        Waiting::Operator(ask) => ask.reply.send(error.map(|()| OperatorId(0))).is_ok(),
                    };
                }
            }
        }
    }
}
