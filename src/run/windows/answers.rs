//! What the messages of a window answered, and what that proves.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::run::parents::Parents;
use crate::run::pipeline::Reader;

/// What one message answered in one stretch of time.
#[derive(Debug)]
pub enum Answer {
    /// To the end; some rows may have been set aside.
    Read {
        /// How many.
        rejected: usize,
    },
    /// 404.
    Missing,
    /// Refused, and why.
    Unreadable(Error),
}

/// The messages of a window by what all their answers say.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Rows set aside of those that were read wherever they were asked.
    read: HashMap<i64, usize>,
    /// Not read somewhere.
    unread: HashSet<i64>,
}

impl Answers {
    /// Enters what `id` answered; a message is read when every one of its answers is.
    pub fn enter(&mut self, id: i64, answer: &Answer) {
        match answer {
            Answer::Read { rejected } => *self.read.entry(id).or_default() += rejected,
            Answer::Missing | Answer::Unreadable(_) => _ = self.unread.insert(id),
        }
    }

    /// Adds what was answered in another stretch of the same window.
    pub fn extend(&mut self, other: &Self) {
        for (id, rejected) in &other.read {
            *self.read.entry(*id).or_default() += rejected;
        }
        self.unread.extend(&other.unread);
    }

    /// Read to the end.
    pub fn read(&self) -> Vec<i64> {
        let read = self.read.keys().copied();
        read.filter(|id| !self.unread.contains(id)).collect()
    }

    /// Not read.
    pub fn unread(&self) -> Vec<i64> {
        self.unread.iter().copied().collect()
    }

    /// Read, and every row could be: only they prove what is not served any more.
    pub fn proven(&self) -> HashSet<i64> {
        let whole = self.read.iter().filter(|(_, rejected)| **rejected == 0);
        whole
            .map(|(id, _)| *id)
            .filter(|id| !self.unread.contains(id))
            .collect()
    }
}

/// Tells of a message that was not read, once in a run, however many windows it is not read in.
pub fn tell(reader: &Reader, parents: &Parents, id: i64, answer: &Answer) {
    let mut counts = reader.tally.counts();
    match answer {
        Answer::Read { .. } => {}
        Answer::Missing => {
            if counts.missing.insert(id) {
                counts.gaps.extend(parents.tell_missing(id));
            }
        }
        Answer::Unreadable(why) => {
            if counts.refused.insert(id) {
                counts.gaps.push(why.chain());
            }
        }
    }
}
