//! What went wrong: tikv/pd's words where it has some, what to do about it, and the exit code.

use http::StatusCode;

/// Exit code of a command that failed.
pub const FAILED: u8 = 1;

/// A command that did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened. tikv/pd's tools print it on standard output, and so do we: scripts read it there.
    pub words: String,
    /// Whether tikv/pd prints these words on standard error.
    pub on_stderr: bool,
    /// What to do, on standard error.
    pub advice: Option<String>,
    /// What is shown before the words.
    pub shows: Shows,
    /// The exit code.
    pub code: u8,
    /// Why, for the commands that tell apart.
    pub kind: Kind,
}

/// What of a command's help belongs to a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Nothing.
    Words,
    /// How the command is used.
    Usage,
    /// Its whole help: the words go to standard error then.
    Help,
}

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command was typed wrongly; nothing was asked.
    Typed,
    /// A member refused.
    Refused(StatusCode),
    /// No member answered.
    Nobody,
    /// The answer or this machine.
    Here,
}

impl Failure {
    /// A wrong number of words or a wrong flag: the usage says what is right.
    pub fn usage() -> Failure {
        Failure { shows: Shows::Usage, ..Failure::typed("") }
    }

    /// A wrong word, with what would be right.
    pub fn typed(words: impl Into<String>) -> Failure {
        Failure {
            words: words.into(),
            on_stderr: false,
            advice: None,
            shows: Shows::Words,
            code: FAILED,
            kind: Kind::Typed,
        }
    }

    /// A refusal of a member.
    pub fn refused(status: StatusCode, words: impl Into<String>) -> Failure {
        Failure { kind: Kind::Refused(status), ..Failure::typed(words) }
    }

    /// An answer that cannot be read, a file that cannot be written.
    pub fn here(words: impl Into<String>) -> Failure {
        Failure { kind: Kind::Here, ..Failure::typed(words) }
    }

    /// The same with what to do.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Failure {
        Failure { advice: Some(advice.into()), ..self }
    }

    /// The same with a text before the words.
    #[must_use]
    pub fn after(mut self, prefix: &str) -> Failure {
        self.words.insert_str(0, prefix);
        self
    }

    /// What to do about it, when nothing better was said: by what was asked (the first word of the command).
    pub fn advice_for(&self, root: &str) -> String {
        if let Some(advice) = &self.advice {
            return advice.clone();
        }
        let list = match root {
            "store" | "stores" | "label" => "`pd-ctl store` lists the stores and their states",
            "region" => "`pd-ctl region` lists the regions, `pd-ctl region key KEY` finds one",
            "member" => "`pd-ctl member` lists the members",
            "operator" => "`pd-ctl operator show` lists what runs, `pd-ctl why region ID` tells why not",
            "scheduler" => "`pd-ctl scheduler show` lists the schedulers",
            "config" => "`pd-ctl config show all` lists every item with its value",
            _ => "`pd-ctl status` tells how the cluster is",
        };
        match self.kind {
            Kind::Typed if self.shows == Shows::Usage => "the usage above says what is expected".to_owned(),
            Kind::Typed => format!("`pd-ctl {root} --help` says what is expected"),
            Kind::Refused(_) if self.is_of_an_empty_cluster() => {
                "the cluster is empty until its first store has started: start one with this PD as its endpoint"
                    .to_owned()
            }
            Kind::Refused(StatusCode::SERVICE_UNAVAILABLE) => {
                "`pd-ctl status` tells whether the group has a leader; asking again may help".to_owned()
            }
            Kind::Refused(_) => format!("nothing was changed; {list}"),
            Kind::Nobody => {
                "is a member running there? Name others by -u URL,URL or in PD_ADDR".to_owned()
            }
            Kind::Here => "`pd-ctl -V` and the server's version may be too far apart".to_owned(),
        }
    }

    fn is_of_an_empty_cluster(&self) -> bool {
        ["not bootstrapped", "no store has ever started"].iter().any(|words| self.words.contains(words))
    }
}
