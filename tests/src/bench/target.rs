//! The server under load, seen from outside: an address, a process, a cluster id.

use anyhow::{Context, Result, ensure};
use proto::pdpb::{GetMembersRequest, RequestHeader, ResponseHeader, pd_client::PdClient};
use tonic::transport::{Channel, Endpoint};

/// A running leader.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port` of its client URL.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// What it answered to GetMembers.
    pub cluster_id: u64,
}

impl Target {
    /// Asks the server for its cluster id.
    pub async fn find(address: String, pid: u32) -> Result<Self> {
        let mut target = Self { address, pid, cluster_id: 0 };
        let members =
            PdClient::new(target.channel().await?).get_members(GetMembersRequest::default()).await?;
        target.cluster_id = members.into_inner().header.context("GetMembers without a header")?.cluster_id;
        ensure!(target.cluster_id != 0, "{} has no cluster id yet", target.address);
        Ok(target)
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?.tcp_nodelay(true);
        endpoint.connect().await.with_context(|| format!("connect to {}", self.address))
    }

    /// The header that every request carries.
    pub fn header(&self) -> Option<RequestHeader> {
        Some(RequestHeader { cluster_id: self.cluster_id, ..Default::default() })
    }
}

/// Fails on an error inside a response header.
pub fn check(what: &str, header: Option<&ResponseHeader>) -> Result<()> {
    let header = header.with_context(|| format!("{what}: no header"))?;
    if let Some(error) = &header.error {
        anyhow::bail!("{what}: {}", error.message);
    }
    Ok(())
}
