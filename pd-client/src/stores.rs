//! Bootstrap, and what a store says of itself.

use proto::{metapb, pdpb};

use crate::{Client, Error, Result};

impl Client {
    /// Whether the cluster has its first store and Region.
    pub async fn is_bootstrapped(&self) -> Result<bool> {
        let request = pdpb::IsBootstrappedRequest { header: self.header() };
        let answer = self
            .call("IsBootstrapped", request, |mut stub, request| async move {
                stub.is_bootstrapped(request).await
            })
            .await?;
        Ok(answer.bootstrapped)
    }

    /// Creates the cluster from its first store and Region. If another store was first, or an earlier attempt of this
    /// call succeeded but its answer was lost, the error's header kind is `AlreadyBootstrapped`: compare
    /// `get_region("")` with `region`.
    pub async fn bootstrap(&self, store: metapb::Store, region: metapb::Region) -> Result<()> {
        let request =
            pdpb::BootstrapRequest { header: self.header(), store: Some(store), region: Some(region) };
        self.call("Bootstrap", request, |mut stub, request| async move { stub.bootstrap(request).await })
            .await?;
        Ok(())
    }

    /// Announces a store, or what changed about it.
    pub async fn put_store(&self, store: metapb::Store) -> Result<()> {
        let request = pdpb::PutStoreRequest { header: self.header(), store: Some(store) };
        self.call("PutStore", request, |mut stub, request| async move { stub.put_store(request).await })
            .await?;
        Ok(())
    }

    /// A store, tombstones too, with what it last said of itself. An unknown id is a header error "... not found".
    pub async fn get_store(&self, store_id: u64) -> Result<(metapb::Store, Option<pdpb::StoreStats>)> {
        let call = "GetStore";
        let request = pdpb::GetStoreRequest { header: self.header(), store_id };
        let answer = self
            .call(call, request, |mut stub, request| async move { stub.get_store(request).await })
            .await?;
        let store =
            answer.store.ok_or_else(|| Error::Malformed { call, what: "it has no store".to_string() })?;
        Ok((store, answer.stats))
    }

    /// All stores, those that were removed for good only with `tombstones`.
    pub async fn get_all_stores(&self, tombstones: bool) -> Result<Vec<metapb::Store>> {
        let request =
            pdpb::GetAllStoresRequest { header: self.header(), exclude_tombstone_stores: !tombstones };
        let answer =
            self.call("GetAllStores", request, |mut stub, request| async move {
                stub.get_all_stores(request).await
            })
            .await?;
        Ok(answer.stores)
    }

    /// One heartbeat of a store; PD answers with the cluster's version and what the store should know.
    pub async fn store_heartbeat(&self, stats: pdpb::StoreStats) -> Result<pdpb::StoreHeartbeatResponse> {
        let request = pdpb::StoreHeartbeatRequest {
            header: self.header(),
            stats: Some(stats),
            ..pdpb::StoreHeartbeatRequest::default()
        };
        self.call("StoreHeartbeat", request, |mut stub, request| async move {
            stub.store_heartbeat(request).await
        })
        .await
    }
}
