//! Placement rules: read. There is one, the default, made of `max-replicas`, `location-labels` and `isolation-level`.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Response, StatusCode};
use scheduler::{Peer, PeerRole, RegionView};
use serde::Serialize;

use super::path::Path;
use super::region_view::role_of;
use super::regions::find;
use super::{json, query};
use crate::grpc::Gate;

/// The group of the default rule.
const GROUP: &str = "pd";
/// Its id in the group.
const ID: &str = "default";

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/config/rules", get(rules))
        .route("/pd/api/v1/config/rules/group/{group}", get(of_group))
        .route("/pd/api/v1/config/rules/region/{region}", get(of_region))
        .route("/pd/api/v1/config/rules/region/{region}/detail", get(fit))
        .route("/pd/api/v1/config/rules/key/{key}", get(of_key))
        .route("/pd/api/v1/config/rule/{group}/{id}", get(rule))
        .route("/pd/api/v1/config/rule_group/{id}", get(group))
        .route("/pd/api/v1/config/rule_groups", get(groups))
        .route("/pd/api/v1/config/placement-rule", get(bundles))
        .route("/pd/api/v1/config/placement-rule/{group}", get(bundle))
}

#[derive(Serialize)]
struct Rule {
    group_id: &'static str,
    id: &'static str,
    start_key: &'static str,
    end_key: &'static str,
    role: &'static str,
    is_witness: bool,
    count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    location_labels: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    isolation_level: String,
}

#[derive(Serialize)]
struct Group {
    id: &'static str,
}

