//! What a survey found: one finding for each kind of trouble and each cause of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::condition::{Standing, StoreTrouble};
use super::judge::RegionTrouble;
use super::{RepairStop, Survey};
use crate::model::{RegionId, StoreId, Time};
use crate::refusal::{Refusal, RefusalKind};

/// Subjects that a finding names.
pub const SUBJECTS_MAX: usize = 50;
/// Pending and leftover Peers belong to every move; they are found only when they stay this long.
const STAYS_MS: u64 = 10 * 60 * 1000;

/// The one thing to blame for a Region's trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegionCause {
    /// A Store.
    Store(StoreId, StoreTrouble),
    /// Leaders do not hear their Peers on this Store, though it is heard.
    PeerDown(StoreId),
    /// There are fewer Stores in service than replicas wanted.
    TooFewStores,
    /// No operator is made.
    Halted,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Regions in trouble.
    Region(RegionTrouble),
    /// Keys without a Region.
    Holes,
    /// Stores that are not heard and that no Region suffers from.
    StoreSilent(StoreTrouble),
    /// Drains that cannot go on.
    DrainBlocked,
    /// Repairs that cannot go on.
    RepairBlocked,
    /// More replicas wanted than Stores are there, and no Region suffers from it.
    TooFewStores,
    /// No operator is made.
    Halted,
    /// Stores whose disks are too full for new replicas.
    LowSpace,
}

/// Whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingSubject {
    /// A Region.
    Region(RegionId),
    /// A Store.
    Store(StoreId),
    /// From this key to that one.
    Range(Bytes, Bytes),
}

/// One problem with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Because of what.
    pub cause: Option<RegionCause>,
    /// Stores that are to blame as well: any of them that comes back helps. At most [`SUBJECTS_MAX`].
    pub also: Vec<StoreId>,
    /// The planner's own reason.
    pub reason: Option<Refusal>,
    /// How many Regions, Stores or holes.
    pub count: u64,
    /// Size of the Regions in bytes, where it is about Regions.
    pub bytes: Option<u64>,
    /// Since when.
    pub since: Option<Time>,
    /// Some of them, in key order where they are Regions; at most [`SUBJECTS_MAX`].
    pub subjects: Vec<FindingSubject>,
    /// The numbers of the fullest disk: used and limit in per mille; of too few Stores: there and wanted.
    pub numbers: Option<(u64, u64)>,
}

/// How much was heard since the planner began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Share of the Regions, 0 to 1000.
    pub regions_permille: u16,
    /// Stores heard.
    pub stores: u64,
    /// Stores that should be heard.
    pub stores_expected: u64,
}

/// The cluster's part of the verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterHealth {
    /// As of when.
    pub at: Time,
    /// Not everything was heard yet: holes and Stores that were never heard are not told.
    pub learning: bool,
    /// When that began.
    pub began: Time,
    /// How much is known.
    pub heard: Heard,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What has no time of its own: since when it is seen.
#[derive(Debug, Default)]
pub(super) struct Sinces {
    by_what: BTreeMap<What, Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Drain(StoreId),
    Repair(RefusalKind),
    LowSpace(StoreId),
    Halted,
    TooFewStores,
    Holes,
}

impl Sinces {
    /// Forgets what is over, dates what is new.
    pub fn keep(&mut self, standing: &Standing, has_holes: bool) {
        let stopped = standing.drains.iter().filter(|d| d.stopped.is_some()).map(|d| What::Drain(d.store));
        let repairs = standing.repairs.iter().map(|r| What::Repair(r.refusal.kind()));
        let full = standing.stores.iter().filter(|s| s.low_space.is_some()).map(|s| What::LowSpace(s.store));
        let rest = [
            (standing.halted, What::Halted),
            (standing.in_service() < standing.max_replicas, What::TooFewStores),
            (has_holes, What::Holes),
        ];
        let rest = rest.into_iter().filter(|(is, _)| *is).map(|(_, what)| what);
        let known = std::mem::take(&mut self.by_what);
        let now = standing.at;
        let all = stopped.chain(repairs).chain(full).chain(rest);
        self.by_what = all.map(|what| (what, known.get(&what).copied().unwrap_or(now))).collect();
    }

    fn of(&self, what: What) -> Option<Time> {
        self.by_what.get(&what).copied()
    }
}

