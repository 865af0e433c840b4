//! Help texts in the layout that users of tikv/pd's `pd-ctl` know.

use crate::command::{Command, Flag};
use crate::parser::{GLOBAL_FLAGS, ROOT_FLAGS};

/// The whole help of a command; `path` leads to it from the root.
pub fn of(root: &Command, path: &[&str]) -> String {
    let about = at(root, path).about;
    format!("{about}\n\n{}", usage(root, path))
}

/// The help without its first line, for a command that was typed wrongly.
pub fn usage(root: &Command, path: &[&str]) -> String {
    let command = at(root, path);
    let full = std::iter::once(root.name).chain(path.iter().copied()).collect::<Vec<_>>().join(" ");
    let mut text = "Usage:\n".to_owned();
    if command.runs() {
        let usage = if command.usage.is_empty() { String::new() } else { format!(" {}", command.usage) };
        text.push_str(&format!("  {full}{usage} [flags]\n"));
    }
    if !command.children.is_empty() {
        text.push_str(&format!("  {full} [command]\n\nAvailable Commands:\n"));
        let shown = || command.children.iter().filter(|child| child.deprecated.is_none());
        let width = shown().map(|child| child.name.len()).max().unwrap_or(0);
        let mut children: Vec<&Command> = shown().collect();
        children.sort_by_key(|child| child.name);
        for child in children {
            text.push_str(&format!("  {:width$} {}\n", child.name, child.about));
        }
    }
    let name = path.last().copied().unwrap_or(root.name);
    let help = format!("help for {name}");
    let mut own = command.flags.clone();
    if path.is_empty() {
        own.extend(ROOT_FLAGS);
        own.extend(GLOBAL_FLAGS);
    }
    text.push_str(&format!("\nFlags:\n{}", flags(&own, Some(&help))));
    if !path.is_empty() {
        text.push_str(&format!("\nGlobal Flags:\n{}", flags(&GLOBAL_FLAGS, None)));
    }
    if !command.children.is_empty() {
        text.push_str(&format!("\nUse \"{full} [command] --help\" for more information about a command.\n"));
    }
    text
}

fn at<'a>(root: &'a Command, path: &[&str]) -> &'a Command {
    path.iter().fold(root, |command, name| command.child(name).unwrap_or(command))
}

fn flags(flags: &[Flag], help: Option<&str>) -> String {
    let mut lines: Vec<(String, &str, String)> = Vec::new();
    for flag in flags {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
        let default = flag.default.map(|default| format!(" (default \"{default}\")")).unwrap_or_default();
        lines.push((format!("{short}--{}{value}", flag.name), flag.name, format!("{}{default}", flag.about)));
    }
    if let Some(help) = help {
        lines.push(("-h, --help".into(), "help", help.into()));
    }
    lines.sort_by_key(|(_, name, _)| *name);
    let width = lines.iter().map(|(left, ..)| left.len()).max().unwrap_or(0);
    lines.iter().map(|(left, _, about)| format!("  {left:width$}   {about}\n")).collect()
}
