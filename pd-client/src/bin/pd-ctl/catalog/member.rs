//! The members of the group itself.

use serde_json::json;

use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::request::{Ask, Show, escaped};
use crate::table::MEMBERS;

/// `member`.
pub fn command() -> Command {
    Command::new("member", "", "show the PD member status", Work::Ask(members)).with(vec![
        Command::group(
            "leader",
            "leader commands",
            vec![
                Command::new("show", "", "show the leader member status", Work::Ask(leader)),
                Command::new("resign", "", "resign current leader PD's leadership", Work::Ask(resign)),
                Command::new(
                    "transfer",
                    "<member_name>",
                    "transfer leadership to another PD",
                    Work::Ask(transfer),
                ),
            ],
        ),
        Command::new(
            "leader_priority",
            "<member_name> <priority>",
            "set the member's priority to be elected as leader",
            Work::Ask(priority),
        ),
        Command::group(
            "delete",
            "delete a member",
            vec![
                Command::new(
                    "name",
                    "<member_name>",
                    "delete a member by name",
                    Work::Ask(|args| delete(args, "name")),
                ),
                Command::new(
                    "id",
                    "<member_id>",
                    "delete a member by id",
                    Work::Ask(|args| delete(args, "id")),
                ),
            ],
        ),
    ])
}

fn members(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/members").or_say("Failed to get pd members: ").columns(&MEMBERS))
}

fn leader(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/leader").or_say("Failed to get the leader of pd members: "))
}

fn resign(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(told("/pd/api/v1/leader/resign", "Failed to resign: "))
}

fn transfer(args: &Args) -> Result<Ask, Failure> {
    let [name] = args.exactly()?;
    Ok(told(&format!("/pd/api/v1/leader/transfer/{}", escaped(name)), "Failed to transfer leadership: "))
}

fn told(path: &str, failed: &str) -> Ask {
    let ask = Ask::post(path, json!(null)).or_say(failed).show(Show::Done);
    Ask { body: None, ..ask }
}

fn priority(args: &Args) -> Result<Ask, Failure> {
    let [name, priority] = args.exactly()?;
    let Ok(priority) = priority.parse::<i64>() else {
        return Err(Failure::typed(format!(
            "failed to parse priority: strconv.ParseInt: parsing {priority:?}: invalid syntax\n"
        )));
    };
    let body = json!({ "leader-priority": priority });
    let path = format!("/pd/api/v1/members/name/{}", escaped(name));
    Ok(Ask::post(path, body).or_say("failed to set leader priority: ").show(Show::Done))
}

fn delete(args: &Args, by: &str) -> Result<Ask, Failure> {
    let [which] = args.exactly()?;
    let path = format!("/pd/api/v1/members/{by}/{}", escaped(which));
    Ok(Ask::delete(path).or_say(format!("Failed to delete member {which}: ")))
}
