//! The loop of `schedule`: wait, run, tell, and again. Whatever it waits by and runs is an argument.

use jiff::Timestamp;

use crate::cli::summary;
use crate::plan::{Schedule, Trigger, Turn};

/// What the loop needs of the world.
pub trait World {
    /// What the clock on the wall shows.
    fn now(&mut self) -> Timestamp;

    /// Waits until `until`, or for a while; `false` when it is time to end.
    async fn wait(&mut self, until: Timestamp) -> bool;

    /// A run with `now` as its idea of now.
    async fn run(&mut self, now: Timestamp) -> Ran;

    /// Tells a person how it goes.
    fn say(&mut self, text: &str);
}

/// What a run came to.
pub struct Ran {
    /// Its exit code.
    pub code: u8,
    /// What the config file says the trigger is now; `None` where that cannot be told, then the one before stays.
    pub trigger: Option<Trigger>,
    /// It is time to end.
    pub last: bool,
}

/// Runs at each trigger until it is time to end; answers the exit code of the process.
pub async fn keep(mut schedule: Schedule, world: &mut impl World) -> u8 {
    loop {
        let now = world.now();
        match schedule.turn(now) {
            Turn::Wait(until) => {
                if !world.wait(until).await {
                    return 0;
                }
            }
            Turn::Run(due) => {
                world.say(&format!(
                    "a run begins, for the trigger at {}",
                    schedule.trigger().local(due)
                ));
                let ran = world.run(now).await;
                if ran.last {
                    return ran.code;
                }
                if let Some(trigger) = ran.trigger {
                    schedule.follow(trigger);
                }
                let ended = format!("{} (exit code {})", summary::ending(ran.code), ran.code);
                let next = next(&schedule, world.now());
                world.say(&format!("{ended}; {next}"));
            }
        }
    }
}

