//! The services against a real server process, with raw clients of the wire.

mod boot;
mod calls;
mod heartbeats;
mod server;
