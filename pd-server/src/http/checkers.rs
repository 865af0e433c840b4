//! Checkers: whether each is paused, pause, resume.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{Response, StatusCode};
use scheduler::CheckerName;
use serde::Serialize;
use serde_json::{Map, Value};

use super::path::Path;
use super::{bootstrapped, json, json_body, not_leader};
use crate::grpc::Gate;

/// A pause ends after a year at the latest.
const PAUSE_MAX_S: u64 = 365 * 24 * 3600;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new().route("/pd/api/v1/checker/{name}", get(state).post(pause))
}

#[derive(Serialize)]
struct Paused {
    paused: bool,
}

async fn state(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Some(checker) = CheckerName::of_name(&name) else { return unknown(&name) };
    let paused = move |planner: &mut scheduler::Planner, now| {
        planner.checkers(now).any(|(c, p)| c == checker && p.is_some())
    };
    match cluster.plan(paused).await {
        Ok(paused) => json::ok(&Paused { paused }),
        Err(_) => not_leader(&gate),
    }
}

/// Pauses for `delay` seconds; 0 resumes.
async fn pause(State(gate): State<Gate>, Path(name): Path<String>, body: Bytes) -> Response<Body> {
    let delay = match read_delay(&body) {
        Ok(delay) => delay,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Some(checker) = CheckerName::of_name(&name) else { return unknown(&name) };
    match cluster.plan(move |planner, now| planner.pause_checker(now, checker, delay * 1_000)).await {
        Ok(()) if delay == 0 => json::ok(&"Resume the checker successfully."),
        Ok(()) => json::ok(&"Pause the checker successfully."),
        Err(_) => not_leader(&gate),
    }
}

/// The seconds in `{"delay": 30}`.
///
/// # Errors
/// What is wrong with it.
pub fn read_delay(body: &[u8]) -> Result<u64, String> {
    let input: Map<String, Value> = json_body::parse(body).map_err(|malformed| malformed.text)?;
    let delay = input.get("delay").and_then(Value::as_f64).ok_or("missing pause time")?;
    if delay < 0.0 {
        return Err("delay cannot be negative".to_owned());
    }
    // Parts of a second are cut off, as tikv/pd does; the cast saturates.
    let delay = delay as u64;
    if delay > PAUSE_MAX_S {
        return Err(format!("delay is to be at most {PAUSE_MAX_S} seconds"));
    }
    Ok(delay)
}

fn unknown(name: &str) -> Response<Body> {
    let exist: Vec<&str> = CheckerName::ALL.iter().map(|checker| checker.name()).collect();
    let text = format!(
        "[PD:scheduler:ErrCheckerNotFound]checker not found: {name} does not exist here; those that exist: {}",
        exist.join(", ")
    );
    json::error(StatusCode::NOT_FOUND, &text)
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MAX_S, read_delay};

    #[test]
    fn a_delay_is_read_or_named_wrong() {
        assert_eq!(read_delay(b"{\"delay\": 30}"), Ok(30));
        assert_eq!(read_delay(b"{\"delay\": 0}"), Ok(0));
        for (body, text) in [
            ("{}", "missing pause time"),
            ("{\"delay\": \"30\"}", "missing pause time"),
            ("{\"delay\": -1}", "delay cannot be negative"),
            ("", "unexpected end of JSON input"),
        ] {
            assert_eq!(read_delay(body.as_bytes()), Err(text.to_owned()), "{body}");
        }
        assert!(read_delay(b"{\"delay\": 1e300}").unwrap_err().contains(&PAUSE_MAX_S.to_string()));
    }
}
