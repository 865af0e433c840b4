//! Between our prost `eraftpb` (what travels and what owners see) and raft-rs's own types (protobuf 2): field by
//! field, so that no byte from the network ever reaches the protobuf 2 parser.

use proto::eraftpb as wire;
use raft::eraftpb as inner;

/// A message whose numbers name no message or entry type that Raft knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {field} {value}")]
pub(crate) struct UnknownNumber {
    field: &'static str,
    value: i32,
}

/// From the network into Raft. `commit_term` is the envelope's.
pub(crate) fn message_in(m: wire::Message, commit_term: u64) -> Result<inner::Message, UnknownNumber> {
    let mut out = inner::Message::default();
    out.set_msg_type(message_type_in(m.msg_type)?);
    out.to = m.to;
    out.from = m.from;
    out.term = m.term;
    out.log_term = m.log_term;
    out.index = m.index;
    let entries = m.entries.into_iter().map(entry_in).collect::<Result<Vec<_>, _>>()?;
    out.set_entries(entries.into());
    out.commit = m.commit;
    out.commit_term = commit_term;
    if let Some(snapshot) = m.snapshot {
        out.set_snapshot(snapshot_in(snapshot));
    }
    out.reject = m.reject;
    out.reject_hint = m.reject_hint;
    out.context = m.context;
    out.request_snapshot = m.request_snapshot;
    out.deprecated_priority = m.deprecated_priority;
    out.priority = m.priority;
    Ok(out)
}

/// From Raft to the network, with what goes into the envelope's `commit_term`.
pub(crate) fn message_out(mut m: inner::Message) -> (wire::Message, u64) {
    let snapshot = m.has_snapshot().then(|| snapshot_out(m.take_snapshot()));
    let entries = m.take_entries().into_iter().map(entry_out).collect();
    let out = wire::Message {
        msg_type: message_type_out(m.get_msg_type()) as i32,
        to: m.to,
        from: m.from,
        term: m.term,
        log_term: m.log_term,
        index: m.index,
        entries,
        commit: m.commit,
        snapshot,
        reject: m.reject,
        reject_hint: m.reject_hint,
        context: m.take_context(),
        request_snapshot: m.request_snapshot,
        deprecated_priority: m.deprecated_priority,
        priority: m.priority,
    };
    (out, m.commit_term)
}

/// A membership as raft-rs holds it.
pub(crate) fn conf_state_in(c: &wire::ConfState) -> inner::ConfState {
    let mut out = inner::ConfState::default();
    out.set_voters(c.voters.clone());
    out.set_learners(c.learners.clone());
    out.set_voters_outgoing(c.voters_outgoing.clone());
    out.set_learners_next(c.learners_next.clone());
    out.auto_leave = c.auto_leave;
    out
}

