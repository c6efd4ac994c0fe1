//! Every command with its arguments and flags, as Markdown.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

/// The page `docs/commands.md`.
pub fn page(command: Command) -> String {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut out = String::from(
        "# The commands\n\nMade by `cio2parquet man --markdown` from the command line itself; edit that, not this page. \
         `cio2parquet man --dir DIR` writes the same as manual pages.\n",
    );
    sections(&mut out, &command);
    out
}

/// A command, then those below it.
fn sections(out: &mut String, command: &Command) {
    section(out, command);
    verbs(command).for_each(|verb| sections(out, verb));
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn section(out: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(out, "\n## {name}\n\n{about}\n\n```text\n{usage}\n```\n");
    let verbs: Vec<&Command> = verbs(command).collect();
    if !verbs.is_empty() {
        out.push_str("\n| command | meaning |\n| --- | --- |\n");
    }
    for verb in verbs {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "| `{}` | {} |", verb.get_name(), cell(&about));
    }
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let arguments: Vec<&Arg> = shown.collect();
    out.push_str("\n| argument | meaning |\n| --- | --- |\n");
    for arg in arguments {
        let _ = writeln!(out, "| `{}` | {} |", form(arg), meaning(arg));
    }
    if let Some(more) = command.get_after_help() {
        let _ = write!(out, "\n```text\n{more}\n```\n");
    }
}

/// The argument as it is typed.
fn form(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let value = names
        .first()
        .map_or(arg.get_id().as_str().to_uppercase(), ToString::to_string);
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let flags: Vec<String> = [
        arg.get_short().map(|short| format!("-{short}")),
        arg.get_long().map(|long| format!("--{long}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (flags.is_empty(), takes) {
        (true, _) if arg.is_required_set() => format!("<{value}>"),
        (true, _) if matches!(arg.get_action(), ArgAction::Append) => format!("[{value}]..."),
        (true, _) => format!("[{value}]"),
        (false, true) => format!("{} <{value}>", flags.join(", ")),
        (false, false) => flags.join(", "),
    }
}

/// What it does, its values and its default.
fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if takes && !values.is_empty() {
        let _ = write!(text, "; {}", values.join(", "));
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if takes && !defaults.is_empty() {
        let _ = write!(text, " (default: `{}`)", defaults.join(" "));
    }
    cell(&text)
}

/// Text that keeps to its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
