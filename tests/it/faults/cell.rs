//! One fault on one stream: a run with it, a run after it, and what both leave behind.

use std::fmt;
use std::fs;
use std::path::Path;

use cio2parquet::sandbox::{Behaviour, Endpoint, Workspace};
use serde_json::Value;

use super::table::{PATIENT, Promise, Promises, STREAMS};
use crate::rows::{assert_true, assert_whole, stored, truth};
use crate::support::{Door, Ran, small, stream};

/// What comes after the run that meets the hazard first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// A run without it, unless the first one has everything.
    Recovery,
    /// A full-table run with it, over a lake that has everything.
    FullTable,
}

/// One fault on one stream.
pub struct Cell {
    hazard: &'static str,
    stream: &'static str,
    promise: Promise,
    patience: u32,
    hostile: Behaviour,
    after: &'static [After],
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.hazard, self.stream)
    }
}

impl Cell {
    /// The cells of one row.
    pub fn of(
        hazard: &'static str,
        promises: &Promises,
        edit: &dyn Fn(&mut Behaviour, Endpoint),
        patience: u32,
    ) -> Vec<Self> {
        let cells = STREAMS.into_iter().zip(*promises);
        let cell = |((stream, endpoint), promise)| {
            let mut hostile = kind();
            edit(&mut hostile, endpoint);
            Self {
                hazard,
                stream,
                promise,
                patience,
                hostile,
                after: &[],
            }
        };
        cells.map(cell).collect()
    }

    pub fn followed_by(self, after: &'static [After]) -> Self {
        Self { after, ..self }
    }

    /// Runs into the hazard, and whatever comes after.
    pub fn walk(&self) {
        let door = Door::with(tiny(), self.hostile.clone());
        self.check(&door, &self.export(&door, "incremental", self.patience));
        if self.after.contains(&After::Recovery) && self.promise != Promise::Whole {
            self.recover(&door);
        }
        // Whoever believes that rows are gone takes them away.
        if self.after.contains(&After::FullTable) && self.promise != Promise::Believed {
            door.change(|behaviour| *behaviour = self.hostile.clone());
            let ran = self.export(&door, "full-table", self.patience);
            assert_whole(&door, self.stream);
            self.assert_told(&door, &ran);
        }
    }

    fn export(&self, door: &Door, mode: &str, patience: u32) -> Ran {
        let mut command = door.exporting_eagerly(&door.lake(), &[self.stream, "--since", "60d", "--sync", mode]);
        // A run that does not end fails the test, not its clock.
        command.args(["--max-duration", "60s"]);
        let ran: Ran = command
            .env("CIO2PARQUET_PATIENCE_SECONDS", patience.to_string())
            .output()
            .unwrap()
            .into();
        let key = door.sandbox.token();
        assert!(
            !ran.stdout.contains(&key) && !ran.stderr.contains(&key),
            "the key was printed"
        );
        assert!(!holds(&door.lake(), key.as_bytes()), "the key was written");
        ran
    }

    /// What a run with the fault has to say, and what it may leave behind.
    fn check(&self, door: &Door, ran: &Ran) {
        self.assert_told(door, ran);
        match self.promise {
            Promise::Whole => assert_whole(door, self.stream),
            Promise::SetAside => {
                assert_whole(door, self.stream);
                self.assert_set_aside(door, &ran.expect(8));
            }
            Promise::Failed(_) | Promise::Gaps(_) | Promise::Believed => {
                assert_true(&stored(door, self.stream), &truth(door, self.stream));
            }
        }
    }

    fn assert_told(&self, door: &Door, ran: &Ran) {
        let written = !stored(door, self.stream).is_empty();
        match self.promise {
            Promise::Whole | Promise::Believed => drop(ran.expect(0)),
            // What was set aside once is no news in the next run.
            Promise::SetAside => assert!([0, 8].contains(&ran.code), "{}\n{}", ran.code, ran.stderr),
            Promise::Gaps(words) => self.assert_error(&ran.expect(8), "gaps", words),
            Promise::Failed(words) => {
                // Over a lake that was whole before, a run may or may not have committed anything.
                let code = if written { ran.code } else { 5 };
                assert!([5, 8].contains(&code), "{code}");
                self.assert_error(&ran.expect(code), "failed", words);
                let error = stream(&ran.expect(code), self.stream)["error"].clone();
                assert!(error.as_str().unwrap().contains("/v1/"), "no request in {error}");
            }
        }
    }

    fn assert_error(&self, report: &Value, status: &str, words: &str) {
        let told = stream(report, self.stream);
        assert_eq!(told["status"], status, "{told}");
        let error = told["error"].as_str().unwrap();
        assert!(error.contains(words), "no {words:?} in {error:?}");
    }

    /// As many rows as are served and not part of the truth.
    fn assert_set_aside(&self, door: &Door, report: &Value) {
        let rejected = stream(report, self.stream)["rows"]["rejected"].as_u64().unwrap();
        let true_rows = truth(door, self.stream).len();
        let served = stream(report, self.stream)["rows"]["fetched"].as_u64().unwrap();
        assert!(rejected > 0);
        assert_eq!(served, rejected + true_rows as u64);
        let kept = fs::read_dir(door.lake().join("_rejected").join(self.stream)).unwrap();
        assert!(kept.count() > 0);
    }

    /// The next run without the fault ends with the truth, and nothing is lost that was stored.
    fn recover(&self, door: &Door) {
        let before = stored(door, self.stream);
        door.change(|behaviour| *behaviour = kind());
        let believed = self.promise == Promise::Believed;
        let mode = if believed { "full-table" } else { "incremental" };
        self.export(door, mode, PATIENT).expect(0);
        assert_whole(door, self.stream);
        let after = stored(door, self.stream);
        assert!(before.keys().all(|key| after.contains_key(key)));
    }
}

/// An API that does as documented, in pages so small that there are several of each list.
fn kind() -> Behaviour {
    Behaviour {
        largest_page: 20,
        rate: 0.0,
        ..Behaviour::default()
    }
}

/// As few rows as make several pages.
fn tiny() -> Workspace {
    Workspace {
        people: 60,
        messages: 5,
        deliveries: 150,
        activities: 90,
        days: 60,
        ..small()
    }
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .any(|path| match path.is_dir() {
            true => holds(&path, needle),
            false => fs::read(&path)
                .unwrap()
                .windows(needle.len())
                .any(|part| part == needle),
        })
}
