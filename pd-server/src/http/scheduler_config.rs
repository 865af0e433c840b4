//! Settings of single schedulers. They are kept and shown as tikv/pd's tools know them.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Response, StatusCode};
use scheduler::SchedulerName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::path::Path;
use super::{bootstrapped, json, json_body, not_found};
use crate::cluster::Tenure;
use crate::grpc::Gate;
use crate::state::{Compare, KvError, Op, Txn};

/// Transfers of leaders that are planned in one go.
const BATCH_MAX: u64 = 100;
const BATCH_DEFAULT: u64 = 4;
/// Attempts when two change the same settings at once.
const ATTEMPTS: usize = 8;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/scheduler-config", get(all))
        .route("/pd/api/v1/scheduler-config/{name}/list", get(show))
        .route("/pd/api/v1/scheduler-config/{name}/config", post(change))
}

/// A range of keys in hex; empty for the end of the key space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    end_key: String,
    start_key: String,
}

/// The settings of a scheduler that balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    ranges: Vec<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
}

impl Settings {
    fn default_of(scheduler: SchedulerName) -> Self {
        let batch = match scheduler {
            SchedulerName::BalanceLeader => Some(BATCH_DEFAULT),
            SchedulerName::BalanceRegion => None,
        };
        Self { ranges: vec![Range::default()], batch }
    }
}

async fn all(State(gate): State<Gate>) -> Response<Body> {
    let (tenure, _) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let here = gate.pd.online.now().planner_config().schedulers;
    let mut all = BTreeMap::new();
    for scheduler in here {
        match kept(&tenure, scheduler).await {
            Ok((settings, _)) => all.insert(scheduler.name(), settings),
            Err(error) => return json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
    }
    json::ok(&all)
}

async fn show(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let (tenure, _) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Some(scheduler) = present(&gate, &name) else { return not_found() };
    match kept(&tenure, scheduler).await {
        Ok((settings, _)) => json::ok(&settings),
        Err(error) => json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn change(State(gate): State<Gate>, Path(name): Path<String>, body: Bytes) -> Response<Body> {
    let input: Map<String, Value> = match json_body::parse(&body) {
        Ok(input) => input,
        Err(malformed) => return json::bad_request(&malformed.text),
    };
    let (tenure, _) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Some(scheduler) = present(&gate, &name) else { return not_found() };
    for _ in 0..ATTEMPTS {
        let (settings, found) = match kept(&tenure, scheduler).await {
            Ok(kept) => kept,
            Err(error) => return json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
        let changed = match changed(&settings, &input) {
            Ok(changed) if changed == settings => {
                return json::ok(&"Config is the same with origin, so do nothing.");
            }
            Ok(changed) => changed,
            Err(text) => return json::bad_request(&text),
        };
        let key = tenure.keys.scheduler_config(scheduler.name());
        let Ok(value) = serde_json::to_string(&changed) else {
            return json::error(StatusCode::INTERNAL_SERVER_ERROR, "the settings cannot be encoded");
        };
        let txn = Txn::of(vec![Op::put(key.clone(), value)]).when(Compare::unchanged(key, found));
        match tenure.pd.kv.txn(tenure.term, txn).await {
            Ok(done) if done.succeeded => return json::ok(&"Config is updated."),
            Ok(_) => {}
            Err(error) => return json::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }
    json::error(StatusCode::SERVICE_UNAVAILABLE, "others change the same settings all the time: try again")
}

/// The scheduler of that name, if it is in.
fn present(gate: &Gate, name: &str) -> Option<SchedulerName> {
    let here = gate.pd.online.now().planner_config().schedulers;
    SchedulerName::of_name(name).filter(|scheduler| here.contains(scheduler))
}

/// The settings as they are kept, and their bytes.
async fn kept(tenure: &Tenure, scheduler: SchedulerName) -> Result<(Settings, Option<Bytes>), KvError> {
    let key = tenure.keys.scheduler_config(scheduler.name());
    let found = tenure.pd.kv.off_thread(move |kv| kv.get(&key)).await?.map(|found| found.value);
    let settings = match &found {
        None => Settings::default_of(scheduler),
        Some(value) => serde_json::from_slice(value)
            .map_err(|error| KvError::Storage(format!("settings of {}: {error}", scheduler.name())))?,
    };
    Ok((settings, found))
}

fn changed(settings: &Settings, input: &Map<String, Value>) -> Result<Settings, String> {
    let mut changed = settings.clone();
    for (item, value) in input {
        match (item.as_str(), changed.batch) {
            ("batch", Some(_)) => {
                let batch = value.as_u64().filter(|batch| (1..=BATCH_MAX).contains(batch));
                changed.batch = Some(batch.ok_or_else(|| {
                    format!("invalid batch size which should be an integer between 1 and {BATCH_MAX}")
                })?);
            }
            (_, _) => return Err("Config item is not found.".to_owned()),
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(input: &str) -> Result<Settings, String> {
        changed(&Settings::default_of(SchedulerName::BalanceLeader), &serde_json::from_str(input).unwrap())
    }

    #[test]
    fn settings_change_within_their_range() {
        assert_eq!(ask(r#"{"batch": 99}"#).unwrap().batch, Some(99));
        for input in [r#"{"batch": 0}"#, r#"{"batch": 101}"#, r#"{"batch": "3"}"#, r#"{"batch": 1.5}"#] {
            assert!(ask(input).unwrap_err().contains("between 1 and 100"), "{input}");
        }
        assert_eq!(ask(r#"{"bogus": 1}"#).unwrap_err(), "Config item is not found.");
        let region = Settings::default_of(SchedulerName::BalanceRegion);
        assert!(changed(&region, &serde_json::from_str(r#"{"batch": 3}"#).unwrap()).is_err());
    }

    #[test]
    fn settings_look_as_tools_know_them() {
        let text = serde_json::to_string(&Settings::default_of(SchedulerName::BalanceLeader)).unwrap();
        assert_eq!(text, r#"{"ranges":[{"end-key":"","start-key":""}],"batch":4}"#);
    }
}
