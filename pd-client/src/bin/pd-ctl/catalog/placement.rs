//! `config placement-rules`: the rules, read. Writing them comes with rules of one's own.

use std::path::Path;

use serde_json::json;

use super::config::FROM_PD;
use crate::answer::Answer;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show, escaped};
use crate::session::Session;

const GROUP: Flag = Flag::text("group", None, "group id");
const ID: Flag = Flag::text("id", None, "rule id");
const REGION: Flag = Flag::text("region", None, "region id");
const OUT: Flag = Flag::text("out", Some("rules.json"), "the filename contains rules");

/// `config placement-rules`.
pub fn command() -> Command {
    Command::group(
        "placement-rules",
        "placement rules configuration",
        vec![
            Command::new("enable", "", "enable placement rules", Work::Ask(|args| switch(args, true))),
            Command::new("disable", "", "disable placement rules", Work::Ask(|args| switch(args, false))),
            Command::new("show", "", "show placement rules", Work::Ask(show))
                .flag(GROUP)
                .flag(ID)
                .flag(REGION)
                .flag(Flag::switch("detail", None, "detailed match info for region"))
                .flag(FROM_PD),
            Command::new(
                "load",
                "",
                "load placement rules to a file",
                Work::Flow(|session, args| Box::pin(load(session, args))),
            )
            .flag(GROUP)
            .flag(ID)
            .flag(REGION)
            .flag(OUT)
            .flag(FROM_PD),
            Command::group(
                "rule-group",
                "rule group configurations",
                vec![
                    Command::new("show", "[id]", "show rule group configuration(s)", Work::Ask(groups))
                        .flag(FROM_PD),
                ],
            ),
            Command::group(
                "rule-bundle",
                "process rules in group(s), set/save perform in a replace fashion",
                vec![
                    Command::new(
                        "get",
                        "<id>",
                        "get rule group config and its rules by group id",
                        Work::Ask(bundle),
                    )
                    .flag(FROM_PD),
                    Command::new(
                        "load",
                        "",
                        "load all group configs and rules to a file",
                        Work::Flow(|session, args| Box::pin(load_bundles(session, args))),
                    )
                    .flag(OUT)
                    .flag(FROM_PD),
                ],
            ),
        ],
    )
}

fn switch(args: &Args, on: bool) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let body = json!({ "enable-placement-rules": if on { "true" } else { "false" } });
    Ok(Ask::post("/pd/api/v1/config", body).or_say("Failed to set config: ").show(Show::Done))
}

fn show(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    let path = match (args.flag("group"), args.flag("id"), args.flag("region")) {
        (None, None, None) => "rules".to_owned(),
        (Some(group), None, None) => format!("rules/group/{}", escaped(group)),
        (Some(group), Some(id), None) => format!("rule/{}/{}", escaped(group), escaped(id)),
        (None, None, Some(region)) => {
            let detail = if args.is_set("detail") { "/detail" } else { "" };
            format!("rules/region/{}{detail}", escaped(region))
        }
        (None, Some(_), _) => {
            return Err(Failure::typed("\"id\" should be specified along with \"group\"\n"));
        }
        (Some(_), _, Some(_)) => {
            return Err(Failure::typed(
                "\"region\" should not be specified with \"group\" or \"id\" at the same time\n",
            ));
        }
    };
    Ok(Ask::get(format!("/pd/api/v1/config/{path}")))
}

async fn load(session: Session, args: Args) -> Result<Answer, Failure> {
    save(show(&args)?.send(&session).await?, &args)
}

async fn load_bundles(session: Session, args: Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    save(Ask::get("/pd/api/v1/config/placement-rule").send(&session).await?, &args)
}

fn groups(args: &Args) -> Result<Ask, Failure> {
    args.at_most(1)?;
    Ok(Ask::get(match args.word(0) {
        Some(id) => format!("/pd/api/v1/config/rule_group/{}", escaped(id)),
        None => "/pd/api/v1/config/rule_groups".to_owned(),
    }))
}

fn bundle(args: &Args) -> Result<Ask, Failure> {
    let [id] = args.exactly()?;
    Ok(Ask::get(format!("/pd/api/v1/config/placement-rule/{}", escaped(id))))
}

fn save(answer: Answer, args: &Args) -> Result<Answer, Failure> {
    let file = Path::new(args.flag("out").unwrap_or("rules.json"));
    let text = answer.text.trim_end();
    std::fs::write(file, text).map_err(|error| {
        Failure::here(format!("{}: {error}\n", file.display())).advise("choose another file by --out FILE")
    })?;
    Ok(Answer::words(format!("rules saved to file {}\n", file.display())))
}