fn next(schedule: &Schedule, now: Timestamp) -> String {
    match schedule.next() {
        next if next <= now => "a trigger was missed meanwhile, so the next run begins at once".to_owned(),
        next => format!("the next run is at {}", schedule.trigger().local(next)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::plan::full_sync_due;

    const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

    /// A world whose clock moves when it is waited for or worked on, and how the tables of the lake fared in it.
    struct Faked {
        now: Timestamp,
        end: Timestamp,
        /// How long each run takes, again and again.
        takes: Vec<SignedDuration>,
        /// The machine sleeps through these.
        sleeps: Vec<(Timestamp, Timestamp)>,
        full_sync: Trigger,
        full_synced: Option<Timestamp>,
        runs: Vec<Run>,
    }

    #[derive(Debug)]
    struct Run {
        began: Timestamp,
        ended: Timestamp,
        full: bool,
    }

    impl World for Faked {
        fn now(&mut self) -> Timestamp {
            self.now
        }

        async fn wait(&mut self, until: Timestamp) -> bool {
            assert!(until > self.now, "waits for what is over");
            self.now = until.min(self.now + SignedDuration::from_mins(61));
            let asleep = self
                .sleeps
                .iter()
                .find(|(from, to)| *from <= self.now && self.now < *to);
            self.now = asleep.map_or(self.now, |(_, to)| *to);
            self.now < self.end
        }

        async fn run(&mut self, now: Timestamp) -> Ran {
            assert_eq!(now, self.now);
            let full = full_sync_due(&self.full_sync, now, self.full_synced);
            if full {
                self.full_synced = Some(now);
            }
            self.now += self.takes[self.runs.len() % self.takes.len()];
            self.runs.push(Run {
                began: now,
                ended: self.now,
                full,
            });
            Ran {
                code: 0,
                trigger: None,
                // Where runs take longer than the interval, it is never waited.
                last: self.now >= self.end,
            }
        }

        fn say(&mut self, _: &str) {}
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A year of `trigger`, from the first of January.
    fn year(trigger: &Trigger, takes: &[SignedDuration], sleeps: &[(Timestamp, Timestamp)]) -> Faked {
        let mut world = Faked {
            now: at("2026-01-01T00:00:00Z"),
            end: at("2027-01-01T00:00:00Z"),
            takes: takes.to_vec(),
            sleeps: sleeps.to_vec(),
            full_sync: Trigger::parse("0 4 * * SUN", "Europe/Berlin").unwrap(),
            full_synced: None,
            runs: Vec::new(),
        };
        let schedule = Schedule::new(trigger.clone(), world.now);
        let code = futures::executor::block_on(keep(schedule, &mut world));
        assert_eq!(code, 0);
        world
    }

    #[test]
    fn every_night_of_a_year_is_run_once_at_the_hour_on_the_wall() {
        let trigger = Trigger::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let world = year(&trigger, &[SignedDuration::from_mins(40)], &[]);
        assert_eq!(world.runs.len(), 365);
        let odd: Vec<String> = world.runs.iter().map(|run| trigger.local(run.began)).collect();
        let odd: Vec<&String> = odd.iter().filter(|local| !local.contains(" 02:30+")).collect();
        assert_eq!(odd, ["2026-03-29 03:30+02:00"]);
        let full: Vec<String> = world
            .runs
            .iter()
            .filter(|run| run.full)
            .map(|run| trigger.local(run.began))
            .collect();
        // The first run, and then each Monday at half past two: the first run after Sunday at four.
        assert_eq!(full.len(), 1 + 52);
        assert_eq!(
            full[..3],
            [
                "2026-01-01 02:30+01:00",
                "2026-01-05 02:30+01:00",
                "2026-01-12 02:30+01:00"
            ]
        );
        assert!(full.contains(&"2026-03-30 02:30+02:00".to_owned()));
    }

    #[test]
    fn a_machine_that_slept_for_a_week_catches_up_once() {
        let trigger = Trigger::parse("0 */6 * * *", "UTC").unwrap();
        let asleep = (at("2026-05-01T01:00:00Z"), at("2026-05-08T02:00:00Z"));
        let world = year(&trigger, &[SignedDuration::from_mins(1)], &[asleep]);
        assert_eq!(world.runs.len(), 365 * 4 - 1 - 28 + 1);
        let after: Vec<Timestamp> = world
            .runs
            .iter()
            .map(|run| run.began)
            .filter(|began| *began >= asleep.0)
            .collect();
        assert_eq!(after[..2], [at("2026-05-08T02:00:00Z"), at("2026-05-08T06:00:00Z")]);
    }

    #[test]
    fn it_ends_with_the_run_that_a_signal_has_ended() {
        struct Ending;
        impl World for Ending {
            fn now(&mut self) -> Timestamp {
                at("2026-11-20T03:00:00Z")
            }
            async fn wait(&mut self, _: Timestamp) -> bool {
                unreachable!("a trigger is due")
            }
            async fn run(&mut self, _: Timestamp) -> Ran {
                Ran {
                    code: 130,
                    trigger: None,
                    last: true,
                }
            }
            fn say(&mut self, _: &str) {}
        }
        let trigger = Trigger::parse("@daily", "UTC").unwrap();
        let schedule = Schedule::new(trigger, at("2026-11-19T03:00:00Z"));
        assert_eq!(futures::executor::block_on(keep(schedule, &mut Ending)), 130);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever the trigger, however long runs take, whenever the machine sleeps: no two runs overlap, each has a trigger of its own,
        /// none comes later than it must, and none is left out.
        #[test]
        fn a_year_of_any_trigger(
            minute in 0..60_u32,
            hour in prop_oneof![Just("*".to_owned()), Just("*/4".to_owned()), (0..24_u32).prop_map(|hour| hour.to_string()), Just("1,2,3,14".to_owned())],
            zone in 0..ZONES.len(),
            takes in proptest::collection::vec(1..600_i64, 1..5),
            asleep in proptest::collection::vec((0..364_i64, 1..10_000_i64), 0..4),
        ) {
            let trigger = Trigger::parse(&format!("{minute} {hour} * * *"), ZONES[zone]).unwrap();
            let takes: Vec<SignedDuration> = takes.into_iter().map(SignedDuration::from_mins).collect();
            let sleeps: Vec<(Timestamp, Timestamp)> = asleep.into_iter().map(|(day, minutes)| {
                let from = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
                (from, from + SignedDuration::from_mins(minutes))
            }).collect();
            let world = year(&trigger, &takes, &sleeps);
            let start = at("2026-01-01T00:00:00Z");
            let mut done = start;
            let mut free = start;
            for run in &world.runs {
                prop_assert!(run.began >= free, "{run:?} overlaps the one before");
                let due = trigger.last(run.began).unwrap();
                prop_assert!(due > done, "{run:?} has no trigger of its own");
                // At the first trigger that was not dealt with, or, where the run before or a sleep was in its way, right after.
                let first = trigger.next(done).unwrap();
                let woken = sleeps.iter().map(|(_, to)| *to).any(|to| to == run.began);
                prop_assert!(run.began == first || run.began == free || woken, "{run:?} could have begun at {first}");
                (done, free) = (due, run.ended);
            }
            let next = trigger.next(done).unwrap();
            let overslept = sleeps.iter().any(|(from, to)| *from < world.end && world.end <= *to);
            prop_assert!(next >= world.end || overslept || free >= world.end, "the trigger at {next} was left out");
            let mut full = None;
            for run in &world.runs {
                prop_assert_eq!(run.full, full_sync_due(&world.full_sync, run.began, full));
                full = if run.full { Some(run.began) } else { full };
            }
        }
    }
}
