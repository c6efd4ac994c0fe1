//! How much each transactional message has sent, by the API's own counts: one request each, several in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::columnar::{PageContext, PageDecoder};
use crate::error::{Error, Result};
use crate::plan::forecast::Counted;
use crate::plan::{Months, WindowPlan};
use crate::run::lists;
use crate::source::{FetchError, Meter, Request, Response, Source};
use crate::stream::{Catalog, Shape, Stream};

/// Requests in flight at most; the limiter decides how many are sent.
const IN_FLIGHT: usize = 12;

/// What counts every delivery.
const CREATED: &str = "created";

/// What counts a part of the deliveries each; the largest comes closest where `CREATED` cannot be read.
const PARTS: [&str; 7] = [
    "attempted",
    "sent",
    "delivered",
    "drafted",
    "failed",
    "suppressed",
    "undeliverable",
];

/// More ids than this are not told one by one.
const TOLD: usize = 5;

/// Knows whom to ask.
pub struct Teller<'a> {
    pub source: &'a Source,
    pub catalog: &'a Catalog,
    /// The run's idea of now: its month is the last one that is counted.
    pub now: Timestamp,
}

/// What one message answered.
enum Answer {
    Counts(Vec<u64>),
    Missing,
    /// Why it is not known.
    Unknown(String),
    /// The key may not read the counts of any message.
    Forbidden(String),
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
        let counting = self.counting(stream)?;
        let steps = Months::steps(since, self.now);
        let decoder = PageDecoder::new(Arc::clone(&counting));
        let ask = async |id| Ok::<_, Error>((id, self.ask(&decoder, &counting, id, steps).await?));
        let answers = futures::stream::iter(ids.clone()).map(ask);
        let mut answers = std::pin::pin!(answers.buffer_unordered(IN_FLIGHT));
        let (mut counted, mut told) = (BTreeMap::new(), Told::default());
        while let Some((id, answer)) = answers.try_next().await? {
            counted.insert(id, self.counted(id, &answer, &mut told));
            if let Answer::Forbidden(why) = answer {
                let notes = vec![why];
                return Ok((ids.into_iter().map(|id| (id, Counted::Unknown)).collect(), notes));
            }
        }
        Ok((counted, told.notes()))
    }

    /// The stream whose rows are the counts of the same messages.
    fn counting(&self, stream: &Stream) -> Result<Arc<Stream>> {
        let mut streams = self.catalog.streams().iter();
        let found = streams.find(|other| other.sync == Shape::Snapshot && other.fetch.each == stream.fetch.each);
        found
            .cloned()
            .ok_or_else(|| Error::internal(format!("no stream counts the rows of {}", stream.stream)))
    }

    async fn ask(&self, decoder: &PageDecoder, counting: &Stream, id: i64, steps: i64) -> Result<Answer> {
        let mut request = Request::of(counting, Some(id));
        request.query = vec![
            ("period".to_owned(), "months".to_owned()),
            ("steps".to_owned(), steps.to_string()),
        ];
        let context = PageContext {
            transactional_id: Some(id),
            requested_at: self.now,
            period: None,
            steps: Some(steps),
        };
        let read = |response: Response| {
            let page = decoder.decode(&response.body, &context).map_err(lists::unreadable);
            async move { page }
        };
        let page = self.source.fetch(&request, &Meter::default(), read).await;
        Ok(match page {
            Ok(page) => match created(&page.rows) {
                Some(counts) => Answer::Counts(counts),
                None => Answer::Unknown(format!("the answer to {} holds no counts", request.describe())),
            },
            Err(FetchError::NotFound(_)) => Answer::Missing,
            Err(FetchError::Forbidden(why)) => Answer::Forbidden(why),
            Err(error @ FetchError::Key(_)) => return Err(error.into()),
            Err(error) => Answer::Unknown(Error::from(error).chain()),
        })
    }

    fn counted(&self, id: i64, answer: &Answer, told: &mut Told) -> Counted {
        match answer {
            Answer::Counts(counts) => Counted::Months(Months::new(counts, self.now)),
            Answer::Missing => {
                told.missing.insert(id);
                Counted::Missing
            }
            Answer::Unknown(why) => {
                told.unknown.insert(id);
                told.why.get_or_insert_with(|| why.clone());
                Counted::Unknown
            }
            Answer::Forbidden(_) => Counted::Unknown,
        }
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

/// The deliveries by month, oldest first; `None` when there is no row. A series that is left out has counted nothing.
fn created(rows: &RecordBatch) -> Option<Vec<u64>> {
    if rows.num_rows() != 1 {
        return None;
    }
    if let Some(counts) = series(rows, CREATED) {
        return Some(counts);
    }
    let mut most: Vec<u64> = Vec::new();
    for counts in PARTS.iter().filter_map(|name| series(rows, name)) {
        // The newest month of each is its last.
        most.resize(most.len().max(counts.len()), 0);
        for (most, count) in most.iter_mut().zip(counts.iter().rev()) {
            *most = (*most).max(*count);
        }
    }
    most.reverse();
    Some(most)
}

fn series(rows: &RecordBatch, name: &str) -> Option<Vec<u64>> {
    let column = rows.column_by_name(name)?;
    let list = column.as_list_opt::<i32>()?;
    if column.is_null(0) {
        return None;
    }
    let values = list.value(0);
    let counts = values.as_primitive_opt::<Int64Type>()?;
    let counts = counts
        .iter()
        .map(|count| u64::try_from(count.unwrap_or(0)).unwrap_or(0));
    Some(counts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(series: &str) -> Option<Vec<u64>> {
        let stream = Catalog::load().unwrap().get("transactional_metrics").unwrap();
        let context = PageContext {
            transactional_id: Some(1),
            requested_at: Timestamp::UNIX_EPOCH,
            period: None,
            steps: None,
        };
        let body = format!("{{\"metric\":{{\"series\":{series}}}}}");
        let page = PageDecoder::new(stream).decode(body.as_bytes(), &context);
        created(&page.unwrap().rows)
    }

    #[test]
    fn what_was_created_counts_and_otherwise_the_largest_part_of_it() {
        assert_eq!(read(r#"{"created":[1,2,3],"sent":[9,9,9]}"#), Some(vec![1, 2, 3]));
        assert_eq!(read(r#"{"created":[1,null,-3]}"#), Some(vec![1, 0, 0]));
        let largest = read(r#"{"created":{"odd":1},"sent":[4,5],"attempted":[1,6,2],"opened":[9]}"#);
        assert_eq!(largest, Some(vec![1, 6, 5]));
        assert_eq!(read("{}"), Some(vec![]));
    }
}
