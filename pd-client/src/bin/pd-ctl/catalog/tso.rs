//! `tso`: what a timestamp means.

use std::time::{Duration, UNIX_EPOCH};

use super::number_or;
use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;

/// Bits of a timestamp's logical part.
const LOGICAL_BITS: u32 = 18;

/// `tso`.
pub fn command() -> Command {
    Command::new("tso", "<timestamp>", "parse TSO to the system and logic time", Work::Local(parse))
}

fn parse(args: &Args) -> Result<Answer, Failure> {
    let [timestamp] = args.exactly()?;
    let timestamp = number_or(timestamp, "Failed to parse TSO: it should be a number")?;
    let (physical_ms, logical) = (timestamp >> LOGICAL_BITS, timestamp & ((1 << LOGICAL_BITS) - 1));
    Ok(Answer::words(format!("system:  {}\nlogic:   {logical}\n", utc(physical_ms))))
}

/// Milliseconds since 1970 as a date in UTC, fractions without zeros at their end.
pub fn utc(ms: u64) -> String {
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string();
    let text = text.replace('T', " ");
    let text = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{text} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates_as_the_tool_writes_them() {
        assert_eq!(utc(395_181_938_313_123_110 >> 18), "2017-10-08 21:50:59.507 +0000 UTC");
        assert_eq!(utc(1_700_000_000_500), "2023-11-14 22:13:20.5 +0000 UTC");
        assert_eq!(utc(1_700_000_000_000), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(utc(0), "1970-01-01 00:00:00 +0000 UTC");
    }
}
