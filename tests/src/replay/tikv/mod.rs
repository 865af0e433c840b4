//! Real TiKV stores, recorded, live again against our server.
//!
//! [`line`] reads the record, [`region`] is the small model of what stores do with commands, [`command`] reads what our
//! server tells them, [`shape`] compares answers, [`translation`] and [`voices`] speak with our ids on real connections,
//! [`player`] plays. The model makes a split or a change of peers only when our server commanded it (or granted the ids
//! for it); the recorded messages are the templates of what the stores say.

pub mod command;
pub mod line;
pub mod player;
pub mod region;
pub mod shape;
pub mod translation;
pub mod voices;
