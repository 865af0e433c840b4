//! Which rows of the records are replayed: those of what is served, in order. The rest is named with why.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::record::{self, HttpRow, Row};

/// Parts of the record that later work serves: beginnings of what is asked, with why.
const HTTP_LATER: [(&str, &str); 28] = [
    ("GET /pd/api/v1/hotspot", "hot spots are not judged yet"),
    ("GET /pd/api/v1/stores/progress", "no progress of drains yet"),
    ("GET /pd/api/v1/regions/readquery", "queries are not counted yet"),
    ("GET /pd/api/v1/regions/writequery", "queries are not counted yet"),
    ("POST /pd/api/v1/regions/accelerate-schedule", "no priority for ranges yet"),
    ("POST /pd/api/v1/regions/scatter", "nothing is scattered yet"),
    ("POST /pd/api/v1/config/rule", RULES),
    ("DELETE /pd/api/v1/config/rule", RULES),
    ("POST /pd/api/v1/config/placement-rule", RULES),
    ("DELETE /pd/api/v1/config/placement-rule", RULES),
    ("GET /pd/api/v1/config/rule/t/", RULES),
    ("GET /pd/api/v1/config/rule_groups", RULES),
    ("POST /pd/api/v1/config/region-label", LABELS),
    ("PATCH /pd/api/v1/config/region-label", LABELS),
    ("DELETE /pd/api/v1/config/region-label", LABELS),
    ("GET /pd/api/v1/config/region-label/rule/l1", LABELS),
    ("GET /pd/api/v1/region/id/107/label/k", LABELS),
    ("GET /pd/api/v1/service-middleware", "no limits by call yet"),
    ("POST /pd/api/v1/service-middleware", "no limits by call yet"),
    ("POST /pd/api/v1/admin/reset-ts", "timestamps are not moved by hand yet"),
    ("DELETE /pd/api/v1/gc/safepoint", "service safe points come later"),
    ("GET /pd/api/v2/keyspaces", "keyspaces are not managed yet"),
    ("POST /pd/api/v2/keyspaces", "keyspaces are not managed yet"),
    ("PATCH /pd/api/v2/keyspaces", "keyspaces are not managed yet"),
    ("PUT /pd/api/v2/keyspaces", "keyspaces are not managed yet"),
    ("GET /pd/api/v2/ms", "there are no services beside this one"),
    ("GET /pd/api/v2/tso/keyspace-groups", "one group of timestamps only"),
    ("/resource-manager", "resource groups are not managed yet"),
];
const RULES: &str = "placement rules beyond the one default come later";
const LABELS: &str = "labels of Regions are not written yet";

/// Before this row of `http.jsonl` nothing was changed.
const FIRST_WRITE: u32 = 161;

/// The RPCs that we serve and the record asks.
const GRPC: [&str; 30] = [
    "keyspacepb.Keyspace/LoadKeyspace",
    "meta_storagepb.MetaStorage/Delete",
    "meta_storagepb.MetaStorage/Get",
    "meta_storagepb.MetaStorage/Put",
    "meta_storagepb.MetaStorage/Watch",
    "pdpb.PD/BatchScanRegions",
    "pdpb.PD/UpdateGCSafePoint",
    "pdpb.PD/GetMembers",
    "pdpb.PD/GetClusterInfo",
    "pdpb.PD/Tso",
    "pdpb.PD/Bootstrap",
    "pdpb.PD/IsBootstrapped",
    "pdpb.PD/AllocID",
    "pdpb.PD/GetStore",
    "pdpb.PD/PutStore",
    "pdpb.PD/GetAllStores",
    "pdpb.PD/StoreHeartbeat",
    "pdpb.PD/RegionHeartbeat",
    "pdpb.PD/GetRegion",
    "pdpb.PD/GetPrevRegion",
    "pdpb.PD/GetRegionByID",
    "pdpb.PD/ScanRegions",
    "pdpb.PD/AskBatchSplit",
    "pdpb.PD/AskSplit",
    "pdpb.PD/ReportBatchSplit",
    "pdpb.PD/IsSnapshotRecovering",
    "pdpb.PD/GetGCSafePoint",
    "pdpb.PD/ReportMinResolvedTS",
    "pdpb.PD/ReportBuckets",
    "resource_manager.ResourceManager/AcquireTokenBuckets",
];

