//! Which RPCs are served. All others are refused by name: clients print that text.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use http::{HeaderValue, Response, StatusCode, header};
use tonic::Status;

/// The RPCs that are served, by path.
pub(crate) const SERVED: &[&str] = &[
    "/etcdserverpb.Cluster/MemberAdd",
    "/etcdserverpb.Cluster/MemberList",
    "/etcdserverpb.Cluster/MemberRemove",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/keyspacepb.Keyspace/LoadKeyspace",
    "/meta_storagepb.MetaStorage/Delete",
    "/meta_storagepb.MetaStorage/Get",
    "/meta_storagepb.MetaStorage/Put",
    "/meta_storagepb.MetaStorage/Watch",
    "/pdpb.PD/AllocID",
    "/pdpb.PD/AskBatchSplit",
    "/pdpb.PD/AskSplit",
    "/pdpb.PD/BatchScanRegions",
    "/pdpb.PD/Bootstrap",
    "/pdpb.PD/GetAllStores",
    "/pdpb.PD/GetClusterInfo",
    "/pdpb.PD/GetGCSafePoint",
    "/pdpb.PD/GetMembers",
    "/pdpb.PD/GetPrevRegion",
    "/pdpb.PD/GetRegion",
    "/pdpb.PD/GetRegionByID",
    "/pdpb.PD/GetStore",
    "/pdpb.PD/IsBootstrapped",
    "/pdpb.PD/IsSnapshotRecovering",
    "/pdpb.PD/PutStore",
    "/pdpb.PD/QueryRegion",
    "/pdpb.PD/RegionHeartbeat",
    "/pdpb.PD/ReportBatchSplit",
    "/pdpb.PD/ReportBuckets",
    "/pdpb.PD/ReportMinResolvedTS",
    "/pdpb.PD/ScanRegions",
    "/pdpb.PD/StoreHeartbeat",
    "/pdpb.PD/Tso",
    "/pdpb.PD/UpdateGCSafePoint",
    "/resource_manager.ResourceManager/AcquireTokenBuckets",
];

/// Refuses RPCs of known services that are not served yet.
pub async fn refuse_unserved(request: Request, next: Next) -> Response<Body> {
    if SERVED.binary_search(&request.uri().path()).is_ok() {
        next.run(request).await
    } else {
        unimplemented(request.uri().path())
    }
}

/// Whatever matches no route: gRPC is refused in its own way, all else is not found.
pub async fn unknown_path(request: Request) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return unimplemented(request.uri().path());
    }
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn unimplemented(path: &str) -> Response<Body> {
    let path = path.trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    let prefix = format!("/{service}/");
    let text = if SERVED.iter().any(|served| served.starts_with(&prefix)) {
        format!("unknown method {method} for service {service}")
    } else {
        format!("unknown service {service}")
    };
    Status::unimplemented(text).into_http()
}

#[cfg(test)]
mod tests {
    use super::SERVED;

    #[test]
    fn the_table_is_sorted_and_names_real_rpcs() {
        assert!(SERVED.is_sorted());
        let descriptors = proto::DESCRIPTORS;
        for path in SERVED.iter().filter(|path| !path.starts_with("/grpc.health")) {
            let method = path.rsplit('/').next().unwrap();
            let found = descriptors.windows(method.len()).any(|window| window == method.as_bytes());
            assert!(found, "{path}");
        }
    }
}
