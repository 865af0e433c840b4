//! The values of fields as words, each with its way there and back.

use bytes::Bytes;

use super::BadEvent;
use crate::config::Config;
use crate::effect::SplitPolicy;
use crate::model::{
    DownPeer, NodeState, Peer, PeerId, PeerRole, Rate, RegionEpoch, StoreId, StoreLabel, StoreLimit,
};
use crate::operator::TargetRole;
use crate::producers::{CheckerName, SchedulerName};

pub(super) fn number(text: &str) -> Result<u64, BadEvent> {
    text.parse().map_err(|_| BadEvent::new(format!("`{text}` is no number")))
}

pub(super) fn epoch_text(epoch: RegionEpoch) -> String {
    format!("{}/{}", epoch.conf_ver, epoch.version)
}

pub(super) fn epoch(text: &str) -> Result<RegionEpoch, BadEvent> {
    let (conf_ver, version) =
        text.split_once('/').ok_or_else(|| BadEvent::new("an epoch is conf_ver/version"))?;
    Ok(RegionEpoch { conf_ver: number(conf_ver)?, version: number(version)? })
}

pub(super) fn peer_text(peer: &Peer) -> String {
    let role = match peer.role {
        PeerRole::Voter => 'v',
        PeerRole::Learner => 'l',
        PeerRole::IncomingVoter => 'i',
        PeerRole::DemotingVoter => 'd',
    };
    format!("{}@{}{role}{}", peer.id, peer.store, if peer.is_witness { "w" } else { "" })
}

pub(super) fn peer(text: &str) -> Result<Peer, BadEvent> {
    let bad = || BadEvent::new(format!("`{text}` is no peer: id@store and v, l, i or d"));
    let (id, rest) = text.split_once('@').ok_or_else(bad)?;
    let (rest, is_witness) = rest.strip_suffix('w').map_or((rest, false), |rest| (rest, true));
    let roles = [
        ('v', PeerRole::Voter),
        ('l', PeerRole::Learner),
        ('i', PeerRole::IncomingVoter),
        ('d', PeerRole::DemotingVoter),
    ];
    let (store, role) =
        roles.into_iter().find_map(|(c, role)| Some((rest.strip_suffix(c)?, role))).ok_or_else(bad)?;
    Ok(Peer { id: PeerId(number(id)?), store: StoreId(number(store)?), role, is_witness })
}

pub(super) fn down_peer(text: &str) -> Result<DownPeer, BadEvent> {
    let (peer, seconds) = text.split_once(':').ok_or_else(|| BadEvent::new("a down peer is id:seconds"))?;
    Ok(DownPeer { peer: PeerId(number(peer)?), seconds: number(seconds)? })
}

pub(super) fn label(text: &str) -> Result<StoreLabel, BadEvent> {
    let (key, value) = text.split_once(':').ok_or_else(|| BadEvent::new("a label is key:value"))?;
    let utf8 =
        |hex| String::from_utf8(unhex(hex)?.to_vec()).map_err(|_| BadEvent::new("a label is not UTF-8"));
    Ok(StoreLabel { key: utf8(key)?, value: utf8(value)? })
}

pub(super) const fn node_state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Preparing => "preparing",
        NodeState::Serving => "serving",
        NodeState::Removing => "removing",
        NodeState::Removed => "removed",
    }
}

pub(super) fn node_state(text: &str) -> Result<NodeState, BadEvent> {
    let all = [NodeState::Preparing, NodeState::Serving, NodeState::Removing, NodeState::Removed];
    let found = all.into_iter().find(|s| node_state_name(*s) == text);
    found.ok_or_else(|| BadEvent::new(format!("`{text}` is no state of a store")))
}

pub(super) const fn policy_name(policy: SplitPolicy) -> &'static str {
    match policy {
        SplitPolicy::Scan => "scan",
        SplitPolicy::Approximate => "approximate",
        SplitPolicy::UseKey => "use-key",
    }
}

pub(super) fn policy(text: &str) -> Result<SplitPolicy, BadEvent> {
    let all = [SplitPolicy::Scan, SplitPolicy::Approximate, SplitPolicy::UseKey];
    let found = all.into_iter().find(|p| policy_name(*p) == text);
    found.ok_or_else(|| BadEvent::new(format!("`{text}` is no policy of a split")))
}

pub(super) fn limit_text(limit: &StoreLimit) -> String {
    format!("{}:{}", limit.add_peer.0, limit.remove_peer.0)
}

pub(super) fn limit(text: &str) -> Result<StoreLimit, BadEvent> {
    let (add, remove) =
        text.split_once(':').ok_or_else(|| BadEvent::new("a limit is add-peer:remove-peer"))?;
    Ok(StoreLimit { add_peer: Rate(number(add)?), remove_peer: Rate(number(remove)?) })
}

pub(super) fn store_limit(text: &str) -> Result<(StoreId, StoreLimit), BadEvent> {
    let (store, rest) =
        text.split_once(':').ok_or_else(|| BadEvent::new("a store's limit is store:add-peer:remove-peer"))?;
    Ok((StoreId(number(store)?), limit(rest)?))
}

pub(super) fn target(text: &str) -> Result<(StoreId, TargetRole), BadEvent> {
    let (store, role) = text.split_once(':').ok_or_else(|| BadEvent::new("a target is store:role"))?;
    let role =
        TargetRole::of_name(role).ok_or_else(|| BadEvent::new(format!("`{role}` is no role of a target")))?;
    Ok((StoreId(number(store)?), role))
}

pub(super) fn scheduler(text: &str) -> Result<SchedulerName, BadEvent> {
    SchedulerName::of_name(text).ok_or_else(|| BadEvent::new(format!("`{text}` is no scheduler")))
}

pub(super) fn checker(text: &str) -> Result<CheckerName, BadEvent> {
    CheckerName::of_name(text).ok_or_else(|| BadEvent::new(format!("`{text}` is no checker")))
}

/// The switches of the configuration, each with its word.
fn switches(config: &mut Config) -> [(&'static str, &mut bool); 5] {
    [
        ("split", &mut config.enable_tikv_split_region),
        ("remove-down", &mut config.enable_remove_down_replica),
        ("replace-offline", &mut config.enable_replace_offline_replica),
        ("make-up", &mut config.enable_make_up_replica),
        ("remove-extra", &mut config.enable_remove_extra_replica),
    ]
}

/// The words of the switches that are off.
pub(super) fn off_names(config: &Config) -> impl Iterator<Item = &'static str> {
    let mut copy = config.clone();
    let off: Vec<&'static str> =
        switches(&mut copy).into_iter().filter(|(_, on)| !**on).map(|(word, _)| word).collect();
    off.into_iter()
}

pub(super) fn switch_off(config: &mut Config, word: &str) -> Result<(), BadEvent> {
    match switches(config).into_iter().find(|(known, _)| *known == word) {
        Some((_, on)) => {
            *on = false;
            Ok(())
        }
        None => Err(BadEvent::new(format!("`{word}` is no switch"))),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Result<Bytes, BadEvent> {
    let bad = || BadEvent::new(format!("`{text}` is not hex"));
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad());
    (0..text.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>().map(Bytes::from)
}
