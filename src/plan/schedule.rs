//! Which trigger is due, and how long nothing is.

use jiff::{SignedDuration, Timestamp};

use super::Trigger;

/// A clock that is set back by less comes round to the triggers that were dealt with, and they are not repeated. Beyond that it was wrong
/// before, and what it said then must not keep triggers from being due.
const SET_BACK: SignedDuration = SignedDuration::from_hours(24);

/// The triggers that were dealt with, and those that were not.
#[derive(Debug)]
pub struct Schedule {
    trigger: Trigger,
    /// Everything up to here was dealt with.
    dealt: Timestamp,
}

/// What to do at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Run, for this trigger and all that were missed before it.
    Run(Timestamp),
    /// Nothing until then.
    Wait(Timestamp),
}

impl Schedule {
    /// Everything after `since` is due.
    pub fn new(trigger: Trigger, since: Timestamp) -> Self {
        Self { trigger, dealt: since }
    }

    /// The trigger.
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Another trigger from now on; what was dealt with stays so.
    pub fn follow(&mut self, trigger: Trigger) {
        self.trigger = trigger;
    }

    /// What to do at `now`; a trigger that is answered with is dealt with.
    pub fn turn(&mut self, now: Timestamp) -> Turn {
        if self.dealt.duration_since(now) > SET_BACK {
            self.dealt = now;
        }
        match self.trigger.last(now).filter(|last| *last > self.dealt) {
            Some(last) => {
                // A trigger that is changed meanwhile has been due before, but not since this run began.
                self.dealt = now;
                Turn::Run(last)
            }
            None => Turn::Wait(self.next()),
        }
    }

    /// The first trigger that was not dealt with.
    pub fn next(&self) -> Timestamp {
        self.trigger.next(self.dealt).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(since: &str) -> Schedule {
        Schedule::new(Trigger::parse("0 3 * * *", "UTC").unwrap(), at(since))
    }

    #[test]
    fn what_was_missed_becomes_one() {
        let mut schedule = schedule("2026-11-20T03:00:00Z");
        assert_eq!(
            schedule.turn(at("2026-11-20T12:00:00Z")),
            Turn::Wait(at("2026-11-21T03:00:00Z"))
        );
        assert_eq!(
            schedule.turn(at("2026-11-24T12:00:00Z")),
            Turn::Run(at("2026-11-24T03:00:00Z"))
        );
        assert_eq!(
            schedule.turn(at("2026-11-24T12:00:01Z")),
            Turn::Wait(at("2026-11-25T03:00:00Z"))
        );
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_repeats_nothing() {
        let mut schedule = schedule("2026-11-20T12:00:00Z");
        assert_eq!(
            schedule.turn(at("2026-11-21T03:00:00Z")),
            Turn::Run(at("2026-11-21T03:00:00Z"))
        );
        assert_eq!(
            schedule.turn(at("2026-11-21T02:00:00Z")),
            Turn::Wait(at("2026-11-22T03:00:00Z"))
        );
        assert_eq!(
            schedule.turn(at("2026-11-21T03:00:00Z")),
            Turn::Wait(at("2026-11-22T03:00:00Z"))
        );
    }

    #[test]
    fn a_clock_that_was_far_ahead_does_not_stop_it() {
        let mut schedule = schedule("2026-11-20T12:00:00Z");
        assert_eq!(
            schedule.turn(at("2036-01-01T12:00:00Z")),
            Turn::Run(at("2036-01-01T03:00:00Z"))
        );
        assert_eq!(
            schedule.turn(at("2026-11-21T02:00:00Z")),
            Turn::Wait(at("2026-11-21T03:00:00Z"))
        );
    }

    #[test]
    fn another_trigger_is_followed_from_now_on() {
        let mut schedule = schedule("2026-11-20T12:00:00Z");
        schedule.turn(at("2026-11-21T03:00:00Z"));
        schedule.follow(Trigger::parse("0 */6 * * *", "UTC").unwrap());
        assert_eq!(
            schedule.turn(at("2026-11-21T03:10:00Z")),
            Turn::Wait(at("2026-11-21T06:00:00Z"))
        );
        // A run that made up for the night is not made up for.
        assert_eq!(
            schedule.turn(at("2026-11-21T09:00:00Z")),
            Turn::Run(at("2026-11-21T06:00:00Z"))
        );
        schedule.follow(Trigger::parse("0 8 * * *", "UTC").unwrap());
        assert_eq!(
            schedule.turn(at("2026-11-21T09:10:00Z")),
            Turn::Wait(at("2026-11-22T08:00:00Z"))
        );
    }
}
