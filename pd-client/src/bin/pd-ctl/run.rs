//! From typed words to printed answer and exit code.

use std::io::Write;
use std::sync::Arc;

use crate::answer::{Answer, Form};
use crate::catalog::ROOT;
use crate::client::{self, Http};
use crate::command::{Args, Command, Work};
use crate::failure::{FAILED, Failure, Shows};
use crate::parser::{self, DEFAULT_PD, Typed};
use crate::session::Session;
use crate::{help, shell};

/// Runs one command, or the shell. The exit code.
pub fn program(words: &[String]) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return FAILED;
        }
    };
    let typed = match parser::parse(&ROOT, words) {
        Ok(typed) => typed,
        Err((path, failure)) => return report(&path, &failure),
    };
    if typed.args.is_set("version") && typed.path.is_empty() {
        print(&format!("Release Version: {}\n", env!("CARGO_PKG_VERSION")));
        return 0;
    }
    if typed.args.is_set("interact") && typed.path.is_empty() {
        return shell::run(&runtime, &typed.args);
    }
    runtime.block_on(execute(typed))
}

/// Runs a command that was typed. The exit code.
pub async fn execute(typed: Typed) -> u8 {
    let command = typed.path.iter().fold(&*ROOT, |command, name| command.child(name).unwrap_or(command));
    if typed.help {
        print(&help::of(&ROOT, &typed.path));
        return 0;
    }
    if let Some(instead) = command.deprecated {
        print(&format!("Command {:?} is deprecated, {instead}\n", command.name));
    }
    let form = Form::named(typed.args.flag("output"));
    let done = match form {
        Some(form) => answer(command, typed.args, &typed.path, form).await.map(|answer| (answer, form)),
        None => {
            Err(Failure::typed(format!("unknown form {:?}\n", typed.args.flag("output").unwrap_or_default()))
                .advise("-o takes json or table"))
        }
    };
    match done {
        Ok((answer, form)) => {
            let code = answer.code;
            print(&answer.shown(form));
            code
        }
        Err(failure) => report(&typed.path, &failure),
    }
}

async fn answer(command: &Command, args: Args, path: &[&'static str], form: Form) -> Result<Answer, Failure> {
    match command.work {
        Work::Group => Ok(Answer::words(help::of(&ROOT, path))),
        Work::Local(work) => work(&args),
        Work::Ask(work) => work(&args)?.send(&session(&args, form)?).await,
        Work::Flow(work) => work(session(&args, form)?, args).await,
    }
}

fn session(args: &Args, form: Form) -> Result<Session, Failure> {
    if let Some(flag) = ["cacert", "cert", "key"].iter().find(|flag| args.flag(flag).is_some()) {
        return Err(Failure::typed(format!("--{flag}: TLS is not there yet\n"))
            .advise("ask on a plain address (http://HOST:PORT), through a tunnel if it is far away"));
    }
    let from_environment = std::env::var("PD_ADDR").ok();
    let list = args.flag("pd").or(from_environment.as_deref()).unwrap_or(DEFAULT_PD);
    Ok(Session { http: Arc::new(Http::new(client::endpoints(list)?)), form })
}

/// Prints a failure: the words where tikv/pd's tool has them, what to do on standard error.
pub fn report(path: &[&'static str], failure: &Failure) -> u8 {
    let before = match failure.shows {
        Shows::Words => String::new(),
        Shows::Usage => format!("{}\n", help::usage(&ROOT, path)),
        Shows::Help => help::of(&ROOT, path),
    };
    let on_stderr = failure.on_stderr || failure.shows == Shows::Help;
    let mut told = String::new();
    if on_stderr {
        print(&before);
        told.push_str(&failure.words);
    } else {
        print(&format!("{before}{}", failure.words));
    }
    let root = path.first().copied().unwrap_or(ROOT.name);
    told.push_str(&format!("hint: {}\n", failure.advice_for(root)));
    // Nobody is left to be told when standard error is closed.
    let _ = std::io::stderr().write_all(told.as_bytes());
    failure.code
}

/// Prints on standard output; a reader that has gone (`| head`) is no failure.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
