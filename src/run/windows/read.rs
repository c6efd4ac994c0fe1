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
    survey: Arc<Shared>,
    pieces: Vec<Piece>,
    /// The first pages' where the window has no other part.
    buffer: SharedBuffer,
}

/// What the parts of one window have in common.
struct Shared {
    whole: bool,
    window: Window,
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
    let limit = reader.run.budget.rows_of_each(BUFFERS);
    let open = Arc::new(Semaphore::new(OPEN_PARTS));
    let mut later: u64 = tasks.iter().map(|task| task.window.days()).sum();
    let asking = (Arc::clone(reader), Arc::clone(parents), Arc::clone(&estimates));
    // It ends with the first survey that fails.
    let surveyed = futures::stream::try_unfold(tasks.into_iter(), move |mut tasks| {
        let (reader, parents, estimates) = asking.clone();
        let task = tasks.next();
        let days = task.as_ref().map_or(0, |task| task.window.days());
        later -= days;
        async move {
            let Some(task) = task else { return Ok(None) };
            let surveyed = survey(Arc::clone(&reader), parents, estimates, task, limit).await?;
            expect(&reader, &surveyed, later as f64 / days.max(1) as f64);
            Ok::<_, Ended>(Some((split(&reader, surveyed)?, tasks)))
        }
    });
    let surveyed = surveyed.flat_map(|parts| {
        let parts: Vec<Result<Part, Ended>> = match parts {
            Ok(parts) => parts.into_iter().map(Ok).collect(),
            Err(ended) => vec![Err(ended)],
        };
        futures::stream::iter(parts)
    });
    let reads = surveyed.then(move |part| {
        let open = Arc::clone(&open);
        async move {
            let permit = open.acquire_owned().await;
            let permit = permit.map_err(|e| Error::internal("the gate of parts is closed").caused_by(e))?;
            Ok::<_, Ended>((part?, permit))
        }
    });
    let asking = (Arc::clone(reader), Arc::clone(parents), estimates);
    // A failure waits for its turn: the parts before it are whole and will be committed.
    let reads = reads.map(move |part| {
        let (reader, parents, estimates) = asking.clone();
        let read = part
            .map(|(part, permit)| AbortOnDropHandle::new(tokio::spawn(read(reader, parents, estimates, part, permit))));
        async move {
            read?
                .await
                .map_err(|e| Ended::Failed(Error::internal("a reading task panicked").caused_by(e)))?
        }
    });
    let mut reads = pin!(reads.buffered(OPEN_PARTS));
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
        requests: reader
            .meter
            .requests()
            .saturating_add((surveyed.left + again).round() as u64),
    });
}

/// The parts of a window, the first of which also reads what is followed.
fn split(reader: &Reader, surveyed: Surveyed) -> Result<Vec<Part>, Ended> {
    let Surveyed {
        whole,
        window,
        buffer,
        answers,
        parts,
        followed,
        unknown,
        ..
    } = surveyed;
    let alone = parts.windows.len() == 1;
    let follow = |chains: Vec<(i64, Chain)>| -> Vec<Piece> {
        let pieces = chains.into_iter();
        pieces
            .map(|(id, chain)| Piece::Followed(id, Box::new(chain), Arc::clone(&buffer)))
            .collect()
    };
    let (mut unknown, mut followed) = (follow(unknown), follow(followed));
    let survey = Arc::new(Shared {
        whole,
        window,
        windows: parts.windows,
        buffer,
        answers,
    });
    let parts = parts.stretches.into_iter().enumerate().map(|(place, stretches)| {
        let buffer = if alone {
            Arc::clone(&survey.buffer)
        } else {
            reader.buffer()?
        };
        // Longest first, so that none is left running when all others are done.
        let stretches = stretches
            .into_iter()
            .map(|stretch| Piece::Stretch(stretch, Arc::clone(&buffer)));
        let mut pieces: Vec<Piece> = std::mem::take(&mut unknown);
        pieces.extend(stretches);
        pieces.append(&mut followed);
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
    estimates: Arc<Estimates>,
    mut part: Part,
    open: OwnedSemaphorePermit,
) -> Result<Answered, Ended> {
    let pieces = std::mem::take(&mut part.pieces);
    let asking = (Arc::clone(&reader), estimates);
    let window = part.survey.window;
    let reads = futures::stream::iter(pieces).map(move |piece| {
        let (reader, estimates) = asking.clone();
        let handle = AbortOnDropHandle::new(tokio::spawn(read_piece(reader, estimates, window, piece)));
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

async fn read_piece(
    reader: Arc<Reader>,
    estimates: Arc<Estimates>,
    window: Window,
    piece: Piece,
) -> Result<(i64, Answer, bool), Ended> {
    let (id, answer, is_followed) = match piece {
        Piece::Followed(id, chain, buffer) => (
            id,
            follow(&reader, &estimates, window, (id, *chain), &buffer).await?,
            true,
        ),
        Piece::Stretch(stretch, buffer) => (stretch.id, read_stretch(&reader, stretch, &buffer).await?, false),
    };
    Ok((id, answer, is_followed))
}

async fn read_stretch(reader: &Arc<Reader>, stretch: Stretch, buffer: &SharedBuffer) -> Result<Answer, Ended> {
    let Stretch { id, window, .. } = stretch;
    if reader.tally.counts().missing.contains(&id) {
        return Ok(Answer::Missing);
    }
    let request = Request::of(&reader.job.stream, Some(id)).between(window);
    let mut chain = reader.chain(request, Some(id));
    let mut rejected = 0;
    loop {
        match answered(chain.next(buffer).await)? {
            Ok(Some(page)) => rejected += page.rejected,
            Ok(None) => return Ok(Answer::Read { rejected }),
            Err(answer) => return Ok(answer),
        }
    }
}

/// Reads on to the beginning of `window`; where rows turn out to lie much closer than on the first page, what is left is read in
/// stretches side by side.
async fn follow(
    reader: &Arc<Reader>,
    estimates: &Estimates,
    window: Window,
    (id, mut chain): (i64, Chain),
    buffer: &SharedBuffer,
) -> Result<Answer, Ended> {
    let mut rejected = 0;
    let mut looked = false;
    loop {
        let page = match answered(chain.next(buffer).await)? {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(Answer::Read { rejected }),
            Err(answer) => return Ok(answer),
        };
        rejected += page.rejected;
        if looked || chain.cursor().is_none() || !Estimates::is_long(id, window, &page) {
            continue;
        }
        looked = true;
        let rest = estimates.rest(reader, id, window, &page).await?;
        let stretches = rest.map_or(Vec::new(), |rest| rest.stretches());
        if stretches.len() < 2 {
            continue;
        }
        let reads = stretches
            .into_iter()
            .map(|stretch| read_stretch(reader, stretch, buffer));
        for answer in futures::future::try_join_all(reads).await? {
            match answer {
                Answer::Read { rejected: more } => rejected += more,
                unread => return Ok(unread),
            }
        }
        return Ok(Answer::Read { rejected });
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
