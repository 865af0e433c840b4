//! Any member answers: what only the leader knows is passed on to it inside, one hop, and never by a redirect. One
//! middleware in front of all routes; handlers do not know of it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::body_limit::{BODY_BYTES_MAX, TOO_LARGE};
use super::json;
use crate::grpc::Gate;
use crate::leadership::LeadershipState;
use crate::member::{Member, MemberId};

/// How long a request waits for a leader. An election takes less than a second; who waits longer is told.
const LEADER_WAIT: Duration = Duration::from_secs(3);
/// How long one try to reach the leader takes at most.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Pause before the leader is looked up again after it was not reached.
const RETRY: Duration = Duration::from_millis(50);
/// How long the leader may think before it begins to answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Marks a request that was passed on, with the name of the member that did.
const REDIRECTOR: HeaderName = HeaderName::from_static("pd-redirector");

/// What each member answers for itself: whole paths.
const ANSWERED_HERE: &[&str] = &[
    "/health",
    "/livez",
    "/metrics",
    "/pd/api/v1/admin/log",
    "/pd/api/v1/health",
    "/pd/api/v1/ping",
    "/pd/api/v1/status",
    "/pd/api/v1/version",
    "/pd/api/v2/config",
    "/pd/api/v2/livez",
    "/pd/api/v2/openapi.json",
    "/pd/api/v2/ready",
    "/pd/api/v2/readyz",
    "/pd/health",
    "/pd/ping",
    "/readyz",
    "/version",
];
/// The same: beginnings of paths.
const ANSWERED_HERE_BELOW: &[&str] = &["/dashboard", "/pd/api/v2/docs"];
/// What the leader knows best, and every member answers by its own view when there is no leader to ask.
const ANSWERED_WITHOUT_LEADER: &[&str] = &["/pd/api/v2/health"];
/// Every member knows the whole configuration; changes go to the leader.
const CONFIG: &str = "/pd/api/v1/config";

/// Headers that belong to one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Lets a request through to this member's handlers, or passes it on to the leader.
pub async fn pass_on(State(gate): State<Gate>, request: Request, next: Next) -> Response<Body> {
    if is_answered_here(request.method(), request.uri().path()) || gate.pd.leadership.serve().await.is_ok() {
        return next.run(request).await;
    }
    let own_view = has_own_view(&request).then(|| without_body(&request));
    let passed_on = if request.headers().contains_key(REDIRECTOR) {
        // Who passed it on took us for the leader. One hop is enough: it asks again.
        let text = "[PD:apiutil:ErrRedirectToNotLeader]redirect to not leader";
        Err(refuse(&request, StatusCode::INTERNAL_SERVER_ERROR, text))
    } else {
        let is_patient = own_view.is_none() && !is_v2(&request);
        let wait = if is_patient { LEADER_WAIT } else { Duration::ZERO };
        match find_leader(&gate, Instant::now() + wait).await {
            Found::Here => return next.run(request).await,
            Found::There(leader) => send(&gate, leader, request).await,
            Found::Nobody => {
                let text = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader; ask again, or see who votes: \
                            GET /pd/api/v1/health";
                Err(refuse(&request, StatusCode::SERVICE_UNAVAILABLE, text))
            }
        }
    };
    match (passed_on, own_view) {
        (Ok(answer), _) => answer,
        (Err(_), Some(request)) => next.run(request).await,
        (Err(refused), None) => refused,
    }
}

/// Asked of the leader, and answered by this member's own view when the leader is not reached.
fn has_own_view(request: &Request) -> bool {
    ANSWERED_WITHOUT_LEADER.contains(&request.uri().path())
}

fn without_body(request: &Request) -> Request {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy.extensions_mut().clone_from(request.extensions());
    copy
}

fn is_answered_here(method: &Method, path: &str) -> bool {
    ANSWERED_HERE.binary_search(&path).is_ok()
        || ANSWERED_HERE_BELOW.iter().any(|start| path.starts_with(start))
        || path == CONFIG && matches!(*method, Method::GET | Method::HEAD)
}

fn is_v2(request: &Request) -> bool {
    request.uri().path().starts_with("/pd/api/v2/")
}

/// Where the leader is.
enum Found {
    /// It is this member, by now.
    Here,
    /// Another one.
    There(Reached),
    Nobody,
}

/// A connection to the leader.
struct Reached {
    leader: MemberId,
    stream: TcpStream,
    authority: String,
}

