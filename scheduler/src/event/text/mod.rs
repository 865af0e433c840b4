//! An event as one line: time in ms, the input's name, then `field=value` in any order. Keys and labels are in hex; lists
//! are joined by commas; a Peer is `id@store` and its role (`v`oter, `l`earner, `i`ncoming, `d`emoting; `w` added for a
//! witness). A field left out is 0 or empty.
//!
//! ```text
//! 39803 region-heartbeat region=4 end=7800ff epoch=1/3 peers=5@1v leader=5@1v term=6 size=1
//! ```

mod parse;
#[cfg(test)]
mod tests;
mod words;
mod write;

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {what}")]
pub struct BadEvent {
    what: String,
}

impl BadEvent {
    fn new(what: impl Into<String>) -> BadEvent {
        BadEvent { what: what.into() }
    }
}
