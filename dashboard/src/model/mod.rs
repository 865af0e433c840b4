//! What is answered, as values: the page, `pd-ctl` and the OpenAPI document are made from these types.

mod code;
mod health;
mod map;
mod why;

pub use code::Code;
pub use health::{Check, CheckCause, Health, Heard, Severity, Subject};
pub use map::{Heat, HeatLane, KeyMap, Trouble};
pub use why::{ApiError, Reason, Why, WhyOperator, WhyPeer, WhyRegion, WhyStore};
