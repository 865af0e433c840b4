//! Operators by hand, and what became of all.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{Response, StatusCode};
use scheduler::{OperatorRequest, Refusal, RegionId, SplitPolicy, StoreId, TargetRole};
use serde::Serialize;
use serde_json::{Map, Value};

use super::path::Path;
use super::query::{self, Query};
use super::{bootstrapped, json, json_body, missing as not_here, not_leader, operator_text};
use crate::cluster::{CallError, OperatorRecord};
use crate::grpc::Gate;

/// Bytes of all keys of one split together: an operator is said to its Store, kept and shown whole.
const SPLIT_BYTES_MAX: usize = 64 << 10;
/// What tools look for.
const NOT_FOUND: &str = "[PD:operator:ErrOperatorNotFound]operator not found";

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/operators", get(list).post(create).delete(cancel_all))
        .route("/pd/api/v1/operators/records", get(records))
        .route("/pd/api/v1/operators/{region_id}", get(of_region).delete(cancel))
}

/// An operator as an object, where it is asked for so.
#[derive(Serialize)]
struct Object {
    desc: String,
    brief: String,
    region_id: u64,
    region_epoch: EpochView,
    kind: u32,
    timeout: String,
    status: u32,
}

#[derive(Serialize)]
struct EpochView {
    conf_ver: u64,
    version: u64,
}

/// Operators that run: `kind` (may repeat) picks some, `object` asks for objects.
async fn list(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok(running) = cluster.operators().await else { return not_leader(&gate) };
    let picks = query.has("kind");
    let wanted: u32 = query
        .all("kind")
        .flat_map(|names| names.split(|byte| *byte == b','))
        .filter_map(|name| operator_text::kind_bit(&String::from_utf8_lossy(name)))
        .fold(0, |all, bit| all | bit);
    let picked: Vec<OperatorRecord> = running
        .into_iter()
        .filter(|record| !picks || operator_text::kind_bits(&record.view) & wanted != 0)
        .collect();
    if picks && picked.is_empty() {
        return json::ok(&Value::Null);
    }
    if query.has("object") {
        return json::ok(&picked.iter().map(object).collect::<Vec<_>>());
    }
    json::ok(&picked.iter().map(operator_text::line).collect::<Vec<_>>())
}

fn object(record: &OperatorRecord) -> Object {
    let view = &record.view;
    Object {
        desc: view.cause.to_string(),
        brief: operator_text::brief(view),
        region_id: view.region.0,
        region_epoch: EpochView { conf_ver: view.epoch.conf_ver, version: view.epoch.version },
        kind: operator_text::kind_bits(view),
        timeout: operator_text::limit(view),
        // Those that run have started.
        status: 1,
    }
}

