//! The client against members that hang, fall from office, and answer wrongly.

mod fake;
mod follow;
mod heartbeats;
mod send;
mod timestamps;
