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
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::cluster::Tenure;
use crate::grpc::Gate;
use crate::leadership::Term;
use judge::{ClusterPart, MemberPart};

/// A survey is shared by all who ask within this time.
const FRESH: Duration = Duration::from_secs(1);
/// How often the leader looks when nobody asks, so that "since" is true when somebody does.
const PAUSE: Duration = Duration::from_secs(5);
/// A survey that took long is rested this many times as long, so that it takes at most a twentieth of a core ...
const REST: u32 = 20;
/// ... but never longer than this: news that are older help nobody.
const REST_MAX: Duration = Duration::from_secs(10);
/// How long a verdict waits for a new survey. Then it is told by the last one.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// A planner that answers nothing for this long is told: a storm of heartbeats is over by then.
const STUCK_AFTER: Duration = Duration::from_secs(3);
/// How often this member looks whether there is a leader.
const LOOK: Duration = Duration::from_millis(250);
/// Different maps that are kept for [`FRESH`]: a page asks for one or two.
const MAPS_MAX: usize = 8;

/// What is kept between two verdicts. Who asks never waits for the planner longer than [`WAIT_MAX`]: one task at a time
/// asks it, and everybody reads what that brought last.
pub struct Verdicts {
    /// Wall time in ms since when there is no leader; 0 while there is one.
    no_leader_since_ms: AtomicU64,
    surveyed: Mutex<Option<Surveyed>>,
    /// Since when the planner owes an answer; none while it owes none.
    asked: Mutex<Option<Instant>>,
    /// Held by the task that makes the next survey.
    turn: Arc<tokio::sync::Mutex<()>>,
    questions: Semaphore,
}

/// Questions to the planner that are answered at once: enough for a few people, too few to hold up heartbeats. More are
/// refused, not queued.
pub const QUESTIONS_MAX: usize = 8;

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            no_leader_since_ms: AtomicU64::new(0),
            surveyed: Mutex::default(),
            asked: Mutex::default(),
            turn: Arc::default(),
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

/// An answer that the planner owes; however the task that waits for it ends, nothing is owed any more.
struct Owed<'a>(&'a Mutex<Option<Instant>>);

