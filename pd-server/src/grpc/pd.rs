//! The service `pdpb.PD`: each RPC and where it is answered.

use proto::pdpb::{self as wire, pd_server::Pd};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::{
    bootstrap, buckets, members, region_heartbeat, region_queries, regions, safe_points, splits, stores, tso,
};

/// The service.
pub struct Service(pub Gate);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Pd for Service {
    async fn get_members(
        &self,
        request: Request<wire::GetMembersRequest>,
    ) -> Answer<wire::GetMembersResponse> {
        members::get_members(&self.0, request).await
    }

    async fn get_cluster_info(
        &self,
        _: Request<wire::GetClusterInfoRequest>,
    ) -> Answer<wire::GetClusterInfoResponse> {
        members::get_cluster_info(&self.0)
    }

    async fn tso(
        &self,
        request: Request<Streaming<wire::TsoRequest>>,
    ) -> Answer<BoxStream<wire::TsoResponse>> {
        tso::serve(&self.0, request).await
    }

    async fn bootstrap(&self, request: Request<wire::BootstrapRequest>) -> Answer<wire::BootstrapResponse> {
        self.0.lead(request, bootstrap::bootstrap).await
    }

    async fn is_bootstrapped(
        &self,
        request: Request<wire::IsBootstrappedRequest>,
    ) -> Answer<wire::IsBootstrappedResponse> {
        self.0.lead(request, bootstrap::is_bootstrapped).await
    }

    async fn alloc_id(&self, request: Request<wire::AllocIdRequest>) -> Answer<wire::AllocIdResponse> {
        self.0.lead(request, bootstrap::alloc_id).await
    }

    async fn is_snapshot_recovering(
        &self,
        _: Request<wire::IsSnapshotRecoveringRequest>,
    ) -> Answer<wire::IsSnapshotRecoveringResponse> {
        safe_points::is_snapshot_recovering(&self.0).await
    }

    async fn get_store(&self, request: Request<wire::GetStoreRequest>) -> Answer<wire::GetStoreResponse> {
        self.0.lead(request, stores::get_store).await
    }

    async fn put_store(&self, request: Request<wire::PutStoreRequest>) -> Answer<wire::PutStoreResponse> {
        self.0.lead(request, stores::put_store).await
    }

    async fn get_all_stores(
        &self,
        request: Request<wire::GetAllStoresRequest>,
    ) -> Answer<wire::GetAllStoresResponse> {
        self.0.lead(request, stores::get_all_stores).await
    }

    async fn store_heartbeat(
        &self,
        request: Request<wire::StoreHeartbeatRequest>,
    ) -> Answer<wire::StoreHeartbeatResponse> {
        self.0.lead(request, stores::store_heartbeat).await
    }

    async fn region_heartbeat(
        &self,
        request: Request<Streaming<wire::RegionHeartbeatRequest>>,
    ) -> Answer<BoxStream<wire::RegionHeartbeatResponse>> {
        region_heartbeat::serve(&self.0, request).await
    }

    async fn get_region(&self, request: Request<wire::GetRegionRequest>) -> Answer<wire::GetRegionResponse> {
        self.0.lead(request, regions::get_region).await
    }

    async fn get_prev_region(
        &self,
        request: Request<wire::GetRegionRequest>,
    ) -> Answer<wire::GetRegionResponse> {
        self.0.lead(request, regions::get_prev_region).await
    }

    async fn get_region_by_id(
        &self,
        request: Request<wire::GetRegionByIdRequest>,
    ) -> Answer<wire::GetRegionResponse> {
        self.0.lead(request, regions::get_region_by_id).await
    }

    async fn scan_regions(
        &self,
        request: Request<wire::ScanRegionsRequest>,
    ) -> Answer<wire::ScanRegionsResponse> {
        self.0.lead(request, regions::scan_regions).await
    }

    async fn batch_scan_regions(
        &self,
        request: Request<wire::BatchScanRegionsRequest>,
    ) -> Answer<wire::BatchScanRegionsResponse> {
        self.0.lead(request, region_queries::batch_scan_regions).await
    }

    async fn query_region(
        &self,
        request: Request<Streaming<wire::QueryRegionRequest>>,
    ) -> Answer<BoxStream<wire::QueryRegionResponse>> {
        region_queries::query_region(&self.0, request).await
    }

    async fn ask_split(&self, request: Request<wire::AskSplitRequest>) -> Answer<wire::AskSplitResponse> {
        self.0.lead(request, splits::ask_split).await
    }

    async fn ask_batch_split(
        &self,
        request: Request<wire::AskBatchSplitRequest>,
    ) -> Answer<wire::AskBatchSplitResponse> {
        self.0.lead(request, splits::ask_batch_split).await
    }

    async fn report_batch_split(
        &self,
        request: Request<wire::ReportBatchSplitRequest>,
    ) -> Answer<wire::ReportBatchSplitResponse> {
        self.0.lead(request, splits::report_batch_split).await
    }

    async fn get_gc_safe_point(
        &self,
        request: Request<wire::GetGcSafePointRequest>,
    ) -> Answer<wire::GetGcSafePointResponse> {
        self.0.lead(request, safe_points::get_gc_safe_point).await
    }

    async fn update_gc_safe_point(
        &self,
        request: Request<wire::UpdateGcSafePointRequest>,
    ) -> Answer<wire::UpdateGcSafePointResponse> {
        self.0.lead(request, safe_points::update_gc_safe_point).await
    }

    async fn report_min_resolved_ts(
        &self,
        request: Request<wire::ReportMinResolvedTsRequest>,
    ) -> Answer<wire::ReportMinResolvedTsResponse> {
        self.0.lead(request, safe_points::report_min_resolved_ts).await
    }

    async fn report_buckets(
        &self,
        request: Request<Streaming<wire::ReportBucketsRequest>>,
    ) -> Answer<wire::ReportBucketsResponse> {
        buckets::serve(&self.0, request).await
    }
}
