//! The catalog for a terminal of eighty columns: a line for each table, then each of them.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::civil::Date;

use super::size;
use super::strip::{LEGEND, MONTHS, strip};
use crate::cli::span::{counted, short};
use crate::cli::wrap::wrap;
use crate::manifest::{RunRecord, TableState, Version};
use crate::storage::RunId;
use crate::storage::layout::partition_date;
use crate::stream::day_of;

/// How much of a long story is told; the rest is in `--json`.
const RUNS: usize = 5;
const DRIFT: usize = 8;
const UNREAD: usize = 6;
const DAYS: usize = 6;

/// What carried-over lines stand under.
const INDENT: &str = "              ";

/// The longest name that leaves the first table its eighty columns.
const NAME: usize = 30;

/// Every table; `next` is when a schedule makes the next run.
pub fn text(versions: &[Version], next: Option<Timestamp>) -> String {
    let mut out = overview(versions);
    if let Some(next) = next {
        let _ = writeln!(out, "\nthe next run is due at {next}");
    }
    for version in versions {
        table(&mut out, version);
    }
    out
}

fn overview(versions: &[Version]) -> String {
    let mut out = format!(
        "{:<NAME$} {:>10} {:>6} {:>8}  {:<10}  {}\n",
        "table", "rows", "parts", "size", "complete", "last run"
    );
    for version in versions {
        let state = &version.state;
        let line = format!(
            "{:<NAME$} {:>10} {:>6} {:>8}  {:<10}  {}",
            shortened(&state.table),
            state.rows(),
            state.partitions.len(),
            size(bytes(state)),
            state.mark.map_or("-".to_owned(), |mark| day_of(mark).to_string()),
            state.runs.last().map_or("-", |run| run.outcome.as_str())
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn table(out: &mut String, version: &Version) {
    let state = &version.state;
    let title = format!("{} ({}, version {})", state.table, state.stream, version.number);
    out.push('\n');
    wrap(out, "", "  ", &title);
    if let Some(description) = &state.description {
        wrap(out, "  ", "  ", description);
    }
    let parts = counted(state.partitions.len() as u64, "partition");
    item(
        out,
        "rows",
        &format!("{} in {parts}, {}", state.rows(), size(bytes(state))),
    );
    if let Some(mark) = state.mark {
        item(out, "mark", &format!("complete up to {mark}"));
    }
    if let Some(full_synced) = state.full_synced {
        item(
            out,
            "full table",
            &format!("last completed by the run of {full_synced}"),
        );
    }
    if let Some(claim) = &state.claim {
        let (run, host, until) = (begin(&claim.run), &claim.owner.host, claim.until);
        item(out, "claim", &format!("held by run {run} on {host} until {until}"));
    }
    let moves = [("from", &state.moving_from), ("to", &state.moving_to)];
    for (way, other) in moves
        .into_iter()
        .filter_map(|(way, other)| Some((way, other.as_ref()?)))
    {
        item(
            out,
            "rename",
            &format!("{way} {other}, not finished; give the same rename again"),
        );
    }
    if let Some(name) = &state.moved_to {
        item(out, "rename", &format!("this table is {name} now"));
    }
    columns(out, state);
    history(out, state);
    oddities(out, state);
    runs(out, &state.runs);
}

fn columns(out: &mut String, state: &TableState) {
    let rules = &state.columns;
    if !rules.exclude.is_empty() {
        item(out, "left out", &rules.exclude.join(", "));
    }
    if !rules.hash.is_empty() {
        let key = rules
            .key
            .as_ref()
            .map_or(String::new(), |key| format!(" (with key {key})"));
        item(out, "hashed", &format!("{}{key}", rules.hash.join(", ")));
    }
}

/// How much of the past is there: by month where windows are covered, by day where each run makes a partition.
fn history(out: &mut String, state: &TableState) {
    let strip = strip(&state.coverage, &state.gaps);
    let days: Vec<Date> = state
        .partitions
        .keys()
        .filter_map(|name| partition_date(name))
        .collect();
    if strip.is_empty() {
        if !days.is_empty() {
            item(out, "days", &stretches(&days));
        }
        return;
    }
    line(out, "coverage", MONTHS);
    for year in strip {
        line(out, "", &year);
    }
    line(out, "", LEGEND);
    for gap in &state.gaps {
        item(out, "gap", &format!("{} to {}: {}", gap.from, gap.to, gap.reason));
    }
    for (window, ids) in state.coverage.unread() {
        let shown: Vec<String> = ids.iter().take(UNREAD).map(i64::to_string).collect();
        let text = format!(
            "transactional messages {}{} from {} to {}; asked for again on every run",
            shown.join(", "),
            more(ids.len(), UNREAD),
            day_of(window.from),
            day_of(window.to)
        );
        item(out, "unread", &text);
    }
}

fn oddities(out: &mut String, state: &TableState) {
    if state.rejected > 0 {
        let text = format!(
            "{} set aside under _rejected/{}",
            counted(state.rejected, "row"),
            state.table
        );
        item(out, "set aside", &text);
    }
    let mut drift: Vec<_> = state.drift.iter().collect();
    drift.sort_by_key(|note| std::cmp::Reverse(note.count));
    for (note, label) in drift.iter().take(DRIFT).zip(labels("drift")) {
        let (kind, path, count, since) = (&note.kind, &note.path, note.count, day_of(note.first_seen));
        item(
            out,
            label,
            &format!("{kind} {path}: seen {} since {since}", counted(count, "time")),
        );
    }
    if drift.len() > DRIFT {
        item(out, "", more(drift.len(), DRIFT).trim_start());
    }
}

fn runs(out: &mut String, runs: &[RunRecord]) {
    if runs.is_empty() {
        return;
    }
    run_line(out, ["last runs", "started", "took", "mode", "outcome", "fetched"]);
    for run in runs.iter().rev().take(RUNS) {
        #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
        let seconds = run.ended.duration_since(run.started).as_secs().max(0) as f64;
        let cells = [
            begin(&run.run),
            &run.started.strftime("%Y-%m-%d %H:%M").to_string(),
            &short(seconds),
            &run.sync.to_string(),
            &run.outcome,
            &run.rows.fetched.to_string(),
        ];
        run_line(out, cells);
    }
}

fn run_line(out: &mut String, [run, started, took, mode, outcome, fetched]: [&str; 6]) {
    let _ = writeln!(
        out,
        "  {run:<13}  {started:<16}  {took:>7}  {mode:<11}  {outcome:<9} {fetched:>9}"
    );
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "{}", format!("  {label:<12}{text}").trim_end());
}

fn item(out: &mut String, label: &str, text: &str) {
    wrap(out, &format!("  {label:<12}"), INDENT, text);
}

/// `label`, then nothing for what stands under it.
fn labels(label: &str) -> impl Iterator<Item = &str> {
    std::iter::once(label).chain(std::iter::repeat(""))
}

fn more(count: usize, shown: usize) -> String {
    match count.saturating_sub(shown) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// As much of a run's id as tells it from others: its milliseconds.
fn begin(run: &RunId) -> &str {
    run.as_str().get(..13).unwrap_or(run.as_str())
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

fn bytes(state: &TableState) -> u64 {
    state.partitions.values().map(|file| file.bytes).sum()
}

/// Days that follow each other as one stretch, the newest stretches where there are many.
fn stretches(days: &[Date]) -> String {
    let mut found: Vec<(Date, Date)> = Vec::new();
    for day in days {
        match found.last_mut() {
            Some((_, last)) if last.tomorrow().is_ok_and(|next| next == *day) => *last = *day,
            _ => found.push((*day, *day)),
        }
    }
    let hidden = found.len().saturating_sub(DAYS);
    let shown: Vec<String> = found[hidden..]
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        })
        .collect();
    let count = days.len();
    let earlier = match hidden {
        0 => String::new(),
        hidden => format!("{hidden} earlier stretches, "),
    };
    format!("{count}: {earlier}{}", shown.join(", "))
}
