//! Any member answers: what only the leader knows is passed on to it inside, one hop, and never by a redirect. One
//! middleware in front of all routes; handlers do not know of it.
//!
//! Here also stands the rule that an answer leaves only if this member led after the state was read. What can be asked
//! again (a read, or what was surely not carried out) is asked again of who leads then, within the same wait.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use super::body_limit;
use super::hop::{self, Lost, Reached};
use super::refusal::{is_v2, refusal};
use crate::grpc::Gate;
use crate::leadership::Term;

/// How long a request waits for a leader that answers. An election takes less than a second; who waits longer is told.
const LEADER_WAIT: Duration = Duration::from_secs(3);
/// Pause before the leader is looked up again after it was not reached.
const RETRY: Duration = Duration::from_millis(50);
/// How long a write is still waited for once another member leads: it was carried out or refused by then.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The same for what moves the lead itself: the old leader answers when its heir has done the rest.
const HAND_OVER: Duration = Duration::from_secs(8);

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
/// Read from the leader, and answered by every member's own view when there is no leader to ask.
const ANSWERED_WITHOUT_LEADER: &[&str] = &["/pd/api/v1/config", "/pd/api/v2/health"];

/// Why a request has no answer.
struct Failure {
    text: String,
    /// It was surely not carried out.
    is_undone: bool,
}

/// Lets a request through to this member's handlers, or passes it on to the leader.
pub async fn pass_on(State(gate): State<Gate>, request: Request, next: Next) -> Response<Body> {
    let request = match body_limit::whole(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    if is_answered_here(request.uri().path()) {
        return run(&request, next).await;
    }
    let is_read = request.method().is_safe();
    // The second API says at once that there is no leader: its callers are told when to ask again.
    let wait = if is_v2(request.uri()) { Duration::ZERO } else { LEADER_WAIT };
    let deadline = Instant::now() + wait;
    let failure = loop {
        let failure = match ask(&gate, &request, &next, deadline).await {
            Ok(answer) => return answer,
            Err(failure) => failure,
        };
        if !(is_read || failure.is_undone) || Instant::now() >= deadline {
            break failure;
        }
        sleep(RETRY).await;
    };
    if is_read && ANSWERED_WITHOUT_LEADER.contains(&request.uri().path()) {
        return run(&request, next).await;
    }
    let Failure { mut text, is_undone } = failure;
    if !is_read && !is_undone {
        text.push_str("; whether the request was carried out is not known: look before you repeat it");
    }
    refusal(request.uri(), StatusCode::SERVICE_UNAVAILABLE, &text)
}

/// One try: here or there.
async fn ask(
    gate: &Gate,
    request: &http::Request<Bytes>,
    next: &Next,
    deadline: Instant,
) -> Result<Response<Body>, Failure> {
    let was_passed_on = request.headers().contains_key(hop::REDIRECTOR);
    match find_leader(gate, was_passed_on, deadline).await {
        Found::Here(term) => lead(gate, term, request, next.clone()).await,
        Found::There(leader) => {
            let last_words = last_words(request.method(), request.uri().path());
            hop::send(gate, leader, request, last_words).await.map_err(|lost| {
                let (reason, is_undone) = match lost {
                    Lost::Nothing(reason) => (reason, true),
                    Lost::Unknown(reason) => (reason, false),
                };
                Failure { text: format!("[PD:apiutil:ErrRedirect]redirect failed: {reason}"), is_undone }
            })
        }
        Found::NotHere => {
            let text = "[PD:apiutil:ErrRedirectToNotLeader]redirect to not leader";
            let mut refused = refusal(request.uri(), StatusCode::INTERNAL_SERVER_ERROR, text);
            refused.headers_mut().insert(hop::NOT_LEADER, HeaderValue::from_static("true"));
            Ok(refused)
        }
        Found::Nobody => {
            let text = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader; ask again, or see who votes: \
                        GET /pd/api/v1/health";
            Err(Failure { text: text.to_owned(), is_undone: true })
        }
    }
}

/// Answers as the leader of `term`. The lease is read again behind the handler (rule 1, item 10): what was made from this
/// member's state, a refusal as well ("not found" is taken for gone), leaves only if this member led, in the same term,
/// after the state was read. Of a list that is streamed this holds for its beginning.
async fn lead(
    gate: &Gate,
    term: Term,
    request: &http::Request<Bytes>,
    next: Next,
) -> Result<Response<Body>, Failure> {
    let answer = run(request, next).await;
    let leads = gate.pd.leadership.serve().await == Ok(term);
    if leads || stands_without_lead(request.method(), request.uri().path(), answer.status()) {
        return Ok(answer);
    }
    Err(Failure { text: "not leader: the lead was lost before the answer".to_owned(), is_undone: false })
}

async fn run(request: &http::Request<Bytes>, next: Next) -> Response<Body> {
    next.run(request.clone().map(Body::from)).await
}

/// An answer that is true though its member leads no more: that the lead was given away, and that a write was not taken,
/// of which the handler knows more than we do.
fn stands_without_lead(method: &Method, path: &str, status: StatusCode) -> bool {
    let is_done = status.is_success() && moves_lead(method, path);
    is_done || !method.is_safe() && status == StatusCode::SERVICE_UNAVAILABLE
}

/// What may end this member's lead when it is carried out.
fn moves_lead(method: &Method, path: &str) -> bool {
    match *method {
        Method::POST => path.starts_with("/pd/api/v1/leader/"),
        Method::DELETE => path.starts_with("/pd/api/v1/members/"),
        _ => false,
    }
}

/// How long an answer is waited for once its giver leads no more.
fn last_words(method: &Method, path: &str) -> Duration {
    if moves_lead(method, path) {
        HAND_OVER
    } else if method.is_safe() {
        Duration::ZERO
    } else {
        LAST_WORDS
    }
}

fn is_answered_here(path: &str) -> bool {
    ANSWERED_HERE.binary_search(&path).is_ok()
        || ANSWERED_HERE_BELOW.iter().any(|start| path.starts_with(start))
}

/// Where the leader is.
enum Found {
    /// It is this member.
    Here(Term),
    /// Another one.
    There(Reached),
    /// Who passed the request on took this member for it. One hop is enough: it asks again.
    NotHere,
    Nobody,
}

/// Looks the leader up until one that was heard of just now is reached, or `deadline` is over; asks once in any case.
async fn find_leader(gate: &Gate, was_passed_on: bool, deadline: Instant) -> Found {
    loop {
        if let Ok(term) = gate.pd.leadership.serve().await {
            return Found::Here(term);
        }
        if was_passed_on {
            return Found::NotHere;
        }
        if let Ok(Some(leader)) = timeout_at(deadline, gate.pd.leadership.leader_to_name()).await
            && leader.id != gate.pd.members.own().id
            && let Some(reached) = hop::reach(&leader).await
        {
            return Found::There(reached);
        }
        if Instant::now() >= deadline {
            return Found::Nobody;
        }
        sleep(RETRY).await;
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
