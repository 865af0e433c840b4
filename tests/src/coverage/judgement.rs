//! `tests/data/coverage.tsv`: what people say of rows. Four columns: list, name (`*` stands for anything), one of `open`,
//! `left out` and `tested`, and why or by what. The first line that fits a missing row counts; tests add up.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::Standing;
use crate::replay::record;

/// A line.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Its number, from 1.
    pub line: usize,
    /// `http`, `grpc` or `pdctl`.
    pub list: String,
    pattern: String,
    /// What it says.
    pub says: Says,
}

/// What a line says.
#[derive(Clone, Debug)]
pub enum Says {
    /// Not there yet: why.
    Open(String),
    /// Never: why.
    LeftOut(String),
    /// There, and this tests it: `file.rs name_of_the_test`.
    Tested(String),
}

impl Judgement {
    /// Whether it is about this row.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        fits(&self.pattern, name)
    }
}

impl Says {
    /// Of a row that is not there.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Says::Open(why) => Standing::Open(why.clone()),
            Says::LeftOut(why) => Standing::LeftOut(why.clone()),
            Says::Tested(test) => Standing::Done { replayed: Vec::new(), tests: vec![test.clone()] },
        }
    }
}

/// All lines.
///
/// # Errors
/// Names the line that is none, or whose test does not exist.
pub fn read() -> Result<Vec<Judgement>> {
    let text = std::fs::read_to_string(record::data("coverage.tsv"))?;
    let numbered = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(at, line)| parse(at + 1, line).with_context(|| format!("coverage.tsv:{}", at + 1)))
        .collect()
}

fn parse(number: usize, line: &str) -> Result<Judgement> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [list, pattern, word, text] = columns.as_slice() else {
        bail!("four columns are wanted: list, name, word, text")
    };
    ensure!(["http", "grpc", "pdctl"].contains(list), "no list is called {list:?}");
    ensure!(!text.trim().is_empty(), "no reason");
    let text = (*text).to_owned();
    let says = match *word {
        "open" => Says::Open(text),
        "left out" => Says::LeftOut(text),
        "tested" => {
            check_test(&text)?;
            Says::Tested(text)
        }
        other => bail!("{other:?} is none of open, left out, tested"),
    };
    Ok(Judgement { line: number, list: (*list).to_owned(), pattern: (*pattern).to_owned(), says })
}

/// The file lies in this workspace and has a test of that name.
fn check_test(text: &str) -> Result<()> {
    let (file, name) = text.split_once(' ').context("a test is `path/of/file.rs name`")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let source = std::fs::read_to_string(&path).with_context(|| file.to_owned())?;
    ensure!(source.contains(&format!("fn {name}(")), "{file} has no test {name}");
    Ok(())
}

/// Whether `name` is `pattern`, whose stars stand for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(mut part) = parts.next() else { return rest.is_empty() };
    for next in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        (rest, part) = (behind, next);
    }
    rest.ends_with(part)
}

#[test]
fn stars_stand_for_anything() {
    assert!(fits("GET /a", "GET /a") && !fits("GET /a", "GET /ab") && !fits("GET /ab", "GET /a"));
    assert!(fits("* /a/*", "GET /a/b") && fits("*", "") && fits("a*", "a") && fits("*a", "ba"));
    assert!(!fits("* /a/*", "GET /b/a") && !fits("*a", "ab") && !fits("a*b*c", "acb"));
}
