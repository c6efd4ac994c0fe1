//! Times, windows and states, for the tests of this room.

use jiff::Timestamp;

use super::Ask;
use crate::manifest::{SchemaRef, TableState};
use crate::stream::{Window, days};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn window(from: &str, to: &str) -> Window {
    Window::new(at(from), at(to)).unwrap()
}

pub(super) fn ask(now: &str, lookback_days: u32) -> Ask {
    Ask {
        standing: None,
        since: None,
        until: None,
        lookback: days(lookback_days),
        now: at(now),
    }
}

pub(super) fn empty() -> TableState {
    let schema = SchemaRef {
        version: 1,
        fingerprint: String::new(),
    };
    TableState::new("s", "t", schema)
}
