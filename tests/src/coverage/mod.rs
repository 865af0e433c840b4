//! `docs/coverage.md`: for each route, RPC and command of tikv/pd whether it is there, and tested by what.
//!
//! What is there is asked of a running member and of the tool ([`ask`]); which rows of the records are replayed is read
//! from the records ([`list`]); why something is missing, and which other tests stand behind what has no record, people
//! write into `tests/data/coverage.tsv` ([`judgement`]). [`page`] makes the page.

pub mod ask;
pub mod judgement;
pub mod list;
pub mod page;

use anyhow::{Result, ensure};

use judgement::Judgement;
use list::List;

/// A row of a list and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The route, RPC or command, as the list has it.
    pub name: String,
    /// How early it was wanted: 1 first. Commands have none.
    pub tier: Option<u8>,
    /// What is to be said.
    pub standing: Standing,
}

/// Whether something is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is, and these test it.
    Done {
        /// Rows of the record that are replayed.
        replayed: Vec<u32>,
        /// Tests by name.
        tests: Vec<String>,
    },
    /// Not yet: why.
    Open(String),
    /// It will not be: why.
    LeftOut(String),
}

/// Puts together what is there, what is replayed and what people judged.
///
/// # Errors
/// Names each row that nothing is said of, each judgement that says nothing, and each test that does not exist.
pub fn compose(list: &List, present: &[bool], judgements: &[Judgement]) -> Result<Vec<Row>> {
    ensure!(present.len() == list.entries.len(), "{} answers for {}", present.len(), list.name);
    let mine: Vec<&Judgement> = judgements.iter().filter(|judgement| judgement.list == list.name).collect();
    let mut used = vec![false; mine.len()];
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (entry, present) in list.entries.iter().zip(present) {
        let mut fitting = mine.iter().enumerate().filter(|(_, judgement)| {
            judgement.fits(&entry.name) && matches!(judgement.says, judgement::Says::Tested(_)) == *present
        });
        let standing = if *present {
            let mut tests = Vec::new();
            for (at, judgement) in fitting {
                used[at] = true;
                if let judgement::Says::Tested(test) = &judgement.says {
                    tests.push(test.clone());
                }
            }
            if tests.is_empty() && entry.replayed.is_empty() {
                wrong.push(format!("{} {} is there and nothing tests it", list.name, entry.name));
            }
            Standing::Done { replayed: entry.replayed.clone(), tests }
        } else {
            match fitting.next() {
                None => {
                    wrong.push(format!("{} {} is not there and nobody says why", list.name, entry.name));
                    Standing::Open(String::new())
                }
                Some((at, judgement)) => {
                    used[at] = true;
                    judgement.says.standing()
                }
            }
        };
        rows.push(Row { name: entry.name.clone(), tier: entry.tier, standing });
    }
    for (judgement, _) in mine.iter().zip(used).filter(|(_, used)| !used) {
        wrong.push(format!("line {} of coverage.tsv fits no row of {}", judgement.line, list.name));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(rows)
}