/// A membership as owners see it: sorted, so that equal memberships are equal values on every member.
pub(crate) fn conf_state_out(c: &inner::ConfState) -> wire::ConfState {
    let sorted = |ids: &[u64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    wire::ConfState {
        voters: sorted(c.get_voters()),
        learners: sorted(c.get_learners()),
        voters_outgoing: sorted(c.get_voters_outgoing()),
        learners_next: sorted(c.get_learners_next()),
        auto_leave: c.auto_leave,
    }
}

/// A change of membership as raft-rs takes it.
pub(crate) fn conf_change_in(c: &wire::ConfChangeV2) -> Result<inner::ConfChangeV2, UnknownNumber> {
    let mut out = inner::ConfChangeV2::default();
    out.set_transition(match wire::ConfChangeTransition::try_from(c.transition) {
        Ok(wire::ConfChangeTransition::Auto) => inner::ConfChangeTransition::Auto,
        Ok(wire::ConfChangeTransition::Implicit) => inner::ConfChangeTransition::Implicit,
        Ok(wire::ConfChangeTransition::Explicit) => inner::ConfChangeTransition::Explicit,
        Err(_) => return Err(UnknownNumber { field: "conf change transition", value: c.transition }),
    });
    let changes = c.changes.iter().map(conf_change_single_in).collect::<Result<Vec<_>, _>>()?;
    out.set_changes(changes.into());
    out.context = c.context.clone();
    Ok(out)
}

/// Metadata of a snapshot as raft-rs holds it.
pub(crate) fn metadata_in(m: &wire::SnapshotMetadata) -> inner::SnapshotMetadata {
    let mut out = inner::SnapshotMetadata::default();
    if let Some(conf_state) = &m.conf_state {
        out.set_conf_state(conf_state_in(conf_state));
    }
    out.index = m.index;
    out.term = m.term;
    out
}

/// Metadata of a snapshot as it travels and is stored.
pub(crate) fn metadata_out(m: &inner::SnapshotMetadata) -> wire::SnapshotMetadata {
    wire::SnapshotMetadata {
        conf_state: m.conf_state.is_some().then(|| conf_state_out(m.get_conf_state())),
        index: m.index,
        term: m.term,
    }
}

fn conf_change_single_in(c: &wire::ConfChangeSingle) -> Result<inner::ConfChangeSingle, UnknownNumber> {
    let mut out = inner::ConfChangeSingle::default();
    out.set_change_type(match wire::ConfChangeType::try_from(c.change_type) {
        Ok(wire::ConfChangeType::AddNode) => inner::ConfChangeType::AddNode,
        Ok(wire::ConfChangeType::RemoveNode) => inner::ConfChangeType::RemoveNode,
        Ok(wire::ConfChangeType::AddLearnerNode) => inner::ConfChangeType::AddLearnerNode,
        Err(_) => return Err(UnknownNumber { field: "conf change type", value: c.change_type }),
    });
    out.node_id = c.node_id;
    Ok(out)
}

fn entry_in(e: wire::Entry) -> Result<inner::Entry, UnknownNumber> {
    let mut out = inner::Entry::default();
    out.set_entry_type(match wire::EntryType::try_from(e.entry_type) {
        Ok(wire::EntryType::EntryNormal) => inner::EntryType::EntryNormal,
        Ok(wire::EntryType::EntryConfChange) => inner::EntryType::EntryConfChange,
        Ok(wire::EntryType::EntryConfChangeV2) => inner::EntryType::EntryConfChangeV2,
        Err(_) => return Err(UnknownNumber { field: "entry type", value: e.entry_type }),
    });
    out.term = e.term;
    out.index = e.index;
    out.data = e.data;
    out.context = e.context;
    out.sync_log = e.sync_log;
    Ok(out)
}

fn entry_out(e: inner::Entry) -> wire::Entry {
    let entry_type = match e.get_entry_type() {
        inner::EntryType::EntryNormal => wire::EntryType::EntryNormal,
        inner::EntryType::EntryConfChange => wire::EntryType::EntryConfChange,
        inner::EntryType::EntryConfChangeV2 => wire::EntryType::EntryConfChangeV2,
    };
    wire::Entry {
        entry_type: entry_type as i32,
        term: e.term,
        index: e.index,
        data: e.data,
        sync_log: e.sync_log,
        context: e.context,
    }
}

fn snapshot_in(s: wire::Snapshot) -> inner::Snapshot {
    let mut out = inner::Snapshot { data: s.data, ..inner::Snapshot::default() };
    if let Some(metadata) = &s.metadata {
        out.set_metadata(metadata_in(metadata));
    }
    out
}

fn snapshot_out(mut s: inner::Snapshot) -> wire::Snapshot {
    let metadata = s.has_metadata().then(|| metadata_out(s.get_metadata()));
    wire::Snapshot { data: s.take_data(), metadata }
}

fn message_type_in(value: i32) -> Result<inner::MessageType, UnknownNumber> {
    use inner::MessageType as In;
    use wire::MessageType as Out;
    Ok(match Out::try_from(value) {
        Ok(Out::MsgHup) => In::MsgHup,
        Ok(Out::MsgBeat) => In::MsgBeat,
        Ok(Out::MsgPropose) => In::MsgPropose,
        Ok(Out::MsgAppend) => In::MsgAppend,
        Ok(Out::MsgAppendResponse) => In::MsgAppendResponse,
        Ok(Out::MsgRequestVote) => In::MsgRequestVote,
        Ok(Out::MsgRequestVoteResponse) => In::MsgRequestVoteResponse,
        Ok(Out::MsgSnapshot) => In::MsgSnapshot,
        Ok(Out::MsgHeartbeat) => In::MsgHeartbeat,
        Ok(Out::MsgHeartbeatResponse) => In::MsgHeartbeatResponse,
        Ok(Out::MsgUnreachable) => In::MsgUnreachable,
        Ok(Out::MsgSnapStatus) => In::MsgSnapStatus,
        Ok(Out::MsgCheckQuorum) => In::MsgCheckQuorum,
        Ok(Out::MsgTransferLeader) => In::MsgTransferLeader,
        Ok(Out::MsgTimeoutNow) => In::MsgTimeoutNow,
        Ok(Out::MsgReadIndex) => In::MsgReadIndex,
        Ok(Out::MsgReadIndexResp) => In::MsgReadIndexResp,
        Ok(Out::MsgRequestPreVote) => In::MsgRequestPreVote,
        Ok(Out::MsgRequestPreVoteResponse) => In::MsgRequestPreVoteResponse,
        Err(_) => return Err(UnknownNumber { field: "message type", value }),
    })
}

fn message_type_out(value: inner::MessageType) -> wire::MessageType {
    use inner::MessageType as In;
    use wire::MessageType as Out;
    match value {
        In::MsgHup => Out::MsgHup,
        In::MsgBeat => Out::MsgBeat,
        In::MsgPropose => Out::MsgPropose,
        In::MsgAppend => Out::MsgAppend,
        In::MsgAppendResponse => Out::MsgAppendResponse,
        In::MsgRequestVote => Out::MsgRequestVote,
        In::MsgRequestVoteResponse => Out::MsgRequestVoteResponse,
        In::MsgSnapshot => Out::MsgSnapshot,
        In::MsgHeartbeat => Out::MsgHeartbeat,
        In::MsgHeartbeatResponse => Out::MsgHeartbeatResponse,
        In::MsgUnreachable => Out::MsgUnreachable,
        In::MsgSnapStatus => Out::MsgSnapStatus,
        In::MsgCheckQuorum => Out::MsgCheckQuorum,
        In::MsgTransferLeader => Out::MsgTransferLeader,
        In::MsgTimeoutNow => Out::MsgTimeoutNow,
        In::MsgReadIndex => Out::MsgReadIndex,
        In::MsgReadIndexResp => Out::MsgReadIndexResp,
        In::MsgRequestPreVote => Out::MsgRequestPreVote,
        In::MsgRequestPreVoteResponse => Out::MsgRequestPreVoteResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = bytes::Bytes> {
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Into::into)
    }

    fn conf_state() -> impl Strategy<Value = wire::ConfState> {
        let ids =
            || proptest::collection::btree_set(any::<u64>(), 0..4).prop_map(|s| s.into_iter().collect());
        (ids(), ids(), ids(), ids(), any::<bool>()).prop_map(
            |(voters, learners, voters_outgoing, learners_next, auto_leave)| wire::ConfState {
                voters,
                learners,
                voters_outgoing,
                learners_next,
                auto_leave,
            },
        )
    }

    fn entry() -> impl Strategy<Value = wire::Entry> {
        (0..3i32, any::<u64>(), any::<u64>(), bytes(), any::<bool>(), bytes()).prop_map(
            |(entry_type, term, index, data, sync_log, context)| wire::Entry {
                entry_type,
                term,
                index,
                data,
                sync_log,
                context,
            },
        )
    }

    fn snapshot() -> impl Strategy<Value = wire::Snapshot> {
        let metadata = (proptest::option::of(conf_state()), any::<u64>(), any::<u64>())
            .prop_map(|(conf_state, index, term)| wire::SnapshotMetadata { conf_state, index, term });
        (bytes(), proptest::option::of(metadata))
            .prop_map(|(data, metadata)| wire::Snapshot { data, metadata })
    }

    prop_compose! {
        fn message()(
            msg_type in 0..19i32,
            numbers in any::<[u64; 9]>(),
            entries in proptest::collection::vec(entry(), 0..4),
            snapshot in proptest::option::of(snapshot()),
            reject in any::<bool>(),
            context in bytes(),
            priority in any::<i64>(),
        ) -> wire::Message {
            let [to, from, term, log_term, index, commit, reject_hint, request_snapshot, deprecated_priority] = numbers;
            wire::Message {
                msg_type, to, from, term, log_term, index, entries, commit, snapshot, reject, reject_hint, context,
                request_snapshot, deprecated_priority, priority,
            }
        }
    }

    proptest! {
        #[test]
        fn messages_survive_both_ways(m in message(), commit_term in any::<u64>()) {
            let there = message_in(m.clone(), commit_term).unwrap();
            prop_assert_eq!(message_out(there), (m, commit_term));
        }
    }

    #[test]
    fn unknown_numbers_are_refused_by_name() {
        let bad = wire::Message { msg_type: 19, ..Default::default() };
        assert_eq!(message_in(bad, 0).unwrap_err().to_string(), "unknown message type 19");
        let entry = wire::Entry { entry_type: 3, ..Default::default() };
        let bad = wire::Message { entries: vec![entry], ..Default::default() };
        assert_eq!(message_in(bad, 0).unwrap_err().to_string(), "unknown entry type 3");
        let single = wire::ConfChangeSingle { change_type: 7, node_id: 1 };
        let bad = wire::ConfChangeV2 { changes: vec![single], ..Default::default() };
        assert_eq!(conf_change_in(&bad).unwrap_err().to_string(), "unknown conf change type 7");
    }
}
