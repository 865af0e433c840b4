//! What a command is: its name, how it is used, and what it asks of the group or does by itself. The catalog is one tree
//! of these; the parser, the help, the completions and the shell are made from it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::request::Ask;
use crate::session::Session;

/// A command, with those beneath it.
pub struct Command {
    /// What people type.
    pub name: &'static str,
    /// What follows it, as tikv/pd's usage line spells it.
    pub usage: &'static str,
    /// One line for the list of commands.
    pub about: &'static str,
    /// What to use instead; it is said before the answer.
    pub deprecated: Option<&'static str>,
    /// Its own flags.
    pub flags: Vec<Flag>,
    /// The commands beneath it.
    pub children: Vec<Command>,
    /// What it does.
    pub work: Work,
}

/// What a command does.
#[derive(Clone, Copy)]
pub enum Work {
    /// Nothing: it holds other commands, and shows its help.
    Group,
    /// Its answer needs no server.
    Local(fn(&Args) -> Result<Answer, Failure>),
    /// One request, and its answer shown.
    Ask(fn(&Args) -> Result<Ask, Failure>),
    /// More than one request, or an answer that is worked on.
    Flow(fn(Session, Args) -> Flow),
}

/// A command under way.
pub type Flow = Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>;

/// A flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// `--name`.
    pub name: &'static str,
    /// `-n`.
    pub short: Option<char>,
    /// What it takes; nothing for a switch.
    pub value: Option<&'static str>,
    /// What holds without it.
    pub default: Option<&'static str>,
    /// One line for the help.
    pub about: &'static str,
}

impl Command {
    /// A command that does `work`.
    pub fn new(name: &'static str, usage: &'static str, about: &'static str, work: Work) -> Command {
        Command { name, usage, about, deprecated: None, flags: Vec::new(), children: Vec::new(), work }
    }

    /// A command that only holds others.
    pub fn group(name: &'static str, about: &'static str, children: Vec<Command>) -> Command {
        Command { children, ..Command::new(name, "", about, Work::Group) }
    }

    /// The same with commands beneath it.
    #[must_use]
    pub fn with(self, children: Vec<Command>) -> Command {
        Command { children, ..self }
    }

    /// The same with a flag more.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Command {
        self.flags.push(flag);
        self
    }

    /// The same, but people should type something else.
    #[must_use]
    pub fn instead(self, other: &'static str) -> Command {
        Command { deprecated: Some(other), ..self }
    }

    /// The command beneath this one that is called so.
    pub fn child(&self, name: &str) -> Option<&Command> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Whether it does something by itself.
    pub fn runs(&self) -> bool {
        !matches!(self.work, Work::Group)
    }
}

impl Flag {
    /// A flag that is there or not.
    pub const fn switch(name: &'static str, short: Option<char>, about: &'static str) -> Flag {
        Flag { name, short, value: None, default: None, about }
    }

    /// A flag with a value.
    pub const fn text(name: &'static str, default: Option<&'static str>, about: &'static str) -> Flag {
        Flag { name, short: None, value: Some("string"), default, about }
    }
}

/// What was typed behind a command.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// The words that are no flags.
    pub words: Vec<String>,
    /// The flags that were given or have a default; a switch has an empty value.
    pub flags: BTreeMap<String, String>,
}

impl Args {
    /// The value of a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub fn is_set(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }

    /// The word at a place.
    pub fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// Exactly so many words.
    ///
    /// # Errors
    /// The usage, when there are more or fewer.
    pub fn exactly<const N: usize>(&self) -> Result<[&str; N], Failure> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.try_into().map_err(|_| Failure::usage())
    }

    /// At most so many words.
    ///
    /// # Errors
    /// The usage, when there are more.
    pub fn at_most(&self, most: usize) -> Result<(), Failure> {
        if self.words.len() > most { Err(Failure::usage()) } else { Ok(()) }
    }
}
