//! Whether a table is due for a full-table run.

use jiff::Timestamp;

use super::Trigger;

/// Whether a run at `now` is to be a full-table run: `full_sync` has come round since `full_synced`, the idea of now of the last full-table
/// run that was completed, or none was.
///
/// One that is not completed leaves the table due, so the next run is a full-table run too, and goes on with it.
pub fn full_sync_due(full_sync: &Trigger, now: Timestamp, full_synced: Option<Timestamp>) -> bool {
    full_synced.is_none_or(|done| full_sync.last(now).is_some_and(|due| due > done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_at_or_after_it_is_due_until_one_completes() {
        let sundays = Trigger::parse("0 4 * * SUN", "Europe/Berlin").unwrap();
        let due = |now: &str, done: Option<&str>| {
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            full_sync_due(&sundays, at(now), done.map(at))
        };
        assert!(due("2026-03-25T03:00:00Z", None));
        assert!(!due("2026-03-28T03:00:00Z", Some("2026-03-22T03:00:00Z")));
        // On that Sunday the clock is set forward at two, so that four comes at two in UTC.
        assert!(!due("2026-03-29T01:59:59Z", Some("2026-03-22T03:00:00Z")));
        assert!(due("2026-03-29T02:00:00Z", Some("2026-03-22T03:00:00Z")));
        assert!(due("2026-04-02T03:00:00Z", Some("2026-03-22T03:00:00Z")));
        assert!(!due("2026-03-30T03:00:00Z", Some("2026-03-29T02:00:00Z")));
        // Somebody has made a full-table run by hand since.
        assert!(!due("2026-03-30T03:00:00Z", Some("2026-03-29T12:00:00Z")));
        // A replay of the past is not due for what was done later.
        assert!(!due("2026-03-15T04:00:00Z", Some("2026-03-29T12:00:00Z")));
    }
}
