//! What PD tells a store to do with a Region, read from the answer on its heartbeat stream.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::line;
use super::region::{Epoch, Peer, Role};

/// One command. It addresses a Region at an epoch through its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The Region.
    pub region_id: u64,
    /// The epoch that PD believes to be present.
    pub epoch: Epoch,
    /// The peer id that PD believes to lead.
    pub target: u64,
    /// What to do.
    pub action: Action,
}

/// What PD can ask for here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Change one peer, or enter a joint state (several), or leave it (none).
    ChangePeers(Vec<Change>),
    /// Hand the lead to one of these peers, by id.
    TransferLeader(Vec<u64>),
    /// Cut at these keys.
    Split(Vec<Vec<u8>>),
}

/// One change of membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens to the peer.
    pub kind: ChangeKind,
    /// The peer as it shall be.
    pub peer: Peer,
}

/// The kinds of change, as Raft names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Becomes a voter.
    AddNode,
    /// Goes away.
    RemoveNode,
    /// Becomes a learner.
    AddLearnerNode,
}

impl Action {
    /// The name of its field on the wire.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Action::ChangePeers(_) => "change_peer_v2",
            Action::TransferLeader(_) => "transfer_leader",
            Action::Split(_) => "split_region",
        }
    }
}

/// Reads an answer of the heartbeat stream; `None` for a keepalive.
///
/// # Errors
/// When the answer carries an error, lacks a part of a command, or asks for what no store here can do.
pub fn read(answer: &Value) -> Result<Option<Command>> {
    ensure!(answer["header"].get("error").is_none(), "an error on the heartbeat stream: {answer}");
    let known = ["change_peer", "change_peer_v2", "transfer_leader", "split_region"];
    let fields = answer.as_object().context("an answer")?;
    let actions: Vec<&str> = known.into_iter().filter(|name| fields.contains_key(*name)).collect();
    let action = match actions.as_slice() {
        [] if fields.keys().all(|name| name == "header") => return Ok(None),
        [] => bail!("a command without an action: {answer}"),
        ["change_peer"] => Action::ChangePeers(vec![change(&answer["change_peer"])?]),
        ["change_peer_v2"] => {
            let changes = answer["change_peer_v2"]["changes"].as_array().into_iter().flatten();
            Action::ChangePeers(changes.map(change).collect::<Result<_>>()?)
        }
        ["transfer_leader"] => {
            let transfer = &answer["transfer_leader"];
            let many = transfer["peers"].as_array().into_iter().flatten();
            let candidates: Result<Vec<u64>> =
                std::iter::once(&transfer["peer"]).chain(many).map(|p| number(&p["id"])).collect();
            Action::TransferLeader(candidates?)
        }
        ["split_region"] => {
            let split = &answer["split_region"];
            ensure!(split["policy"] == "USEKEY", "a split of an unknown policy: {answer}");
            let keys = split["keys"].as_array().into_iter().flatten().map(line::key);
            Action::Split(keys.collect::<Result<_>>()?)
        }
        several => bail!("a store carries out one action only, here are {several:?}: {answer}"),
    };
    Ok(Some(Command {
        region_id: number(&answer["region_id"]).with_context(|| answer.to_string())?,
        epoch: epoch(&answer["region_epoch"]),
        target: number(&answer["target_peer"]["id"]).with_context(|| answer.to_string())?,
        action,
    }))
}

/// An epoch in JSON; absent numbers are zero.
#[must_use]
pub fn epoch(value: &Value) -> Epoch {
    let part = |name: &str| number(&value[name]).unwrap_or(0);
    Epoch { conf_ver: part("conf_ver"), version: part("version") }
}

fn change(value: &Value) -> Result<Change> {
    let kind = match value["change_type"].as_str() {
        None | Some("AddNode") => ChangeKind::AddNode,
        Some("RemoveNode") => ChangeKind::RemoveNode,
        Some("AddLearnerNode") => ChangeKind::AddLearnerNode,
        Some(other) => bail!("change type {other}"),
    };
    let peer = &value["peer"];
    let role = match peer["role"].as_str() {
        None | Some("Voter") => Role::Voter,
        Some("Learner") => Role::Learner,
        Some(other) => bail!("a change to the role {other}"),
    };
    Ok(Change { kind, peer: Peer { id: number(&peer["id"])?, store_id: number(&peer["store_id"])?, role } })
}

/// A 64-bit number, which protobuf's JSON writes as a string.
///
/// # Errors
/// When it is absent or none.
pub fn number(value: &Value) -> Result<u64> {
    value.as_str().and_then(|digits| digits.parse().ok()).with_context(|| format!("a number, not {value}"))
}

#[cfg(test)]
mod tests {
    use super::{Action, ChangeKind, read};
    use crate::replay::tikv::line::{Direction, lines};
    use serde_json::json;

    #[test]
    fn every_recorded_command_is_understood() {
        let answers = lines()
            .unwrap()
            .into_iter()
            .filter(|l| l.rpc == "pdpb.PD/RegionHeartbeat" && l.dir == Direction::ToStore);
        let commands: Vec<_> = answers.map(|line| read(&line.msg).unwrap()).collect();
        assert_eq!(commands.iter().filter(|c| c.is_none()).count(), 4, "keepalives");
        let kinds = |field| commands.iter().flatten().filter(|c| c.action.field() == field).count();
        assert_eq!((kinds("change_peer_v2"), kinds("transfer_leader"), kinds("split_region")), (15, 6, 1));
    }

    #[test]
    fn a_command_must_be_complete() {
        let whole = json!({"region_id": "2", "region_epoch": {"conf_ver": "1"}, "target_peer": {"id": "3"},
            "change_peer_v2": {"changes": [{"peer": {"id": "9", "store_id": "8"}, "change_type": "RemoveNode"}]}});
        let command = read(&whole).unwrap().unwrap();
        let Action::ChangePeers(changes) = command.action else { panic!("{:?}", command.action) };
        assert_eq!(changes[0].kind, ChangeKind::RemoveNode);
        for part in ["region_id", "target_peer", "change_peer_v2"] {
            let mut cut = whole.clone();
            cut.as_object_mut().unwrap().remove(part);
            assert!(read(&cut).is_err(), "without {part}");
        }
        assert!(read(&json!({"header": {"error": {"type": "UNKNOWN"}}})).is_err());
        assert!(read(&json!({"header": {}})).unwrap().is_none());
    }
}