/// The operator of a Region: the one that runs, or how the last one ended.
async fn of_region(State(gate): State<Gate>, Path(region): Path<String>) -> Response<Body> {
    let region = match query::id(&region) {
        Ok(region) => RegionId(region),
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.operator_of(region).await {
        Ok(Some(record)) => {
            let status = operator_text::status(&record.status);
            json::ok(&format!("status: {status}, operator: {}", operator_text::line(&record)))
        }
        Ok(None) => json::error(StatusCode::INTERNAL_SERVER_ERROR, NOT_FOUND),
        Err(_) => not_leader(&gate),
    }
}

/// Operators that ended since `from` (seconds since 1970), newest first.
async fn records(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let from = match query.text("from") {
        text if text.is_empty() => 0,
        text => match text.parse::<i64>() {
            Ok(from) => from,
            Err(_) => {
                return json::bad_request(&format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
            }
        },
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok(records) = cluster.operator_records().await else { return not_leader(&gate) };
    let from_ns = from.saturating_mul(1_000_000_000);
    let lines: Vec<String> = records
        .iter()
        .filter(|record| record.finished_ns().is_some_and(|at| at >= from_ns))
        .map(operator_text::finished_line)
        .collect();
    if lines.is_empty() {
        return json::error(StatusCode::INTERNAL_SERVER_ERROR, NOT_FOUND);
    }
    json::ok(&lines)
}

async fn cancel(State(gate): State<Gate>, Path(region): Path<String>) -> Response<Body> {
    let region = match query::id(&region) {
        Ok(region) => RegionId(region),
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.plan(move |planner, now| planner.cancel_operator(now, region)).await {
        Ok(Ok(())) => json::ok(&"The pending operator is canceled."),
        Ok(Err(_)) => json::error(StatusCode::INTERNAL_SERVER_ERROR, NOT_FOUND),
        Err(_) => not_leader(&gate),
    }
}

async fn cancel_all(State(gate): State<Gate>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.plan(scheduler::Planner::cancel_all_operators).await {
        Ok(_) => json::ok(&"All pending operators are canceled."),
        Err(_) => not_leader(&gate),
    }
}

/// A person asks for an operator.
async fn create(State(gate): State<Gate>, body: Bytes) -> Response<Body> {
    let input: Map<String, Value> = match json_body::parse(&body) {
        Ok(input) => input,
        Err(malformed) => return json::bad_request(&malformed.text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let max_replicas = gate.pd.online.now().max_replicas();
    let request = match read(&input, max_replicas) {
        Ok(request) => request,
        Err(Unreadable(status, text)) => return json::error(status, &text),
    };
    match cluster.add_operator(request.clone()).await {
        Ok(_) => json::ok(&"The operator is created."),
        Err(CallError::Planner(refusal)) => {
            let status = match refusal {
                Refusal::TooManySplits { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            json::error(status, &refusal_text(&request, &refusal))
        }
        Err(CallError::Over) => not_leader(&gate),
        Err(error) => json::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// What is wrong with a request before the planner sees it, and the status for it.
#[derive(Debug)]
pub(super) struct Unreadable(StatusCode, String);

fn missing(text: &str) -> Unreadable {
    Unreadable(StatusCode::BAD_REQUEST, text.to_owned())
}

fn refused(text: String) -> Unreadable {
    Unreadable(StatusCode::INTERNAL_SERVER_ERROR, text)
}

pub(super) fn read(input: &Map<String, Value>, max_replicas: u64) -> Result<OperatorRequest, Unreadable> {
    let name = input.get("name").and_then(Value::as_str).ok_or_else(|| missing("missing operator name"))?;
    let id = |field: &str, text: &str| input.get(field).and_then(whole).ok_or_else(|| missing(text));
    let region = || id("region_id", "missing region id").map(RegionId);
    let store = |field, text| id(field, text).map(StoreId);
    const FROM: &str = "invalid store id to transfer peer from";
    const TO: &str = "invalid store id to transfer peer to";
    match name {
        "transfer-leader" => Ok(OperatorRequest::TransferLeader {
            region: region()?,
            to: store("to_store_id", "missing store id to transfer leader to")?,
        }),
        "transfer-peer" => Ok(OperatorRequest::TransferPeer {
            region: region()?,
            from: store("from_store_id", FROM)?,
            to: store("to_store_id", TO)?,
        }),
        "transfer-region" => Ok(OperatorRequest::TransferRegion {
            region: region()?,
            targets: read_targets(input, max_replicas)?,
        }),
        "add-peer" => Ok(OperatorRequest::AddPeer { region: region()?, store: store("store_id", TO)? }),
        "add-learner" => Ok(OperatorRequest::AddLearner { region: region()?, store: store("store_id", TO)? }),
        "remove-peer" => {
            Ok(OperatorRequest::RemovePeer { region: region()?, store: store("store_id", FROM)? })
        }
        "split-region" => {
            let region = region()?;
            let policy = input.get("policy").and_then(Value::as_str);
            let (policy, keys) = read_split(policy.ok_or_else(|| missing("missing split policy"))?, input)?;
            Ok(OperatorRequest::Split { region, policy, keys })
        }
        name => Err(match not_here::operator(name) {
            Some(why) => missing(&format!("operator {why}")),
            None => missing("unknown operator"),
        }),
    }
}

/// A number that is an id: tools send them as floating point, too.
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..9.0e15).contains(f)).map(|f| f as u64);
    value.as_u64().or_else(float)
}

fn read_targets(
    input: &Map<String, Value>,
    max_replicas: u64,
) -> Result<Vec<(StoreId, TargetRole)>, Unreadable> {
    const STORES: &str = "invalid store ids to transfer region to";
    let stores = input.get("to_store_ids").and_then(Value::as_array).filter(|stores| !stores.is_empty());
    let stores: Option<Vec<u64>> = stores.and_then(|stores| stores.iter().map(whole).collect());
    let stores = stores.ok_or_else(|| missing(STORES))?;
    let roles = input.get("peer_roles").and_then(Value::as_array).filter(|roles| !roles.is_empty());
    let Some(roles) = roles else {
        return Err(refused(
            "transfer region without peer role is not supported when placement rules enabled".to_owned(),
        ));
    };
    if roles.len() != stores.len() {
        return Err(missing(&format!("{STORES}: {} stores and {} peer_roles", stores.len(), roles.len())));
    }
    let role = |value: &Value| {
        let name = value.as_str().unwrap_or_default();
        TargetRole::of_name(name).ok_or_else(|| {
            missing(&format!("invalid peer_roles: {value} is none of voter, leader, follower, learner"))
        })
    };
    let roles = roles.iter().map(role).collect::<Result<Vec<TargetRole>, Unreadable>>()?;
    let voters = roles.iter().filter(|role| **role != TargetRole::Learner).count() as u64;
    if voters != max_replicas {
        return Err(refused(format!("{voters} stores are to have a vote, max-replicas is {max_replicas}")));
    }
    Ok(stores.into_iter().map(StoreId).zip(roles).collect())
}

fn read_split(policy: &str, input: &Map<String, Value>) -> Result<(SplitPolicy, Vec<Bytes>), Unreadable> {
    let policy = match policy.to_ascii_lowercase().as_str() {
        "scan" => SplitPolicy::Scan,
        "approximate" => SplitPolicy::Approximate,
        "usekey" => SplitPolicy::UseKey,
        _ => return Err(refused(format!("check policy {policy} is not supported"))),
    };
    let keys = match (policy, input.get("keys")) {
        // Keys are looked at only where they are used.
        (SplitPolicy::Scan | SplitPolicy::Approximate, _)
        | (SplitPolicy::UseKey, None | Some(Value::Null)) => {
            return Ok((policy, Vec::new()));
        }
        (SplitPolicy::UseKey, Some(keys)) => keys.as_array().ok_or_else(|| missing("bad format keys"))?,
    };
    let key = |key: &Value| {
        let text = key.as_str().ok_or_else(|| missing("bad format keys"))?;
        let bytes =
            hex::decode(text).map_err(|_| refused(format!("split key {text} is not in hex format")))?;
        Ok(Bytes::from(bytes))
    };
    let keys = keys.iter().map(key).collect::<Result<Vec<Bytes>, Unreadable>>()?;
    let bytes: usize = keys.iter().map(Bytes::len).sum();
    if bytes > SPLIT_BYTES_MAX {
        return Err(missing(&format!("split keys of {bytes} bytes, at most {SPLIT_BYTES_MAX} together")));
    }
    Ok((policy, keys))
}

/// A refusal in the words that tools know, where there are any.
fn refusal_text(request: &OperatorRequest, refusal: &Refusal) -> String {
    match (refusal, request) {
        (Refusal::UnknownRegion(region), _) => {
            format!("[PD:region:ErrRegionNotFound]region {region} not found")
        }
        (Refusal::UnknownStore(store), OperatorRequest::TransferLeader { .. }) => {
            format!("region has no voter in store {store}")
        }
        (Refusal::UnknownStore(store), _) => format!("[PD:core:ErrStoreNotFound]store {store} not found"),
        (Refusal::HoldsNoReplica(_) | Refusal::NotVoter(_), OperatorRequest::TransferLeader { to, .. }) => {
            format!("region has no voter in store {to}")
        }
        (Refusal::HoldsNoReplica(store), _) => format!("region has no peer in store {store}"),
        (Refusal::HoldsReplica(store), _) => format!("region already has peer in store {store}"),
        (Refusal::OperatorRuns(region), _) => {
            format!(
                "failed to add operator, maybe already have one: region {region} has one that was asked for"
            )
        }
        (Refusal::TooManySplits { count, limit }, _) => {
            format!("{count} split keys, at most {limit} at a time")
        }
        (Refusal::NothingToDo(_), _) => format!("no operator step is built: {refusal}"),
        (refusal, _) => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn asked(input: Value) -> Result<OperatorRequest, (u16, String)> {
        let Value::Object(input) = input else { panic!("an object") };
        read(&input, 3).map_err(|Unreadable(status, text)| (status.as_u16(), text))
    }

    #[test]
    fn requests_are_read_or_named_wrong() {
        let leader = OperatorRequest::TransferLeader { region: RegionId(105), to: StoreId(1) };
        assert_eq!(
            asked(json!({"name": "transfer-leader", "region_id": 105, "to_store_id": 1.0})),
            Ok(leader)
        );
        let bad = |input| asked(input).unwrap_err();
        let text = |text: &str| (400, text.to_owned());
        assert_eq!(bad(json!({"region_id": 105})), text("missing operator name"));
        assert_eq!(bad(json!({"name": 5})), text("missing operator name"));
        assert_eq!(bad(json!({"name": "bogus", "region_id": 105})), text("unknown operator"));
        assert_eq!(bad(json!({"name": "add-peer", "region_id": -1})), text("missing region id"));
        assert_eq!(bad(json!({"name": "add-peer", "region_id": 1.5})), text("missing region id"));
        assert_eq!(
            bad(json!({"name": "add-peer", "region_id": 1, "store_id": "2"})),
            text("invalid store id to transfer peer to")
        );
        assert!(bad(json!({"name": "merge-region"})).1.contains("merge-region does not exist here"));
        assert_eq!(bad(json!({"name": "split-region", "region_id": 1})), text("missing split policy"));
        let usekey = |keys| json!({"name": "split-region", "region_id": 1, "policy": "USEKEY", "keys": keys});
        assert_eq!(bad(usekey(json!("aa"))), text("bad format keys"));
        assert_eq!(bad(usekey(json!(["zz"]))), (500, "split key zz is not in hex format".to_owned()));
        let keys = vec![Bytes::from_static(b"\xaa")];
        let split = OperatorRequest::Split { region: RegionId(1), policy: SplitPolicy::UseKey, keys };
        assert_eq!(asked(usekey(json!(["aa"]))), Ok(split));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z-]{0,16}".prop_map(Value::from),
            Just(json!("voter")),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
    }

    proptest! {
        /// Whatever is asked is read, or named wrong: as the caller's mistake, or in the words for what cannot be done.
        #[test]
        fn any_request_is_read_or_named_wrong(
            name in prop::sample::select(vec![
                "transfer-leader", "transfer-peer", "transfer-region", "add-peer", "add-learner", "remove-peer",
                "split-region", "merge-region", "bogus",
            ]),
            values in prop::collection::vec(any_json(), 8),
        ) {
            let fields = [
                "region_id", "store_id", "to_store_id", "from_store_id", "to_store_ids", "peer_roles", "policy", "keys",
            ];
            let mut input: Map<String, Value> =
                fields.iter().map(|field| (*field).to_owned()).zip(values).collect();
            input.insert("name".to_owned(), json!(name));
            match read(&input, 3) {
                Ok(request) => prop_assert!(request.cause().to_string().starts_with("admin-")),
                Err(Unreadable(status, text)) => {
                    prop_assert!(matches!(status.as_u16(), 400 | 500) && !text.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_placement_needs_a_role_for_each_store() {
        let region = |stores, roles| {
            asked(
                json!({"name": "transfer-region", "region_id": 1, "to_store_ids": stores, "peer_roles": roles}),
            )
        };
        assert_eq!(region(json!([]), json!(null)).unwrap_err().1, "invalid store ids to transfer region to");
        assert_eq!(region(json!([2, 3]), json!(null)).unwrap_err().0, 500);
        assert_eq!(region(json!([2, 3]), json!(["voter"])).unwrap_err().0, 400);
        assert!(region(json!([2]), json!(["boss"])).unwrap_err().1.contains("boss"));
        assert!(
            region(json!([2, 3]), json!(["voter", "leader"])).unwrap_err().1.contains("max-replicas is 3")
        );
        let asked = region(json!([2, 3, 4]), json!(["voter", "leader", "follower"])).unwrap();
        let OperatorRequest::TransferRegion { targets, .. } = asked else { panic!("{asked:?}") };
        assert_eq!(targets[1], (StoreId(3), TargetRole::Leader));
    }
}
