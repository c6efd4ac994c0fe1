//! The parts of surveyed windows: several read at once, handed to the committer in order of time.

use std::pin::pin;
use std::sync::{Arc, PoisonError};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::answers::{Answer, Answers, tell};
use super::estimate::Estimates;
use super::survey::{Surveyed, answered, survey};
use crate::columnar::{Fetched, PartitionKey};
use crate::error::{Error, Result};
use crate::plan::{Stretch, WindowTask};
use crate::run::event::RunEvent;
use crate::run::parents::Parents;
use crate::run::pipeline::{Chain, Ended, Reader, SharedBuffer, drain};
use crate::source::Request;
use crate::stream::{Window, whole_day};

/// Parts that are read or committed at once; more would only hold more rows in memory.
const OPEN_PARTS: usize = 3;
/// Buffers that may be full at once: those of the open parts, and what was seen of this window and the next.
const BUFFERS: usize = OPEN_PARTS + 2;

/// A part whose messages were all asked.
pub struct ReadPart {
    /// The interval.
    pub window: Window,
    /// All messages were asked, not only some that were owed.
    pub whole: bool,
    /// The rows.
    pub fetched: Arc<Fetched>,
    /// What the messages said.
    pub answers: Answers,
    _open: OwnedSemaphorePermit,
}

/// One part on its way.
struct Part {
    place: usize,
    survey: Arc<Survey>,
    pieces: Vec<Piece>,
    /// The first pages' where the window has no other part.
    buffer: SharedBuffer,
}

/// What the parts of one window have in common.
struct Survey {
    whole: bool,
    windows: Vec<Window>,
    /// Rows and answers of first pages, and of messages that are followed from there.
    buffer: SharedBuffer,
    answers: Answers,
}

/// Pages that come one after the other.
enum Piece {
    /// From the first page on, back to the beginning of the whole window.
    Followed(i64, Box<Chain>, SharedBuffer),
    Stretch(Stretch, SharedBuffer),
}

/// A part of which every piece was read.
struct Answered {
    part: Part,
    /// What was followed counts for every part of the window.
    followed: Answers,
    answers: Answers,
    open: OwnedSemaphorePermit,
}

/// Reads every task in order, some parts of them at once.
///
/// # Errors
/// What ends the stream.
pub async fn read_all(
    reader: &Arc<Reader>,
    parents: &Arc<Parents>,
    tasks: Vec<WindowTask>,
    parts: mpsc::Sender<ReadPart>,
) -> Result<(), Ended> {
    let Some(since) = tasks.first().map(|task| task.window.from) else {
        return Ok(());
    };
    let estimates = Arc::new(Estimates::new(reader, since)?);
    // As much for all of its buffers as other streams have for theirs.
    let limit = reader.run.budget.rows_in_memory() * OPEN_PARTS / BUFFERS;
    let open = Arc::new(Semaphore::new(OPEN_PARTS));
    let mut later: u64 = tasks.iter().map(|task| task.window.days()).sum();
    let tasks = tasks.into_iter().map(move |task| {
        later -= task.window.days();
        (task, later)
    });
    let asking = (Arc::clone(reader), Arc::clone(parents));
    let surveyed = futures::stream::iter(tasks).then(move |(task, later)| {
        let (reader, parents) = asking.clone();
        let estimates = Arc::clone(&estimates);
        async move {
            let days = task.window.days();
            let surveyed = survey(Arc::clone(&reader), parents, estimates, task, limit).await?;
            expect(&reader, &surveyed, later as f64 / days.max(1) as f64);
            split(&reader, surveyed, limit)
        }
    });
    let reads = surveyed
        .map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok)))
        .try_flatten();
    let reads = reads.and_then(move |part| {
        let open = Arc::clone(&open);
        async move {
            let permit = open.acquire_owned().await;
            let permit = permit.map_err(|e| Error::internal("the gate of parts is closed").caused_by(e))?;
            Ok((part, permit))
        }
    });
    let asking = (Arc::clone(reader), Arc::clone(parents));
    let reads = reads.map_ok(move |(part, permit)| {
        let (reader, parents) = asking.clone();
        let read = AbortOnDropHandle::new(tokio::spawn(read(reader, parents, part, permit)));
        async move {
            read.await
                .map_err(|e| Ended::Failed(Error::internal("a reading task panicked").caused_by(e)))?
        }
    });
    let mut reads = pin!(reads.try_buffered(OPEN_PARTS));
    let mut held: Option<(Arc<Fetched>, Answers)> = None;
    while let Some(answered) = reads.try_next().await? {
        let read = gather(reader, answered, &mut held).await?;
        if parts.send(read).await.is_err() {
            // The committer has ended with an error that is told instead.
            return Ok(());
        }
    }
    Ok(())
}

/// Tells how many requests there will have been in the end; `later` is how many windows like this one follow.
fn expect(reader: &Reader, surveyed: &Surveyed, later: f64) {
    let again = later * (surveyed.asked as f64 + surveyed.left);
    (reader.run.listener)(RunEvent::Expected {
        stream: reader.job.stream.stream.clone(),
        requests: reader.meter.requests() + (surveyed.left + again).round() as u64,
    });
}

