//! `completion`: scripts for shells.

use clap_complete::{Shell, generate};

use crate::answer::Answer;
use crate::catalog::ROOT;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::parser;

/// `completion`.
pub fn command() -> Command {
    let about = "Generate the autocompletion script for the specified shell";
    Command::group(
        "completion",
        about,
        vec![
            Command::new(
                "bash",
                "",
                "Generate the autocompletion script for bash",
                Work::Local(|args| script(args, Shell::Bash)),
            ),
            Command::new(
                "zsh",
                "",
                "Generate the autocompletion script for zsh",
                Work::Local(|args| script(args, Shell::Zsh)),
            ),
            Command::new(
                "fish",
                "",
                "Generate the autocompletion script for fish",
                Work::Local(|args| script(args, Shell::Fish)),
            ),
        ],
    )
}

fn script(args: &Args, shell: Shell) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    let mut script = Vec::new();
    generate(shell, &mut parser::clap_of(&ROOT), ROOT.name, &mut script);
    Ok(Answer::words(String::from_utf8_lossy(&script).into_owned()))
}
