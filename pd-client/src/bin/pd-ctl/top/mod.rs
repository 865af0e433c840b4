//! `top`.
use crate::answer::Answer;
use crate::command::{Command, Work};
pub fn command() -> Command {
    Command::new("top", "", "watch the cluster", Work::Local(|_| Ok(Answer::words(""))))
}
