//! From where to where a newest-first scan reads, and what it can read no more.

use jiff::{SignedDuration, Timestamp};

use super::ask::{Ask, back, may_continue};
use crate::manifest::{ScanProgress, SyncMode, TableState};
use crate::stream::{Shape, Stream, Window, days};

/// What is read on top of an unfinished scan overlaps what was read by this much.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);

/// From where to where a newest-first scan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlan {
    /// The scan ends when whole pages are older; `None` reads everything served.
    pub lower: Option<Timestamp>,
    /// Where an earlier scan stopped.
    pub resume: Option<ScanProgress>,
    /// A stretch of time that was not read and that the API does not promise to serve any more.
    pub lost: Option<Window>,
    /// The same of the days with which a first scan would have begun, had it been finished at once: no gap in what was exported ever.
    pub aged: Option<Window>,
}

/// From where to where a run of a newest-first `stream` reads, given what stands in the manifest.
pub fn scan(stream: &Stream, sync: SyncMode, ask: &Ask, state: &TableState) -> ScanPlan {
    let retention = match stream.sync {
        Shape::Scan { retention_days, .. } => days(retention_days),
        _ => SignedDuration::ZERO,
    };
    let promised = back(ask.now, retention);
    let due = state.mark.map(|mark| lower_bound(mark, promised, ask, state));
    // A first scan has no mark yet that would bring back what a later beginning leaves out: it is read to its own end.
    let of_full = state.full_table.as_ref().and_then(|full| full.scan.as_ref());
    let first = state.scan.as_ref().or(of_full).filter(|_| state.mark.is_none());
    let lost = lost(promised, state, first);
    let aged = first.and_then(|scan| aged(promised, retention, scan));
    let to_its_end = |asked: Option<Timestamp>| first.map_or(asked, |scan| Some(asked?.min(scan.lower?)));
    if sync == SyncMode::FullTable {
        let lower = to_its_end(ask.begin(due));
        // What was read of an older range serves a newer one too; it has to be read to its own end.
        let reaches = |from: Option<Timestamp>| from.is_none_or(|from| lower.is_some_and(|lower| from <= lower));
        let progress = state.full_table.as_ref();
        let fits = progress.filter(|progress| may_continue(progress.now, ask) && reaches(progress.from));
        return ScanPlan {
            lower: fits.map_or(lower, |progress| progress.from),
            resume: fits.and_then(|progress| progress.scan.clone()),
            lost,
            aged,
        };
    }
    ScanPlan {
        lower: to_its_end(ask.begin(due).or(due)),
        resume: state.scan.clone(),
        lost,
        aged,
    }
}

/// What lies before `promised` and was not read since the mark, or since a first scan began or was gone on with.
fn lost(promised: Timestamp, state: &TableState, first: Option<&ScanProgress>) -> Option<Window> {
    let read = state.mark.or(first.map(|scan| scan.topped.unwrap_or(scan.upper)));
    read.and_then(|read| Window::new(read, promised))
}

/// What a first scan had still before it when it was broken off, and what lies before `promised` by now.
fn aged(promised: Timestamp, retention: SignedDuration, first: &ScanProgress) -> Option<Window> {
    // What was not promised when it began is not missed.
    let was_promised = back(first.upper, retention);
    let bound = first.lower.map_or(was_promised, |lower| lower.max(was_promised));
    Window::new(bound, first.reached.min(promised))
}

/// Down to where a run reads on top of an unfinished scan that it goes on with.
pub fn top(scan: &ScanProgress) -> Timestamp {
    back(scan.topped.unwrap_or(scan.upper), OVERLAP)
}

/// The lookback before the mark, or an uncovered day before that if it can still be served.
fn lower_bound(mark: Timestamp, promised: Timestamp, ask: &Ask, state: &TableState) -> Timestamp {
    let bound = back(mark.min(ask.now), ask.lookback);
    // Where the first days are gone the coverage begins too late to show it.
    let start = [state.asked_since, state.coverage.start()].into_iter().flatten().min();
    let hole = start
        .and_then(|start| Window::new(start.max(promised), bound))
        .and_then(|range| state.coverage.uncovered(range).first().map(|hole| hole.from));
    hole.map_or(bound, |hole| hole.min(bound))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, at, empty, window};
    use super::*;
    use crate::stream::Catalog;

    #[test]
    fn an_old_mark_leaves_a_gap_that_is_told() {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let mut state = empty();
        state.mark = Some(at("2026-10-01T00:00:00Z"));
        let plan = scan(&stream, SyncMode::Incremental, &ask("2026-11-22T00:00:00Z", 7), &state);
        assert_eq!(plan.lower, Some(at("2026-09-24T00:00:00Z")));
        let lost = Some(window("2026-10-01T00:00:00Z", "2026-10-23T00:00:00Z"));
        assert_eq!(plan.lost, lost);
        let full = scan(&stream, SyncMode::FullTable, &ask("2026-11-22T00:00:00Z", 7), &state);
        assert_eq!(full.lost, lost);
    }

    #[test]
    fn what_a_first_scan_did_not_get_to_is_known() {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let mut state = empty();
        for lower in [None, Some(at("2026-01-01T00:00:00Z"))] {
            state.scan = Some(ScanProgress {
                upper: at("2026-11-20T00:00:00Z"),
                lower,
                reached: at("2026-11-10T00:00:00Z"),
                cursor: None,
                topped: Some(at("2026-11-22T00:00:00Z")),
            });
            let plan = |now: &str| scan(&stream, SyncMode::Incremental, &ask(now, 7), &state);
            let early = plan("2026-11-20T01:00:00Z");
            assert_eq!(early.lost, None);
            assert_eq!(early.aged, Some(window("2026-10-21T00:00:00Z", "2026-10-21T01:00:00Z")));
            let late = plan("2026-12-24T00:00:00Z");
            assert_eq!(late.lost, Some(window("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")));
            assert_eq!(late.aged, Some(window("2026-10-21T00:00:00Z", "2026-11-10T00:00:00Z")));
        }
    }
}
