//! Cutting a Region: where, and what becomes of it.

use bytes::Bytes;
use proto::metapb::Region;

use super::command::SplitPart;
use super::{epoch_of, is_joint};
use crate::KeyRange;

/// Most new Regions of one split: each costs every replica a group, and ids asked of PD.
pub const MAX_PARTS: usize = 10;

/// When a Region is too large, and how large its parts become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Bytes of keys and values of a part.
    pub split_bytes: u64,
    /// Bytes from which on a Region is cut.
    pub max_bytes: u64,
    /// Keys of a part.
    pub split_keys: u64,
    /// Keys from which on a Region is cut.
    pub max_keys: u64,
}

/// Why a split is not possible. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitRefused {
    /// No part was given, or too many.
    #[error("{0} new regions asked for; 1 to {MAX_PARTS} are possible")]
    Parts(usize),
    /// A key is not inside the range, or not above the one before.
    #[error("split key {0} is not inside the region in rising order")]
    Key(String),
    /// The number of peer ids is not the number of peers.
    #[error("{given} peer ids for {peers} peers")]
    PeerIds {
        /// How many were given.
        given: usize,
        /// How many peers there are.
        peers: usize,
    },
    /// The Region must leave its joint membership first.
    #[error("the region is in a joint membership that must be left first")]
    Joint,
}

/// The new Regions from left to right, and what is left under the old id: the rightmost part.
pub fn apply_split(region: &Region, parts: &[SplitPart]) -> Result<(Vec<Region>, Region), SplitRefused> {
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(SplitRefused::Parts(parts.len()));
    }
    if is_joint(region) {
        return Err(SplitRefused::Joint);
    }
    let mut epoch = epoch_of(region);
    epoch.version += parts.len() as u64;
    let mut rest = Region { region_epoch: Some(epoch), ..region.clone() };
    let mut made = Vec::with_capacity(parts.len());
    for part in parts {
        if !KeyRange::of(&rest).can_split_at(&part.key) {
            return Err(SplitRefused::Key(hex::encode_upper(&part.key)));
        }
        if part.peer_ids.len() != region.peers.len() {
            return Err(SplitRefused::PeerIds { given: part.peer_ids.len(), peers: region.peers.len() });
        }
        let mut left = Region { id: part.region_id, end_key: part.key.clone(), ..rest.clone() };
        for (peer, id) in left.peers.iter_mut().zip(&part.peer_ids) {
            peer.id = *id;
        }
        rest.start_key = part.key.clone();
        made.push(left);
    }
    Ok((made, rest))
}

/// Chooses keys while a Region's keys go by in order.
#[derive(Debug)]
pub struct SplitPoints {
    thresholds: Thresholds,
    bytes: u64,
    keys: u64,
    part_bytes: u64,
    part_keys: u64,
    points: Vec<Bytes>,
}

impl SplitPoints {
    /// Nothing has gone by.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, bytes: 0, keys: 0, part_bytes: 0, part_keys: 0, points: Vec::new() }
    }

    /// The next key, and the bytes of key and value.
    pub fn visit(&mut self, key: &[u8], bytes: u64) {
        let t = &self.thresholds;
        let full = self.part_bytes >= t.split_bytes || self.part_keys >= t.split_keys;
        if full && self.points.len() < MAX_PARTS {
            self.points.push(Bytes::copy_from_slice(key));
            (self.part_bytes, self.part_keys) = (0, 0);
        }
        self.bytes += bytes;
        self.keys += 1;
        self.part_bytes += bytes;
        self.part_keys += 1;
    }

    /// Bytes and keys that went by.
    pub fn totals(&self) -> (u64, u64) {
        (self.bytes, self.keys)
    }

    /// Where to cut; empty if the Region is not too large. A last part so small that it would fit into the one before
    /// stays there.
    pub fn finish(mut self) -> Vec<Bytes> {
        let t = self.thresholds;
        if self.bytes < t.max_bytes && self.keys < t.max_keys {
            return Vec::new();
        }
        let fits =
            self.part_bytes + t.split_bytes <= t.max_bytes && self.part_keys + t.split_keys <= t.max_keys;
        if fits && self.points.len() > 1 {
            self.points.pop();
        }
        self.points
    }
}

