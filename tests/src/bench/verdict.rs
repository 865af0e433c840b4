//! What people ask while something is wrong: the verdict, a part of the key space, why. Each costs the server little,
//! whatever the number of Regions.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::process::cpu_s;
use super::regions::Cluster;
use super::report::{Figure, Target as Goal};
use super::target::Target;
use crate::cluster::http;

/// Maps asked for; each with another number of columns, so that none is shared.
const MAPS: u32 = 50;
/// Questions asked.
const QUESTIONS: u64 = 200;
/// Verdicts asked for: each is made anew after a second.
const VERDICTS: u32 = 15;
const VERDICT_PAUSE: Duration = Duration::from_millis(1_100);

/// All figures, on a server that knows `cluster`.
pub async fn figures(server: &Target, cluster: Cluster) -> Result<Vec<Figure>> {
    let url = |path: &str| format!("http://{}/pd/api/v2/{path}", server.address);
    let health = http::get_json(&url("health")).await?;
    let heard = health["heard"]["regions_permille"].as_u64();
    println!("verdict: {} with {heard:?} per mille of the Regions heard", health["verdict"]);

    let before = cpu_s(server.pid);
    for _ in 0..VERDICTS {
        tokio::time::sleep(VERDICT_PAUSE).await;
        http::get(&url("health")).await?;
    }
    let verdict_ms = (cpu_s(server.pid) - before) * 1e3 / f64::from(VERDICTS);

    let before = cpu_s(server.pid);
    for n in 0..MAPS {
        let map = http::get_json(&url(&format!("map?cells={}", 1_500 - n))).await?;
        let sum: u64 =
            map["regions"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).sum();
        ensure!(sum == cluster.regions, "the map has {sum} Regions of {}", cluster.regions);
    }
    let map_ms = (cpu_s(server.pid) - before) * 1e3 / f64::from(MAPS);

    let mut took: Vec<f64> = Vec::new();
    for n in 0..QUESTIONS {
        let asked = Instant::now();
        http::get(&url(&format!("why/region/{}", cluster.id(n * (cluster.regions / QUESTIONS))))).await?;
        took.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let why_ms = took[took.len() * 99 / 100];
    Ok(vec![
        Figure {
            name: "verdict_cpu_ms",
            value: verdict_ms,
            unit: "ms of CPU a verdict",
            target: Goal::AtMost(20.0),
        },
        Figure { name: "map_cpu_ms", value: map_ms, unit: "ms of CPU a map", target: Goal::AtMost(20.0) },
        Figure { name: "why_ms", value: why_ms, unit: "ms, p99 from outside", target: Goal::AtMost(10.0) },
    ])
}
