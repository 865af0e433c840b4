//! The verdict: how the cluster is, in one value that page, `pd-ctl`, metrics and alerts share.
//!
//! [`judge::verdict`] is pure. This file brings it what it needs: the planner's model through a survey, and what this
//! member knows of itself and the others.

pub mod checks;
pub mod judge;
mod member;
pub mod phrase;
mod reason;
pub mod why;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dashboard::model::{Code, Health, Severity};
use parking_lot::Mutex;
use scheduler::{KeyMap, MapRequest, Survey, Time};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::cluster::Tenure;
use crate::grpc::Gate;
use crate::leadership::Term;
use judge::ClusterPart;

/// A survey is shared by all who ask within this time.
const FRESH: Duration = Duration::from_secs(1);
/// How often the leader looks when nobody asks, so that "since" is true when somebody does.
const PAUSE: Duration = Duration::from_secs(5);
/// A survey that took long is rested this many times as long: it never takes more than a twentieth of a core.
const REST: u32 = 20;
/// How often this member looks whether there is a leader.
const LOOK: Duration = Duration::from_millis(250);
/// Different maps that are kept for [`FRESH`]: a page asks for one or two.
const MAPS_MAX: usize = 8;

/// What is kept between two verdicts.
pub struct Verdicts {
    /// Wall time in ms since when there is no leader; 0 while there is one.
    no_leader_since_ms: AtomicU64,
    surveyed: tokio::sync::Mutex<Option<Surveyed>>,
    questions: Semaphore,
}

/// Questions to the planner that are answered at once: enough for a few people, too few to hold up heartbeats. More are
/// refused, not queued.
pub const QUESTIONS_MAX: usize = 8;

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            no_leader_since_ms: AtomicU64::new(0),
            surveyed: tokio::sync::Mutex::default(),
            questions: Semaphore::new(QUESTIONS_MAX),
        }
    }
}

/// The survey of one term.
struct Surveyed {
    term: Term,
    survey: Arc<Mutex<Survey>>,
    part: ClusterPart,
    made: Instant,
    took: Duration,
    maps: Vec<(MapRequest, Arc<KeyMap>)>,
}

/// A key map, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The columns.
    pub map: Arc<KeyMap>,
    /// When the survey was made, in ms since 1970.
    pub as_of_ms: u64,
    /// Share of the Regions heard, 0 to 1000.
    pub heard_permille: u16,
}

/// This member's verdict: on the leader with all that it knows of Regions and Stores, elsewhere this member's view.
pub async fn health(gate: &Gate) -> Health {
    let cluster = match leading(gate).await {
        Some(tenure) => gate.verdicts.cluster(&tenure).await,
        None => None,
    };
    judge::verdict(cluster.as_ref(), &member::look(gate))
}

/// One number for each code, for the metric `pd_health_check{code,severity}`: its count, 0 where nothing is wrong.
pub fn counts(health: &Health) -> impl Iterator<Item = (Code, Severity, u64)> + '_ {
    Code::ALL.iter().map(|code| {
        let checks = health.checks.iter().filter(|check| check.code == *code);
        (*code, code.severity(), checks.map(|check| check.count).sum())
    })
}

/// The tenure, if this member may answer as the leader just now; does not wait for that.
async fn leading(gate: &Gate) -> Option<Arc<Tenure>> {
    gate.pd.leadership.check().ok()?;
    gate.tenures.serve().await.ok()
}

/// Notes when the leader goes and comes, and keeps the survey going while this member leads. Runs until `stop`.
pub async fn watch(gate: Gate, stop: CancellationToken) {
    let mut changes = gate.pd.leadership.subscribe();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
        let has_leader = member::has_leader(&gate);
        gate.verdicts.note_leader(has_leader, member::now_ms());
        if let Some(tenure) = gate.tenures.current() {
            gate.verdicts.keep_going(&tenure).await;
        } else {
            *gate.verdicts.surveyed.lock().await = None;
        }
    }
}

impl Verdicts {
    /// Since when there is no leader, in ms since 1970.
    pub fn no_leader_since_ms(&self) -> Option<u64> {
        Some(self.no_leader_since_ms.load(Relaxed)).filter(|since| *since > 0)
    }