#[derive(Serialize)]
struct Bundle {
    group_id: String,
    group_index: i64,
    group_override: bool,
    rules: Option<Vec<Rule>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Fits {
    rule_fits: Vec<Fit>,
    orphan_peers: Option<Vec<PeerMeta>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Fit {
    rule: Rule,
    peers: Option<Vec<PeerMeta>>,
    peers_different_role: Option<Vec<PeerMeta>>,
    isolation_score: u64,
    witness_score: u64,
}

#[derive(Serialize)]
struct PeerMeta {
    id: u64,
    store_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_witness: bool,
}

impl From<&Peer> for PeerMeta {
    fn from(peer: &Peer) -> Self {
        Self { id: peer.id.0, store_id: peer.store.0, role: role_of(peer).1, is_witness: peer.is_witness }
    }
}

/// Rules are switched off.
struct Disabled;

impl Disabled {
    fn answer(&self) -> Response<Body> {
        let text = "[PD:placement:ErrPlacementDisabled]placement rules feature is disabled";
        json::error(StatusCode::PRECONDITION_FAILED, text)
    }
}

/// The default rule as the configuration has it now.
fn default_rule(gate: &Gate) -> Result<Rule, Disabled> {
    let settings = gate.pd.online.now();
    if !settings.flag("replication.enable-placement-rules") {
        return Err(Disabled);
    }
    Ok(Rule {
        group_id: GROUP,
        id: ID,
        start_key: "",
        end_key: "",
        role: "voter",
        is_witness: false,
        count: settings.max_replicas(),
        location_labels: settings.location_labels(),
        isolation_level: settings.isolation_level().to_owned(),
    })
}

fn answer<T: Serialize>(rule: Result<Rule, Disabled>, made: impl FnOnce(Rule) -> T) -> Response<Body> {
    match rule {
        Ok(rule) => json::ok(&made(rule)),
        Err(disabled) => disabled.answer(),
    }
}

async fn rules(State(gate): State<Gate>) -> Response<Body> {
    answer(default_rule(&gate), |rule| [rule])
}

/// The rules of a group; `null` where there are none.
async fn of_group(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    answer(default_rule(&gate), |rule| (name == GROUP).then_some([rule]))
}

async fn of_region(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let rule = default_rule(&gate);
    match find(&gate, &id).await {
        Ok(_) => answer(rule, |rule| [rule]),
        Err(missing) => missing,
    }
}

async fn of_key(State(gate): State<Gate>, Path(key): Path<String>) -> Response<Body> {
    match query::hex_key(key.as_bytes()) {
        Ok(_) => answer(default_rule(&gate), |rule| [rule]),
        Err(text) => json::bad_request(&text),
    }
}

async fn rule(State(gate): State<Gate>, Path((group, id)): Path<(String, String)>) -> Response<Body> {
    match default_rule(&gate) {
        Ok(rule) if group == GROUP && id == ID => json::ok(&rule),
        Ok(_) => json::error(StatusCode::NOT_FOUND, "[PD:placement:ErrRuleNotFound]rule not found"),
        Err(disabled) => disabled.answer(),
    }
}

async fn group(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    match default_rule(&gate) {
        Ok(_) if id == GROUP => json::ok(&Group { id: GROUP }),
        Ok(_) => json::answer(StatusCode::NOT_FOUND, &()),
        Err(disabled) => disabled.answer(),
    }
}

async fn groups(State(gate): State<Gate>) -> Response<Body> {
    answer(default_rule(&gate), |_| [Group { id: GROUP }])
}

async fn bundles(State(gate): State<Gate>) -> Response<Body> {
    answer(default_rule(&gate), |rule| [bundle_of(GROUP.to_owned(), Some(vec![rule]))])
}

/// A group with its rules; `null` for the rules of one that does not exist.
async fn bundle(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    answer(default_rule(&gate), |rule| {
        let rules = (name == GROUP).then(|| vec![rule]);
        bundle_of(name, rules)
    })
}

fn bundle_of(group_id: String, rules: Option<Vec<Rule>>) -> Bundle {
    Bundle { group_id, group_index: 0, group_override: false, rules }
}

/// Which replicas of a Region serve the rule, and which are too many.
async fn fit(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let rule = match default_rule(&gate) {
        Ok(rule) => rule,
        Err(disabled) => return disabled.answer(),
    };
    let view = match find(&gate, &id).await {
        Ok(view) => view,
        Err(answer) => return answer,
    };
    let Ok(tenure) = gate.tenures.serve().await else { return super::not_leader(&gate) };
    let labels: Labels = match tenure.cluster() {
        Ok(cluster) => {
            let stores = cluster.stores();
            let of = |peer: &Peer| {
                let found = stores.table.get(&peer.store.0);
                let value = |key: &String| {
                    let label = found?.meta.labels.iter().find(|l| l.key.eq_ignore_ascii_case(key))?;
                    Some(label.value.to_lowercase())
                };
                rule.location_labels.iter().map(value).collect()
            };
            view.meta.peers.iter().map(|peer| (peer.store.0, of(peer))).collect()
        }
        Err(_) => Labels::new(),
    };
    json::ok(&fit_of(rule, &view, &labels))
}

/// For each store the values of the location labels, from the widest on.
type Labels = std::collections::BTreeMap<u64, Vec<Option<String>>>;

/// Voters serve it, the leader and those that are well first; where they are too few, learners are counted as of another
/// role. All others are orphans.
fn fit_of(rule: Rule, view: &RegionView, labels: &Labels) -> Fits {
    let wanted = usize::try_from(rule.count).unwrap_or(usize::MAX);
    let mut ordered: Vec<&Peer> = view.meta.peers.iter().collect();
    ordered.sort_by_key(|peer| {
        (peer.role == PeerRole::Learner, peer.id != view.leader.id, view.is_ailing(peer.id), peer.id)
    });
    let (fitting, orphans) = ordered.split_at(wanted.min(ordered.len()));
    let picked = |wanted: &dyn Fn(&&Peer) -> bool| -> Option<Vec<PeerMeta>> {
        let mut peers: Vec<&Peer> = view.meta.peers.iter().filter(wanted).collect();
        peers.sort_by_key(|peer| peer.id);
        (!peers.is_empty()).then(|| peers.into_iter().map(PeerMeta::from).collect())
    };
    let is_fitting = |peer: &&Peer| fitting.iter().any(|known| known.id == peer.id);
    Fits {
        orphan_peers: picked(&|peer| orphans.iter().any(|known| known.id == peer.id)),
        rule_fits: vec![Fit {
            peers: picked(&|peer| is_fitting(peer)),
            peers_different_role: picked(&|peer| is_fitting(peer) && peer.role == PeerRole::Learner),
            isolation_score: isolation_score(fitting, labels),
            witness_score: 0,
            rule,
        }],
    }
}

/// How far apart replicas are: for each pair that differs, 100 to the number of label levels below the widest in which
/// they do.
fn isolation_score(peers: &[&Peer], labels: &Labels) -> u64 {
    let of = |peer: &Peer| labels.get(&peer.store.0).map_or(&[][..], Vec::as_slice);
    let mut score = 0_u64;
    for (at, one) in peers.iter().enumerate() {
        for other in &peers[at + 1..] {
            let (a, b) = (of(one), of(other));
            // A label that is not there is a place of its own.
            let differs =
                |level: &usize| a[*level].is_none() || b[*level].is_none() || a[*level] != b[*level];
            let levels = a.len().min(b.len());
            if let Some(level) = (0..levels).find(differs) {
                let below = u32::try_from(levels - level - 1).unwrap_or(u32::MAX);
                score = score.saturating_add(100_u64.saturating_pow(below));
            }
        }
    }
    score
}

#[cfg(test)]
mod tests {
    use super::{Labels, isolation_score};
    use scheduler::{Peer, PeerId, StoreId};

    #[test]
    fn wider_distances_count_for_more() {
        let place = |zone: &str, host: &str| vec![Some(zone.to_owned()), Some(host.to_owned())];
        let labels: Labels =
            [(1, place("z1", "h1")), (2, place("z2", "h2")), (3, place("z1", "h3"))].into_iter().collect();
        let peers: Vec<Peer> = (1..=3).map(|n| Peer::voter(PeerId(n), StoreId(n))).collect();
        let all: Vec<&Peer> = peers.iter().collect();
        assert_eq!(isolation_score(&all, &labels), 201);
        assert_eq!(isolation_score(&all[..1], &labels), 0);
        assert_eq!(isolation_score(&all, &Labels::new()), 0);
    }
}
