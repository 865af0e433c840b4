//! Completion of a line by the catalog.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper, Result};

use crate::catalog::ROOT;
use crate::command::Command;
use crate::parser::GLOBAL_FLAGS;

/// Completes commands and flags.
#[derive(Debug)]
pub struct ByCatalog;

impl Completer for ByCatalog {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        Ok(candidates(&ROOT, line.get(..at).unwrap_or_default()))
    }
}

impl Hinter for ByCatalog {
    type Hint = String;
}

impl Highlighter for ByCatalog {}

impl Validator for ByCatalog {}

impl Helper for ByCatalog {}

/// Where the last word begins, and what it may become.
fn candidates(root: &Command, line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (before, begun) = line.split_at(start);
    let command =
        before.split_whitespace().fold(root, |command, word| command.child(word).unwrap_or(command));
    let mut found: Vec<String> = if begun.starts_with('-') {
        command.flags.iter().chain(&GLOBAL_FLAGS).map(|flag| format!("--{}", flag.name)).collect()
    } else {
        command.children.iter().map(|child| child.name.to_owned()).collect()
    };
    found.retain(|candidate| candidate.starts_with(begun));
    found.sort();
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::candidates;
    use crate::catalog::ROOT;

    #[test]
    fn commands_and_flags() {
        assert_eq!(candidates(&ROOT, "st").1, ["status", "store", "stores"]);
        assert_eq!(candidates(&ROOT, "store de"), (6, vec!["delete".to_owned()]));
        assert_eq!(candidates(&ROOT, "region --j").1, ["--jq"]);
        assert!(candidates(&ROOT, "store 1 ").1.contains(&"weight".to_owned()));
    }
}
