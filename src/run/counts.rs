//! What one transactional message has sent, by the API's own counts by month: one request.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use jiff::Timestamp;

use super::lists;
use crate::columnar::{PageContext, PageDecoder};
use crate::error::{Error, Result};
use crate::plan::Months;
use crate::source::{FetchError, Meter, Request, Response, Source};
use crate::stream::{Catalog, Shape, Stream};

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

/// Asks for the counts of messages.
#[derive(Debug)]
pub struct Counter {
    counting: Arc<Stream>,
    decoder: PageDecoder,
    /// The run's idea of now: its month is the last one that is counted.
    now: Timestamp,
    /// How many months reach back far enough.
    steps: i64,
}

/// What one message answered.
#[derive(Debug, Clone)]
pub enum Counts {
    /// Its deliveries by month.
    Months(Months),
    /// 404.
    Missing,
    /// Why it is not known.
    Unknown(String),
    /// The key may not read the counts of any message.
    Forbidden(String),
}

impl Counter {
    /// Counts the rows of `stream` back to `since`.
    ///
    /// # Errors
    /// Internal, when no stream counts them.
    pub fn new(stream: &Stream, since: Timestamp, now: Timestamp) -> Result<Self> {
        let catalog = Catalog::load()?;
        let mut streams = catalog.streams().iter();
        let found = streams.find(|other| other.sync == Shape::Snapshot && other.fetch.each == stream.fetch.each);
        let counting = found
            .cloned()
            .ok_or_else(|| Error::internal(format!("no stream counts the rows of {}", stream.stream)))?;
        Ok(Self {
            decoder: PageDecoder::new(Arc::clone(&counting)),
            counting,
            now,
            steps: Months::steps(since, now),
        })
    }

    /// Asks for the counts of message `id`.
    ///
    /// # Errors
    /// Key.
    pub async fn ask(&self, source: &Source, meter: &Meter, id: i64) -> Result<Counts, FetchError> {
        let mut request = Request::of(&self.counting, Some(id));
        request.query = vec![
            ("period".to_owned(), "months".to_owned()),
            ("steps".to_owned(), self.steps.to_string()),
        ];
        let context = PageContext {
            transactional_id: Some(id),
            requested_at: self.now,
            period: None,
            steps: Some(self.steps),
        };
        let read = |response: Response| {
            let page = self.decoder.decode(&response.body, &context).map_err(lists::unreadable);
            async move { page }
        };
        let page = source.fetch(&request, meter, read).await;
        Ok(match page {
            Ok(page) => match created(&page.rows) {
                Some(counts) => Counts::Months(Months::new(&counts, self.now)),
                None => Counts::Unknown(format!("the answer to {} holds no counts", request.describe())),
            },
            Err(FetchError::NotFound(_)) => Counts::Missing,
            Err(FetchError::Forbidden(why)) => Counts::Forbidden(why),
            Err(error @ FetchError::Key(_)) => return Err(error),
            Err(error) => Counts::Unknown(Error::from(error).chain()),
        })
    }
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
