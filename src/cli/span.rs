//! How long something takes, and how many there are, as people read it.

/// In seven characters, for a column.
pub fn short(seconds: f64) -> String {
    match split(seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// In words.
pub fn long(seconds: f64) -> String {
    match split(seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `1 row`, `2 rows`.
pub fn counted(count: u64, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

/// In words that do not change with every second: tens of seconds, then minutes.
pub fn rough(seconds: f64) -> String {
    match split(seconds) {
        (0, 0, seconds) => format!("{} s", seconds.next_multiple_of(10)),
        (hours, minutes, seconds) => match (hours * 60 + minutes + u64::from(seconds > 30)).max(1) {
            minutes @ 0..120 => format!("{minutes} min"),
            minutes => format!("{} h {} min", minutes / 60, minutes % 60),
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float beyond the range becomes the end of it"
)]
fn split(seconds: f64) -> (u64, u64, u64) {
    let seconds = seconds.ceil() as u64;
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_up_and_fit_their_column() {
        for (seconds, narrow, wide, about) in [
            (0.0, "0 s", "0 s", "0 s"),
            (12.1, "13 s", "13 s", "20 s"),
            (59.2, "1m00s", "1 min", "1 min"),
            (190.0, "3m10s", "3 min 10 s", "3 min"),
            (7_530.0, "2h05m", "2 h 5 min", "2 h 5 min"),
            (360_000.0, "100h00m", "100 h 0 min", "100 h 0 min"),
        ] {
            assert_eq!(
                (short(seconds).as_str(), long(seconds).as_str(), rough(seconds).as_str()),
                (narrow, wide, about)
            );
            assert!(narrow.len() <= 7);
        }
    }
}