/// Looks the leader up until one that was heard of just now is reached, or `deadline` is over; asks once in any case.
async fn find_leader(gate: &Gate, deadline: Instant) -> Found {
    loop {
        if let Ok(Some(leader)) = timeout_at(deadline, gate.pd.leadership.leader_to_name()).await {
            if leader.id == gate.pd.members.own().id {
                return if gate.pd.leadership.serve().await.is_ok() { Found::Here } else { Found::Nobody };
            }
            if let Some(reached) = reach(&leader).await {
                return Found::There(reached);
            }
        }
        if Instant::now() >= deadline {
            return Found::Nobody;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A connection to a member, on the first of its client URLs that takes one.
async fn reach(member: &Member) -> Option<Reached> {
    for url in &member.client_urls {
        let Some(authority) = url.strip_prefix("http://") else {
            warn!(url, "the leader's client URL is not plain HTTP, which is all that is spoken yet");
            continue;
        };
        let authority = authority.trim_end_matches('/').to_owned();
        match timeout(CONNECT_MAX, TcpStream::connect(&authority)).await {
            Ok(Ok(stream)) => return Some(Reached { leader: member.id, stream, authority }),
            Ok(Err(error)) => debug!(url, %error, "the leader is not reached"),
            Err(_) => debug!(url, "the leader is not reached in time"),
        }
    }
    None
}

/// Sends the request over and streams the answer back. The error is the answer when there is none of the leader's.
async fn send(gate: &Gate, reached: Reached, request: Request) -> Result<Response<Body>, Response<Body>> {
    let Reached { leader, stream, authority } = reached;
    let v2 = is_v2(&request);
    let failed = |reason: &str| {
        let text = format!("[PD:apiutil:ErrRedirect]redirect failed: {reason}");
        refusal(v2, StatusCode::SERVICE_UNAVAILABLE, &text)
    };
    let Some(outgoing) = outgoing(request, &authority, &gate.pd.members.own().name) else {
        return Err(failed("the path cannot be passed on"));
    };
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(made) => made,
        Err(error) => return Err(failed(&error.to_string())),
    };
    // Ends when the answer is read to its end or dropped, or with the leader.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "connection to the leader ended");
        }
    });
    let mut leadership = gate.pd.leadership.subscribe();
    let leads_no_more = |state: &LeadershipState| state.leader.as_ref().map(|known| known.id) != Some(leader);
    let answered = tokio::select! {
        answered = timeout(ANSWER_MAX, sender.send_request(outgoing)) => answered,
        // A leader that hangs answers nothing; who comes after it can.
        _ = leadership.wait_for(leads_no_more) => return Err(failed("the leader changed before it answered")),
    };
    match answered {
        Ok(Ok(answer)) => {
            let (parts, body) = answer.into_parts();
            let mut response = Response::new(Body::new(body));
            *response.status_mut() = parts.status;
            *response.headers_mut() = passed_on(parts.headers);
            Ok(response)
        }
        Ok(Err(error)) if is_over_limit(&error) => Err(refusal(v2, StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("the leader does not answer")),
    }
}

/// The request as it goes to the leader; none when its path cannot be sent.
fn outgoing(request: Request, authority: &str, own_name: &str) -> Option<http::Request<Limited<Body>>> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut outgoing = http::Request::new(Limited::new(body, BODY_BYTES_MAX));
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = target.parse().ok()?;
    *outgoing.headers_mut() = passed_on(parts.headers);
    // A name that is no header value is still a mark.
    let mark = HeaderValue::from_str(own_name).unwrap_or(HeaderValue::from_static("pd"));
    outgoing.headers_mut().insert(REDIRECTOR, mark);
    outgoing.headers_mut().insert(header::HOST, HeaderValue::from_str(authority).ok()?);
    Some(outgoing)
}

fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

fn is_over_limit(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn refuse(request: &Request, status: StatusCode, text: &str) -> Response<Body> {
    refusal(is_v2(request), status, text)
}

/// What v2 routes say when a request cannot be passed on.
#[derive(Serialize)]
struct Refused<'a> {
    code: &'static str,
    message: &'a str,
    retry_after_ms: u64,
}

fn refusal(v2: bool, status: StatusCode, text: &str) -> Response<Body> {
    if v2 {
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "TOO_LARGE" } else { "NO_LEADER" };
        return json::answer(status, &Refused { code, message: text, retry_after_ms: 1_000 });
    }
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    json::with_type(status, kind, Body::from(format!("{text}\n")))
}

#[cfg(test)]
mod tests {
    use super::{ANSWERED_HERE, is_answered_here};
    use http::Method;

    #[test]
    fn what_each_member_answers_for_itself() {
        assert!(ANSWERED_HERE.is_sorted());
        for (method, path, here) in [
            (Method::GET, "/pd/api/v1/config", true),
            (Method::POST, "/pd/api/v1/config", false),
            (Method::GET, "/pd/api/v1/config/schedule", false),
            (Method::POST, "/pd/api/v1/admin/log", true),
            (Method::GET, "/pd/api/v1/members", false),
            (Method::GET, "/pd/api/v2/docs/index.html", true),
            (Method::GET, "/pd/api/v2/why/region/7", false),
        ] {
            assert_eq!(is_answered_here(&method, path), here, "{method} {path}");
        }
    }
}
