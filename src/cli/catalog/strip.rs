//! What of a table's history is complete: a line for each year, a cell for each month.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::manifest::{Coverage, Gap};
use crate::stream::{Window, day_of};

/// What the cells mean.
pub const LEGEND: &str = "█ whole  ▒ in part  · nothing  × with a gap";

/// Stands over the cells, which begin in the same column.
pub const MONTHS: &str = "      J F M A M J J A S O N D";

/// A line for each year from the first month of which anything is known to the last; the last month is whole when it is complete as
/// far as anything is.
pub fn strip(coverage: &Coverage, gaps: &[Gap]) -> Vec<String> {
    let covered = coverage.windows().iter().map(|covered| (covered.from, covered.to));
    let known: Vec<(Timestamp, Timestamp)> = covered.chain(gaps.iter().map(|gap| (gap.from, gap.to))).collect();
    let first = known.iter().map(|(from, _)| *from).min();
    let last = known.iter().map(|(_, to)| *to).max();
    let Some(whole) = first.zip(last).and_then(|(from, to)| Window::new(from, to)) else {
        return Vec::new();
    };
    let years = day_of(whole.from).year()..=day_of(whole.to).year();
    years
        .map(|year| {
            let cells = (1..=12).map(|number| match month(year, number) {
                Some(month) if month.from < whole.to => cell(month, whole.to, coverage, gaps),
                _ => ' ',
            });
            let cells = cells.map(|cell| format!(" {cell}")).collect::<String>();
            format!("{year} {}", cells.trim_end())
        })
        .collect()
}

fn cell(month: Window, end: Timestamp, coverage: &Coverage, gaps: &[Gap]) -> char {
    let lies_in = |window: &Window| window.intersection(&month).is_some();
    if gaps
        .iter()
        .filter_map(|gap| Window::new(gap.from, gap.to))
        .any(|gap| lies_in(&gap))
    {
        return '×';
    }
    let wanted = Window::new(month.from, month.to.min(end)).unwrap_or(month);
    let unread = coverage.unread().iter().any(|(window, _)| lies_in(window));
    match (
        coverage.intersects(month),
        coverage.uncovered(wanted).is_empty() && !unread,
    ) {
        (false, _) => '·',
        (true, true) => '█',
        (true, false) => '▒',
    }
}

fn month(year: i16, number: i8) -> Option<Window> {
    let start = |year, month| TimeZone::UTC.to_timestamp(date(year, month, 1).at(0, 0, 0, 0)).ok();
    let next = match number {
        12 => start(year.checked_add(1)?, 1),
        _ => start(year, number + 1),
    };
    Window::new(start(year, number)?, next?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str) -> Window {
        let at = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
        Window::new(at(from), at(to)).unwrap()
    }

    #[test]
    fn a_month_is_whole_in_part_nothing_or_has_a_gap() {
        let mut coverage = Coverage::default();
        coverage.add(window("2024-11-23", "2025-02-01"), &[]);
        coverage.add(window("2025-03-01", "2025-06-01"), &[]);
        coverage.add(window("2025-04-01", "2025-05-01"), &[7]);
        let gap = window("2025-07-03", "2025-07-05");
        let gaps = [Gap {
            from: gap.from,
            to: gap.to,
            reason: "older than what is served".into(),
        }];
        coverage.add(window("2025-07-05", "2025-08-10"), &[]);
        assert_eq!(
            strip(&coverage, &gaps),
            ["2024  · · · · · · · · · · ▒ █", "2025  █ · █ ▒ █ · × █"]
        );
    }

    #[test]
    fn nothing_known_is_no_strip() {
        assert!(strip(&Coverage::default(), &[]).is_empty());
    }

    #[test]
    fn a_december_that_ends_with_the_year_is_whole() {
        let mut coverage = Coverage::default();
        coverage.add(window("2025-12-01", "2026-01-01"), &[]);
        let strip = strip(&coverage, &[]);
        assert_eq!(strip[0], "2025  · · · · · · · · · · · █");
    }
}
