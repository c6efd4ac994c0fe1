//! The clock on the wall of `schedule`, and waiting by it.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::cli::settings::{CLOCK, Environment};
use crate::error::{Error, Result};

/// A machine that sleeps, or whose clock is set, does not tell: the clock is looked at this often.
const LOOK: Duration = Duration::from_secs(30);

/// No wait is shorter, so that a clock that stands still does not keep a processor busy.
const LEAST: Duration = Duration::from_millis(1);

/// The machine's clock, or one for tests.
pub struct Clock {
    simulated: Option<Simulated>,
}

/// A clock that is as fast as the machine's while a run goes on, and so many times as fast while `schedule` waits: a slow machine then
/// misses no trigger.
struct Simulated {
    at: Timestamp,
    read: Instant,
    times: f64,
}

impl Clock {
    /// The machine's clock unless the environment names another.
    ///
    /// # Errors
    /// Input, naming the variable and the form.
    pub fn of(environment: &Environment) -> Result<Self> {
        let simulated = environment.get(CLOCK).map(|text| {
            Simulated::parse(text).ok_or_else(|| {
                Error::input(format!(
                    "{CLOCK} is {text:?}, no clock; write an instant and how many times as fast, 2026-03-27T00:00:00Z*43200"
                ))
            })
        });
        Ok(Self {
            simulated: simulated.transpose()?,
        })
    }

    /// What it shows.
    pub fn now(&mut self) -> Timestamp {
        self.simulated.as_mut().map_or_else(Timestamp::now, Simulated::now)
    }

    /// Waits until it shows `until`, or for a while.
    pub async fn wait(&mut self, until: Timestamp) {
        let left = until.duration_since(self.now());
        let left = Duration::try_from(left).unwrap_or_default();
        match &mut self.simulated {
            None => tokio::time::sleep(left.clamp(LEAST, LOOK)).await,
            Some(clock) => {
                let pause = left.div_f64(clock.times).clamp(LEAST, LOOK);
                tokio::time::sleep(pause).await;
                clock.forward(pause.mul_f64(clock.times).min(left));
            }
        }
    }
}

impl Simulated {
    fn parse(text: &str) -> Option<Self> {
        let (at, times) = text.split_once('*')?;
        let times = times.parse::<f64>().ok().filter(|times| (1.0..=1e7).contains(times))?;
        Some(Self {
            at: at.parse().ok()?,
            read: Instant::now(),
            times,
        })
    }

    fn now(&mut self) -> Timestamp {
        let read = Instant::now();
        let passed = read.duration_since(self.read);
        self.at = later(self.at, passed);
        self.read = read;
        self.at
    }

    /// So much has passed since the clock was read last, however long that took.
    fn forward(&mut self, by: Duration) {
        self.at = later(self.at, by);
        self.read = Instant::now();
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_shows_what_was_waited_for() {
        let mut clock = Clock {
            simulated: Simulated::parse("2026-03-27T00:00:00Z*43200"),
        };
        let until: Timestamp = "2026-03-27T06:00:00Z".parse().unwrap();
        while clock.now() < until {
            clock.wait(until).await;
        }
        assert!(clock.now().duration_since(until) < SignedDuration::from_mins(5));
    }

    #[test]
    fn a_clock_needs_an_instant_and_a_speed() {
        for text in [
            "2026-03-27T00:00:00Z",
            "yesterday*2",
            "2026-03-27T00:00:00Z*0",
            "2026-03-27T00:00:00Z*NaN",
        ] {
            assert!(Simulated::parse(text).is_none(), "{text}");
        }
    }
}
