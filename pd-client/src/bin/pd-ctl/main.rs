//! `pd-ctl`: what people type to see and steer the cluster. Commands, flags and answers are those of tikv/pd's tool of
//! this name; beyond it, every failure ends with an exit code that is not 0 and says what to do.

mod answer;
mod catalog;
mod client;
mod command;
mod completion;
mod failure;
mod health;
mod help;
mod jq;
mod parser;
mod request;
mod run;
mod session;
mod shell;
mod table;
mod top;
mod units;
mod why;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let Ok(words) = words else {
        eprintln!(
            "an argument is not UTF-8; keys with other bytes can be written in hexadecimal (--format=hex)"
        );
        return ExitCode::from(failure::FAILED);
    };
    ExitCode::from(run::program(&words))
}
