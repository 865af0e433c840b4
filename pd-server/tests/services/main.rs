//! The services against a real server process, with raw clients of the wire.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod boot;
mod calls;
mod group;
mod heartbeats;
mod server;