    /// Places for questions that cost the planner time.
    pub fn questions(&self) -> &Semaphore {
        &self.questions
    }

    fn note_leader(&self, has_leader: bool, now_ms: u64) {
        if has_leader {
            self.no_leader_since_ms.store(0, Relaxed);
        } else if self.no_leader_since_ms.load(Relaxed) == 0 {
            self.no_leader_since_ms.store(now_ms.max(1), Relaxed);
        }
    }

    /// The cluster's part, at most [`FRESH`] old; none before bootstrap or when the tenure ends meanwhile.
    async fn cluster(&self, tenure: &Tenure) -> Option<ClusterPart> {
        let mut kept = self.surveyed.lock().await;
        refresh(&mut kept, tenure, FRESH).await;
        kept.as_ref().filter(|s| s.term == tenure.term).map(|s| s.part.clone())
    }

    async fn keep_going(&self, tenure: &Tenure) {
        let mut kept = self.surveyed.lock().await;
        let took = kept.as_ref().map_or(Duration::ZERO, |s| s.took);
        refresh(&mut kept, tenure, PAUSE.max(took * REST)).await;
    }

    /// A part of the key space in columns, at most [`FRESH`] old; none where there is no cluster.
    pub async fn key_map(&self, tenure: &Tenure, request: MapRequest) -> Option<Mapped> {
        let mut kept = self.surveyed.lock().await;
        refresh(&mut kept, tenure, FRESH).await;
        let surveyed = kept.as_mut().filter(|s| s.term == tenure.term)?;
        let known =
            surveyed.maps.iter().find(|(made_for, _)| *made_for == request).map(|(_, map)| Arc::clone(map));
        let map = match known {
            Some(map) => map,
            None => {
                let (survey, asked) = (Arc::clone(&surveyed.survey), request.clone());
                let made = tokio::task::spawn_blocking(move || survey.lock().key_map(&asked)).await;
                let map = Arc::new(made.map_err(|error| warn!(%error, "no key map")).ok()?);
                if surveyed.maps.len() >= MAPS_MAX {
                    surveyed.maps.remove(0);
                }
                surveyed.maps.push((request, Arc::clone(&map)));
                map
            }
        };
        let part = &surveyed.part;
        Some(Mapped {
            map,
            as_of_ms: part.wall_ms(part.health.at),
            heard_permille: part.health.heard.regions_permille,
        })
    }
}

/// Makes the survey anew if it is older than `age` or of another term.
async fn refresh(kept: &mut Option<Surveyed>, tenure: &Tenure, age: Duration) {
    let same_term = kept.as_ref().is_some_and(|s| s.term == tenure.term);
    if same_term && kept.as_ref().is_some_and(|s| s.made.elapsed() < age) {
        return;
    }
    let Ok(cluster) = tenure.cluster() else {
        *kept = None;
        return;
    };
    let Ok(standing) = cluster.plan(|planner, now| planner.standing(now)).await else { return };
    let survey = match kept.take() {
        Some(surveyed) if same_term => surveyed.survey,
        Some(_) | None => Arc::new(Mutex::new(Survey::new(cluster.regions().heard().clone()))),
    };
    let made = Instant::now();
    let (at, wall_ms) = (standing.at, member::now_ms());
    let worked = Arc::clone(&survey);
    let looked = tokio::task::spawn_blocking(move || {
        let mut survey = worked.lock();
        survey.refresh(standing);
        survey.health()
    });
    match looked.await {
        Ok(health) => {
            let part = ClusterPart { health, wall_ms_at: wall_ms, at };
            let took = made.elapsed();
            *kept = Some(Surveyed { term: tenure.term, survey, part, made, took, maps: Vec::new() });
        }
        // The survey is gone with it; the next one begins anew.
        Err(error) => warn!(%error, "no survey of the cluster"),
    }
}

impl ClusterPart {
    /// A moment of the planner in ms since 1970.
    pub fn wall_ms(&self, time: Time) -> u64 {
        let (ahead, behind) = (time.ms_since(self.at), self.at.ms_since(time));
        self.wall_ms_at.saturating_add(ahead).saturating_sub(behind)
    }
}
