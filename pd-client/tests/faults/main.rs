//! The client against members that hang, fall from office, and answer wrongly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it did not expect")]

mod fake;
mod follow;
mod heartbeats;
mod send;
mod timestamps;
