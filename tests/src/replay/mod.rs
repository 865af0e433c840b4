//! Recorded conversations with tikv/pd, spoken again to our own server.
//!
//! The records (`tests/data`) are JSON; they become messages through the compiled descriptors, travel over a real
//! connection, and come back as JSON, so that one comparer serves every RPC. [`record`] reads them, [`dynamic`] speaks,
//! [`mask`] and [`text`] take out what differs from run to run, [`ids`] finds and shifts ids. [`server`] is the member
//! that is asked, [`served`] says which rows, [`feed`] puts the recorded cluster into it, [`tikv`] plays whole stores.

pub mod answer;
pub mod compare;
pub mod dynamic;
pub mod feed;
pub mod ids;
pub mod mask;
pub mod record;
pub mod served;
pub mod server;
pub mod text;
pub mod tikv;
