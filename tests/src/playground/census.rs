//! The Regions as the stores themselves tell them: PD is not asked, for its view is what is on trial.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result, bail};

use crate::cluster::{HeldRegion, Store};

/// What the stores hold together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Regions, by the word of their leaders.
    pub regions: u64,
    /// Regions of which every wanted replica is where its leader believes it to be.
    pub complete: u64,
    /// What is wrong with the others, the first of it.
    pub wrong: Vec<String>,
}

/// Complaints that are kept word by word.
const WRONG_KEPT: usize = 8;

impl Census {
    /// Whether every Region has all its replicas and nothing else is wrong.
    pub fn is_complete(&self) -> bool {
        self.regions > 0 && self.complete == self.regions && self.wrong.is_empty()
    }
}

/// Asks every running store; `ids` are the stores' ids by address. `replicas` voters are wanted of each Region.
pub async fn census(stores: &[Store], ids: &BTreeMap<String, u64>, replicas: usize) -> Result<Census> {
    let mut held = BTreeMap::new();
    for store in stores {
        if !store.process().is_running() {
            continue;
        }
        // A store that PD refused holds nothing.
        let Some(id) = ids.get(&store.address()) else { continue };
        let regions = store.held_regions().await.with_context(|| format!("asking {}", store.name()))?;
        held.insert(*id, regions);
    }
    if held.is_empty() {
        bail!("no store runs");
    }
    Ok(count(&held, replicas))
}

/// Counts what the stores hold, by store id.
fn count(held: &BTreeMap<u64, Vec<HeldRegion>>, replicas: usize) -> Census {
    let mut census = Census::default();
    let mut complain = |text: String| {
        if census.wrong.len() < WRONG_KEPT {
            census.wrong.push(text);
        }
    };
    // The word of a leader counts; of two, that of the newer epoch (an old one may not know yet that it is none).
    let mut leaders: BTreeMap<u64, &HeldRegion> = BTreeMap::new();
    for region in held.values().flatten().filter(|region| region.role == "Leader") {
        let newest = leaders.entry(region.id).or_insert(region);
        if (region.version, region.conf_ver) > (newest.version, newest.conf_ver) {
            *newest = region;
        }
    }
    for region in held.values().flatten() {
        if let Entry::Vacant(unled) = leaders.entry(region.id) {
            unled.insert(region);
            complain(format!("region {} has no leader", region.id));
        }
    }
    let mut complete = 0;
    for region in leaders.values() {
        match missing(region, held, replicas) {
            None if region.role == "Leader" => complete += 1,
            None => {}
            Some(text) => complain(format!("region {}: {text}", region.id)),
        }
    }
    let mut by_start: Vec<&&HeldRegion> = leaders.values().collect();
    by_start.sort_by(|a, b| a.start_key.cmp(&b.start_key));
    let mut end = Some(String::new());
    for region in &by_start {
        if end.as_ref() != Some(&region.start_key) {
            complain(format!(
                "the Regions do not tile: region {} begins at `{}`",
                region.id, region.start_key
            ));
        }
        end = (!region.end_key.is_empty()).then(|| region.end_key.clone());
    }
    if !by_start.is_empty() && end.is_some() {
        complain("the Regions do not reach the end of the key space".to_string());
    }
    census.regions = leaders.len() as u64;
    census.complete = complete;
    census
}

/// Why a Region is not complete.
fn missing(region: &HeldRegion, held: &BTreeMap<u64, Vec<HeldRegion>>, replicas: usize) -> Option<String> {
    if let Some(peer) = region.peers.iter().find(|peer| peer.role != "Voter") {
        return Some(format!("peer {} is a {}", peer.id, peer.role));
    }
    if region.peers.len() != replicas {
        return Some(format!("{} replicas instead of {replicas}", region.peers.len()));
    }
    for peer in &region.peers {
        let Some(store) = held.get(&peer.store_id) else {
            return Some(format!("store {} does not run", peer.store_id));
        };
        let Some(copy) = store.iter().find(|copy| copy.id == region.id) else {
            return Some(format!("store {} has no peer of it", peer.store_id));
        };
        if (copy.version, copy.conf_ver) != (region.version, region.conf_ver) {
            return Some(format!("the peer on store {} lags behind", peer.store_id));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::HeldPeer;

    type Held = BTreeMap<u64, Vec<HeldRegion>>;

    fn region(id: u64, range: [&str; 2], role: &str, stores: &[u64]) -> HeldRegion {
        let peer =
            |store: &u64| HeldPeer { id: id * 10 + store, store_id: *store, role: "Voter".to_string() };
        HeldRegion {
            id,
            start_key: range[0].to_string(),
            end_key: range[1].to_string(),
            conf_ver: 1,
            version: 1,
            role: role.to_string(),
            applied: 7,
            peers: stores.iter().map(peer).collect(),
        }
    }

    fn three_stores() -> Held {
        let all = [1, 2, 3];
        let on = |store: u64| {
            let role = |leader: u64| if leader == store { "Leader" } else { "Follower" };
            vec![region(1, ["", "6b"], role(1), &all), region(2, ["6b", ""], role(2), &all)]
        };
        all.iter().map(|store| (*store, on(*store))).collect()
    }

    #[test]
    fn a_whole_cluster_is_complete() {
        let census = count(&three_stores(), 3);
        assert!(census.is_complete(), "{census:?}");
        assert_eq!(census.regions, 2);
    }

    #[test]
    fn each_thing_that_is_wrong_is_told() {
        let check = |change: &dyn Fn(&mut Held), text: &str| {
            let mut held = three_stores();
            change(&mut held);
            let census = count(&held, 3);
            assert!(
                !census.is_complete() && census.wrong.iter().any(|t| t.contains(text)),
                "{text}: {census:?}"
            );
        };
        check(&|held| drop(held.remove(&3)), "store 3 does not run");
        check(&|held| drop(held.get_mut(&3).unwrap().remove(0)), "store 3 has no peer");
        check(&|held| held.get_mut(&2).unwrap()[0].conf_ver = 0, "lags behind");
        check(&|held| held.get_mut(&1).unwrap()[0].peers[2].role = "Learner".to_string(), "is a Learner");
        check(&|held| drop(held.get_mut(&1).unwrap()[0].peers.pop()), "2 replicas");
        check(&|held| held.get_mut(&1).unwrap()[0].role = "Follower".to_string(), "no leader");
        check(&|held| held.get_mut(&2).unwrap()[1].start_key = "6c".to_string(), "do not tile");
        check(&|held| held.values_mut().for_each(|on| drop(on.remove(1))), "do not reach the end");
    }
}
