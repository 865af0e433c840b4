//! Labels of stores, and how far apart they keep the replicas of each Region.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::request::{Ask, escaped};
use crate::session::Session;
use crate::table::STORES;

/// `label`.
pub fn command() -> Command {
    Command::new("label", "", "show the labels", Work::Ask(labels)).with(vec![
        Command::new("store", "<name> [value]", "show the stores with specify label", Work::Ask(stores)),
        Command::new(
            "isolation",
            "[label]",
            "show regions' count and ids by isolation level",
            Work::Flow(|session, args| Box::pin(isolation(session, args))),
        ),
    ])
}

fn labels(args: &Args) -> Result<Ask, Failure> {
    args.exactly::<0>()?;
    Ok(Ask::get("/pd/api/v1/labels").or_say("Failed to get labels: "))
}

fn stores(args: &Args) -> Result<Ask, Failure> {
    args.at_most(2)?;
    let name = args.word(0).ok_or_else(Failure::usage)?;
    let value = args.word(1).unwrap_or_default();
    let path = format!("/pd/api/v1/labels/stores?name={}&value={}", escaped(name), escaped(value));
    Ok(Ask::get(path).or_say("Failed to get stores through label: ").columns(&STORES))
}

/// For each level of isolation the number of Regions, and which they are; only those of one level when it is named.
async fn isolation(session: Session, args: Args) -> Result<Answer, Failure> {
    args.at_most(1)?;
    let replication = read(&session, "/pd/api/v1/config/replicate").await?;
    let stores = read(&session, "/pd/api/v1/stores").await?;
    let regions = read(&session, "/pd/api/v1/regions").await?;
    let levels: Vec<&str> = replication["location-labels"]
        .as_str()
        .unwrap_or_default()
        .split(',')
        .filter(|l| !l.is_empty())
        .collect();
    let labels: BTreeMap<u64, &Value> = list(&stores, "stores")
        .filter_map(|store| Some((store["store"]["id"].as_u64()?, &store["store"]["labels"])))
        .collect();
    let (mut counts, mut of_region) = (BTreeMap::new(), BTreeMap::new());
    for region in list(&regions, "regions") {
        let places: Vec<&Value> = list(region, "peers")
            .filter_map(|peer| labels.get(&peer["store_id"].as_u64()?).copied())
            .collect();
        let level = isolated_by(&places, &levels);
        if args.word(0).is_none_or(|wanted| wanted == level) {
            *counts.entry(level).or_insert(0_u64) += 1;
            of_region.insert(region["id"].as_u64().unwrap_or(0), level);
        }
    }
    let text = format!("label-count:map[{}],region-map:map[{}]\n", pairs(&counts), pairs(&of_region));
    Ok(Answer::words(text))
}

/// The first level on which no two replicas share a value.
fn isolated_by<'a>(places: &[&Value], levels: &[&'a str]) -> &'a str {
    let value = |place: &Value, level: &str| {
        let labels = place.as_array().into_iter().flatten();
        labels
            .filter(|label| label["key"] == level)
            .find_map(|label| label["value"].as_str().map(str::to_owned))
    };
    for (depth, level) in levels.iter().enumerate() {
        let mut seen = Vec::new();
        let apart = places.iter().all(|place| {
            let at: Vec<_> = levels[..=depth].iter().map(|level| value(place, level)).collect();
            let new = at.last().is_some_and(Option::is_some) && !seen.contains(&at);
            seen.push(at);
            new
        });
        if apart {
            return level;
        }
    }
    "none"
}

async fn read(session: &Session, path: &str) -> Result<Value, Failure> {
    let answer = Ask::get(path).or_say("Failed to get label isolation: ").send(session).await?;
    serde_json::from_str(&answer.text).map_err(|error| Failure::here(format!("{path}: {error}\n")))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn pairs<K: std::fmt::Display, V: std::fmt::Display>(map: &BTreeMap<K, V>) -> String {
    map.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::isolated_by;
    use serde_json::{Value, json};

    fn at(zone: &str, host: &str) -> Value {
        json!([{"key": "zone", "value": zone}, {"key": "host", "value": host}])
    }

    #[test]
    fn the_first_level_that_tells_all_apart() {
        let levels = ["zone", "host"];
        let places = [at("z1", "h1"), at("z2", "h1"), at("z2", "h2")];
        assert_eq!(isolated_by(&[&places[0], &places[1]], &levels), "zone");
        assert_eq!(isolated_by(&[&places[0], &places[1], &places[2]], &levels), "host");
        assert_eq!(isolated_by(&[&places[1], &places[1]], &levels), "none");
        assert_eq!(isolated_by(&[&json!([])], &levels), "none", "a store without labels is nowhere");
        assert_eq!(isolated_by(&[&places[0]], &[]), "none");
    }
}
