//! Keys over the whole table: the first pass comes with the audit, the others read nothing but the key column.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;

use super::finding::{Finding, FindingKind};
use super::objects::Subject;
use super::partition::{Bench, unreadable};
use super::sieve::Sieve;
use crate::columnar::{key_hash, visit_keys};
use crate::error::{Error, Result};
use crate::run::stored::Readable;
use crate::stream::{Partition, Stream};

/// What keeps equal keys of two partitions apart: nothing, unless the day is part of the table's key.
pub fn apart(stream: &Stream, path: &str) -> u128 {
    match stream.partition {
        Partition::RunDay => key_hash(path),
        Partition::None | Partition::Day { .. } => 0,
    }
}

/// Sifts what the first pass left to later ones, and names the keys that came twice.
///
/// # Errors
/// Internal, never in practice.
pub async fn doubled(bench: &Bench<'_>, subjects: &[Subject], sieve: Arc<Mutex<Sieve>>) -> Result<Vec<Finding>> {
    let Some(stream) = &bench.stream else {
        return Ok(Vec::new());
    };
    let expected = expected(subjects);
    let mut findings = Vec::new();
    while lock(&sieve).next_pass(expected) {
        let sift = |subject: &Subject| {
            let (sieve, apart) = (Arc::clone(&sieve), apart(stream, &subject.info.path));
            let mut some = Vec::with_capacity(BATCH);
            move |hash: Option<(&str, u128)>| {
                some.extend(hash.map(|(_, hash)| hash ^ apart));
                if some.len() == BATCH || hash.is_none() {
                    lock(&sieve).see(some.drain(..));
                }
            }
        };
        findings.extend(visit(bench, stream, subjects, sift).await);
    }
    let sieve = Arc::try_unwrap(sieve).map_err(|_| Error::internal("the sieve is still in use"))?;
    let (doubled, more) = sieve.into_inner().unwrap_or_else(PoisonError::into_inner).doubled();
    if doubled.is_empty() {
        return Ok(findings);
    }
    let (named, failed) = name(bench, stream, subjects, doubled).await;
    findings.extend(failed);
    findings.extend(tell(named, more));
    Ok(findings)
}

/// How many keys there should be.
pub fn expected(subjects: &[Subject]) -> u64 {
    // Without an entry nobody knows; about twenty bytes a row is more rows than there ever are.
    let rows = |subject: &Subject| {
        subject
            .entry
            .as_ref()
            .map_or(subject.info.bytes / 20, |entry| entry.rows)
    };
    subjects.iter().map(rows).sum()
}

/// Keys that are handed over at a time.
const BATCH: usize = 1024;

/// Where a doubled key stands: the partition of each time it was met.
type Places = BTreeMap<String, Vec<Arc<str>>>;

/// Looks for the doubled keys in every partition.
async fn name(
    bench: &Bench<'_>,
    stream: &Arc<Stream>,
    subjects: &[Subject],
    doubled: BTreeSet<u128>,
) -> (Places, Vec<Finding>) {
    let doubled = Arc::new(doubled);
    let places = Arc::new(Mutex::new(Places::new()));
    let seek = |subject: &Subject| {
        let (doubled, places) = (Arc::clone(&doubled), Arc::clone(&places));
        let (apart, path) = (
            apart(stream, &subject.info.path),
            Arc::<str>::from(subject.info.path.as_str()),
        );
        move |key: Option<(&str, u128)>| {
            if let Some((key, _)) = key.filter(|(_, hash)| doubled.contains(&(hash ^ apart))) {
                let place = Arc::clone(&path);
                lock(&places).entry(key.to_owned()).or_default().push(place);
            }
        }
    };
    let failed = visit(bench, stream, subjects, seek).await;
    let places = std::mem::take(&mut *lock(&places));
    (places, failed)
}

/// Calls what `visitor` makes for each partition with every key of it, and at its end with none.
async fn visit<V>(
    bench: &Bench<'_>,
    stream: &Arc<Stream>,
    subjects: &[Subject],
    visitor: impl Fn(&Subject) -> V,
) -> Vec<Finding>
where
    V: FnMut(Option<(&str, u128)>) + Send + 'static,
{
    let tasks = futures::stream::iter(subjects).map(|subject| {
        let (mut see, stream) = (visitor(subject), Arc::clone(stream));
        async move {
            let object = bench.lake.fetch(subject).await?;
            let work = move || {
                visit_keys(&stream, Readable(object.content), |key, hash| see(Some((key, hash))))?;
                see(None);
                Ok(())
            };
            bench.lake.cpu.run(work).await
        }
    });
    let outcomes: Vec<Result<()>> = tasks.buffered(bench.lake.side_by_side()).collect().await;
    let failed = subjects.iter().zip(outcomes);
    failed
        .filter_map(|(subject, outcome)| Some(unreadable(subject, &outcome.err()?.chain())))
        .collect()
}

/// A partition, and the other one that has keys of it; none when it is the same.
type Pair = (Arc<str>, Option<Arc<str>>);

/// One finding for each two partitions that have keys in common, and one for each partition that has a key twice.
fn tell(places: Places, more: bool) -> Vec<Finding> {
    let mut pairs: BTreeMap<Pair, (u64, String)> = BTreeMap::new();
    for (key, mut paths) in places {
        paths.sort_unstable();
        let mut note = |path: &Arc<str>, other: Option<&Arc<str>>| {
            let pair = (Arc::clone(path), other.map(Arc::clone));
            pairs.entry(pair).or_insert_with(|| (0, key.clone())).0 += 1;
        };
        for pair in paths.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            note(second, (first != second).then_some(first));
        }
    }
    let and_more = if more { ", and there are more in this table" } else { "" };
    let tell = |((path, other), (count, key)): (Pair, (u64, String))| {
        let (kind, what) = match &other {
            None => (FindingKind::DoubledInPartition, "stand in it more than once".to_owned()),
            Some(other) => (FindingKind::DoubledInTable, format!("stand in {other} too")),
        };
        let detail = format!(
            "{count} keys {what}, the first is {key}{and_more}; move what holds them away and run `export`, which asks again for what is still served"
        );
        Finding {
            also: other.map(|other| other.to_string()),
            ..Finding::new(kind, path.as_ref(), detail)
        }
    };
    pairs.into_iter().map(tell).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
