//! The windows that a run reads: what was never covered, what is owed, and the lookback.

use jiff::{SignedDuration, Timestamp};

use super::ask::{Ask, back, ceil_day, may_continue};
use crate::manifest::{Coverage, FullTable, SyncMode, TableState};
use crate::stream::{Shape, Stream, Window, days, floor_day};

/// Nothing younger than this is read where a range can be asked for: rows of the last moment may still be on their way in.
pub const SETTLING: SignedDuration = SignedDuration::from_secs(60);

/// A window to survey, and whom to ask in it; it is committed in one part or several ([`super::Parts`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowTask {
    /// The interval to read.
    pub window: Window,
    /// Only these transactional messages; `None` is all of them.
    pub only: Option<Vec<i64>>,
}

/// The windows of a run, oldest first, and the range they serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPlan {
    /// What to read, oldest first.
    pub tasks: Vec<WindowTask>,
    /// The beginning of the range asked for.
    pub since: Timestamp,
    /// The end of the range asked for, less the settling time.
    pub until: Timestamp,
}

/// The windows that a run of `stream` reads, given what stands in the manifest.
pub fn windows(stream: &Stream, sync: SyncMode, ask: &Ask, state: &TableState) -> WindowPlan {
    let Shape::Windows {
        first_days,
        window_days,
        ..
    } = stream.sync
    else {
        return WindowPlan {
            tasks: Vec::new(),
            since: ask.now,
            until: ask.now,
        };
    };
    let settled = ask.now.saturating_sub(SETTLING).unwrap_or(ask.now);
    let until = ask.until.map_or(settled, ceil_day).min(settled);
    let first = floor_day(back(ask.now, days(first_days)));
    let since = ask
        .begin(state.mark.map(floor_day))
        // Nothing was asked for in a range that begins after now: an earlier run was told a later one.
        .or(state.asked_since.filter(|since| *since < until))
        .unwrap_or(first);
    let range = Window::new(since, until);
    let tasks = match (range, sync) {
        (None, _) => Vec::new(),
        (Some(range), SyncMode::Incremental) => incremental(range, window_days, ask, state),
        (Some(range), SyncMode::FullTable) => {
            let done = continued(state, ask, since).map(|done| done.uncovered(range));
            tile(done.unwrap_or_else(|| vec![range]), window_days)
        }
    };
    WindowPlan { tasks, since, until }
}

/// The coverage of an unfinished full-table run that this one may go on with.
fn continued<'a>(state: &'a TableState, ask: &Ask, since: Timestamp) -> Option<&'a Coverage> {
    let progress = state
        .full_table
        .as_ref()
        .filter(|progress| same_range(progress, ask, since));
    progress.map(|progress| &progress.done)
}

/// Whether `progress` is young enough and about the range that begins at `since`.
///
/// A range that is said relative to now has moved on at midnight; what was read of the older one serves the newer one too.
pub fn same_range(progress: &FullTable, ask: &Ask, since: Timestamp) -> bool {
    may_continue(progress.now, ask)
        && progress.from.is_some_and(|from| from <= since)
        && progress.to == ask.until.map(ceil_day)
}

fn incremental(range: Window, window_days: u32, ask: &Ask, state: &TableState) -> Vec<WindowTask> {
    let again = state.mark.and_then(|mark| {
        let from = floor_day(back(mark.min(ask.now), ask.lookback));
        Window::new(from.max(range.from), range.to)
    });
    let mut whole = state.coverage.uncovered(range);
    whole.extend(again);
    let whole = joined(whole);
    let mut tasks: Vec<WindowTask> = state
        .coverage
        .unread()
        .into_iter()
        .flat_map(|(window, ids)| {
            let pieces = outside(window, &whole);
            let pieces = pieces.into_iter().flat_map(move |piece| piece.split_days(window_days));
            pieces.map(move |window| WindowTask {
                window,
                only: Some(ids.clone()),
            })
        })
        .collect();
    tasks.extend(tile(whole, window_days));
    tasks.sort_by_key(|task| task.window);
    tasks
}

fn tile(windows: Vec<Window>, window_days: u32) -> Vec<WindowTask> {
    let pieces = windows.into_iter().flat_map(|window| window.split_days(window_days));
    pieces.map(|window| WindowTask { window, only: None }).collect()
}

/// The same instants in as few windows as possible, in order.
fn joined(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort();
    let mut out: Vec<Window> = Vec::new();
    for window in windows {
        match out.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => out.push(window),
        }
    }
    out
}

