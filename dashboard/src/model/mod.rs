//! What is answered, as values: the page, `pd-ctl` and the OpenAPI document are made from these types, one module a
//! resource.
//!
//! Moments are milliseconds since 1970 (`_ms`). What is not known is `null`, never 0. Ids of members and of the cluster
//! are text: they are random numbers of 64 bits, and a browser's numbers hold 53.

mod code;
mod error;
mod health;
mod map;
mod member;
mod operator;
mod stats;
mod store;
mod view;
mod why;

pub use code::Code;
pub use error::ApiError;
pub use health::{Check, CheckCause, Health, Heard, Severity, Subject};
pub use map::{Heat, HeatLane, KeyMap, Trouble};
pub use member::{LeaderChange, MemberList, MemberRole, MemberRow, SafePoint, TimestampState};
pub use operator::{OperatorList, OperatorRow, OperatorState};
pub use stats::{Figure, Stats};
pub use store::{LimitRow, Liveness, NodeState, StoreList, StoreRow, StoreState};
pub use view::View;
pub use why::{Reason, Why, WhyLimit, WhyOperator, WhyPeer, WhyRegion, WhyStore};
