//! One immutable state of everything that is shown. All requests read the newest; nobody waits for another.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{Figure, Health, MemberList, OperatorRow, Stats, StoreRow};
use crate::series::{STEP_MS, Series};
use crate::source::Look;
use crate::table::Table;

/// The state after one look.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the looks of this process, from 1; 0 before the first.
    pub revision: u64,
    /// Moment of the look, in ms since 1970.
    pub as_of_ms: u64,
    /// This member's name.
    pub member: String,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The leader's verdict, or this member's own while there is no leader's.
    pub health: Option<Health>,
    /// The members.
    pub members: Option<MemberList>,
    /// Stores and operators as the last leader saw them.
    pub cluster: Option<Cluster>,
    /// The figures, with series.
    pub stats: Option<Stats>,
    /// Revision at which the series last grew, or figures were first known.
    pub series_revision: u64,
    pub(crate) store_table: Arc<Table>,
    pub(crate) operator_table: Arc<Table>,
}

/// Rows as a leader saw them.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// When it looked.
    pub as_of_ms: u64,
    /// Its name.
    pub from: String,
    /// Stores by id.
    pub stores: Arc<Vec<StoreRow>>,
    /// Operators: what runs, then what has ended, newest first.
    pub operators: Arc<Vec<OperatorRow>>,
}

/// What streams can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The verdict.
    Health,
    /// The figures.
    Stats,
    /// Stores.
    Stores,
    /// Operators.
    Operators,
    /// Members.
    Members,
}

impl Topic {
    /// All, in the order in which they are told.
    pub const ALL: [Topic; 5] =
        [Topic::Health, Topic::Stats, Topic::Stores, Topic::Operators, Topic::Members];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Health => "health",
            Topic::Stats => "stats",
            Topic::Stores => "stores",
            Topic::Operators => "operators",
            Topic::Members => "members",
        }
    }
}

impl Snapshot {
    /// Before the first look.
    pub fn empty() -> Self {
        Self {
            revision: 0,
            as_of_ms: 0,
            member: String::new(),
            cluster_id: None,
            health: None,
            members: None,
            cluster: None,
            stats: None,
            series_revision: 0,
            store_table: Arc::default(),
            operator_table: Arc::default(),
        }
    }

    /// The state after one more look. What it does not tell stays as it was, with its age.
    pub fn after(&self, look: Look, series: &Series, sampled: bool) -> Self {
        let revision = self.revision + 1;
        let is_first = self.stats.is_none() && look.view.is_some();
        let mut next = Self {
            revision,
            as_of_ms: look.as_of_ms,
            member: look.member,
            cluster_id: look.cluster_id.or_else(|| self.cluster_id.clone()),
            health: Some(look.own_health),
            members: Some(look.members),
            series_revision: if sampled || is_first { revision } else { self.series_revision },
            ..self.clone()
        };
        let Some(view) = look.view else {
            if sampled && let Some(stats) = &mut next.stats {
                stats.figures.iter_mut().for_each(|figure| with_series(figure, series));
            }
            return next;
        };
        next.health = Some(view.health);
        let mut figures = view.figures;
        figures.iter_mut().for_each(|figure| with_series(figure, series));
        next.stats = Some(Stats { as_of_ms: view.as_of_ms, from: view.from.clone(), figures });
        if let (Some(stores), Some(operators)) = (view.stores, view.operators) {
            Arc::make_mut(&mut next.store_table).update(revision, stores.iter().map(|row| (row.id, row)));
            let rows = operators.iter().map(|row| (row.id, row));
            Arc::make_mut(&mut next.operator_table).update(revision, rows);
            next.cluster = Some(Cluster {
                as_of_ms: view.as_of_ms,
                from: view.from,
                stores: Arc::new(stores),
                operators: Arc::new(operators),
            });
        }
        next
    }

    /// Whether a stream that has told everything up to `revision` can go on from there.
    pub fn reaches_back_to(&self, revision: u64) -> bool {
        revision <= self.revision
            && self.store_table.reaches_back_to(revision)
            && self.operator_table.reaches_back_to(revision)
    }

    /// Writes the data of a topic as one line of JSON: what changed since `since`, or all. False when nothing is known.
    pub fn write(&self, topic: Topic, since: Option<u64>, out: &mut String) -> bool {
        match topic {
            Topic::Health => object(self.health.as_ref(), out),
            Topic::Members => object(self.members.as_ref(), out),
            Topic::Stats if since.is_none_or(|since| since < self.series_revision) => {
                object(self.stats.as_ref(), out)
            }
            Topic::Stats => object(self.stats.as_ref().map(without_series).as_ref(), out),
            Topic::Stores => self.rows(&self.store_table, since, out),
            Topic::Operators => self.rows(&self.operator_table, since, out),
        }
    }

    fn rows(&self, table: &Table, since: Option<u64>, out: &mut String) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        let since = since.filter(|since| table.was_known_at(*since));
        out.push_str("{\"as_of_ms\":");
        out.push_str(&cluster.as_of_ms.to_string());
        out.push_str(",\"full\":");
        out.push_str(if since.is_none() { "true," } else { "false," });
        table.write_since(since, out);
        out.push('}');
        true
    }
}

fn object<T: Serialize>(value: Option<&T>, out: &mut String) -> bool {
    let Some(text) = value.and_then(|value| serde_json::to_string(value).ok()) else { return false };
    out.push_str(&text);
    true
}

fn with_series(figure: &mut Figure, series: &Series) {
    figure.series = Some(series.of(&figure.name));
    figure.step_ms = STEP_MS;
}

fn without_series(stats: &Stats) -> Stats {
    let figures = stats.figures.iter().map(|figure| Figure {
        name: figure.name.clone(),
        label: figure.label.clone(),
        unit: figure.unit.clone(),
        value: figure.value,
        note: figure.note.clone(),
        series: None,
        step_ms: figure.step_ms,
    });
    Stats { as_of_ms: stats.as_of_ms, from: stats.from.clone(), figures: figures.collect() }
}
