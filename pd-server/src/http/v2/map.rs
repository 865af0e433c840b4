//! The key space in columns, whatever the number of Regions.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use dashboard::answer;
use dashboard::model::{ApiError, Heat, HeatLane, KeyMap, Trouble};
use http::{HeaderMap, Response};
use scheduler::{By, CellTrouble, MapRequest};

use super::admission::admitted;
use super::parameters::Parameters;
use super::refused::Refused;
use crate::grpc::Gate;
use crate::verdict::Mapped;
use crate::verdict::checks::DEFAULT_RULE;

/// Columns when none are asked for: a wide screen.
const CELLS: usize = 1_500;
/// Most columns: an answer stays below a megabyte.
const CELLS_MAX: usize = 4_096;

/// The key space, or a part of it, in columns with leader, heat, rule, trouble and operators.
#[utoipa::path(
    get,
    path = "/pd/api/v2/map",
    tag = "map",
    params(
        ("start" = Option<String>, Query, description = "First key in hex; the start of the key space when missing"),
        ("end" = Option<String>, Query, description = "First key behind, in hex; the end when missing"),
        ("cells" = Option<usize>, Query, minimum = 1, maximum = 4096, description = "Columns at most, 1,500 if missing"),
        ("by" = Option<String>, Query, description = "What columns have equally much of: `regions`, `bytes` or `keys`"),
    ),
    responses(
        (status = 200, description = "The columns", body = KeyMap),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 503, description = "No leader, or too many questions at once", body = ApiError),
    )
)]
pub async fn map(State(gate): State<Gate>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response<Body> {
    let request = match request(query.as_deref()) {
        Ok(request) => request,
        Err(refused) => return refused.response(),
    };
    let made = admitted(&gate, async |tenure, _| {
        gate.verdicts.key_map(&tenure, request).await.ok_or_else(|| Refused::no_leader(&gate))
    });
    match made.await {
        Ok(mapped) => answer::packed_json(&shape(&mapped), &headers),
        Err(refused) => refused.response(),
    }
}

fn request(query: Option<&str>) -> Result<MapRequest, Refused> {
    let given = Parameters::parse(query, &["start", "end", "cells", "by"])?;
    let (start, end) = (given.key("start")?, given.key("end")?);
    if !end.is_empty() && start >= end {
        return Err(Refused::parameter("end", "end must lie behind start".to_owned()));
    }
    let by = match given.get("by") {
        None | Some("regions") => By::Regions,
        Some("bytes") => By::Bytes,
        Some("keys") => By::Keys,
        Some(other) => {
            return Err(Refused::parameter(
                "by",
                format!("by is {other:?}, it must be regions, bytes or keys"),
            ));
        }
    };
    let cells = given.whole("cells", 1, CELLS_MAX)?.unwrap_or(CELLS);
    Ok(MapRequest { start, end, cells, by })
}

fn shape(mapped: &Mapped) -> KeyMap {
    let cells = &mapped.map.cells;
    let mut keys: Vec<String> = cells.iter().map(|cell| hex::encode_upper(&cell.start)).collect();
    keys.push(hex::encode_upper(&mapped.map.end));
    let numbered = || (0_u64..).zip(cells);
    KeyMap {
        as_of_ms: mapped.as_of_ms,
        heard_permille: mapped.heard_permille,
        keys,
        regions: cells.iter().map(|cell| cell.regions).collect(),
        bytes: cells.iter().map(|cell| cell.bytes).collect(),
        leader: cells
            .iter()
            .map(|cell| if cell.leader_permille == 1_000 { cell.leader.0 } else { 0 })
            .collect(),
        leader_permille: cells.iter().map(|cell| cell.leader_permille).collect(),
        heat: Heat {
            write: HeatLane::of("bytes/s", cells.iter().map(|cell| cell.written)),
            read: HeatLane::of("bytes/s", cells.iter().map(|cell| cell.read)),
        },
        rule: vec![0; cells.len()],
        rules: vec![DEFAULT_RULE.to_owned()],
        trouble: numbered().filter_map(|(n, cell)| Some((n, trouble(cell.trouble.as_ref()?)))).collect(),
        ops: numbered().filter(|(_, cell)| cell.operators > 0).map(|(n, cell)| (n, cell.operators)).collect(),
    }
}

fn trouble(trouble: &CellTrouble) -> Trouble {
    Trouble {
        missing: trouble.missing,
        down: trouble.down,
        pending: trouble.pending,
        offline: trouble.offline,
        unplaced: trouble.unplaced,
        holes: trouble.holes,
        regions: trouble.regions,
        example: trouble.example.map(|region| region.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_parameters_are_refused() {
        for query in [
            "start=0g",
            "start=02&end=01",
            "cells=0",
            "cells=4097",
            "by=size",
            "nonsense=1",
            "by=keys&by=keys",
        ] {
            assert_eq!(request(Some(query)).unwrap_err().response().status(), 400, "{query}");
        }
        let made = request(Some("start=0A&end=0b&cells=7&by=bytes")).unwrap();
        assert_eq!((made.start.as_ref(), made.end.as_ref(), made.cells), (&[10][..], &[11][..], 7));
    }
}
