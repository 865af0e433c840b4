//! The page.

use std::fmt::Write;

use super::{Row, Standing};

/// The head of the page.
const HEAD: &str = "# What of tikv/pd is here

Made by `tests/tests/coverage.rs` and not to be edited: `UPDATE=1 cargo test -p tests --test coverage` writes it anew. What
is there was asked of a running member and of `pd-ctl`; rows are those of the records that are replayed
(`tests/tests/replay_*.rs`); why something is open or left out stands in `tests/data/coverage.tsv`. Where answers differ on
purpose: `docs/differences.md`. The v1 routes that are here are also asked wrongly (`tests/tests/bad_input_http.rs`).
";

/// The page of these lists: title, record, rows.
#[must_use]
pub fn page(lists: &[(&str, &str, Vec<Row>)]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| | tier | done | open | left out |\n|---|---|---|---|---|\n");
    for (title, _, rows) in lists {
        let mut tiers: Vec<Option<u8>> = rows.iter().map(|row| row.tier).collect();
        tiers.sort_unstable();
        tiers.dedup();
        for tier in tiers {
            let [done, open, left_out] = counts(rows.iter().filter(|row| row.tier == tier));
            let tier = tier.map_or_else(|| "-".to_owned(), |tier| tier.to_string());
            line(&mut page, &[title, &tier, &done.to_string(), &open.to_string(), &left_out.to_string()]);
        }
    }
    for (title, record, rows) in lists {
        let _ =
            write!(page, "\n## {title}\n\n| name | tier | | tested by, or why not |\n|---|---|---|---|\n");
        for row in rows {
            let tier = row.tier.map(|tier| tier.to_string()).unwrap_or_default();
            let (word, text) = match &row.standing {
                Standing::Done { replayed, tests } => ("done", tested_by(record, replayed, tests)),
                Standing::Open(why) => ("open", why.clone()),
                Standing::LeftOut(why) => ("left out", why.clone()),
            };
            line(&mut page, &[&format!("`{}`", row.name), &tier, word, &text]);
        }
    }
    page
}

fn counts<'a>(rows: impl Iterator<Item = &'a Row>) -> [usize; 3] {
    let mut counts = [0; 3];
    for row in rows {
        counts[match row.standing {
            Standing::Done { .. } => 0,
            Standing::Open(_) => 1,
            Standing::LeftOut(_) => 2,
        }] += 1;
    }
    counts
}

fn tested_by(record: &str, replayed: &[u32], tests: &[String]) -> String {
    let mut parts = Vec::new();
    if !replayed.is_empty() {
        parts.push(format!("{record} {}", ranges(replayed)));
    }
    parts.extend(tests.iter().map(|test| format!("`{test}`")));
    parts.join("; ")
}

/// `1, 3-5` of 1, 3, 4, 5.
fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn line(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

#[test]
fn neighbours_become_a_range() {
    assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1, 3-5, 9");
}
