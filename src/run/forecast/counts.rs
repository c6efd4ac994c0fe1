//! How much each transactional message has sent, by the API's own counts: one request each, several in flight.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::plan::WindowPlan;
use crate::plan::forecast::Counted;
use crate::run::counts::{Counter, Counts};
use crate::source::{Meter, Source};
use crate::stream::Stream;

/// Requests in flight at most; the limiter decides how many are sent.
const IN_FLIGHT: usize = 12;

/// More ids than this are not told one by one.
const TOLD: usize = 5;

/// Knows whom to ask.
pub struct Teller<'a> {
    pub source: &'a Source,
    /// The run's idea of now: its month is the last one that is counted.
    pub now: Timestamp,
}

impl Teller<'_> {
    /// What each message that `plan` asks has counted back to the plan's beginning, and what to say about those that could not be asked.
    ///
    /// # Errors
    /// Key; internal, when no stream counts.
    pub async fn tell(
        &self,
        stream: &Stream,
        plan: &WindowPlan,
        all: &[i64],
    ) -> Result<(BTreeMap<i64, Counted>, Vec<String>)> {
        let ids = asked(plan, all);
        let since = plan.tasks.iter().map(|task| task.window.from).min();
        let (Some(since), false) = (since, ids.is_empty()) else {
            return Ok((BTreeMap::new(), Vec::new()));
        };
        let counter = Counter::new(stream, since, self.now)?;
        let meter = Meter::default();
        let ask = async |id| Ok::<_, Error>((id, counter.ask(self.source, &meter, id).await?));
        let answers = futures::stream::iter(ids.clone()).map(ask);
        let mut answers = std::pin::pin!(answers.buffer_unordered(IN_FLIGHT));
        let (mut counted, mut told) = (BTreeMap::new(), Told::default());
        while let Some((id, answer)) = answers.try_next().await? {
            if let Counts::Forbidden(why) = answer {
                let notes = vec![why];
                return Ok((ids.into_iter().map(|id| (id, Counted::Unknown)).collect(), notes));
            }
            counted.insert(id, told.hear(id, answer));
        }
        Ok((counted, told.notes()))
    }
}

/// The messages that `plan` asks, out of `all`.
fn asked(plan: &WindowPlan, all: &[i64]) -> BTreeSet<i64> {
    let asked = plan.tasks.iter().flat_map(|task| task.only.as_deref().unwrap_or(all));
    asked.copied().collect()
}

/// Whose counts are not known.
#[derive(Debug, Default)]
struct Told {
    missing: BTreeSet<i64>,
    unknown: BTreeSet<i64>,
    why: Option<String>,
}

impl Told {
    fn hear(&mut self, id: i64, answer: Counts) -> Counted {
        match answer {
            Counts::Months(months) => Counted::Months(months),
            Counts::Missing => {
                self.missing.insert(id);
                Counted::Missing
            }
            Counts::Unknown(why) | Counts::Forbidden(why) => {
                self.unknown.insert(id);
                self.why.get_or_insert(why);
                Counted::Unknown
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let missing = (!self.missing.is_empty()).then(|| format!("not there any more (404): {}", ids(&self.missing)));
        let why = self.why.as_deref().unwrap_or_default();
        let unknown = (!self.unknown.is_empty()).then(|| format!("could not be asked: {}: {why}", ids(&self.unknown)));
        missing.into_iter().chain(unknown).collect()
    }
}

fn ids(ids: &BTreeSet<i64>) -> String {
    let shown: Vec<String> = ids.iter().take(TOLD).map(i64::to_string).collect();
    let more = ids.len().saturating_sub(TOLD);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let word = if ids.len() == 1 { "message" } else { "messages" };
    format!("transactional {word} {}{more}", shown.join(", "))
}