impl<'a> Owed<'a> {
    fn since_now(asked: &'a Mutex<Option<Instant>>) -> Self {
        *asked.lock() = Some(Instant::now());
        Owed(asked)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
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

/// This member's verdict: on the leader with all that it knows of Regions and Stores, elsewhere this member's view. It
/// comes within about [`WAIT_MAX`], whatever the planner does.
pub async fn health(gate: &Gate) -> Health {
    let tenure = timeout(WAIT_MAX, leading(gate)).await.ok().flatten();
    let (cluster, stuck_ms) = match tenure {
        Some(tenure) => (gate.verdicts.cluster(&tenure).await, gate.verdicts.stuck_ms()),
        None => (None, None),
    };
    judge::verdict(cluster.as_ref(), &MemberPart { planner_stuck_ms: stuck_ms, ..member::look(gate) })
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
        // Nothing here waits for the planner: when nobody leads is noted even while it hangs.
        match gate.tenures.current() {
            Some(tenure) => drop(gate.verdicts.begin(&tenure, PAUSE)),
            None => *gate.verdicts.surveyed.lock() = None,
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

    /// For how long the planner owes an answer, once that is too long.
    fn stuck_ms(&self) -> Option<u64> {
        let waited =
            self.asked.lock().map(|since| since.elapsed()).filter(|waited| *waited >= STUCK_AFTER)?;
        u64::try_from(waited.as_millis()).ok()
    }

    /// The cluster's part, mostly at most [`FRESH`] old; none before bootstrap, before the first survey of a term, or
    /// when the tenure ends meanwhile.
    async fn cluster(self: &Arc<Self>, tenure: &Arc<Tenure>) -> Option<ClusterPart> {
        self.freshen(tenure).await;
        self.surveyed.lock().as_ref().filter(|s| s.term == tenure.term).map(|s| s.part.clone())
    }

    /// A part of the key space in columns, mostly at most [`FRESH`] old; none where there is no cluster.
    pub async fn key_map(self: &Arc<Self>, tenure: &Arc<Tenure>, request: MapRequest) -> Option<Mapped> {
        self.freshen(tenure).await;
        let (survey, made, mapped) = {
            let surveyed = self.surveyed.lock();
            let surveyed = surveyed.as_ref().filter(|s| s.term == tenure.term)?;
            let known = surveyed.maps.iter().find(|(made_for, _)| *made_for == request);
            let mapped = |map| Mapped {
                map,
                as_of_ms: surveyed.part.wall_ms(surveyed.part.health.at),
                heard_permille: surveyed.part.health.heard.regions_permille,
            };
            if let Some((_, map)) = known {
                return Some(mapped(Arc::clone(map)));
            }
            (Arc::clone(&surveyed.survey), surveyed.made, mapped(Arc::default()))
        };
        let asked = request.clone();
        let map = tokio::task::spawn_blocking(move || survey.lock().key_map(&asked)).await;
        let map = Arc::new(map.map_err(|error| warn!(%error, "no key map")).ok()?);
        // Kept with the survey that it was made of.
        if let Some(surveyed) = self.surveyed.lock().as_mut().filter(|s| s.made == made) {
            if surveyed.maps.len() >= MAPS_MAX {
                surveyed.maps.remove(0);
            }
            surveyed.maps.push((request, Arc::clone(&map)));
        }
        Some(Mapped { map, ..mapped })
    }

    /// Waits a little for a survey that is not old.
    async fn freshen(self: &Arc<Self>, tenure: &Arc<Tenure>) {
        let made = match self.begin(tenure, FRESH) {
            Some(task) => timeout(WAIT_MAX, task).await.map(drop),
            // Somebody makes one already, or there is no need.
            None => timeout(WAIT_MAX, self.turn.lock()).await.map(drop),
        };
        // In time or not, what is there last is told.
        drop(made);
    }

    /// Begins a new survey when the last one is older than `age` and has been rested, unless one is being made.
    fn begin(self: &Arc<Self>, tenure: &Arc<Tenure>, age: Duration) -> Option<JoinHandle<()>> {
        let turn = Arc::clone(&self.turn).try_lock_owned().ok()?;
        let is_fresh = self.surveyed.lock().as_ref().is_some_and(|s| {
            s.term == tenure.term && s.made.elapsed() < age.max((s.took * REST).min(REST_MAX))
        });
        if is_fresh {
            return None;
        }
        let (verdicts, tenure) = (Arc::clone(self), Arc::clone(tenure));
        Some(tokio::spawn(async move {
            verdicts.survey(&tenure).await;
            drop(turn);
        }))
    }

    /// Makes the survey anew.
    async fn survey(&self, tenure: &Tenure) {
        let Ok(cluster) = tenure.cluster() else {
            *self.surveyed.lock() = None;
            return;
        };
        let owed = Owed::since_now(&self.asked);
        let standing = tokio::select! {
            standing = cluster.plan(|planner, now| planner.standing(now)) => standing,
            // A planner that hangs beyond its term holds up no later one.
            () = tenure.ended() => return,
        };
        drop(owed);
        let Ok(standing) = standing else { return };
        let kept =
            self.surveyed.lock().as_ref().filter(|s| s.term == tenure.term).map(|s| Arc::clone(&s.survey));
        let survey =
            kept.unwrap_or_else(|| Arc::new(Mutex::new(Survey::new(cluster.regions().heard().clone()))));
        let (at, wall_ms_at) = (standing.at, member::now_ms());
        let worked = Arc::clone(&survey);
        let looked = tokio::task::spawn_blocking(move || {
            let mut survey = worked.lock();
            let began = Instant::now();
            survey.refresh(standing);
            (survey.health(), began.elapsed())
        });
        match looked.await {
            Ok((health, took)) => {
                let part = ClusterPart { health, wall_ms_at, at };
                let made = Instant::now();
                *self.surveyed.lock() =
                    Some(Surveyed { term: tenure.term, survey, part, made, took, maps: Vec::new() });
            }
            Err(error) => {
                warn!(%error, "no survey of the cluster");
                // Half made: the next one begins anew.
                *self.surveyed.lock() = None;
            }
        }
    }
}

impl ClusterPart {
    /// A moment of the planner in ms since 1970.
    pub fn wall_ms(&self, time: Time) -> u64 {
        let (ahead, behind) = (time.ms_since(self.at), self.at.ms_since(time));
        self.wall_ms_at.saturating_add(ahead).saturating_sub(behind)
    }
}
