//! `why`: the planner's own reasons, asked of a Region or a store.

use super::number_or;
use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::session::Session;
use crate::units;
use crate::why;

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
                Work::Flow(|session, args| Box::pin(tell(session, args, "region"))),
            ),
            Command::new(
                "store",
                "<store_id>",
                "tell why of a store",
                Work::Flow(|session, args| Box::pin(tell(session, args, "store"))),
            ),
        ],
    )
}

async fn tell(session: Session, args: Args, kind: &'static str) -> Result<Answer, Failure> {
    let [id] = args.exactly()?;
    let id = number_or(id, &format!("{kind}_id should be a number"))?;
    let (json, why) = why::ask(&session, kind, id).await?;
    let text = why.lines(units::now_ms()).join("\n") + "\n";
    Ok(Answer::told(text, json))
}
