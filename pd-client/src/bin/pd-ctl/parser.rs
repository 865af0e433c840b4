//! From words to a command: the catalog as a parser, and its complaints in the words of tikv/pd's `pd-ctl`.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use crate::command::{Args, Command, Flag};
use crate::failure::{Failure, Shows};

/// Where members are looked for when nobody says.
pub const DEFAULT_PD: &str = "http://127.0.0.1:2379";

/// The flags of every command.
pub const GLOBAL_FLAGS: [Flag; 5] = [
    Flag::text("cacert", None, "path of file that contains list of trusted SSL CAs"),
    Flag::text("cert", None, "path of file that contains X509 certificate in PEM format"),
    Flag::text("key", None, "path of file that contains X509 key in PEM format"),
    Flag {
        short: Some('o'),
        ..Flag::text("output", None, "form of the answer: json or table (as tikv/pd's without it)")
    },
    Flag { short: Some('u'), ..Flag::text("pd", Some(DEFAULT_PD), "address of PD") },
];

/// The flags of the program itself.
pub const ROOT_FLAGS: [Flag; 2] = [
    Flag::switch("interact", Some('i'), "Run pd-ctl with readline."),
    Flag::switch("version", Some('V'), "Print version information and exit."),
];

/// What was typed.
#[derive(Debug)]
pub struct Typed {
    /// The names of the commands, from the root's children down.
    pub path: Vec<&'static str>,
    /// What came with them.
    pub args: Args,
    /// Whether help was asked for.
    pub help: bool,
}

/// The catalog as clap's command, for parsing and completions.
pub fn clap_of(root: &Command) -> clap::Command {
    let mut command = of(root);
    for flag in ROOT_FLAGS {
        command = command.arg(arg(&flag));
    }
    for flag in GLOBAL_FLAGS {
        command = command.arg(arg(&flag).global(true));
    }
    command.arg(Arg::new("help").short('h').long("help").action(ArgAction::SetTrue).global(true))
}

/// Reads the words behind the program's name.
///
/// # Errors
/// The path of the command that does not take them, with what it does not take.
pub fn parse(root: &'static Command, words: &[String]) -> Result<Typed, (Vec<&'static str>, Failure)> {
    let argv = std::iter::once(root.name.to_owned()).chain(words.iter().cloned());
    let matches = clap_of(root).try_get_matches_from(argv);
    let matches = matches.map_err(|error| complaint(root, words, &error))?;
    let mut typed = Typed { path: Vec::new(), args: Args::default(), help: false };
    let (mut command, mut at) = (root, &matches);
    loop {
        take_flags(command, at, &mut typed);
        let Some((name, beneath)) = at.subcommand() else { break };
        // clap knows no other names than the catalog's.
        let Some(child) = command.child(name) else { break };
        typed.path.push(child.name);
        (command, at) = (child, beneath);
    }
    if let Ok(Some(words)) = at.try_get_many::<String>("words") {
        typed.args.words = words.cloned().collect();
    }
    Ok(typed)
}

fn of(command: &Command) -> clap::Command {
    let mut made = clap::Command::new(command.name)
        .about(command.about)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommands(command.children.iter().map(of));
    for flag in &command.flags {
        made = made.arg(arg(flag));
    }
    if command.runs() {
        made = made.arg(Arg::new("words").num_args(0..).help(command.usage));
    }
    made
}

fn arg(flag: &Flag) -> Arg {
    let mut arg = Arg::new(flag.name).long(flag.name).help(flag.about);
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    match flag.value {
        Some(_) => arg.action(ArgAction::Set),
        None => arg.action(ArgAction::SetTrue),
    }
}

fn take_flags(command: &Command, matches: &ArgMatches, typed: &mut Typed) {
    let known = command.flags.iter().chain(&ROOT_FLAGS).chain(&GLOBAL_FLAGS);
    for flag in known {
        let given = match flag.value {
            Some(_) => matches.try_get_one::<String>(flag.name).ok().flatten().cloned(),
            None => {
                let set = matches.try_get_one::<bool>(flag.name).ok().flatten();
                set.filter(|set| **set).map(|_| String::new())
            }
        };
        // `--pd` is left to its environment variable.
        let default = flag.default.filter(|_| flag.name != "pd").map(str::to_owned);
        if let Some(value) = given {
            typed.args.flags.insert(flag.name.to_owned(), value);
        } else if let Some(value) = default {
            typed.args.flags.entry(flag.name.to_owned()).or_insert(value);
        }
    }
    typed.help |= matches.try_get_one::<bool>("help").ok().flatten().copied().unwrap_or(false);
}