/// All that is wrong, the worst first.
pub(super) fn health(survey: &Survey) -> ClusterHealth {
    let standing = &survey.standing;
    let learning = survey.is_learning();
    let mut findings = regions(survey);
    if survey.hole_count > 0 && !learning {
        let range = |(start, end): &(Bytes, Bytes)| FindingSubject::Range(start.clone(), end.clone());
        findings.push(Finding {
            count: survey.hole_count,
            since: survey.sinces.of(What::Holes),
            subjects: survey.holes.iter().map(range).collect(),
            ..Finding::of(FindingKind::Holes)
        });
    }
    let causes = |f: &Finding| f.cause.and_then(RegionCause::store).into_iter().chain(f.also.clone());
    let blamed: Vec<StoreId> = findings.iter().flat_map(causes).collect();
    findings.extend(silent_stores(standing, &blamed));
    findings.extend(blocked_drains(survey));
    let (there, wanted) = (standing.in_service() as u64, standing.max_replicas as u64);
    let is_told = |findings: &[Finding], cause| findings.iter().any(|f| f.cause == Some(cause));
    let few_told = is_told(&findings, RegionCause::TooFewStores);
    // While a Region suffers from a silent Store, repairs are told by their refusals only where they last. That too few
    // Stores are there is not told twice.
    let repairs =
        standing.repairs.iter().filter(|stop| !few_told || stop.refusal.kind() != RefusalKind::NoTarget);
    findings.extend(repairs.map(|stop| blocked_repair(stop, survey)));
    if there < wanted && !few_told && !learning && blamed.is_empty() {
        findings.push(Finding {
            count: wanted - there,
            since: survey.sinces.of(What::TooFewStores),
            numbers: Some((there, wanted)),
            ..Finding::of(FindingKind::TooFewStores)
        });
    }
    if standing.halted && !is_told(&findings, RegionCause::Halted) {
        findings.push(Finding {
            count: 1,
            since: survey.sinces.of(What::Halted),
            ..Finding::of(FindingKind::Halted)
        });
    }
    findings.extend(full_stores(survey));
    findings.sort_by_key(|f| f.kind);
    ClusterHealth { at: standing.at, learning, began: standing.began, heard: heard(survey), findings }
}

impl Finding {
    fn of(kind: FindingKind) -> Finding {
        Finding {
            kind,
            cause: None,
            also: Vec::new(),
            reason: None,
            count: 0,
            bytes: None,
            since: None,
            subjects: Vec::new(),
            numbers: None,
        }
    }
}

impl RegionCause {
    /// The Store to blame, if one is.
    #[must_use]
    pub const fn store(self) -> Option<StoreId> {
        match self {
            RegionCause::Store(store, _) | RegionCause::PeerDown(store) => Some(store),
            RegionCause::TooFewStores | RegionCause::Halted => None,
        }
    }
}

/// Regions in trouble, one finding a cause. What belongs to every move counts only when it stays.
fn regions(survey: &Survey) -> Vec<Finding> {
    let now = survey.standing.at;
    let mut groups: BTreeMap<(RegionTrouble, Option<RegionCause>), Finding> = BTreeMap::new();
    for troubled in survey.troubled() {
        let Some(mut trouble) = troubled.trouble else { continue };
        let stays = now.ms_since(troubled.since) >= STAYS_MS;
        let stays_thin = troubled.thin_since.is_some_and(|since| now.ms_since(since) >= STAYS_MS);
        if stays_thin && trouble > RegionTrouble::LastReplica {
            trouble = RegionTrouble::LastReplica;
        }
        let tells = match trouble {
            RegionTrouble::NoQuorum | RegionTrouble::LastReplica | RegionTrouble::Short => true,
            RegionTrouble::Pending | RegionTrouble::Leftover => stays,
        };
        if !tells {
            continue;
        }
        let group = groups.entry((trouble, troubled.cause));
        let finding = group.or_insert_with(|| Finding {
            cause: troubled.cause,
            bytes: Some(0),
            ..Finding::of(FindingKind::Region(trouble))
        });
        finding.count += 1;
        finding.bytes = finding.bytes.map(|bytes| bytes + (troubled.kib << 10));
        finding.since = Some(finding.since.map_or(troubled.since, |since| since.min(troubled.since)));
        if finding.subjects.len() < SUBJECTS_MAX {
            finding.subjects.push(FindingSubject::Region(troubled.region));
        }
        if let Some(also) = troubled.also
            && finding.also.len() < SUBJECTS_MAX
            && !finding.also.contains(&also)
        {
            finding.also.push(also);
        }
    }
    groups.into_values().collect()
}

