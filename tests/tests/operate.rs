//! `docs/operate.md` names commands, codes and files that exist.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use tests::cluster::binaries;

#[test]
fn every_code_of_the_verdict_has_a_way_out() -> Result<()> {
    let codes = |file: &str| -> Result<Vec<String>> {
        let text = std::fs::read_to_string(docs(file))?;
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let codes = rows.filter_map(|row| row.split_once('`')).map(|(code, _)| code.to_owned());
        Ok(codes.filter(|code| code.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect())
    };
    let told = codes("operate.md")?;
    ensure!(told.len() > 20, "{} codes", told.len());
    ensure!(told == codes("verdict.md")?, "operate.md and verdict.md list different codes");
    Ok(())
}

#[test]
fn every_command_exists() -> Result<()> {
    let text = std::fs::read_to_string(docs("operate.md"))?;
    let tool = binaries::pd_ctl()?;
    let commands = commands(&text);
    ensure!(commands.len() > 30, "{} commands", commands.len());
    for words in commands {
        ensure!(exists(&tool, &words)?, "operate.md: pd-ctl has no {words:?}");
    }
    for wrong in [&["frobnicate"][..], &["config", "frobnicate", "x", "1"], &["store", "frobnicate", "2"]] {
        let wrong: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
        ensure!(!exists(&tool, &wrong)?, "{wrong:?} is taken for a command: this test sees nothing");
    }
    Ok(())
}

#[test]
fn every_file_and_folder_is_there() -> Result<()> {
    let text = std::fs::read_to_string(docs("operate.md"))?;
    let named =
        text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("deploy/")).collect::<Vec<_>>();
    ensure!(!named.is_empty(), "no file is named");
    for span in named {
        ensure!(docs("..").join(span).exists(), "operate.md names {span}, which is not there");
    }
    let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default());
    for link in links {
        ensure!(docs(link).exists(), "operate.md links to {link}, which is not there");
    }
    Ok(())
}

/// Whether the tool has this command, with at most as many words behind it as its usage has places for.
fn exists(tool: &Path, words: &[String]) -> Result<bool> {
    let done = Command::new(tool).args(words).arg("--help").output()?;
    let help = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Flags that stand before the command, each with its value.
    while words.first().is_some_and(|word| word.starts_with('-')) {
        words.drain(..2);
    }
    let usage = help.lines().filter_map(|line| line.strip_prefix("  pd-ctl "));
    let fits = usage.filter(|line| !line.starts_with("[")).any(|line| {
        let is_place = |word: &&str| word.starts_with(['<', '[', '(']) || word.contains('|');
        let own: Vec<&str> =
            line.split_whitespace().filter(|word| *word != "[flags]" && *word != "[command]").collect();
        let literal = own.iter().take_while(|word| !is_place(word)).count();
        words.len() >= literal && words[..literal] == own[..literal] && words.len() <= own.len()
    });
    Ok(done.status.success() && fits)
}

/// The words of all `pd-ctl` commands: lines of examples, and those within a sentence.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let all = lines.chain(spans).filter_map(|line| line.trim().strip_prefix("pd-ctl "));
    all.map(|rest| rest.split_whitespace().map(str::to_owned).collect()).collect()
}

fn docs(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(file)
}
