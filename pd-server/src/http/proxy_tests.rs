//! The middleware in front of a real member and a handler that waits until the test lets it go.

use std::sync::Arc;

use axum::routing::any;
use axum::{Router, middleware};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::Tenures;
use crate::config::{Config, Flags};
use crate::metrics::Metrics;
use crate::pd::Pd;

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn what_each_member_answers_for_itself() {
    assert!(ANSWERED_HERE.is_sorted());
    for (path, here) in [
        ("/pd/api/v1/config", false),
        ("/pd/api/v1/config/schedule", false),
        ("/pd/api/v2/config", true),
        ("/pd/api/v1/admin/log", true),
        ("/pd/api/v1/members", false),
        ("/pd/api/v2/docs/index.html", true),
        ("/pd/api/v2/why/region/7", false),
    ] {
        assert_eq!(is_answered_here(path), here, "{path}");
    }
}

#[test]
fn only_what_is_true_without_the_lead_is_told_without_it() {
    for (method, path, status, stands) in [
        (Method::GET, "/pd/api/v1/stores", 200, false),
        (Method::GET, "/pd/api/v1/region/id/1", 404, false),
        (Method::GET, "/pd/api/v1/region/id/1", 503, false),
        (Method::DELETE, "/pd/api/v1/store/1", 200, false),
        (Method::DELETE, "/pd/api/v1/store/1", 404, false),
        (Method::DELETE, "/pd/api/v1/store/1", 503, true),
        (Method::POST, "/pd/api/v1/leader/resign", 200, true),
        (Method::POST, "/pd/api/v1/leader/transfer/x", 500, false),
        (Method::DELETE, "/pd/api/v1/members/name/x", 200, true),
        (Method::DELETE, "/pd/api/v1/members/name/x", 404, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(stands_without_lead(&method, path, status), stands, "{method} {path} {status}");
    }
}

/// A member that leads alone.
async fn lone_leader(dir: &tempfile::TempDir) -> Gate {
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
    drop((peer, client));
    let pd = Arc::new(Pd::start(Config::load(&flags).unwrap()).await.unwrap());
    let metrics = Arc::new(Metrics::default());
    let tenures = Tenures::start(Arc::clone(&pd), Arc::clone(&metrics), CancellationToken::new());
    let leads = async {
        while pd.leadership.check().is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, leads).await.unwrap();
    Gate::new(Arc::clone(&pd), tenures, metrics)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_made_under_a_lead_that_is_over_does_not_leave() {
    let dir = tempfile::tempdir().unwrap();
    let gate = lone_leader(&dir).await;
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(tokio::sync::Semaphore::new(0)));
    let handler = {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        move || async move {
            entered.notify_one();
            go_on.acquire().await.unwrap().forget();
            "made from state"
        }
    };
    let app =
        Router::new().fallback(any(handler)).layer(middleware::from_fn_with_state(gate.clone(), pass_on));
    let service = TowerToHyperService::new(app);
    let ask = |method: Method, path: &str| {
        let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = service.call(request);
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(text.to_vec()).unwrap())
        })
    };

    let kept = ask(Method::GET, "/pd/api/v1/stores");
    entered.notified().await;
    go_on.add_permits(1);
    assert_eq!(kept.await.unwrap(), (200, "made from state".to_owned()), "while it leads");

    // Three requests are in the handler when the lead goes.
    let mut asked = Vec::new();
    for (method, path) in [
        (Method::GET, "/pd/api/v1/stores"),
        (Method::POST, "/pd/api/v1/operators"),
        (Method::POST, "/pd/api/v1/leader/resign"),
    ] {
        asked.push(ask(method, path));
        entered.notified().await;
    }
    gate.pd.stop().await;
    assert!(gate.pd.leadership.check().is_err());
    go_on.add_permits(asked.len());
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(tokio::time::timeout(DEADLINE, answer).await.unwrap().unwrap());
    }
    let (status, text) = &answers[0];
    assert!(*status == 503 && text.contains("redirect finds no leader"), "{status} {text}");
    let (status, text) = &answers[1];
    assert!(
        *status == 503 && text.contains("whether the request was carried out is not known"),
        "{status} {text}"
    );
    assert_eq!(answers[2], (200, "made from state".to_owned()), "giving the lead away is done");
}
