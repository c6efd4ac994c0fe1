//! The same for people.

use jiff::Timestamp;

use super::explain::{Due, Explanation, Exported};
use crate::cli::wrap::wrap;
use crate::manifest::SyncMode;
use crate::stream::{Shape, day_of};

const DAY: i64 = 86_400;

impl Explanation {
    /// A block for the file, and one for each stream.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |label: &str, text: &str| wrap(&mut out, &format!("{label:<13}"), &" ".repeat(13), text);
        line("file", &self.file);
        if let Some(description) = &self.description {
            line("description", description);
        }
        line(
            "lake",
            self.to.as_deref().unwrap_or("not named; say --to with every command"),
        );
        let store = self.store();
        if !store.is_empty() {
            line("store", &store);
        }
        line(
            "region",
            self.region.as_deref().unwrap_or("not named; both are tried, us first"),
        );
        match &self.trigger {
            None => line("trigger", "none; something else calls `cio2parquet export`"),
            Some(due) => {
                line("trigger", &format!("{} ({})", due.cron, self.timezone));
                for (number, next) in due.next.iter().enumerate() {
                    line(if number == 0 { "next runs" } else { "" }, &self.at(*next));
                }
            }
        }
        if let Some(due) = &self.full_sync {
            line("full sync", &self.full_sync(due));
        }
        for stream in &self.streams {
            out.push_str(&format!("\n{}\n", stream.stream));
            about(&mut out, stream);
        }
        out
    }

    fn store(&self) -> String {
        let store = &self.storage;
        let bucket = store
            .path_style
            .map(|path| if path { "in the path" } else { "in the host name" });
        let parts = [
            ("endpoint", store.endpoint.as_deref()),
            ("region", store.region.as_deref()),
            ("bucket", bucket),
            ("profile", store.profile.as_deref()),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter_map(|(name, said)| Some(format!("{name} {}", (*said)?)))
            .collect();
        said.join(", ")
    }

    fn full_sync(&self, due: &Due) -> String {
        let next = due.next.first().map_or("never".to_owned(), |next| self.at(*next));
        format!(
            "{} ({}); the first run at or after {next} is a full-table run, until one completes, and the next run of a table that has had none yet is one",
            due.cron, self.timezone
        )
    }

    fn at(&self, instant: Timestamp) -> String {
        instant
            .to_zoned_datetime(self.zone.clone())
            .strftime("%a %Y-%m-%d %H:%M %Z")
            .to_string()
    }
}

fn about(out: &mut String, stream: &Exported) {
    let mut line = |label: &str, text: &str| wrap(out, &format!("  {label:<11}"), &" ".repeat(13), text);
    line("table", &stream.table);
    line("sync", &stream.sync.to_string());
    if let Some(since) = since(stream) {
        line("since", &since);
    }
    if let Some(seconds) = stream.lookback {
        line("lookback", &format!("{} before the mark", span(seconds)));
    }
    for (label, paths) in [("left out", &stream.exclude), ("hashed", &stream.hash)] {
        if !paths.is_empty() {
            line(label, &paths.join(", "));
        }
    }
}

fn since(stream: &Exported) -> Option<String> {
    let whole = matches!(stream.shape, Shape::List | Shape::Snapshot);
    match (&stream.since_said, stream.since) {
        (Some(said), _) if whole => Some(format!("{said}, which changes nothing: all of it is read each time")),
        (Some(said), Some(since)) => Some(format!("{said}: from {} on", day_of(since))),
        _ => match stream.shape {
            Shape::Windows { first_days, .. } if stream.sync == SyncMode::Incremental => {
                Some(format!("not given; the first run takes {first_days} days"))
            }
            _ => None,
        },
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        DAY => "1 day".to_owned(),
        _ if seconds % DAY == 0 => format!("{} days", seconds / DAY),
        _ if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