/// Commands of the record that our tool does not have yet: how their lines begin, with why.
const PDCTL_LATER: [(&str, &str); 26] = [
    ("config set service-middleware", "no limits by call yet"),
    ("config placement-rules rule-group set", "rules are not written yet"),
    ("config placement-rules rule-group delete", "rules are not written yet"),
    ("operator add merge-region", "Regions are not merged by hand yet"),
    ("operator add scatter-region", "nothing is scattered yet"),
    ("scheduler add grant-leader-scheduler", "not one of our schedulers"),
    ("scheduler add evict-leader-scheduler", "not one of our schedulers"),
    ("scheduler add shuffle", "not one of our schedulers"),
    ("scheduler add scatter-range", "not one of our schedulers"),
    ("scheduler add balance-range", "not one of our schedulers"),
    ("scheduler add random-merge", "not one of our schedulers"),
    ("scheduler add label-scheduler", "not one of our schedulers"),
    ("scheduler add evict-slow-trend", "not one of our schedulers"),
    ("scheduler config grant", "not one of our schedulers"),
    ("scheduler config evict", "not one of our schedulers"),
    ("scheduler config shuffle", "not one of our schedulers"),
    ("scheduler config balance-hot", "not one of our schedulers"),
    ("hot", "hot spots are not judged yet"),
    ("service-gc-safepoint", "service safe points come later"),
    ("gc-state", "states of garbage collection come later"),
    ("unsafe", "recovery by hand comes later"),
    ("keyspace-group", "one group of timestamps only"),
    ("keyspace show", "keyspaces are not managed yet"),
    ("keyspace list", "keyspaces are not managed yet"),
    ("keyspace update-state", "keyspaces are not managed yet"),
    ("keyspace range name", "keyspaces are not managed yet"),
];

/// The same for what has no command at all.
const PDCTL_LATER_GROUPS: [&str; 2] = ["resource-manager", "maintenance"];

/// A line that was typed, and what came.
#[derive(Debug, Clone, Deserialize)]
pub struct PdCtlRow {
    /// Its place in the order of the record.
    pub n: u32,
    /// The words behind `pd-ctl`.
    pub ask: String,
    /// What was printed.
    pub body: String,
    /// False: the answer differs from run to run in more than times and ids.
    pub stable: bool,
}

/// The rows of `http.jsonl` whose route is served.
///
/// # Errors
/// When the record cannot be read.
pub fn http() -> Result<Vec<HttpRow>> {
    let rows = record::http_rows()?;
    ensure!(rows.is_sorted_by_key(|row| row.n), "the record is out of order");
    let later = |row: &HttpRow| {
        let (_, path, _) = row.parts();
        // What shows a change that was not made is not asked either.
        let shows_label = row.n > FIRST_WRITE && path == "/pd/api/v1/region/id/107/labels";
        let begins = |beginning: &str| row.ask.starts_with(beginning) || path.starts_with(beginning);
        shows_label || HTTP_LATER.iter().any(|(beginning, _)| begins(beginning))
    };
    Ok(rows.into_iter().filter(|row| !later(row)).collect())
}

/// The rows of `grpc.jsonl` whose RPC is served.
///
/// # Errors
/// When the record cannot be read.
pub fn grpc() -> Result<Vec<Row>> {
    let rows: Vec<Row> =
        record::grpc_rows()?.into_iter().filter(|row| GRPC.contains(&row.rpc.as_str())).collect();
    ensure!(rows.is_sorted_by_key(|row| row.n), "the record is out of order");
    Ok(rows)
}

/// The rows of `pdctl.jsonl` whose command is there.
///
/// # Errors
/// When the record cannot be read.
pub fn pdctl() -> Result<Vec<PdCtlRow>> {
    let rows: Vec<PdCtlRow> = record::lines("pdctl.jsonl")?;
    ensure!(rows.is_sorted_by_key(|row| row.n), "the record is out of order");
    let later = |row: &PdCtlRow| {
        let begins = |beginning: &str| row.ask == beginning || row.ask.starts_with(beginning);
        PDCTL_LATER.iter().any(|(beginning, _)| begins(beginning))
            || PDCTL_LATER_GROUPS.iter().any(|group| begins(group))
    };
    Ok(rows.into_iter().filter(|row| !later(row)).collect())
}
