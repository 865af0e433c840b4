//! Server-sent events out of the pieces of a body.

/// The longest event that is kept: a thousand stores with all their fields are less than a tenth of it. A longer one
/// breaks the stream off, and the next begins with everything anew.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub topic: String,
    /// Its text.
    pub data: String,
}

/// What has come of the event that is not whole yet.
#[derive(Debug, Default)]
pub struct Events {
    pending: Vec<u8>,
}

/// More than one event may be long.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// The events that this piece completes; comments only say that the other side is there.
    ///
    /// # Errors
    /// When an event is longer than what is kept.
    pub fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        self.pending.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            events.extend(event(&String::from_utf8_lossy(&block)));
        }
        if self.pending.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(events) }
    }
}

fn event(block: &str) -> Option<Event> {
    let (mut topic, mut data) = (None, Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => topic = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    topic.map(|topic| Event { topic, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::{EVENT_BYTES_MAX, Event, Events, TooLong};

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text =
            b":\n\nevent: health\nid: 1-2\ndata: {\"a\":\ndata: 1}\n\nevent: resync\ndata: {}\n\nevent: st";
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<Event> = text.chunks(size).flat_map(|piece| events.take(piece).unwrap()).collect();
            let expected = [("health", "{\"a\":\n1}"), ("resync", "{}")];
            assert_eq!(found, expected.map(|(topic, data)| Event { topic: topic.into(), data: data.into() }));
        }
    }

    #[test]
    fn an_endless_event_is_not_kept() {
        assert_eq!(Events::default().take(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(TooLong));
    }
}
