//! The verdict and the bounded class of questions, on one member over a real socket.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::sync::Arc;
use std::time::Duration;

use pd_server::cluster::Tenures;
use pd_server::config::{Config, Flags};
use pd_server::grpc::Gate;
use pd_server::metrics::Metrics;
use pd_server::pd::Pd;
use pd_server::verdict::QUESTIONS_MAX;
use proto::{metapb, pdpb};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

/// One member that leads, and its HTTP server.
struct Member {
    pd: Arc<Pd>,
    gate: Gate,
    address: String,
    served: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

async fn member() -> Member {
    let dir = tempfile::tempdir().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0");
    let (peer, client) = (free().await.unwrap(), free().await.unwrap());
    let url = |socket: &TcpListener| format!("http://{}", socket.local_addr().unwrap());
    let flags = Flags {
        name: Some("pd1".into()),
        data_dir: Some(dir.path().join("pd1")),
        initial_cluster: Some(format!("pd1={}", url(&peer))),
        peer_urls: Some(url(&peer)),
        client_urls: Some(url(&client)),
        ..Flags::default()
    };
    drop(peer);
    let pd = Arc::new(Pd::start(Config::load(&flags).unwrap()).await.unwrap());
    let metrics = Arc::new(Metrics::default());
    let tenures = Tenures::start(Arc::clone(&pd), Arc::clone(&metrics), CancellationToken::new());
    let gate = Gate::new(Arc::clone(&pd), tenures, metrics);
    let address = client.local_addr().unwrap().to_string();
    let app = pd_server::http::routes(&gate).merge(pd_server::http::v2_routes(&gate));
    let served = tokio::spawn(async move { axum::serve(client, app).await });
    let ready = async {
        while pd.leadership.check().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.unwrap();
    Member { pd, gate, address, served, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_hangs_is_told_and_holds_up_neither_verdict_nor_metrics() {
    let Member { pd, gate, address, served, _dir } = member().await;
    let tenure = gate.tenures.serve().await.unwrap();
    let store = metapb::Store { id: 1, address: "127.0.0.1:20160".into(), ..metapb::Store::default() };
    let region = metapb::Region {
        id: 2,
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![metapb::Peer { id: 3, store_id: 1, ..metapb::Peer::default() }],
        ..metapb::Region::default()
    };
    let begun = pdpb::BootstrapRequest { header: None, store: Some(store), region: Some(region) };
    assert!(tenure.bootstrap(begun).await.is_ok());
    let knows = async |code: &str| {
        let (status, health) = get(&address, "/pd/api/v2/health").await;
        assert_eq!(status, 200);
        health["checks"].as_array().unwrap().iter().find(|check| check["code"] == code).cloned()
    };
    let told = async |code: &str, is: bool| {
        let look = async { while knows(code).await.is_some() != is {} };
        tokio::time::timeout(DEADLINE, look).await.expect(code);
    };
    assert_eq!(knows("PLANNER_STUCK").await, None);

    // The owner's thread stands still, as it does when a lock or a bug holds it.
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let cluster = tenure.cluster().unwrap();
    let hangs = tokio::spawn(async move { cluster.plan(move |_, _| held.recv().is_err()).await });
    told("PLANNER_STUCK", true).await;
    let stuck = knows("PLANNER_STUCK").await.unwrap();
    assert_eq!((&stuck["severity"], &stuck["subjects"][0]["member"]), (&"degraded".into(), &"pd1".into()));
    assert!(stuck["since_ms"].as_u64().is_some(), "{stuck}");
    let scraped = text(&address, "/metrics").await;
    let line = "pd_health_check{code=\"PLANNER_STUCK\",severity=\"degraded\"} 1";
    assert!(scraped.contains(line), "{scraped}");

    drop(let_go);
    assert!(hangs.await.unwrap().unwrap());
    told("PLANNER_STUCK", false).await;
    served.abort();
    pd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_beyond_the_bound_are_refused_and_the_verdict_is_not() {
    let Member { pd, gate, address, served, _dir } = member().await;
    let (status, health) = get(&address, "/pd/api/v2/health").await;
    assert_eq!((status, health["verdict"].as_str()), (200, Some("attention")), "{health}");
    assert_eq!(health["checks"][0]["code"], "NOT_BOOTSTRAPPED");
    assert_eq!((&health["bootstrapped"], &health["leader"]), (&Value::Bool(false), &Value::from("pd1")));

    let places = gate.verdicts.questions().acquire_many(u32::try_from(QUESTIONS_MAX).unwrap()).await.unwrap();
    for path in ["/pd/api/v2/why/region/1", "/pd/api/v2/why/store/1", "/pd/api/v2/map"] {
        let (status, refused) = get(&address, path).await;
        assert_eq!((status, &refused["code"]), (503, &Value::from("BUSY")), "{path}: {refused}");
        assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refused}");
    }
    assert_eq!(get(&address, "/pd/api/v2/health").await.0, 200, "the verdict is told in any case");
    drop(places);
    let (status, refused) = get(&address, "/pd/api/v2/why/region/1").await;
    assert_eq!((status, &refused["code"]), (503, &Value::from("NOT_BOOTSTRAPPED")));
    served.abort();
    pd.stop().await;
}

async fn get(address: &str, path: &str) -> (u16, Value) {
    let answer = text(address, path).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).expect(&answer))
}

/// Head and body.
async fn text(address: &str, path: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}
