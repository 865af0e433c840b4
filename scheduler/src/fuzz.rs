//! The parser of events, fed with anything. `fuzz/` has a program for it. Not part of the crate's work.

use crate::Event;

/// A line of a log of events: what is read is written so that it is read again.
pub fn event_line(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    if let Ok(event) = line.parse::<Event>() {
        assert_eq!(event.to_string().parse(), Ok(event), "{line:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const LINES: [&str; 4] = [
        "39803 region-heartbeat region=4 end=7800ff epoch=1/3 peers=5@1v leader=5@1v term=6 size=1",
        "1 store-meta store=1 address=61",
        "2 stream-opened store=3",
        "3 split-request region=4 epoch=1/3 count=2",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_line_makes_the_parser_panic(
            line in prop::sample::select(&LINES[..]),
            cut in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
            piece in "[0-9a-z =/@,-]{0,6}|[0-9]{18,24}|.{0,3}",
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let (from, to) = (cut.0.index(line.len() + 1), cut.1.index(line.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            super::event_line(format!("{}{piece}{}", &line[..from], &line[to..]).as_bytes());
            super::event_line(&bytes);
        }
    }
}