/// clap's error in the words of the tool that people know.
fn complaint(root: &'static Command, words: &[String], error: &clap::Error) -> (Vec<&'static str>, Failure) {
    let path = path_of(root, words);
    let full = std::iter::once(root.name).chain(path.iter().copied()).collect::<Vec<_>>().join(" ");
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let wrong_flag = context(ContextKind::InvalidArg).unwrap_or_default();
    let failure = match error.kind() {
        ErrorKind::InvalidSubcommand => unknown(
            &full,
            &path,
            &context(ContextKind::InvalidSubcommand).unwrap_or_default(),
            &suggestions(error),
        ),
        ErrorKind::UnknownArgument if wrong_flag.starts_with('-') => {
            let text = match wrong_flag.strip_prefix("--") {
                Some(_) => format!("unknown flag: {wrong_flag}\n"),
                None => {
                    let letter = wrong_flag.chars().nth(1).unwrap_or('-');
                    let typed = words.iter().find(|word| word.starts_with(&wrong_flag));
                    format!("unknown shorthand flag: '{letter}' in {}\n", typed.unwrap_or(&wrong_flag))
                }
            };
            Failure { words: text, ..Failure::usage() }
        }
        ErrorKind::UnknownArgument => unknown(&full, &path, &wrong_flag, &[]),
        _ => {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            Failure { words: format!("{first}\n"), ..Failure::usage() }
        }
    };
    (path, failure)
}

/// The commands that clap holds for similar.
fn suggestions(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    }
}

/// A word that is no command: tikv/pd's words for it at the top, and the help of the group elsewhere.
fn unknown(full: &str, path: &[&'static str], word: &str, similar: &[String]) -> Failure {
    let words = format!("unknown command \"{word}\" for \"{full}\"\n");
    // What begins with another letter is seldom what was meant; the likeliest come last.
    let initial = |text: &str| text.chars().next();
    let likely = || similar.iter().rev().filter(|similar| initial(similar) == initial(word));
    let similar = likely().find(|similar| similar.starts_with(word)).or_else(|| likely().next());
    let advice = match similar {
        Some(similar) => format!("did you mean `{full} {similar}`?"),
        None if is_of_tikv(path, word) => {
            format!("tikv/pd has `{full} {word}`; here it is not there yet")
        }
        None => format!("`{full} --help` lists the commands"),
    };
    let shows = if path.is_empty() { Shows::Words } else { Shows::Help };
    Failure { shows, ..Failure::typed(words) }.advise(advice)
}

/// The commands of tikv/pd's `pd-ctl` that need what this placement driver does not have yet.
fn is_of_tikv(path: &[&str], word: &str) -> bool {
    match path {
        [] => [
            "hot",
            "plugin",
            "affinity",
            "service-gc-safepoint",
            "gc-state",
            "unsafe",
            "keyspace-group",
            "resource-manager",
            "maintenance",
            "meta-service-group",
            "microservice",
        ]
        .contains(&word),
        ["keyspace"] => {
            ["show", "create", "update-config", "update-state", "list", "set-placement"].contains(&word)
        }
        ["operator", "add"] => ["merge-region", "scatter-region"].contains(&word),
        ["config", "placement-rules", ..] => ["save", "set", "delete"].contains(&word),
        ["scheduler", "add" | "config"] => word.contains("scheduler") || word == "scatter-range",
        _ => false,
    }
}

/// How far the words name commands.
fn path_of(root: &'static Command, words: &[String]) -> Vec<&'static str> {
    let (mut command, mut path) = (root, Vec::new());
    for word in words {
        if let Some(child) = command.child(word) {
            path.push(child.name);
            command = child;
        } else if command.runs() {
            break;
        }
    }
    path
}
