//! The partition that a row belongs to.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::stream::day_of;

/// Which object of a table holds a row; its text is the path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartitionKey {
    /// The only one, or the one that the caller names.
    None,
    /// A UTC day.
    Day(Date),
}

impl PartitionKey {
    /// The day of a row with this partition time.
    pub fn of(time: Timestamp) -> Self {
        Self::Day(day_of(time))
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Day(day) => write!(f, "date={day}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_path_segment_and_sorts_by_date() {
        let day = |text: &str| PartitionKey::of(text.parse().unwrap());
        assert_eq!(day("2026-11-22T23:59:59.999999Z").to_string(), "date=2026-11-22");
        assert_eq!(PartitionKey::None.to_string(), "");
        assert!(day("1969-12-31T23:59:59Z") < day("1970-01-01T00:00:00Z"));
    }
}
