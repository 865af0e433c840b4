//! Calls that go wrong, timestamps, and HTTP.

use futures::{StreamExt, stream};
use proto::pdpb;
use tonic::{Code, Request};

use crate::boot::bootstrap;
use crate::server::Server;

#[tokio::test]
async fn a_wrong_cluster_is_named_with_both_ids() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let other = pd.cluster_id + 1;
    let header = Some(pdpb::RequestHeader { cluster_id: other, ..Default::default() });
    let status =
        pd.client.is_bootstrapped(pdpb::IsBootstrappedRequest { header: header.clone() }).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), format!("mismatch cluster id, need {} but got {other}", pd.cluster_id));
    let status = pd.client.is_bootstrapped(pdpb::IsBootstrappedRequest { header: None }).await.unwrap_err();
    assert_eq!(status.message(), format!("mismatch cluster id, need {} but got 0", pd.cluster_id));
    let asks = stream::iter([pdpb::TsoRequest { header, count: 1, ..Default::default() }]);
    let mut answers = pd.client.tso(asks).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_forwarded_host_that_does_not_lead_is_refused() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let ask = |host: &str| {
        let mut request = Request::new(pdpb::IsBootstrappedRequest { header: pd.header() });
        request.metadata_mut().insert("pd-forwarded-host", host.parse().unwrap());
        request
    };
    let (own, foreign) = (ask(&format!("http://{}", server.client)), ask("http://127.0.0.1:1"));
    pd.client.is_bootstrapped(own).await.unwrap();
    let status = pd.client.is_bootstrapped(foreign).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("is not leader"), "{}", status.message());
}

#[tokio::test]
async fn nothing_is_there_before_the_bootstrap() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let header = pd.header();
    let mut errors = Vec::new();
    let stores = pdpb::GetAllStoresRequest { header: header.clone(), ..Default::default() };
    errors.push(pd.client.get_all_stores(stores).await.unwrap().into_inner().header);
    let store = pdpb::PutStoreRequest { header: header.clone(), ..Default::default() };
    errors.push(pd.client.put_store(store).await.unwrap().into_inner().header);
    let region = pdpb::GetRegionRequest { header: header.clone(), ..Default::default() };
    errors.push(pd.client.get_region(region).await.unwrap().into_inner().header);
    let split = pdpb::AskBatchSplitRequest { header: header.clone(), ..Default::default() };
    errors.push(pd.client.ask_batch_split(split).await.unwrap().into_inner().header);
    let safe_point = pdpb::GetGcSafePointRequest { header: header.clone() };
    errors.push(pd.client.get_gc_safe_point(safe_point).await.unwrap().into_inner().header);
    let heartbeat =
        stream::iter([pdpb::RegionHeartbeatRequest { header: header.clone(), ..Default::default() }]);
    let mut answers = pd.client.region_heartbeat(heartbeat).await.unwrap().into_inner();
    errors.push(answers.message().await.unwrap().unwrap().header);
    assert!(answers.message().await.unwrap().is_none(), "the stream ends well");
    for header in errors {
        let error = header.unwrap().error.unwrap();
        assert_eq!(error.r#type(), pdpb::ErrorType::NotBootstrapped);
        assert_eq!(error.message, "cluster is not bootstrapped");
    }
}

