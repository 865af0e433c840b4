//! Connections: one for each address, kept alive, made at first use.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::pdpb::pd_client::PdClient;
use tonic::transport::{Channel, Endpoint};

use crate::Options;
use crate::endpoint::Address;

/// The client of one member.
pub(crate) type Stub = PdClient<Channel>;

/// A connection without traffic is pinged this often: the least that PD's servers permit is 5 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A ping without an answer for this long breaks the connection, and with it every call on it.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Answers may be long: a scan of all Regions of a big cluster. PD's own limit for requests is the same.
const ANSWER_BYTES_MAX: usize = 160 << 20;

/// The open connections of one client; as many as there are addresses, and those are bounded by the discovery.
#[derive(Debug)]
pub(crate) struct Channels {
    open: Mutex<BTreeMap<Address, Channel>>,
    connect_timeout: Duration,
}

impl Channels {
    pub fn new(options: &Options) -> Channels {
        Channels { open: Mutex::new(BTreeMap::new()), connect_timeout: options.connect_timeout }
    }

    /// The connection to `address`; dialled when first used.
    pub fn stub(&self, address: &Address) -> Stub {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = open.entry(address.clone()).or_insert_with(|| self.dial(address)).clone();
        PdClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Forgets the connection, so that the next use dials anew: a stopped process leaves it open but dead.
    pub fn drop(&self, address: &Address) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    /// Forgets the connections to all but `wanted`.
    pub fn keep_only(&self, wanted: &[Address]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|address, _| wanted.contains(address));
    }

    fn dial(&self, address: &Address) -> Channel {
        Endpoint::from_shared(address.as_str().to_string())
            .expect("an Address has been parsed as a URI before")
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy()
    }
}
