//! `why`: the planner's own reasons, asked of a Region or a store.

use serde_json::Value;

use super::number_or;
use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::{Failure, Kind};
use crate::request::Ask;
use crate::session::Session;
use crate::units;
use crate::why::Why;

/// `why`.
pub fn command() -> Command {
    Command::group(
        "why",
        "tell why something happens to a region or a store, or does not",
        vec![
            Command::new(
                "region",
                "<region_id>",
                "tell why of a region",
                Work::Flow(|session, args| Box::pin(why(session, args, "region"))),
            ),
            Command::new(
                "store",
                "<store_id>",
                "tell why of a store",
                Work::Flow(|session, args| Box::pin(why(session, args, "store"))),
            ),
        ],
    )
}

async fn why(session: Session, args: Args, kind: &'static str) -> Result<Answer, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, &format!("{kind}_id should be a number"))?;
    let (json, why) = ask(&session, kind, id).await?;
    let text = why.lines(units::now_ms()).join("\n") + "\n";
    Ok(Answer::told(text, json))
}

/// The reasons, as they came and as read.
///
/// # Errors
/// When nobody answers or the subject is unknown, in the server's words.
pub async fn ask(session: &Session, kind: &str, id: u64) -> Result<(String, Why), Failure> {
    let asked = Ask::get(format!("/pd/api/v2/why/{kind}/{id}")).send(session).await;
    let answer = asked.map_err(in_words)?;
    match serde_json::from_str(&answer.text) {
        Ok(why) => Ok((answer.text, why)),
        Err(error) => Err(Failure::here(format!("the answer cannot be read: {error}\n"))),
    }
}

/// An error of the second API is an object with a message and often the next command.
fn in_words(failure: Failure) -> Failure {
    if !matches!(failure.kind, Kind::Refused(_)) {
        return failure;
    }
    let body = failure.words.split_once("] ").map_or("", |(_, body)| body);
    let Ok(error) = serde_json::from_str::<Value>(body) else { return failure };
    let Some(message) = error["message"].as_str() else { return failure };
    let told = Failure { words: format!("{}\n", units::plain(message)), ..failure };
    match error["next"].as_str() {
        Some(next) => told.advise(format!("next: {}", units::plain(next))),
        None => told,
    }
}
