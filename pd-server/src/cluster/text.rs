//! Messages inside error texts, in the one-line form that operators of the ecosystem know:
//! `id:50 address:"127.0.0.1:20161" version:"8.5.0" `. Zero values are left out.

use std::fmt::{self, Display, Formatter};

use proto::{metapb, pdpb};

/// Prints a store.
pub struct Store<'a>(pub &'a metapb::Store);

/// Prints a peer.
pub struct Peer<'a>(pub &'a metapb::Peer);

/// Prints a Region; keys as upper-case hex, since they are no text.
pub struct Region<'a>(pub &'a metapb::Region);

/// Prints an epoch.
pub struct Epoch<'a>(pub &'a metapb::RegionEpoch);

/// Prints the header of a request.
pub struct Header<'a>(pub Option<&'a pdpb::RequestHeader>);

impl Display for Store<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let store = self.0;
        number(f, "id", store.id)?;
        text(f, "address", &store.address)?;
        if store.state() != metapb::StoreState::Up {
            write!(f, "state:{:?} ", store.state())?;
        }
        for label in &store.labels {
            write!(f, "labels:<")?;
            text(f, "key", &label.key)?;
            text(f, "value", &label.value)?;
            write!(f, "> ")?;
        }
        text(f, "version", &store.version)?;
        text(f, "peer_address", &store.peer_address)?;
        text(f, "status_address", &store.status_address)?;
        text(f, "git_hash", &store.git_hash)?;
        number(f, "start_timestamp", store.start_timestamp.unsigned_abs())?;
        text(f, "deploy_path", &store.deploy_path)?;
        number(f, "last_heartbeat", store.last_heartbeat.unsigned_abs())?;
        if store.physically_destroyed {
            write!(f, "physically_destroyed:true ")?;
        }
        if store.node_state() != metapb::NodeState::Preparing {
            write!(f, "node_state:{:?} ", store.node_state())?;
        }
        Ok(())
    }
}

impl Display for Peer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        number(f, "id", self.0.id)?;
        number(f, "store_id", self.0.store_id)?;
        if self.0.role() != metapb::PeerRole::Voter {
            write!(f, "role:{:?} ", self.0.role())?;
        }
        Ok(())
    }
}

impl Display for Epoch<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        number(f, "conf_ver", self.0.conf_ver)?;
        number(f, "version", self.0.version)
    }
}

impl Display for Region<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let region = self.0;
        number(f, "id", region.id)?;
        text(f, "start_key", &hex::encode_upper(&region.start_key))?;
        text(f, "end_key", &hex::encode_upper(&region.end_key))?;
        if let Some(epoch) = &region.region_epoch {
            write!(f, "region_epoch:<{}> ", Epoch(epoch))?;
        }
        for peer in &region.peers {
            write!(f, "peers:<{}> ", Peer(peer))?;
        }
        Ok(())
    }
}

impl Display for Header<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(header) = self.0 else { return Ok(()) };
        write!(f, "header:<")?;
        number(f, "cluster_id", header.cluster_id)?;
        number(f, "sender_id", header.sender_id)?;
        write!(f, "> ")
    }
}

fn number(f: &mut Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    if value == 0 { Ok(()) } else { write!(f, "{name}:{value} ") }
}

fn text(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    if value.is_empty() { Ok(()) } else { write!(f, "{name}:{value:?} ") }
}

#[cfg(test)]
mod tests {
    use super::Store;
    use proto::metapb;

    #[test]
    fn a_store_reads_as_operators_know_it() {
        let store = metapb::Store {
            id: 1,
            address: "127.0.0.1:20161".to_owned(),
            labels: vec![metapb::StoreLabel { key: "zone".to_owned(), value: "z1".to_owned() }],
            version: "8.5.0".to_owned(),
            node_state: metapb::NodeState::Serving.into(),
            ..Default::default()
        };
        assert_eq!(
            Store(&store).to_string(),
            "id:1 address:\"127.0.0.1:20161\" labels:<key:\"zone\" value:\"z1\" > version:\"8.5.0\" node_state:Serving "
        );
        assert_eq!(Store(&metapb::Store::default()).to_string(), "");
    }
}
