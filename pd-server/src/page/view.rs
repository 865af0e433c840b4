//! The leader's view: figures, stores and operators, from what the owners publish and one question to the planner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dashboard::Depth;
use dashboard::model::{Figure, OperatorRow, OperatorState, StoreRow, StoreState, TimestampState, View};
use parking_lot::Mutex;
use scheduler::{
    LimitState, OperatorEvent, OperatorView, Planner, StoreId, StoreStanding, StoreSummary, Time,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fullness::Fullness;
use super::meter::{Meter, Rates};
use super::{now_ms, operators, stores};
use crate::cluster::{Cluster, Stores};
use crate::grpc::Gate;
use crate::keys::{self, Keys};
use crate::verdict;

/// How long the planner's owner may take for the answer.
const PATIENCE: Duration = Duration::from_millis(600);
/// A timestamp that was given so long ago says nothing about how the clock and it stand.
const TIMESTAMP_FRESH_MS: i64 = 2_000;

/// Makes views. One question at a time is under way to the planner's owner.
pub struct Viewer {
    asking: Arc<Semaphore>,
    fullness: Mutex<Fullness>,
}

impl Default for Viewer {
    fn default() -> Self {
        Self { asking: Arc::new(Semaphore::new(1)), fullness: Mutex::default() }
    }
}

/// What the planner answers.
pub struct Planned {
    /// Its time when it did.
    pub now: Time,
    /// All stores that it knows, by id.
    pub stores: BTreeMap<u64, Known>,
    /// Operators that run, at most [`operators::RUNNING_MAX`].
    pub running: Vec<OperatorView>,
    /// All that run.
    pub running_count: usize,
    /// The newest lines of the operator log, oldest first.
    pub log: Vec<OperatorEvent>,
}

/// What it knows of a store.
pub struct Known {
    /// Its numbers.
    pub summary: StoreSummary,
    /// How it is.
    pub standing: StoreStanding,
    /// What limits it.
    pub limits: [LimitState; 2],
}

/// What a view of the cluster is made of, before it is put into figures.
struct Sight {
    regions: Option<usize>,
    stores: Vec<StoreRow>,
    operators: Vec<OperatorRow>,
    operator_count: Option<usize>,
}

impl Viewer {
    /// The cluster as this member sees it while it leads; none when it does not, or when the planner's owner has no time.
    pub async fn view(&self, gate: &Gate, meter: &Meter, depth: Depth) -> Option<View> {
        let tenure = gate.tenures.current()?;
        if gate.pd.leadership.check() != Ok(tenure.term) {
            return None;
        }
        let sight = match tenure.cluster() {
            Ok(cluster) => {
                let planned = self.ask(&cluster, cluster.stores()).await?;
                self.sight(&cluster, planned)
            }
            // Not bootstrapped: there is nothing yet, and that is known.
            Err(_) => {
                Sight { regions: Some(0), stores: Vec::new(), operators: Vec::new(), operator_count: Some(0) }
            }
        };
        let health = verdict::health(gate).await;
        let rates = meter.rates(gate);
        let timestamps = timestamps(gate, rates);
        let figures = figures(rates, &sight);
        // What was read while this member led; the last word is the lease's.
        if gate.pd.leadership.check() != Ok(tenure.term) {
            return None;
        }
        let is_deep = depth == Depth::Rows;
        Some(View {
            as_of_ms: now_ms(),
            from: gate.pd.members.own().name.clone(),
            leads_since_ms: None,
            health,
            figures,
            timestamps: Some(timestamps),
            stores: is_deep.then_some(sight.stores),
            operators: is_deep.then_some(sight.operators),
        })
    }

    /// Asks the planner, unless the last question still waits.
    async fn ask(&self, cluster: &Cluster, stores: Arc<Stores>) -> Option<Planned> {
        let place = Arc::clone(&self.asking).try_acquire_owned().ok()?;
        let work = move |planner: &mut Planner, now: Time| {
            // Whether or not anybody waits any more, the next question may come.
            let _place = place;
            let known = |id: &u64| {
                let store = StoreId(*id);
                let (summary, standing) =
                    (planner.store_summary(now, store)?, planner.standing_of(now, store)?);
                Some((*id, Known { summary, standing, limits: planner.store_limits(now, store) }))
            };
            let known = stores.table.keys().filter_map(known).collect();
            let running: Vec<_> = planner.operators().take(operators::RUNNING_MAX).collect();
            let running_count = planner.operators().count();
            (now, known, running, running_count)
        };
        let answer = timeout(PATIENCE, async { tokio::join!(cluster.plan(work), cluster.operator_log()) });
        let (planned, log) = answer.await.ok()?;
        let (now, stores, running, running_count) = planned.ok()?;
        Some(Planned { now, stores, running, running_count, log: log.ok()? })
    }

    fn sight(&self, cluster: &Cluster, planned: Planned) -> Sight {
        let now_ms = now_ms();
        let table = Arc::clone(&cluster.stores().table);
        let mut fullness = self.fullness.lock();
        fullness.keep(|store| table.contains_key(&store));
        let row = |record: &Arc<crate::cluster::StoreRecord>| {
            let mut row = stores::row(record, &planned)?;
            if let (Some(used), Some(available)) = (row.used_bytes, row.available_bytes) {
                row.full_in_s = fullness.note(row.id, now_ms, used, available);
            }
            Some(row)
        };
        Sight {
            regions: Some(cluster.regions().len()),
            stores: table.values().filter_map(row).collect(),
            operators: operators::rows(&planned, now_ms),
            operator_count: Some(planned.running_count),
        }
    }
}

/// How timestamps stand on the leader.
fn timestamps(gate: &Gate, rates: Rates) -> TimestampState {
    let wall_ms = signed(now_ms());
    let last_ms = signed(gate.pd.tso.counters().physical_ms.load(Relaxed));
    let bound = gate.pd.kv.cluster_id().and_then(|id| gate.pd.kv.get(&Keys::new(id).timestamp()).ok()?);
    let bound_ms = bound.and_then(|kv| keys::decode_be(&kv.value).ok()).map(|ns| signed(ns / 1_000_000));
    TimestampState {
        per_s: rates.timestamps,
        bound_ahead_ms: bound_ms.map(|bound| bound - last_ms.max(wall_ms)),
        offset_ms: Some(last_ms - wall_ms).filter(|offset| *offset > -TIMESTAMP_FRESH_MS),
    }
}

/// The six figures of the Overview.
fn figures(rates: Rates, sight: &Sight) -> Vec<Figure> {
    let stores = sight.stores.iter().filter(|row| row.state != StoreState::Tombstone);
    let up = stores.clone().filter(|row| stores::is_up(row)).count();
    let heard: Vec<_> = stores.clone().filter_map(|row| row.used_bytes.zip(row.capacity_bytes)).collect();
    let used = heard.iter().map(|(used, _)| used).sum::<u64>() as f64;
    let capacity = heard.iter().map(|(_, capacity)| capacity).sum::<u64>() as f64;
    let unheard = stores.clone().count() - heard.len();
    let of_capacity = match (capacity > 0.0, unheard) {
        (false, _) => None,
        (true, 0) => Some(format!("{:.0} % of the disks", used / capacity * 100.0)),
        (true, unheard) => Some(format!("{unheard} stores not heard yet")),
    };
    let waiting: Vec<_> = sight.operators.iter().filter(|row| row.state == OperatorState::Waiting).collect();
    let oldest = sight
        .operators
        .iter()
        .filter(|row| matches!(row.state, OperatorState::Running | OperatorState::Waiting))
        .min_by_key(|row| (row.created_ms, row.id));
    let of_operators = oldest.map(|oldest| {
        let minutes = now_ms().saturating_sub(oldest.created_ms) / 60_000;
        format!("{} waiting, oldest {minutes} min (region {})", waiting.len(), oldest.region)
    });
    let p99 = rates.timestamp_p99_ms.map(|ms| format!("p99 <= {ms} ms"));
    let count = |number: Option<usize>| number.map(|number| number as f64);
    vec![
        figure("timestamps", "Timestamps", "/s", rates.timestamps, p99),
        figure("region_heartbeats", "Region heartbeats", "/s", rates.region_heartbeats, None),
        figure("regions", "Regions", "", count(sight.regions), None),
        figure("stores_up", "Stores up", "", count(Some(up)), Some(format!("of {}", stores.count()))),
        figure("used", "Used", "bytes", Some(used).filter(|_| unheard == 0), of_capacity),
        figure("operators", "Operators running", "", count(sight.operator_count), of_operators),
    ]
}

fn figure(name: &str, label: &str, unit: &str, value: Option<f64>, note: Option<String>) -> Figure {
    Figure {
        name: name.to_owned(),
        label: label.to_owned(),
        unit: unit.to_owned(),
        value,
        note,
        series: None,
        step_ms: 0,
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
