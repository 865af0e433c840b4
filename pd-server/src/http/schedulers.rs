//! Schedulers: which are in, put in, taken out, paused, and how each is doing.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{delete, get};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use scheduler::{OperatorKind, Pause, Planner, SchedulerName, SchedulerState, Time};
use serde::Serialize;
use serde_json::{Map, Value};

use super::checkers::read_delay;
use super::config::{answer, configure};
use super::path::Path;
use super::query::Query;
use super::{bootstrapped, json, json_body, missing, not_leader, units};
use crate::cluster::{Cluster, wall_clock_ns};
use crate::config::{ChangeError, Draft, SchedulerEntry, SettingError};
use crate::grpc::Gate;

/// What tools look for.
const NOT_FOUND: &str = "[PD:scheduler:ErrSchedulerNotFound]scheduler not found";
const EXISTED: &str = "[PD:scheduler:ErrSchedulerExisted]scheduler existed";

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/schedulers", get(list).post(add))
        .route("/pd/api/v1/schedulers/{name}", delete(remove).post(pause))
        .route("/pd/api/v1/schedulers/diagnostic/{name}", get(diagnose))
}

#[derive(Serialize)]
struct PausedView {
    name: &'static str,
    paused_at: String,
    resume_at: String,
}

/// Those that are in; with `status=paused` or `status=disabled` those in that state, with `timestamp` since when.
async fn list(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok((states, now)) = states(&cluster).await else { return not_leader(&gate) };
    let names = |wanted: fn(&SchedulerState) -> bool| -> Vec<&'static str> {
        states.iter().filter(|(_, state)| wanted(state)).map(|(name, _)| name.name()).collect()
    };
    let status = query.text("status");
    match status.as_ref() {
        "" => json::ok(&names(|state| *state != SchedulerState::Removed)),
        "disabled" => json::ok(&names(|state| *state == SchedulerState::Removed)),
        "paused" if !query.has("timestamp") => {
            json::ok(&names(|state| matches!(state, SchedulerState::Paused(_))))
        }
        "paused" => {
            let wall = |at: Time| {
                let now_ns = u64::try_from(wall_clock_ns()).unwrap_or(0);
                let (ahead, behind) = (at.ms_since(now), now.ms_since(at));
                let ns = now_ns.saturating_add(ahead * 1_000_000).saturating_sub(behind * 1_000_000);
                units::time(Duration::from_secs(ns / 1_000_000_000))
            };
            let view = |(name, state): &(SchedulerName, SchedulerState)| match state {
                SchedulerState::Paused(Pause { since, until }) => {
                    Some(PausedView { name: name.name(), paused_at: wall(*since), resume_at: wall(*until) })
                }
                SchedulerState::Runs | SchedulerState::Removed => None,
            };
            json::ok(&states.iter().filter_map(view).collect::<Vec<_>>())
        }
        other => json::bad_request(&format!("unknown scheduler status {other:?}: paused or disabled")),
    }
}

/// Puts a scheduler in.
async fn add(State(gate): State<Gate>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let input: Map<String, Value> = match json_body::parse(&body) {
        Ok(input) => input,
        Err(malformed) => return json::bad_request(&malformed.text),
    };
    let Some(name) = input.get("name").and_then(Value::as_str) else {
        return json::bad_request("missing scheduler name");
    };
    if let Err(answer) = bootstrapped(&gate).await {
        return answer;
    }
    let Some(scheduler) = SchedulerName::of_name(name) else {
        return json::bad_request(&format!("unknown scheduler: {}", missing::no_scheduler(name)));
    };
    match switch(&gate, &headers, scheduler, true).await {
        (Ok(Some(())), false) => json::bad_request(EXISTED),
        (changed, _) => answer(changed, "The scheduler is created."),
    }
}

/// Takes a scheduler out. What it started goes on.
async fn remove(State(gate): State<Gate>, headers: HeaderMap, Path(name): Path<String>) -> Response<Body> {
    if let Err(answer) = bootstrapped(&gate).await {
        return answer;
    }
    let Some(scheduler) = SchedulerName::of_name(&name) else {
        return not_found(StatusCode::NOT_FOUND, &name);
    };
    match switch(&gate, &headers, scheduler, false).await {
        (Ok(Some(())), false) => not_found(StatusCode::NOT_FOUND, &name),
        (changed, _) => answer(changed, "The scheduler is removed."),
    }
}

