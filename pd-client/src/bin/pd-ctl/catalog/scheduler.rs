//! Schedulers: which run, and how.

use serde_json::{Value, json};

use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show, escaped};

/// `scheduler`.
pub fn command() -> Command {
    Command::group(
        "scheduler",
        "scheduler commands",
        vec![
            Command::new("show", "", "show schedulers", Work::Ask(show))
                .flag(Flag::text("status", None, "the scheduler status value can be [paused | disabled]"))
                .flag(Flag::switch(
                    "timestamp",
                    Some('t'),
                    "fetch the paused and resume timestamp for paused scheduler(s)",
                )),
            Command::group(
                "add",
                "add a scheduler",
                vec![
                    Command::new(
                        "balance-leader-scheduler",
                        "",
                        "add a scheduler to balance leaders between stores",
                        Work::Ask(|args| add(args, "balance-leader-scheduler")),
                    ),
                    Command::new(
                        "balance-region-scheduler",
                        "",
                        "add a scheduler to balance regions between stores",
                        Work::Ask(|args| add(args, "balance-region-scheduler")),
                    ),
                ],
            ),
            Command::new("remove", "<scheduler>", "remove a scheduler", Work::Ask(remove)),
            Command::new("pause", "<scheduler> <delay_seconds>", "pause a scheduler", Work::Ask(pause)),
            Command::new("resume", "<scheduler>", "resume a scheduler", Work::Ask(resume)),
            config(),
            describe(),
        ],
    )
}

fn config() -> Command {
    Command::group(
        "config",
        "config a scheduler",
        vec![
            Command::new(
                "balance-leader-scheduler",
                "",
                "balance-leader-scheduler config",
                Work::Ask(settings),
            )
            .with(vec![
                Command::new("show", "", "show the config item", Work::Ask(settings)),
                Command::new("set", "<key> <value>", "set the config item", Work::Ask(set)),
            ]),
        ],
    )
}

fn describe() -> Command {
    Command::group(
        "describe",
        "describe a scheduler",
        vec![
            Command::new(
                "balance-region-scheduler",
                "",
                "describe the balance-region-scheduler",
                Work::Ask(|args| diagnostic(args, "balance-region-scheduler")),
            ),
            Command::new(
                "balance-leader-scheduler",
                "",
                "describe the balance-leader-scheduler",
                Work::Ask(|args| diagnostic(args, "balance-leader-scheduler")),
            ),
        ],
    )
}

fn show(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let mut query = Vec::new();
    if let Some(status) = args.flag("status") {
        query.push(format!("status={}", escaped(status)));
    }
    if args.is_set("timestamp") {
        query.push("timestamp=true".to_owned());
    }
    let path = "/pd/api/v1/schedulers".to_owned();
    Ok(Ask::get(if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }))
}

fn add(args: &Args, name: &str) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::post("/pd/api/v1/schedulers", json!({ "name": name })))
}

fn remove(args: &Args) -> Result<Ask, Failure> {
    let [name] = args.exactly()?;
    Ok(Ask::delete(format!("/pd/api/v1/schedulers/{}", escaped(name))))
}

fn pause(args: &Args) -> Result<Ask, Failure> {
    let [name, seconds] = args.exactly()?;
    let Ok(seconds) = seconds.parse::<u64>() else { return Err(Failure::usage()) };
    Ok(delay(name, seconds))
}

fn resume(args: &Args) -> Result<Ask, Failure> {
    let [name] = args.exactly()?;
    Ok(delay(name, 0))
}

fn delay(name: &str, seconds: u64) -> Ask {
    Ask::post(format!("/pd/api/v1/schedulers/{}", escaped(name)), json!({ "delay": seconds }))
}

fn settings(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/scheduler-config/balance-leader-scheduler/list"))
}

fn set(args: &Args) -> Result<Ask, Failure> {
    let [key, value] = args.exactly()?;
    let body = json!({ key: setting(value) });
    Ok(Ask::post("/pd/api/v1/scheduler-config/balance-leader-scheduler/config", body))
}

/// A number, a truth value (as Go writes them, but for 1 and 0, which are numbers), or a text.
fn setting(value: &str) -> Value {
    match value {
        "true" | "TRUE" | "True" | "t" | "T" => json!(true),
        "false" | "FALSE" | "False" | "f" | "F" => json!(false),
        _ => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(whole), _) => json!(whole),
            (Err(_), Ok(number)) if number.is_finite() => json!(number),
            _ => json!(value),
        },
    }
}

fn diagnostic(args: &Args, name: &str) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get(format!("/pd/api/v1/schedulers/diagnostic/{name}")).show(Show::Body))
}