#[tokio::test]
async fn timestamps_answer_each_request_in_order_and_rise() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let header = pd.header();
    let counts: Vec<u32> = (0..2_000).map(|n| 1 + n % 7).collect();
    let ask =
        move |count: &u32| pdpb::TsoRequest { header: header.clone(), count: *count, ..Default::default() };
    let asks: Vec<_> = counts.iter().map(&ask).collect();
    let answers = pd.client.tso(stream::iter(asks)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.count).collect::<Vec<_>>(), counts);
    let mut last = (0, 0);
    for answer in answers {
        let timestamp = answer.timestamp.unwrap();
        assert_eq!(timestamp.suffix_bits, 0);
        let lowest = (timestamp.physical, timestamp.logical - i64::from(answer.count) + 1);
        assert!(lowest > last && lowest.1 >= 0, "{lowest:?} after {last:?}");
        assert!(timestamp.logical < 1 << 18);
        last = (timestamp.physical, timestamp.logical);
    }

    // A bad count ends the stream, after what was asked before.
    for (count, text) in [
        (0, "[PD:tso:ErrGenerateTimestamp]generate timestamp failed, tso count should be positive"),
        (
            1 << 18,
            "[PD:tso:ErrGenerateTimestamp]generate timestamp failed, generate tso maximum number of retries exceeded",
        ),
    ] {
        let mut answers =
            pd.client.tso(stream::iter([ask(&3), ask(&count), ask(&1)])).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().count, 3);
        let status = answers.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unknown, text));
    }
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let status = pd.client.get_operator(pdpb::GetOperatorRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.message(), "unknown method GetOperator for service pdpb.PD");
    let mut tso =
        proto::tsopb::tso_client::TsoClient::connect(format!("http://{}", server.client)).await.unwrap();
    let status = tso
        .find_group_by_keyspace_id(proto::tsopb::FindGroupByKeyspaceIdRequest::default())
        .await
        .unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "unknown service tsopb.TSO"));
}

#[tokio::test]
async fn http_and_grpc_share_a_port() {
    let server = Server::start();
    let mut pd = server.connect().await;
    let (status, body) = server.http("GET", "/pd/api/v1/version").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        "{\n  \"version\": \"v9.0.0-beta.2\",\n  \"build_time\": \"\",\n  \"hash\": \"\",\n  \"branch\": \"\"\n}\n"
    );
    let (status, body) = server.http("GET", "/pd/api/v1/health").await;
    assert_eq!(status, 200);
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((health[0]["name"].as_str(), health[0]["health"].as_bool()), (Some("pd1"), Some(true)));
    let (_, body) = server.http("GET", "/pd/api/v1/members").await;
    let members: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(members["header"]["cluster_id"].as_u64(), Some(pd.cluster_id));
    assert_eq!(members["leader"]["name"], "pd1");
    assert_eq!(server.http("GET", "/nowhere").await.0, 404);
    assert_eq!(server.http("DELETE", "/pd/api/v1/version").await.0, 405);
    assert_eq!(server.http("GET", "/pd/api/v1/stores").await.0, 500, "not bootstrapped");

    bootstrap(&mut pd).await;
    let (status, body) = server.http("GET", "/pd/api/v1/stores").await;
    let stores: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, stores["count"].as_u64()), (200, Some(1)));
    assert_eq!(stores["stores"][0]["store"]["state_name"], "Down", "never heard of");
    let (status, body) = server.http("GET", "/pd/api/v1/stores?state=up").await;
    assert_eq!((status, body.as_str()), (500, "\"strconv.Atoi: parsing \\\"up\\\": invalid syntax\"\n"));
    let (status, body) = server.http("GET", "/pd/api/v1/store/99").await;
    assert_eq!((status, body.as_str()), (404, "\"[PD:core:ErrStoreNotFound]store 99 not found\"\n"));
    assert_eq!(server.http("GET", "/pd/api/v1/store/first").await.0, 400);
    let (status, body) = server.http("GET", "/pd/api/v1/regions").await;
    let regions: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, regions["count"].as_u64(), regions["regions"][0]["id"].as_u64()),
        (200, Some(1), Some(2))
    );
    assert_eq!(regions["regions"][0]["leader"], serde_json::Value::Null, "never heard of");
    let (status, body) = server.http("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("\netcd_server_is_leader 1\n"), "{body}");
    assert!(body.contains("\npd_tso_events{type=\"requests\",group=\"0\"} "), "{body}");
    assert!(body.contains("\npd_cluster_status{type=\"store_down_count\",engine=\"tikv\"} 1\n"), "{body}");

    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", server.client)).unwrap().connect().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.unwrap());
    let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}
