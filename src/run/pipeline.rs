//! Pages of one stream: asked for, decoded beside the waiting, counted, and laid into a run buffer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::cast::AsArray;
use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::context::Run;
use super::event::RunEvent;
use super::lists;
use super::reject;
use super::settings::Job;
use super::silence::unanswered;
use super::stop::Stopped;
use super::tally::Tally;
use crate::columnar::{DecodedPage, Fetched, PageContext, PageDecoder, RunBuffer, SpillDir};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::source::{FetchError, Meter, Pages, Request, Response, Unreadable};

/// So many pages without a row may follow each other; a chain of more is taken for one that never ends.
const MOST_EMPTY: usize = 200;

/// A page of so many bytes is decoded in a fraction of a millisecond.
const SMALL_PAGE: usize = 128 << 10;

/// Why a stream's work ended before it was done.
#[derive(Debug)]
pub enum Ended {
    /// The run was asked to stop.
    Stopped,
    /// Customer.io did not answer as it should.
    Fetch(FetchError),
    /// Anything else.
    Failed(Error),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<FetchError> for Ended {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

/// Reads one stream; shared by all its tasks.
#[derive(Debug)]
pub struct Reader {
    /// The run it belongs to.
    pub run: Arc<Run>,
    /// The stream and its table.
    pub job: Job,
    /// Requests sent for this stream.
    pub meter: Meter,
    /// What was read.
    pub tally: Arc<Tally>,
    decoder: Arc<PageDecoder>,
    page_bytes: AtomicU64,
}

/// Rows that wait to be merged; pages are laid in from several tasks.
pub type SharedBuffer = Arc<Mutex<RunBuffer>>;

/// What a page said about its rows, besides the rows.
#[derive(Debug, Clone, Default)]
pub struct PageFacts {
    /// Rows served, those set aside included.
    pub served: usize,
    /// Rows that were set aside.
    pub rejected: usize,
    /// The newest time in the page.
    pub newest: Option<Timestamp>,
    /// The time of the last row.
    pub last: Option<Timestamp>,
    /// No row is newer than the one before it.
    pub newest_first: bool,
}

/// A decoded page and the request that brought it.
struct Arrived {
    page: DecodedPage,
    sequence: u64,
    bytes: usize,
}

/// The pages of one request, one after the other.
#[derive(Debug)]
pub struct Chain {
    reader: Arc<Reader>,
    pages: Pages,
    context: PageContext,
    described: String,
    /// Pages without a row since the last one with any.
    empty: usize,
}

impl Reader {
    /// A reader of `job`'s stream that has read nothing yet.
    pub fn new(run: Arc<Run>, job: Job, tally: Arc<Tally>) -> Self {
        Self {
            decoder: Arc::new(PageDecoder::new(Arc::clone(&job.stream))),
            run,
            job,
            meter: Meter::default(),
            tally,
            page_bytes: AtomicU64::new(1 << 20),
        }
    }

    /// An empty buffer that spills when the run's memory is full.
    ///
    /// # Errors
    /// Internal, when the stream's order cannot be sorted.
    pub fn buffer(&self) -> Result<SharedBuffer> {
        let spill = SpillDir::new(self.run.spill_dir());
        let buffer = RunBuffer::new(Arc::clone(&self.job.stream), self.run.budget.rows(), spill)?;
        Ok(Arc::new(Mutex::new(buffer)))
    }

    /// The pages that answer `request`.
    pub fn chain(self: &Arc<Self>, request: Request, id: Option<i64>) -> Chain {
        let query = |name: &str| {
            let found = self.job.stream.fetch.query.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        Chain {
            described: request.describe(),
            empty: 0,
            context: PageContext {
                transactional_id: id,
                requested_at: self.run.settings.now,
                period: query("period"),
                steps: query("steps").and_then(|steps| steps.parse().ok()),
            },
            pages: self.run.source.pages(request, self.meter.clone()),
            reader: Arc::clone(self),
        }
    }

    /// Tells the listener something the user should know.
    pub fn notice(&self, text: impl Into<String>) {
        (self.run.listener)(RunEvent::Notice {
            stream: self.job.stream.stream.clone(),
            text: text.into(),
        });
    }
}

/// Takes the rows out of `buffer`, sorted; it is empty afterwards.
pub async fn drain(reader: &Reader, buffer: SharedBuffer) -> Result<Arc<Fetched>> {
    let fresh = reader.buffer()?;
    let work = move || {
        let full = {
            let mut rows = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            let mut empty = fresh.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *rows, &mut *empty);
            drop(empty);
            Arc::try_unwrap(fresh)
        };
        let full = full.map_err(|_| Error::internal("a run buffer is still shared"))?;
        full.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
    };
    let fetched = reader.run.cpu.run(work).await?;
    pass(Step::RowsSorted);
    Ok(Arc::new(fetched))
}

impl Chain {
    /// Reads the next page into `buffer`; `None` after the last.
    ///
    /// # Errors
    /// `Stopped`, what the source answers, or a failure to set rows aside or to spill.
    pub async fn next(&mut self, buffer: &SharedBuffer) -> Result<Option<PageFacts>, Ended> {
        let reader = Arc::clone(&self.reader);
        let run = &reader.run;
        let id = self.context.transactional_id;
        let gate = self.gate().await?;
        // After the wait: it may have fallen silent meanwhile.
        if let Some(told) = id.and_then(|id| reader.tally.counts().silent.get(&id).cloned()) {
            return Err(FetchError::Refused(told).into());
        }
        let arrived = match run.stop.race(self.arrive()).await? {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return Ok(None),
            Err(Ended::Fetch(FetchError::Unanswered(error))) => {
                drop(gate);
                return Err(unanswered(&reader, id, error).await?);
            }
            Err(ended) => return Err(ended),
        };
        pass(Step::PageRead);
        self.count_empty(arrived.page.served)?;
        reader.page_bytes.store(arrived.bytes as u64, Ordering::Relaxed);
        let facts = self.facts(&arrived.page);
        self.keep(arrived, buffer).await?;
        pass(Step::PageKept);
        drop(gate);
        Ok(Some(facts))
    }

    /// The cursor of the page that would come next.
    pub fn cursor(&self) -> Option<&str> {
        self.pages.cursor()
    }

    /// Waits until one more page may be on its way; it may as long as the answer is kept.
    ///
    /// A stream of a single chain has one page on its way at most. It does not wait for the many chains of others, which may
    /// all be stuck in retries.
    async fn gate(&self) -> Result<Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>, Ended> {
        let run = &self.reader.run;
        if self.reader.job.stream.fetch.each.is_none() {
            return Ok(None);
        }
        // The tape and the batch of a page weigh about three times its text.
        let charge = self.reader.page_bytes.load(Ordering::Relaxed) * 4;
        let memory = run.stop.race(run.budget.page(charge)).await??;
        let flight = run.stop.race(Arc::clone(&run.flights).acquire_owned()).await?;
        let flight = flight.map_err(|e| Error::internal("the gate of requests is closed").caused_by(e))?;
        Ok(Some((memory, flight)))
    }

    async fn arrive(&mut self) -> Result<Option<Arrived>, Ended> {
        let reader = Arc::clone(&self.reader);
        let context = self.context.clone();
        let read = |response: Response| decode(Arc::clone(&reader), context.clone(), response);
        match self.pages.next(read).await {
            Ok(Some(decoded)) => Ok(Some(decoded?)),
            Ok(None) => Ok(None),
            Err(FetchError::Content {
                body, sequence, reason, ..
            }) => {
                reader.notice(format!(
                    "{} answered the same unreadable body three times ({reason}); reading it row by row",
                    self.described
                ));
                self.carefully(body, sequence).await.map(Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Every page may be empty and lead on, but not for ever.
    fn count_empty(&mut self, served: usize) -> Result<(), FetchError> {
        self.empty = if served == 0 { self.empty + 1 } else { 0 };
        if self.empty < MOST_EMPTY || self.pages.cursor().is_none() {
            return Ok(());
        }
        Err(FetchError::Failed(Error::api(format!(
            "the pages after {} do not end: {MOST_EMPTY} without a row follow each other; run again later, and report this line if it stays",
            self.described
        ))))
    }

    /// The way for a body that is whole but will not parse: row by row, what cannot be read is set aside.
    async fn carefully(&mut self, body: bytes::Bytes, sequence: u64) -> Result<Arrived, Ended> {
        let decoder = Arc::clone(&self.reader.decoder);
        let context = self.context.clone();
        let described = self.described.clone();
        let bytes = body.len();
        let work = move || {
            let page = decoder.decode_carefully(&body, &context);
            page.map_err(|e| Error::api(format!("cannot read what {described} answered")).caused_by(e))
        };
        let page = self.reader.run.cpu.run(work).await?;
        self.pages.skip_to(page.next.clone());
        Ok(Arrived { page, sequence, bytes })
    }

    fn facts(&self, page: &DecodedPage) -> PageFacts {
        let times = times(&self.reader.job, &page.rows);
        let at = |micros: i64| Timestamp::from_microsecond(micros).ok();
        PageFacts {
            served: page.served,
            rejected: page.rejected.len(),
            newest: times.and_then(arrow::compute::max).and_then(at),
            last: times
                .filter(|times| !times.is_empty())
                .and_then(|times| at(times.value(times.len() - 1))),
            newest_first: times.is_some_and(|times| times.values().is_sorted_by(|newer, older| newer >= older)),
        }
    }

    async fn keep(&self, arrived: Arrived, buffer: &SharedBuffer) -> Result<(), Ended> {
        let reader = &self.reader;
        let page = arrived.page;
        reject::keep(reader, &page.rejected, &self.described).await?;
        {
            let mut counts = reader.tally.counts();
            counts.page(page.served, &page.drift);
            counts.rows.rejected += page.rejected.len() as u64;
        }
        let (rows, sequence) = (page.rows, arrived.sequence);
        // To lay rows in costs less than to send them to a worker thread, unless they push others out to disk.
        let laid = match buffer.try_lock() {
            Ok(mut held) if held.has_room_for(&rows) => {
                held.push(rows.clone(), sequence)?;
                true
            }
            _ => false,
        };
        if !laid {
            let buffer = Arc::clone(buffer);
            let lay = move || {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                buffer.push(rows, sequence)
            };
            reader.run.cpu.run(lay).await?;
        }
        (reader.run.listener)(RunEvent::Page {
            stream: reader.job.stream.stream.clone(),
            rows: page.served as u64,
            requests: reader.meter.requests(),
        });
        Ok(())
    }
}

/// The time column of `rows`, where the stream has one.
fn times<'a>(job: &Job, rows: &'a RecordBatch) -> Option<&'a TimestampMicrosecondArray> {
    let name = job.stream.time_column()?;
    rows.column_by_name(name)?
        .as_primitive_opt::<TimestampMicrosecondType>()
}

type Decoded = (Result<Arrived>, Option<String>);

async fn decode(reader: Arc<Reader>, context: PageContext, response: Response) -> Result<Decoded, Unreadable> {
    let decoder = Arc::clone(&reader.decoder);
    let Response { body, sequence } = response;
    let bytes = body.len();
    let small = bytes <= SMALL_PAGE;
    let work = move || Ok(decoder.decode(&body, &context));
    let outcome = reader.run.cpu.run_near(small, work).await;
    match outcome {
        Err(error) => Ok((Err(error), None)),
        Ok(Err(error)) => Err(lists::unreadable(error)),
        Ok(Ok(page)) => {
            let next = page.next.clone();
            Ok((Ok(Arrived { page, sequence, bytes }), next))
        }
    }
}
