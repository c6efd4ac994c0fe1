//! Customer.io: the key, its region, and the right to each stream, by the first requests of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;

use super::Access;
use super::report::{Check, CheckStatus, Subject};
use crate::error::{Error, ErrorKind, Result};
use crate::run::knock::{Knocked, knock};
use crate::run::lists::Lists;
use crate::source::{Meter, Region};
use crate::stream::Stream;

const KEY: &str = "key";
const REGION: &str = "region";

/// What was found out about Customer.io.
#[derive(Debug)]
pub struct Found {
    /// Who was asked.
    pub url: Option<String>,
    /// Where that is.
    pub region: Option<Region>,
    /// Key, region, and each stream.
    pub checks: Vec<Check>,
}

/// How a stream answered, and how long that took with all its repetitions.
struct Answer<'a> {
    stream: &'a Stream,
    outcome: Result<Knocked>,
    took: Duration,
    retries: u64,
}

impl Found {
    /// Nobody was asked, or nobody answered, because of `why`.
    pub fn nothing(streams: &[Arc<Stream>], why: &str) -> Self {
        let skipped = |subject, name: &str| Check::new(subject, name, CheckStatus::Skipped).saying(why);
        let mut checks = vec![skipped(Subject::Api, KEY), skipped(Subject::Api, REGION)];
        checks.extend(streams.iter().map(|stream| skipped(Subject::Stream, &stream.stream)));
        Self {
            url: None,
            region: None,
            checks,
        }
    }
}

/// Asks what a run asks first.
pub async fn check(access: &Access, streams: &[Arc<Stream>], now: Timestamp) -> Found {
    let (url, region) = match access.source.host().await {
        Ok(host) => host,
        Err(error) => return unlocated(&error, streams),
    };
    let answers = match ask(access, streams, now).await {
        Ok(answers) => answers,
        Err(error) => return unlocated(&error, streams),
    };
    let refused = answers.iter().find_map(|answer| match &answer.outcome {
        Err(error) if error.kind() == ErrorKind::Key => Some(error),
        _ => None,
    });
    let mut checks = match refused {
        Some(error) => vec![
            Check::failed(Subject::Api, KEY, error),
            misplaced(access.other.as_ref()).await,
        ],
        None => known(&answers).map_or_else(unanswered, |key| vec![key, place(region)]),
    };
    checks.extend(answers.iter().map(Answer::check));
    Found {
        url: Some(url),
        region,
        checks,
    }
}

fn unlocated(error: &Error, streams: &[Arc<Stream>]) -> Found {
    let why = match error.kind() {
        ErrorKind::Key => "no region knows the key",
        _ => "Customer.io could not be asked",
    };
    let mut found = Found::nothing(streams, why);
    found.checks[0] = Check::failed(Subject::Api, KEY, error);
    found
}

/// All streams at once, after the list that some of them depend on.
async fn ask<'a>(access: &Access, streams: &'a [Arc<Stream>], now: Timestamp) -> Result<Vec<Answer<'a>>> {
    let began = Instant::now();
    let lists = Lists::read(&access.source, streams.iter(), now).await?;
    let listing = began.elapsed();
    let answers = streams.iter().map(async |stream| {
        let (began, meter) = (Instant::now(), Meter::default());
        let outcome = knock(&access.source, stream, &lists, &meter).await;
        Answer {
            outcome,
            took: lists.get(&stream.stream).map_or_else(|| began.elapsed(), |_| listing),
            retries: meter.retries(),
            stream,
        }
    });
    Ok(join_all(answers).await)
}

/// The shortest answer is the closest to one round trip; `None` when nobody answered.
fn known(answers: &[Answer<'_>]) -> Option<Check> {
    let answered = answers.iter().filter(|answer| match &answer.outcome {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::Forbidden,
    });
    let took = answered.map(|answer| answer.took).min()?;
    Some(Check::new(Subject::Api, KEY, CheckStatus::Ok).taking(Some(took)))
}

fn unanswered() -> Vec<Check> {
    let skipped = |name| Check::new(Subject::Api, name, CheckStatus::Skipped).saying("Customer.io could not be read");
    vec![skipped(KEY), skipped(REGION)]
}

fn place(region: Option<Region>) -> Check {
    let says = region.map_or("an address that is no region's".to_owned(), |region| region.to_string());
    Check::new(Subject::Api, REGION, CheckStatus::Ok).saying(says)
}

/// A region answers a key of the other one as it answers a wrong key.
async fn misplaced(other: Option<&(Region, crate::source::Source)>) -> Check {
    let skipped = |why: &str| Check::new(Subject::Api, REGION, CheckStatus::Skipped).saying(why);
    let Some((region, source)) = other else {
        return skipped("the key is not known");
    };
    match source.knows_key().await {
        Ok(true) => {
            let text = format!("the key belongs to the region {region}: say --region {region} or CIO_REGION={region}");
            Check::failed(Subject::Api, REGION, &Error::new(ErrorKind::Key, text))
        }
        Ok(false) => skipped("no region knows the key"),
        Err(_) => skipped("the other region could not be asked"),
    }
}

impl Answer<'_> {
    fn check(&self) -> Check {
        let check = |status| Check::new(Subject::Stream, &self.stream.stream, status);
        let check = match &self.outcome {
            Ok(Knocked::Served) if self.retries > 0 => check(CheckStatus::Warning).saying(format!(
                "answered only when asked again ({} times): somebody else may use up the requests that the workspace is allowed",
                self.retries
            )),
            Ok(Knocked::Served) => check(CheckStatus::Ok),
            Ok(Knocked::ServedButFor { told, .. }) => check(CheckStatus::Warning).saying(told),
            Ok(Knocked::NobodyToAsk) => {
                return check(CheckStatus::Skipped).saying("the workspace has no transactional message to ask about");
            }
            Err(error) if error.kind() == ErrorKind::Key => {
                return check(CheckStatus::Skipped).saying("the key is not known");
            }
            Err(error) => Check::failed(Subject::Stream, &self.stream.stream, error),
        };
        check.taking(Some(self.took))
    }
}