/// The parts of `window` that lie in none of `others`, which are in order and apart.
fn outside(window: Window, others: &[Window]) -> Vec<Window> {
    let mut from = window.from;
    let mut out = Vec::new();
    for other in others {
        out.extend(Window::new(from, other.from.min(window.to)));
        from = from.max(other.to);
    }
    out.extend(Window::new(from, window.to));
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, at, empty, window};
    use super::*;
    use crate::stream::Catalog;

    fn plan(sync: SyncMode, ask: &Ask, state: &TableState) -> Vec<(String, String)> {
        let stream = Catalog::load().unwrap().get("transactional_message_details").unwrap();
        let tasks = windows(&stream, sync, ask, state).tasks;
        tasks
            .iter()
            .map(|task| (task.window.from.to_string(), task.window.to.to_string()))
            .collect()
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn a_first_run_takes_a_year_in_windows_that_tile() {
        let pieces = plan(SyncMode::Incremental, &ask("2026-11-22T10:00:00Z", 30), &empty());
        assert_eq!(pieces.first().unwrap().0, "2025-11-22T00:00:00Z");
        assert_eq!(pieces.last().unwrap().1, "2026-11-22T09:59:00Z");
        assert_eq!(pieces.len(), 2);
        assert!(pieces.windows(2).all(|two| two[0].1 == two[1].0));
    }

    #[test]
    fn the_next_run_takes_the_lookback_and_the_hole() {
        let mut state = empty();
        state.asked_since = Some(at("2026-01-01T00:00:00Z"));
        state.mark = Some(at("2026-11-21T00:00:00Z"));
        state
            .coverage
            .add(window("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"), &[]);
        state
            .coverage
            .add(window("2026-03-05T00:00:00Z", "2026-11-21T00:00:00Z"), &[]);
        assert_eq!(
            plan(SyncMode::Incremental, &ask("2026-11-22T10:00:00Z", 10), &state),
            [
                pair("2026-03-01T00:00:00Z", "2026-03-05T00:00:00Z"),
                pair("2026-11-11T00:00:00Z", "2026-11-22T09:59:00Z"),
            ]
        );
    }

    #[test]
    fn unread_messages_are_planned_again_outside_of_what_is_read_anyway() {
        let mut state = empty();
        state.asked_since = Some(at("2026-11-01T00:00:00Z"));
        state.mark = Some(at("2026-11-21T00:00:00Z"));
        state
            .coverage
            .add(window("2026-11-01T00:00:00Z", "2026-11-21T00:00:00Z"), &[7]);
        let stream = Catalog::load().unwrap().get("transactional_message_details").unwrap();
        let tasks = windows(&stream, SyncMode::Incremental, &ask("2026-11-22T10:00:00Z", 5), &state).tasks;
        assert_eq!(tasks[0].only, Some(vec![7]));
        assert_eq!(tasks[0].window, window("2026-11-01T00:00:00Z", "2026-11-16T00:00:00Z"));
        assert_eq!(tasks[1].only, None);
    }

    #[test]
    fn what_is_unread_over_years_is_asked_for_in_windows_that_no_request_clamps() {
        let mut state = empty();
        state.asked_since = Some(at("2024-11-01T00:00:00Z"));
        state.mark = Some(at("2026-11-21T00:00:00Z"));
        state
            .coverage
            .add(window("2024-11-01T00:00:00Z", "2026-11-21T00:00:00Z"), &[7]);
        let stream = Catalog::load().unwrap().get("transactional_message_details").unwrap();
        let tasks = windows(&stream, SyncMode::Incremental, &ask("2026-11-22T10:00:00Z", 5), &state).tasks;
        let longest = tasks
            .iter()
            .map(|task| task.window.to.duration_since(task.window.from))
            .max();
        assert!(longest <= Some(days(183)), "{longest:?}");
    }

    #[test]
    fn a_clock_that_went_back_looks_back_from_itself() {
        let mut state = empty();
        state.asked_since = Some(at("2026-01-01T00:00:00Z"));
        state.mark = Some(at("2026-11-21T00:00:00Z"));
        state
            .coverage
            .add(window("2026-01-01T00:00:00Z", "2026-11-21T00:00:00Z"), &[]);
        let pieces = plan(SyncMode::Incremental, &ask("2026-11-10T12:00:00Z", 2), &state);
        assert_eq!(pieces, [pair("2026-11-08T00:00:00Z", "2026-11-10T11:59:00Z")]);
    }

    #[test]
    fn bounds_are_rounded_outward_to_days() {
        let mut asked = ask("2026-11-22T10:00:00Z", 30);
        asked.since = Some(at("2026-11-03T15:00:00Z"));
        asked.until = Some(at("2026-11-05T01:00:00Z"));
        let pieces = plan(SyncMode::FullTable, &asked, &empty());
        assert_eq!(pieces, [pair("2026-11-03T00:00:00Z", "2026-11-06T00:00:00Z")]);
    }

    #[test]
    fn a_full_table_run_goes_on_where_a_young_one_stopped() {
        let asked = ask("2026-11-22T10:00:00Z", 30);
        let mut state = empty();
        state.asked_since = Some(at("2026-11-01T00:00:00Z"));
        let mut begun = crate::manifest::FullTable::begin(at("2026-11-22T01:00:00Z"), state.asked_since, None, 0);
        begun
            .done
            .add(window("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"), &[]);
        state.full_table = Some(begun);
        let rest = pair("2026-11-20T00:00:00Z", "2026-11-22T09:59:00Z");
        assert_eq!(plan(SyncMode::FullTable, &asked, &state), [rest]);
        let later = ask("2026-11-29T10:00:00Z", 30);
        assert_eq!(plan(SyncMode::FullTable, &later, &state)[0].0, "2026-11-01T00:00:00Z");
    }
}
