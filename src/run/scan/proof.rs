//! What a scan proves in a full-table run, day by day: which days it has passed whole, what it met there, and what it did not.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::columnar::Fetched;
use crate::manifest::FullTable;
use crate::run::committer::day;
use crate::run::pipeline::Ended;
use crate::run::removal::{spare, speak_against};
use crate::storage::layout;
use crate::stream::{Window, whole_day};

/// The time for which a complete scan proves what is not served: what the API promises still, up to the beginning of the scan.
pub fn removal_window(promised: Timestamp, full: &FullTable) -> Option<Window> {
    Window::new(full.from.map_or(promised, |from| from.max(promised)), full.now)
}

/// Whether the scan has passed the whole of `day` since the last commit. A day is proven once: rows of it that turn up later are
/// taken off its candidates.
pub fn newly_passed(full: &FullTable, window: Window, reached: Option<Date>, day: Date) -> bool {
    let whole = whole_day(day).filter(|whole| whole.intersection(&window).is_some());
    reached.is_none_or(|reached| day > reached) && whole.is_some_and(|whole| !full.done.uncovered(whole).is_empty())
}

/// Remembers the keys met in days of `window` that are not passed yet, and spares those met in days that are.
///
/// # Errors
/// Storage, when fetched keys cannot be read.
pub fn note(full: &mut FullTable, fetched: &Arc<Fetched>, proven: &HashSet<Date>, window: Window) -> Result<(), Ended> {
    for key in fetched.partitions() {
        let Some((day, whole)) = day(&key).and_then(|day| Some((day, whole_day(day)?))) else {
            continue;
        };
        let path = layout::partition_name(Some(day));
        if full.done.uncovered(whole).is_empty() {
            spare(&mut full.candidates, &path, fetched)?;
        } else if !proven.contains(&day) && whole.intersection(&window).is_some() {
            full.met.entry(path).or_default().extend(fetched.keys(&key)?);
        }
    }
    for whole in proven.iter().filter_map(|day| whole_day(*day)) {
        full.done.add(whole, &[]);
    }
    Ok(())
}

/// Enters stored rows of a proven day that were not served, except those met before.
pub fn candidates(full: &mut FullTable, path: &str, unfetched: &[String]) {
    let met: HashSet<String> = full.met.remove(path).unwrap_or_default().into_iter().collect();
    let missing: Vec<String> = unfetched.iter().filter(|key| !met.contains(*key)).cloned().collect();
    if !missing.is_empty() {
        speak_against(full, path, missing);
    }
}
