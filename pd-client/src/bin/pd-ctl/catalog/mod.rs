//! Every command, one file a noun. What tikv/pd's `pd-ctl` has and the server behind cannot answer yet is not here.

mod cluster;
mod config;
mod keyspace;
mod label;
mod member;
mod operator;
mod placement;
mod region;
mod region_key;
mod scheduler;
mod status;
mod store;
mod store_limit;
mod tso;
mod why;

use std::sync::LazyLock;

use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::{completion, help, top};

/// The root of all commands.
pub static ROOT: LazyLock<Command> = LazyLock::new(|| {
    Command::group(
        "pd-ctl",
        "Placement Driver control",
        vec![
            cluster::command(),
            cluster::health(),
            cluster::log(),
            cluster::min_resolved_ts(),
            cluster::ping(),
            completion::command(),
            config::command(),
            exit(),
            help_of(),
            keyspace::command(),
            label::command(),
            member::command(),
            operator::command(),
            region::command(),
            scheduler::command(),
            status::command(),
            store::command(),
            store::deprecated(),
            top::command(),
            tso::command(),
            why::command(),
        ],
    )
});

fn exit() -> Command {
    Command::new("exit", "", "exit pdctl", Work::Local(leave))
}

/// In the shell, which leaves before it comes here, the word ends it; elsewhere there is nothing to leave.
fn leave(args: &Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    Ok(Answer::words(""))
}

fn help_of() -> Command {
    Command::new("help", "[command]...", "Help about any command", Work::Local(show_help))
}

fn show_help(args: &Args) -> Result<Answer, Failure> {
    let (mut command, mut path) = (&*ROOT, Vec::new());
    for word in &args.words {
        let Some(child) = command.child(word) else {
            return Err(Failure::typed(format!("Unknown help topic {word:?}\n"))
                .advise("`pd-ctl help` lists the commands"));
        };
        path.push(child.name);
        command = child;
    }
    Ok(Answer::words(help::of(&ROOT, &path)))
}

/// A number without a sign, or tikv/pd's words for what is none.
fn number(text: &str) -> Result<u64, Failure> {
    let why = match text.parse::<u64>() {
        Ok(number) => return Ok(number),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => "value out of range",
        Err(_) => "invalid syntax",
    };
    Err(Failure::typed(format!("strconv.ParseUint: parsing {text:?}: {why}\n")))
}

/// A number, or these words.
fn number_or(text: &str, words: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::typed(format!("{words}\n")))
}