/// Puts a scheduler in or takes it out, and tells whether it was otherwise before. That is judged inside of the change:
/// of two who ask for the same at once, one is told that it is so already.
async fn switch(
    gate: &Gate,
    headers: &HeaderMap,
    scheduler: SchedulerName,
    is_in: bool,
) -> (Result<Option<()>, ChangeError>, bool) {
    let was_other = AtomicBool::new(false);
    let edit = |draft: &mut Draft| {
        let was_in = draft.planner_config().schedulers.contains(&scheduler);
        was_other.store(was_in != is_in, Relaxed);
        if was_in == is_in { Ok(()) } else { put(draft, scheduler, is_in) }
    };
    let changed = configure(gate, headers, edit).await;
    (changed, was_other.load(Relaxed))
}

/// Pauses one, or `all`, for `delay` seconds; 0 resumes.
async fn pause(State(gate): State<Gate>, Path(name): Path<String>, body: Bytes) -> Response<Body> {
    let delay = match read_delay(&body) {
        Ok(delay) => delay,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let asked = name.clone();
    let work = move |planner: &mut Planner, now| {
        let is_meant = |(scheduler, state): &(SchedulerName, SchedulerState)| {
            *state != SchedulerState::Removed && (asked == "all" || scheduler.name() == asked)
        };
        let meant: Vec<_> = planner.schedulers(now).filter(is_meant).collect();
        meant.iter().for_each(|(scheduler, _)| planner.pause_scheduler(now, *scheduler, delay * 1_000));
        asked == "all" || !meant.is_empty()
    };
    match cluster.plan(work).await {
        Ok(true) => json::ok(&"Pause or resume the scheduler successfully."),
        Ok(false) => not_found(StatusCode::INTERNAL_SERVER_ERROR, &name),
        Err(_) => not_leader(&gate),
    }
}

#[derive(Serialize)]
struct Diagnosis {
    name: &'static str,
    status: &'static str,
    summary: String,
    timestamp: i64,
}

/// How a scheduler is doing, in a word, and why it makes nothing when it makes nothing.
async fn diagnose(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Some(scheduler) = SchedulerName::of_name(&name) else {
        return not_found(StatusCode::NOT_FOUND, &name);
    };
    let timestamp = wall_clock_ns() / 1_000_000_000;
    match cluster.plan(move |planner, now| status(planner, scheduler, now)).await {
        Ok((status, summary)) => json::ok(&Diagnosis { name: scheduler.name(), status, summary, timestamp }),
        Err(_) => not_leader(&gate),
    }
}

fn status(planner: &mut Planner, scheduler: SchedulerName, now: Time) -> (&'static str, String) {
    if planner.config().halt_scheduling {
        return ("halted", String::new());
    }
    let state = planner.schedulers(now).find(|(name, _)| *name == scheduler).map(|(_, state)| state);
    let kind = match scheduler {
        SchedulerName::BalanceLeader => OperatorKind::Leader,
        SchedulerName::BalanceRegion => OperatorKind::Region,
    };
    match (state, planner.operator_count(kind)) {
        (None | Some(SchedulerState::Removed), _) => ("disabled", String::new()),
        (Some(SchedulerState::Paused(_)), _) => ("paused", String::new()),
        (Some(SchedulerState::Runs), _) if !planner.is_prepared() => {
            ("pending", "it waits until the regions of all stores are known".to_owned())
        }
        (Some(SchedulerState::Runs), 0) => ("normal", String::new()),
        (Some(SchedulerState::Runs), running) => ("scheduling", format!("{running} operators run")),
    }
}

async fn states(
    cluster: &Cluster,
) -> Result<(Vec<(SchedulerName, SchedulerState)>, Time), crate::cluster::CallError> {
    cluster.plan(|planner, now| (planner.schedulers(now).collect(), now)).await
}

/// Enters a scheduler into the configuration, or marks it as taken out: those that a group begins with stay listed.
fn put(draft: &mut Draft, scheduler: SchedulerName, is_in: bool) -> Result<(), SettingError> {
    let mut entries = draft.schedulers();
    match entries.iter_mut().find(|entry| entry.kind == scheduler.kind()) {
        Some(entry) => entry.disable = !is_in,
        None => entries.push(SchedulerEntry {
            kind: scheduler.kind().to_owned(),
            args: None,
            disable: !is_in,
            args_payload: String::new(),
        }),
    }
    draft.set_schedulers(&entries)
}

/// The known text; for a name that tools know from elsewhere with what there is.
fn not_found(status: StatusCode, name: &str) -> Response<Body> {
    match missing::scheduler(name) {
        Some(why) => json::error(status, &format!("{NOT_FOUND}: {why}")),
        None => json::error(status, NOT_FOUND),
    }
}