/// The parts of a window, the first of which also reads what is followed.
fn split(reader: &Reader, surveyed: Surveyed, limit: usize) -> Result<Vec<Part>, Ended> {
    let Surveyed {
        whole,
        buffer,
        answers,
        parts,
        followed,
        ..
    } = surveyed;
    let alone = parts.windows.len() == 1;
    let mut first: Vec<Piece> = followed
        .into_iter()
        .map(|(id, chain)| Piece::Followed(id, Box::new(chain), Arc::clone(&buffer)))
        .collect();
    let survey = Arc::new(Survey {
        whole,
        windows: parts.windows,
        buffer,
        answers,
    });
    let parts = parts.stretches.into_iter().enumerate().map(|(place, stretches)| {
        let buffer = if alone {
            Arc::clone(&survey.buffer)
        } else {
            reader.buffer(limit)?
        };
        // Longest first, so that none is left running when all others are done.
        let stretches = stretches
            .into_iter()
            .map(|stretch| Piece::Stretch(stretch, Arc::clone(&buffer)));
        let mut pieces: Vec<Piece> = stretches.collect();
        pieces.append(&mut first);
        Ok(Part {
            place,
            survey: Arc::clone(&survey),
            pieces,
            buffer,
        })
    });
    parts.collect()
}

/// Reads the pieces of a part, as many at once as the run allows.
async fn read(
    reader: Arc<Reader>,
    parents: Arc<Parents>,
    mut part: Part,
    open: OwnedSemaphorePermit,
) -> Result<Answered, Ended> {
    let pieces = std::mem::take(&mut part.pieces);
    let asking = Arc::clone(&reader);
    let reads = futures::stream::iter(pieces).map(move |piece| {
        let handle = AbortOnDropHandle::new(tokio::spawn(read_piece(Arc::clone(&asking), piece)));
        async move {
            handle
                .await
                .map_err(|e| Error::internal("a reading task panicked").caused_by(e))?
        }
    });
    let mut reads = pin!(reads.buffer_unordered(reader.run.settings.concurrency));
    let (mut followed, mut answers) = (Answers::default(), Answers::default());
    while let Some((id, answer, is_followed)) = reads.try_next().await? {
        tell(&reader, &parents, id, &answer);
        if is_followed { &mut followed } else { &mut answers }.enter(id, &answer);
    }
    Ok(Answered {
        part,
        followed,
        answers,
        open,
    })
}

async fn read_piece(reader: Arc<Reader>, piece: Piece) -> Result<(i64, Answer, bool), Ended> {
    let (id, mut chain, buffer, is_followed) = match piece {
        Piece::Followed(id, chain, buffer) => (id, *chain, buffer, true),
        Piece::Stretch(Stretch { id, window, .. }, buffer) => {
            let request = Request::of(&reader.job.stream, Some(id)).between(window);
            (id, reader.chain(request, Some(id)), buffer, false)
        }
    };
    if reader.tally.counts().missing.contains(&id) {
        return Ok((id, Answer::Missing, is_followed));
    }
    let mut rejected = 0;
    loop {
        match answered(chain.next(&buffer).await)? {
            Ok(Some(page)) => rejected += page.rejected,
            Ok(None) => return Ok((id, Answer::Read { rejected }, is_followed)),
            Err(answer) => return Ok((id, answer, is_followed)),
        }
    }
}

/// Sorts the rows of a part, with those that lie in it of what was seen of the whole window before.
async fn gather(
    reader: &Arc<Reader>,
    answered: Answered,
    held: &mut Option<(Arc<Fetched>, Answers)>,
) -> Result<ReadPart, Ended> {
    let Answered {
        part,
        followed,
        answers: mut said,
        open,
    } = answered;
    let survey = &part.survey;
    let alone = survey.windows.len() == 1;
    if part.place == 0 {
        let mut answers = survey.answers.clone();
        answers.extend(&followed);
        *held = if alone {
            said.extend(&answers);
            None
        } else {
            Some((drain(reader, Arc::clone(&survey.buffer)).await?, answers))
        };
    }
    if let Some((seen, answers)) = held {
        said.extend(answers);
        let days = seen
            .partitions()
            .into_iter()
            .filter(|day| part_of(&survey.windows, day) == part.place);
        lay(reader, seen, days.collect(), &part.buffer).await?;
    }
    Ok(ReadPart {
        window: survey.windows[part.place],
        whole: survey.whole,
        fetched: drain(reader, Arc::clone(&part.buffer)).await?,
        answers: said,
        _open: open,
    })
}

/// The part that a day belongs to; the last one takes what lies outside of all.
fn part_of(parts: &[Window], day: &PartitionKey) -> usize {
    let day = match day {
        PartitionKey::Day(day) => whole_day(*day),
        PartitionKey::None => None,
    };
    let found = day.and_then(|day| parts.iter().position(|part| day.from < part.to));
    found.unwrap_or(parts.len() - 1)
}

/// Lays rows into `buffer` that were fetched before anything else in it.
async fn lay(reader: &Reader, seen: &Arc<Fetched>, days: Vec<PartitionKey>, buffer: &SharedBuffer) -> Result<()> {
    let (seen, buffer) = (Arc::clone(seen), Arc::clone(buffer));
    let work = move || {
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        for day in days {
            for rows in seen.partition(&day)? {
                buffer.push(rows?, 0)?;
            }
        }
        Ok(())
    };
    reader.run.cpu.run(work).await
}
