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
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn questions_beyond_the_bound_are_refused_and_the_verdict_is_not() {
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
    let app = pd_server::http::v2_routes(&gate);
    let served = tokio::spawn(async move { axum::serve(client, app).await });
    let ready = async {
        while pd.leadership.check().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.unwrap();

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
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap())
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}
