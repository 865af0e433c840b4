//! What other Stores send: looked at before it reaches Raft.
//!
//! A message is for one peer on one Store. One for a peer that is gone, or for a Store that had this address before,
//! must not wake anything: a peer that comes back to life without its data would break promises that it made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use proto::eraftpb::MessageType;
use proto::metapb::Region;
use proto::raftcore::Envelope;
use raft_core::net::Inbound;
use raft_core::{Handle, Transport};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::address::context;
use crate::lifecycle::Creation;
use crate::region::{
    Peer, RegionState, SnapshotSummary, Stage, StateStage, conf_state, epoch_of, inspect, peer_of,
    same_conf_state,
};
use crate::{KeyRange, PeerId, RegionId, StoreCore, StoreId};

/// What an envelope carries besides its Raft message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvelopeContext {
    /// The sender's Store.
    #[prost(uint64, tag = "1")]
    pub from_store: u64,
    /// The Store that it is meant for.
    #[prost(uint64, tag = "2")]
    pub to_store: u64,
    /// The Region as applied at the sender; none from a peer without data.
    #[prost(message, optional, tag = "3")]
    pub region: Option<Region>,
    /// Tells a peer that it was removed; there is no Raft message then.
    #[prost(bool, tag = "4")]
    pub removed: bool,
}

/// The door of one Store.
#[derive(Clone)]
pub struct Door {
    core: Arc<StoreCore>,
    handle: Handle,
    transport: Arc<dyn Transport>,
    creations: mpsc::Sender<Creation>,
}

/// What is to be done with a message.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is for the peer here.
    Step,
    /// It is not for anyone here.
    Drop(&'static str),
    /// Its sender was removed and should be told.
    TellRemoved,
    /// The peer here was replaced by the one that it is for.
    Replaced,
    /// It is for a peer that should be created.
    Create,
}

impl Door {
    /// The door to the Regions of `core`; peers to be created go to `creations`.
    pub fn new(
        core: Arc<StoreCore>,
        handle: Handle,
        transport: Arc<dyn Transport>,
        creations: mpsc::Sender<Creation>,
    ) -> Self {
        Self { core, handle, transport, creations }
    }
}

impl Inbound for Door {
    fn envelope(&self, envelope: Envelope) {
        let Ok(context) = EnvelopeContext::decode(envelope.context.clone()) else { return };
        let region = RegionId(envelope.group_id);
        let peer = self.core.regions.get(region);
        if context.removed {
            // Only a hint: PD has the last word.
            if peer.is_some() {
                self.core.signals.doubtful.add(region);
            }
            return;
        }
        let Some(message) = &envelope.message else { return };
        let (from, to) = (PeerId(message.from), PeerId(message.to));
        match judge(&self.core, peer.as_deref(), &context, message.msg_type(), from, to) {
            Verdict::Step => {
                if let Some(peer) = peer {
                    peer.learn(from, StoreId(context.from_store));
                }
                self.handle.step(envelope);
            }
            Verdict::Drop(why) => debug!(store = %self.core.id, %region, %from, %to, why, "message dropped"),
            Verdict::TellRemoved => {
                if let Some(peer) = peer {
                    peer.learn(from, StoreId(context.from_store));
                    self.tell_removed(&peer, from, StoreId(context.from_store));
                }
            }
            Verdict::Replaced => self.core.signals.doomed.add(region),
            Verdict::Create => {
                let Some(declared) = context.region else { return };
                if asks_vote(message.msg_type()) {
                    self.core.early_votes.keep(region, to, envelope.clone());
                    if self.core.regions.get(region).is_some() {
                        // The split came in between; a vote asked twice is given once.
                        self.handle.step(envelope);
                        return;
                    }
                }
                // When full, the message is dropped: leaders repeat themselves.
                let _ = self.creations.try_send(Creation { region: declared, peer: to });
            }
        }
    }

    fn snapshot(&self, envelope: Envelope, file: PathBuf) {
        // The file is read through, which may take a while.
        let door = self.clone();
        tokio::task::spawn_blocking(move || door.take_snapshot(envelope, file));
    }

    fn snapshot_dir(&self) -> PathBuf {
        self.handle.snapshot_dir()
    }
}

impl Door {
    fn take_snapshot(&self, envelope: Envelope, file: PathBuf) {
        match self.judge_snapshot(&envelope, &file) {
            Ok(()) => self.handle.step_snapshot(envelope, file),
            Err(why) => {
                warn!(store = %self.core.id, region = envelope.group_id, why, "snapshot refused");
                if let Err(error) = std::fs::remove_file(&file) {
                    warn!(file = %file.display(), %error, "a refused snapshot stays behind");
                }
            }
        }
    }

