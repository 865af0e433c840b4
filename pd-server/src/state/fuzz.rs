//! Decoders of the replicated state, fed with anything.

use super::command::{Answer, Command};
use super::layout::{data_key, history_key, parse_data_key, parse_history_key};

/// A command of the log and its answer: what is read is written so that it is read again.
pub fn state_command(data: &[u8]) {
    if let Ok(command) = Command::decode(data) {
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
}

/// Keys of the tables.
pub fn state_key(data: &[u8]) {
    if let Some((key, position)) = parse_data_key(data) {
        assert_eq!(data_key(&key, position), data);
    }
    if let Some(position) = parse_history_key(data) {
        assert_eq!(history_key(position), data);
    }
}