/// One more Store in a finding that counts Stores.
fn count_store(finding: &mut Finding, store: StoreId, since: Option<Time>) {
    finding.count += 1;
    finding.since = match (finding.since, since) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (known, new) => known.or(new),
    };
    if finding.subjects.len() < SUBJECTS_MAX {
        finding.subjects.push(FindingSubject::Store(store));
    }
}

/// Stores that are not heard, unless Regions that suffer from it name them already.
fn silent_stores(standing: &Standing, blamed: &[StoreId]) -> impl Iterator<Item = Finding> + use<> {
    let mut kinds: BTreeMap<StoreTrouble, Finding> = BTreeMap::new();
    for store in standing.expected().filter(|s| !blamed.contains(&s.store)) {
        let Some(trouble) = store.trouble(standing.at) else { continue };
        let finding = kinds.entry(trouble).or_insert_with(|| Finding::of(FindingKind::StoreSilent(trouble)));
        count_store(finding, store.store, Some(store.silent_since));
    }
    kinds.into_values()
}

fn full_stores(survey: &Survey) -> Option<Finding> {
    let mut found: Option<Finding> = None;
    for store in &survey.standing.stores {
        let Some(numbers) = store.low_space else { continue };
        let finding = found.get_or_insert_with(|| Finding::of(FindingKind::LowSpace));
        count_store(finding, store.store, survey.sinces.of(What::LowSpace(store.store)));
        finding.numbers = finding.numbers.max(Some(numbers));
    }
    found
}

/// Drains that cannot go on, one finding a reason: its Stores first, then Regions on them.
fn blocked_drains(survey: &Survey) -> impl Iterator<Item = Finding> + use<> {
    let mut kinds: BTreeMap<RefusalKind, (Finding, Vec<RegionId>)> = BTreeMap::new();
    for drain in &survey.standing.drains {
        let Some(stop) = &drain.stopped else { continue };
        let kind = stop.refusal.kind();
        let (finding, regions) = kinds.entry(kind).or_insert_with(|| {
            let found = Finding {
                bytes: Some(0),
                cause: (kind == RefusalKind::Halted).then_some(RegionCause::Halted),
                reason: Some(stop.refusal.clone()),
                ..Finding::of(FindingKind::DrainBlocked)
            };
            (found, Vec::new())
        });
        count_store(finding, drain.store, survey.sinces.of(What::Drain(drain.store)));
        // What counts is what is left on them, not they.
        finding.count = finding.count - 1 + drain.left;
        finding.bytes = finding.bytes.map(|bytes| bytes + drain.left_bytes);
        regions.extend(&stop.regions);
    }
    kinds.into_values().map(|(mut finding, regions)| {
        let room = SUBJECTS_MAX - finding.subjects.len();
        finding.subjects.extend(regions.into_iter().take(room).map(FindingSubject::Region));
        finding
    })
}

fn blocked_repair(stop: &RepairStop, survey: &Survey) -> Finding {
    let subjects = stop.regions.iter().take(SUBJECTS_MAX).copied().map(FindingSubject::Region);
    // When each that was looked at is refused, all that wait are taken to be.
    let all = stop.regions.len() == stop.looked;
    Finding {
        count: if all { stop.waiting } else { stop.regions.len() as u64 },
        cause: (stop.refusal.kind() == RefusalKind::Halted).then_some(RegionCause::Halted),
        reason: Some(stop.refusal.clone()),
        since: survey.sinces.of(What::Repair(stop.refusal.kind())),
        subjects: subjects.collect(),
        ..Finding::of(FindingKind::RepairBlocked)
    }
}

/// Replicas known against those that Stores say they have; of a Store that was not heard none is known.
fn heard(survey: &Survey) -> Heard {
    let standing = &survey.standing;
    let expected = standing.expected().count() as u64;
    let stores = standing.expected().filter(|s| s.was_heard).count() as u64;
    let count = |of: fn(&super::StoreStanding) -> u64| {
        standing.expected().filter(|s| s.was_heard).map(of).sum::<u64>()
    };
    let known = count(|s| s.known_replicas.min(s.reported_replicas.max(1)));
    let reported = count(|s| s.reported_replicas).max(known);
    let regions_permille = if survey.learned && survey.hole_count == 0 {
        1000
    } else {
        // A Store that was not heard counts like the others.
        let share = (known * 1000).checked_div(reported).unwrap_or(0);
        (share * stores).checked_div(expected).unwrap_or(0)
    };
    Heard {
        regions_permille: u16::try_from(regions_permille).unwrap_or(1000).min(1000),
        stores,
        stores_expected: expected,
    }
}
