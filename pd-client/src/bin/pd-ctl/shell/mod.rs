//! The interactive shell: the same commands without the program's name, with history and completion.

mod complete;
mod history;
pub mod words;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};
use tokio::runtime::Runtime;

use crate::catalog::ROOT;
use crate::command::Args;
use crate::failure::FAILED;
use crate::parser;
use crate::run::{execute, report};
use complete::ByCatalog;

const PROMPT: &str = "\u{bb} ";

/// Reads and runs lines until the end of the input or `exit`. The exit code is 0 unless a line of a script failed.
pub fn run(runtime: &Runtime, outer: &Args) -> u8 {
    let config = Config::builder().auto_add_history(true).max_history_size(history::LINES_MAX);
    let editor = config.and_then(|config| Editor::<ByCatalog, DefaultHistory>::with_config(config.build()));
    let mut editor = match editor {
        Ok(editor) => editor,
        Err(error) => {
            eprintln!("cannot read from this terminal: {error}");
            return FAILED;
        }
    };
    editor.set_helper(Some(ByCatalog));
    let history = match history::file() {
        Ok(file) => Some(file),
        Err(error) => {
            eprintln!("hint: this session's lines are not kept: {error}");
            None
        }
    };
    if let Some(file) = &history
        && let Err(error) = editor.load_history(file)
    {
        eprintln!("hint: {}: {error}", file.display());
    }
    let by_hand = rustix::termios::isatty(rustix::stdio::stdin());
    let mut code = 0;
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                eprintln!("cannot read on: {error}");
                code = FAILED;
                break;
            }
        };
        // Kept line by line: a terminal may be closed at any time.
        if let Some(file) = &history
            && let Err(error) = editor.append_history(file)
        {
            eprintln!("hint: {}: {error}", file.display());
        }
        match words::split(&line) {
            Ok(words) if words.is_empty() => {}
            Ok(words) if words == ["exit"] || words == ["quit"] => break,
            Ok(words) => code = code.max(one(runtime, outer, &words)),
            Err(open) => {
                eprintln!("{open}");
                code = FAILED;
            }
        }
    }
    if by_hand { 0 } else { code }
}

/// One line; what was said when the shell was started holds unless the line says otherwise.
fn one(runtime: &Runtime, outer: &Args, words: &[String]) -> u8 {
    match parser::parse(&ROOT, words) {
        Ok(mut typed) => {
            for name in ["pd", "output", "cacert", "cert", "key"] {
                if let (false, Some(value)) = (typed.args.is_set(name), outer.flag(name)) {
                    typed.args.flags.insert(name.to_owned(), value.to_owned());
                }
            }
            runtime.block_on(execute(typed))
        }
        Err((path, failure)) => report(&path, &failure),
    }
}
