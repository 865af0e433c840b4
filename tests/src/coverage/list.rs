//! The three lists of what tikv/pd has, and which rows of the records ask for each of their rows.

use anyhow::{Context, Result};

use crate::replay::{record, served};

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its short name.
    pub name: &'static str,
    /// Its rows.
    pub entries: Vec<Entry>,
}

/// A row of a list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// How early it was wanted.
    pub tier: Option<u8>,
    /// Rows of the record that ask for it and are replayed.
    pub replayed: Vec<u32>,
}

/// The routes; each is called `METHOD path`.
///
/// # Errors
/// When the list or the record cannot be read.
pub fn http() -> Result<List> {
    let mut entries = entries("http.tsv", 2, " ")?;
    for row in served::http()? {
        let (method, path, _) = row.parts();
        let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        best(&mut entries, row.n, |at| route_fit(&names[at], method, path));
    }
    Ok(List { name: "http", entries })
}

/// The RPCs; each is called `package.Service/Method`.
///
/// # Errors
/// When the list or the record cannot be read.
pub fn grpc() -> Result<List> {
    let mut entries = entries("grpc.tsv", 2, "/")?;
    for row in served::grpc()? {
        for entry in entries.iter_mut().filter(|entry| entry.name == row.rpc) {
            entry.replayed.push(row.n);
        }
    }
    Ok(List { name: "grpc", entries })
}

/// The commands, as they are typed.
///
/// # Errors
/// When the list or the record cannot be read.
pub fn pdctl() -> Result<List> {
    let mut entries = entries("pdctl.tsv", 1, "")?;
    let words: Vec<Vec<String>> = entries.iter().map(|entry| words(&entry.name)).collect();
    for row in served::pdctl()? {
        let typed: Vec<&str> = row.ask.split(' ').filter(|word| !word.starts_with('-')).collect();
        best(&mut entries, row.n, |at| {
            let begins = typed.len() >= words[at].len() && words[at].iter().zip(&typed).all(|(a, b)| a == b);
            (begins && !words[at].is_empty()).then_some(words[at].len())
        });
    }
    Ok(List { name: "pdctl", entries })
}

/// The words of a command in front of its arguments.
#[must_use]
pub fn words(command: &str) -> Vec<String> {
    let command = command.strip_prefix("pd-ctl").unwrap_or(command);
    let literal = |word: &&str| {
        !word.starts_with('-')
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    command.split_whitespace().take_while(literal).map(str::to_owned).collect()
}

/// Gives a row of the record to the entries that fit it best.
fn best(entries: &mut [Entry], n: u32, fit: impl Fn(usize) -> Option<usize>) {
    let fits: Vec<Option<usize>> = (0..entries.len()).map(fit).collect();
    let Some(most) = fits.iter().flatten().max() else { return };
    for (entry, fit) in entries.iter_mut().zip(&fits) {
        if fit.as_ref() == Some(most) {
            entry.replayed.push(n);
        }
    }
}

/// How many segments of a route are literally those of an address; none when it is another route.
fn route_fit(name: &str, method: &str, address: &str) -> Option<usize> {
    let (methods, template) = name.split_once(' ')?;
    if methods != "ANY" && !methods.split('|').any(|one| one == method) {
        return None;
    }
    let path = address.split('?').next().unwrap_or_default();
    let segments = |path: &str| -> Vec<String> {
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    };
    let (wanted, asked) = (segments(template), segments(path));
    let is_place = |segment: &str| segment.starts_with('{');
    let all = wanted.len() == asked.len() && wanted.iter().zip(&asked).all(|(w, a)| is_place(w) || w == a);
    all.then(|| wanted.iter().filter(|segment| !is_place(segment)).count())
}

/// The rows of a file: its first columns are the name, its last one may be the tier.
fn entries(file: &str, name_columns: usize, between: &str) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(record::data(file)).with_context(|| file.to_owned())?;
    let rows = text.lines().skip(1).filter(|line| !line.is_empty()).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let name = columns.get(..name_columns).with_context(|| format!("{file}: {line}"))?.join(between);
        let tier = columns.get(name_columns..).and_then(<[&str]>::last).and_then(|last| last.parse().ok());
        Ok(Entry { name, tier, replayed: Vec::new() })
    });
    rows.collect()
}

#[test]
fn a_command_begins_with_its_words() {
    assert_eq!(words("store limit ID RATE [TYPE]").join(" "), "store limit");
    assert_eq!(words("pd-ctl [-u|--pd URL]"), Vec::<String>::new());
    assert_eq!(words("config show all [--from_pd]").join(" "), "config show all");
}

#[test]
fn the_most_literal_route_counts() {
    assert_eq!(route_fit("GET /a/{id}", "GET", "//a/7?x=/"), Some(1));
    assert_eq!(route_fit("GET|POST /a/b", "POST", "/a/b"), Some(2));
    assert_eq!(route_fit("GET /a/{id}", "POST", "/a/7"), None);
    assert_eq!(route_fit("GET /a/{id}", "GET", "/a/7/8"), None);
}
