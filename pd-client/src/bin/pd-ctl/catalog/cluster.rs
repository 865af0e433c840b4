//! The cluster as a whole, and its members' logs and answering times.

use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show};
use crate::session::Session;
use crate::table::HEALTH;

/// `cluster`.
pub fn command() -> Command {
    Command::new("cluster", "", "show the cluster information", Work::Ask(cluster)).with(vec![Command::new(
        "status",
        "",
        "show the cluster status",
        Work::Ask(status),
    )])
}

/// `health`.
pub fn health() -> Command {
    Command::new(
        "health",
        "",
        "show all node's health information of the PD cluster",
        Work::Ask(members_health),
    )
}

/// `log`.
pub fn log() -> Command {
    let about = "set log level";
    Command::new(
        "log",
        "[fatal|error|warn|info|debug] [addr]",
        about,
        Work::Flow(|s, a| Box::pin(level(s, a))),
    )
}

/// `min-resolved-ts`.
pub fn min_resolved_ts() -> Command {
    Command::new("min-resolved-ts", "", "show min resolved ts", Work::Ask(resolved))
}

/// `ping`.
pub fn ping() -> Command {
    let about = "show the total time spend ping the PD";
    Command::new("ping", "", about, Work::Flow(|s, a| Box::pin(round_trip(s, a))))
}

fn cluster(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let ask = Ask::get("/pd/api/v1/cluster").or_say("Failed to get the cluster information: ");
    Ok(ask.show(Show::Trimmed))
}

fn status(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let ask = Ask::get("/pd/api/v1/cluster/status").or_say("Failed to get the cluster status: ");
    Ok(ask.show(Show::Trimmed))
}

fn members_health(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let ask = Ask::get("/pd/api/v1/health").or_say("Failed to get health: ");
    Ok(ask.show(Show::Trimmed).columns(&HEALTH))
}

fn resolved(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/min-resolved-ts").or_say("Failed to get min resolved ts: "))
}

async fn round_trip(session: Session, args: Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    let begun = Instant::now();
    let ask = Ask::get("/pd/api/v1/ping").or_say("Failed to ping: ");
    ask.send(&session).await?;
    Ok(Answer::words(format!("time: {:?}\n", begun.elapsed())))
}

/// Each member has a log of its own: without an address all of them are told.
async fn level(session: Session, args: Args) -> Result<Answer, Failure> {
    args.at_most(2)?;
    let level = args.word(0).ok_or_else(Failure::usage)?;
    let body = json!(level);
    let targets = match args.word(1) {
        Some(address) => client::endpoints(address)?,
        None => members(&session).await?,
    };
    for target in targets {
        let path = "/pd/api/v1/admin/log";
        let failed = "Failed to set log level: ";
        let told = session.http.ask(&target, &Method::POST, path, Some(&body), true).await;
        let reply = told.map_err(|failure| failure.after(failed))?;
        if !reply.status.is_success() {
            let words = format!("{failed}[{}] {}\n", reply.status.as_u16(), reply.body);
            return Err(Failure::refused(reply.status, words).advise(format!("that was {target}")));
        }
    }
    Ok(Answer::words("Success!\n"))
}

/// One client address of each member.
async fn members(session: &Session) -> Result<Vec<String>, Failure> {
    let answer = Ask::get("/pd/api/v1/members").or_say("Failed to get members: ").send(session).await?;
    let members: Value = serde_json::from_str(&answer.text)
        .map_err(|error| Failure::here(format!("members are told otherwise than expected: {error}\n")))?;
    let listed = members["members"].as_array().into_iter().flatten();
    listed.filter_map(|member| member["client_urls"][0].as_str()).map(endpoint).collect()
}

fn endpoint(url: &str) -> Result<String, Failure> {
    let mut found = client::endpoints(url)?;
    found.pop().ok_or_else(|| Failure::here(format!("a member without an address: {url:?}\n")))
}