#[cfg(test)]
mod tests {
    use proto::metapb::{Peer, PeerRole, RegionEpoch};

    use super::*;

    fn region() -> Region {
        Region {
            id: 2,
            start_key: Bytes::from_static(b"b"),
            end_key: Bytes::from_static(b"y"),
            region_epoch: Some(RegionEpoch { conf_ver: 5, version: 3 }),
            peers: vec![
                Peer { id: 3, store_id: 1, ..Peer::default() },
                Peer { id: 4, store_id: 8, role: PeerRole::Learner.into(), is_witness: false },
            ],
            ..Region::default()
        }
    }

    fn part(key: &'static str, region_id: u64) -> SplitPart {
        let key = Bytes::from_static(key.as_bytes());
        SplitPart { key, region_id, peer_ids: vec![region_id + 1, region_id + 2] }
    }

    #[test]
    fn the_right_part_keeps_the_id_and_all_tile_the_old_range() {
        let (made, rest) = apply_split(&region(), &[part("f", 10), part("m", 20)]).unwrap();
        let ranges: Vec<String> =
            made.iter().chain([&rest]).map(|r| format!("{} {}", r.id, KeyRange::of(r))).collect();
        assert_eq!(ranges, ["10 [62, 66)", "20 [66, 6D)", "2 [6D, 79)"]);
        for each in made.iter().chain([&rest]) {
            assert_eq!(epoch_of(each), RegionEpoch { conf_ver: 5, version: 5 }, "one for each new region");
        }
        assert_eq!(made[1].peers[1], Peer { id: 22, store_id: 8, role: 1, is_witness: false });
        assert_eq!(rest.peers, region().peers);
    }

    #[test]
    fn what_is_refused() {
        use SplitRefused::*;
        assert_eq!(apply_split(&region(), &[]), Err(Parts(0)));
        assert_eq!(apply_split(&region(), &[part("b", 10)]), Err(Key("62".into())));
        assert_eq!(apply_split(&region(), &[part("y", 10)]), Err(Key("79".into())));
        assert_eq!(apply_split(&region(), &[part("m", 10), part("f", 20)]), Err(Key("66".into())));
        let short = SplitPart { peer_ids: vec![1], ..part("f", 10) };
        assert_eq!(apply_split(&region(), &[short]), Err(PeerIds { given: 1, peers: 2 }));
        let mut joint = region();
        joint.peers[1].set_role(PeerRole::IncomingVoter);
        assert_eq!(apply_split(&joint, &[part("f", 10)]), Err(Joint));
    }

    fn points(sizes: &[u64], thresholds: Thresholds) -> Vec<String> {
        let mut points = SplitPoints::new(thresholds);
        for (n, size) in sizes.iter().enumerate() {
            points.visit(format!("k{n:03}").as_bytes(), *size);
        }
        points.finish().iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    const BY_SIZE: Thresholds =
        Thresholds { split_bytes: 100, max_bytes: 150, split_keys: u64::MAX / 2, max_keys: u64::MAX };

    #[test]
    fn cuts_by_size_and_by_keys() {
        assert!(points(&[10; 14], BY_SIZE).is_empty(), "140 bytes are not too much");
        assert_eq!(points(&[10; 15], BY_SIZE), ["k010"]);
        assert_eq!(points(&[10; 24], BY_SIZE), ["k010"], "the last 40 bytes stay with the part before");
        assert_eq!(points(&[10; 26], BY_SIZE), ["k010", "k020"]);
        assert_eq!(points(&[200, 200, 200], BY_SIZE), ["k001", "k002"]);
        assert!(points(&[1_000], BY_SIZE).is_empty(), "one key cannot be cut");
        let by_keys =
            Thresholds { split_bytes: u64::MAX / 2, max_bytes: u64::MAX, split_keys: 4, max_keys: 6 };
        assert_eq!(points(&[1; 6], by_keys), ["k004"]);
        assert_eq!(points(&[10; 1_000], BY_SIZE).len(), MAX_PARTS, "the rest comes with the next check");
    }
}
