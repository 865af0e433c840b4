//! The configuration with all that is known of each item: where its value comes from, what is possible, and what the
//! file of this member says.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use dashboard::answer;
use dashboard::model::ApiError;
use http::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::log_level;
use super::v2::parameters::Parameters;
use crate::cluster::wall_clock_ns;
use crate::config::ItemView;
use crate::config::items::Duty;
use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> OpenApiRouter<Gate> {
    OpenApiRouter::new().routes(routes!(config))
}

/// The configuration of one member.
#[derive(Serialize, ToSchema)]
pub struct ConfigView {
    /// The member that answers; what the group shares is the same on all.
    member: String,
    /// When, in ms since the epoch.
    as_of_ms: u64,
    /// All items, in a fixed order.
    items: Vec<ConfigItem>,
}

/// An item of the configuration.
#[derive(Serialize, ToSchema)]
pub struct ConfigItem {
    /// Its name, with dots between sections.
    #[schema(example = "schedule.leader-schedule-limit")]
    item: &'static str,
    /// The value in force.
    value: Value,
    /// Told with `origin=1`.
    #[serde(flatten)]
    #[schema(value_type = ConfigOrigin)]
    origin: Option<ConfigOrigin>,
}

/// Where the value of an item comes from, and what else it could be: all of it is there, or nothing.
#[derive(Serialize, ToSchema)]
pub struct ConfigOrigin {
    /// `default`, `file`, `flag`, `online`, `temporary` or `cluster` (worked out by the cluster itself).
    #[schema(required = false)]
    origin: &'static str,
    /// When it was changed last, in ms since the epoch; null if never.
    #[schema(required = false)]
    changed_at_ms: Option<u64>,
    /// By whom, as the caller named itself, or the member whose file gave it.
    #[schema(required = false)]
    changed_by: Option<String>,
    /// When a temporary value is over, in ms since the epoch.
    #[schema(required = false)]
    until_ms: Option<u64>,
    /// The value where none is given; null where that depends on the member.
    #[schema(required = false)]
    default: Value,
    /// The kind of value.
    #[schema(required = false)]
    r#type: &'static str,
    /// Which values are possible.
    #[schema(required = false)]
    range: String,
    /// The group shares it, and it is changed online.
    #[schema(required = false)]
    replicated: bool,
    /// When a change counts: `at once`, `at start` or `none yet`.
    #[schema(required = false)]
    effect: &'static str,
    /// What the file of this member gives; null if it does not give the item.
    #[schema(required = false)]
    file: Option<Value>,
    /// The file gives another value than the one in force.
    #[schema(required = false)]
    differs_from_file: bool,
    /// What it means.
    #[schema(required = false)]
    meaning: &'static str,
}

/// The configuration of the member that is asked, item by item.
#[utoipa::path(
    get,
    path = "/pd/api/v2/config",
    tag = "config",
    params(("origin" = Option<u8>, Query, minimum = 0, maximum = 1, description = "1: also tell origin, range and meaning of each item")),
    responses(
        (status = 200, description = "All items", body = ConfigView),
        (status = 400, description = "A parameter is wrong", body = ApiError),
    )
)]
async fn config(State(gate): State<Gate>, RawQuery(query): RawQuery) -> Response<Body> {
    let asked =
        Parameters::parse(query.as_deref(), &["origin"]).and_then(|given| given.whole("origin", 0, 1));
    let told = match asked {
        Ok(origin) => origin == Some(1),
        Err(refused) => return refused.response(),
    };
    let views = ItemView::all(&gate.pd.config, log_level(&gate), &gate.pd.online.now());
    answer::json(&ConfigView {
        member: gate.pd.config.name.clone(),
        as_of_ms: u64::try_from(wall_clock_ns() / 1_000_000).unwrap_or_default(),
        items: views.into_iter().map(|view| item(view, told)).collect(),
    })
}

fn item(view: ItemView, told: bool) -> ConfigItem {
    let origin = told.then(|| ConfigOrigin {
        origin: view.origin.name(),
        changed_at_ms: view.changed_at_ms,
        changed_by: view.changed_by.clone(),
        until_ms: view.until_ms,
        default: view.item.default.clone(),
        r#type: view.item.kind.name(),
        range: view.range(),
        replicated: view.item.duty.is_replicated() || view.item.duty == Duty::Here,
        effect: view.effect().name(),
        differs_from_file: view.differs_from_file(),
        file: view.in_file.clone(),
        meaning: view.item.meaning,
    });
    ConfigItem { item: view.name, value: view.value, origin }
}