    fn judge_snapshot(&self, envelope: &Envelope, file: &Path) -> Result<(), String> {
        let context = EnvelopeContext::decode(envelope.context.clone()).map_err(|error| error.to_string())?;
        let message = envelope.message.as_ref().ok_or("no message")?;
        let (from, to) = (PeerId(message.from), PeerId(message.to));
        let peer = self.core.regions.get(RegionId(envelope.group_id));
        let verdict = judge(&self.core, peer.as_deref(), &context, message.msg_type(), from, to);
        let (Verdict::Step, Some(peer)) = (&verdict, peer) else { return Err(format!("{verdict:?}")) };
        let summary = inspect(file).map_err(|error| error.to_string())?;
        let metadata =
            message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.clone()).unwrap_or_default();
        if (summary.index, summary.term) != (metadata.index, metadata.term)
            || !same_conf_state(&conf_state(&summary.region), &metadata.conf_state.unwrap_or_default())
        {
            return Err("file and message differ".into());
        }
        admit_range(&self.core, &peer, &summary)?;
        peer.learn(from, StoreId(context.from_store));
        Ok(())
    }

    fn tell_removed(&self, peer: &Peer, from: PeerId, store: StoreId) {
        let context = context(&self.core, peer, store, true);
        let message =
            proto::eraftpb::Message { to: from.0, from: peer.id().0, ..proto::eraftpb::Message::default() };
        self.transport.send(Envelope {
            group_id: peer.region_id().0,
            message: Some(message),
            context,
            ..Envelope::default()
        });
    }
}

/// Who a message is for, and whether its sender still counts.
fn judge(
    core: &StoreCore,
    peer: Option<&Peer>,
    context: &EnvelopeContext,
    kind: MessageType,
    from: PeerId,
    to: PeerId,
) -> Verdict {
    if context.to_store != core.id.0 {
        return Verdict::Drop("it is for a store that had this address before");
    }
    let names =
        |region: &Region, id: PeerId| peer_of(region, id).is_some_and(|peer| peer.store_id == core.id.0);
    let Some(peer) = peer else {
        let named = context.region.as_ref().is_some_and(|region| names(region, to));
        return match (creates(kind), named) {
            (true, true) => Verdict::Create,
            (true, false) => Verdict::Drop("the sender's region does not name the peer"),
            (false, _) => Verdict::Drop("no such peer here"),
        };
    };
    if to == peer.id() {
        let ours = peer.region();
        let older = context
            .region
            .as_ref()
            .is_some_and(|theirs| epoch_of(theirs).conf_ver < epoch_of(&ours).conf_ver);
        return if asks_vote(kind) && older && peer.generation().is_some() && peer_of(&ours, from).is_none() {
            Verdict::TellRemoved
        } else {
            Verdict::Step
        };
    }
    if to < peer.id() {
        return Verdict::Drop("it is for an earlier peer");
    }
    let replaced = context.region.as_ref().is_some_and(|region| {
        epoch_of(region).conf_ver > epoch_of(&peer.region()).conf_ver
            && peer_of(region, peer.id()).is_none()
            && names(region, to)
    });
    if replaced {
        Verdict::Replaced
    } else {
        Verdict::Drop("it is for a later peer that its sender cannot prove")
    }
}

fn asks_vote(kind: MessageType) -> bool {
    matches!(kind, MessageType::MsgRequestVote | MessageType::MsgRequestPreVote)
}

/// Whether a message may create the peer that it is for: those with which a leader or a candidate begins.
fn creates(kind: MessageType) -> bool {
    matches!(
        kind,
        MessageType::MsgAppend
            | MessageType::MsgHeartbeat
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestPreVote
    )
}

/// An empty peer takes the range of its first snapshot, unless another peer holds a part of it.
///
/// Its record must never name more than it holds, or a restart would find two peers over one key: a range that
/// shrinks is written down before the rest is given free, one that grows after it is held.
fn admit_range(core: &StoreCore, peer: &Peer, summary: &SnapshotSummary) -> Result<(), String> {
    let stage = peer.stage();
    if *stage != Stage::Empty {
        return Ok(());
    }
    let range = KeyRange::of(&summary.region);
    let state = RegionState {
        region: Some(summary.region.clone()),
        stage: StateStage::Empty.into(),
        peer_id: peer.id().0,
        index: 0,
        term: 0,
    };
    let write = || core.states.put_synced(&state).map_err(|error| error.to_string());
    let hold = || core.regions.resize(peer.region_id(), range.clone()).map_err(|held| held.to_string());
    if peer.range().intersect(&range).as_ref() == Some(&range) {
        write()?;
        hold()?;
    } else {
        hold()?;
        write()?;
    }
    peer.set_region(Arc::new(summary.region.clone()));
    Ok(())
}

#[cfg(test)]
mod tests;
