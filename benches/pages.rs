//! What the pipeline's work costs without the pipeline: `floor` unpacks, decodes and encodes captured pages in a bare loop, into one
//! file or into files of so many rows; `merge` lays a small change into a large stored partition. `scripts/bench.sh` captures the pages and calls both.
//!
//! Prints one JSON object a line. No file is written and no thread is started, so the process's CPU time is that of the work.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench is a small program, and ends at the first fault"
)]

use std::collections::HashSet;
use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use cio2parquet::columnar::{
    Fetched, MergeInput, PageContext, PageDecoder, ParquetEncoder, PartitionKey, RowMemory, RunBuffer, SpillDir,
    merge_partition, read_parquet,
};
use cio2parquet::stream::{Catalog, Stream};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", stream, pages] => floor(&find(stream), &captured(pages), usize::MAX),
        ["floor", stream, pages, rows] => floor(&find(stream), &captured(pages), rows.parse().unwrap()),
        ["merge", stream, pages] => merge(&find(stream), &captured(pages)),
        _ => println!("pages floor|merge STREAM PAGES [ROWS A FILE]; scripts/bench.sh captures pages"),
    }
}

fn find(name: &str) -> Arc<Stream> {
    let catalog = Catalog::load().unwrap();
    catalog.get(name).unwrap()
}

/// A response as it came over the wire, and what the request knew.
struct Captured {
    context: PageContext,
    body: Vec<u8>,
}

/// Pages one after the other: the message in the path (-1 for none) and the body's length, eight bytes each, little-endian; the body.
fn captured(path: &str) -> Vec<Captured> {
    let file = std::fs::read(path).unwrap();
    let (mut rest, mut pages) = (file.as_slice(), Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<16>() {
        let [id, length] = [0, 8].map(|at| i64::from_le_bytes(*head[at..].first_chunk().unwrap()));
        let (body, after) = after.split_at(usize::try_from(length).unwrap());
        let context = PageContext {
            transactional_id: Some(id).filter(|id| *id >= 0),
            requested_at: Timestamp::UNIX_EPOCH,
            period: None,
            steps: None,
        };
        pages.push(Captured {
            context,
            body: body.to_owned(),
        });
        rest = after;
    }
    pages
}

fn unpack(body: &[u8]) -> Vec<u8> {
    if !body.starts_with(&[0x1F, 0x8B]) {
        return body.to_owned();
    }
    let mut text = Vec::with_capacity(body.len() * 8);
    GzDecoder::new(body).read_to_end(&mut text).unwrap();
    text
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// CPU seconds that `work` takes.
fn timed<T>(spent: &mut f64, work: impl FnOnce() -> T) -> T {
    let before = cpu();
    let done = work();
    *spent += (cpu() - before).as_secs_f64();
    done
}

fn floor(stream: &Arc<Stream>, pages: &[Captured], rows_a_file: usize) {
    let decoder = PageDecoder::new(Arc::clone(stream));
    let mut open: Option<(ParquetEncoder<Vec<u8>>, usize)> = None;
    let (mut rows, mut json, [mut gunzip, mut decode, mut encode]) = (0, 0, [0.0; 3]);
    let (mut files, mut bytes) = (0, 0);
    let mut finish = |encoder: ParquetEncoder<Vec<u8>>| {
        files += 1;
        bytes += black_box(encoder.finish().unwrap()).len();
    };
    for page in pages {
        let text = timed(&mut gunzip, || unpack(&page.body));
        let mut decoded = timed(&mut decode, || decoder.decode(&text, &page.context).unwrap());
        rows += decoded.served;
        json += text.len();
        timed(&mut encode, || {
            while decoded.rows.num_rows() > 0 {
                let new = || (ParquetEncoder::new(Arc::clone(stream), Vec::new()), rows_a_file);
                let (mut encoder, room) = open.take().unwrap_or_else(new);
                let count = room.min(decoded.rows.num_rows());
                encoder.push(&decoded.rows.slice(0, count)).unwrap();
                decoded.rows = decoded.rows.slice(count, decoded.rows.num_rows() - count);
                if count < room {
                    open = Some((encoder, room - count));
                } else {
                    finish(encoder);
                }
            }
        });
    }
    timed(&mut encode, || {
        open.into_iter().for_each(|(encoder, _)| finish(encoder))
    });
    println!(
        "{}",
        json!({
            "rows": rows, "pages": pages.len(), "json_bytes": json, "parquet_bytes": bytes, "files": files,
            "gunzip": gunzip, "decode": decode, "encode": encode, "cpu": gunzip + decode + encode,
        })
    );
}

/// The rows of one partition in order.
fn sorted(stream: &Arc<Stream>, rows: &[RecordBatch]) -> (Fetched, PartitionKey) {
    let spill = SpillDir::new(std::env::temp_dir().join("cio2parquet-bench"));
    let mut buffer = RunBuffer::new(Arc::clone(stream), &RowMemory::new(usize::MAX, 0), spill).unwrap();
    for batch in rows {
        buffer.push(batch.clone(), 1).unwrap();
    }
    let fetched = buffer.finish().unwrap();
    let largest = fetched.partitions().into_iter().max_by_key(|key| {
        fetched
            .partition(key)
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum::<usize>()
    });
    (fetched, largest.unwrap())
}

fn merged(stream: &Arc<Stream>, stored: &bytes::Bytes, fetched: &Fetched, key: &PartitionKey) -> (Vec<u8>, u64, u64) {
    let stored: Box<dyn Iterator<Item = _> + Send> = if stored.is_empty() {
        Box::new(std::iter::empty())
    } else {
        Box::new(read_parquet(stream, stored.clone()).unwrap())
    };
    let mut encoder = ParquetEncoder::new(Arc::clone(stream), Vec::new());
    let input = MergeInput {
        stored,
        fetched: Some(fetched.partition(key).unwrap()),
        remove: &HashSet::new(),
        proof: None,
    };
    let outcome = merge_partition(stream, input, &mut encoder).unwrap();
    (encoder.finish().unwrap(), outcome.rows, outcome.new)
}

/// Ninety-nine rows of a hundred are stored; the hundredth comes, among as many that are there already.
fn merge(stream: &Arc<Stream>, pages: &[Captured]) {
    let decoder = PageDecoder::new(Arc::clone(stream));
    let batches: Vec<RecordBatch> = pages
        .iter()
        .map(|page| decoder.decode(&unpack(&page.body), &page.context).unwrap().rows)
        .collect();
    let (all, key) = sorted(stream, &batches);
    let mut whole = all.partition(&key).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let schema = decoder.schema();
    let one = arrow::compute::concat_batches(&schema, &whole).unwrap();
    whole.clear();
    let pick = |keep: &dyn Fn(usize) -> bool| {
        let mask: arrow::array::BooleanArray = (0..one.num_rows()).map(|row| Some(keep(row))).collect();
        arrow::compute::filter_record_batch(&one, &mask).unwrap()
    };
    let (before, _) = sorted(stream, &[pick(&|row| row % 100 != 50)]);
    let (change, _) = sorted(stream, &[pick(&|row| row % 100 == 50 || row % 100 == 51)]);
    let stored = bytes::Bytes::from(merged(stream, &bytes::Bytes::new(), &before, &key).0);
    let (started, mut spent) = (Instant::now(), 0.0);
    let (file, rows, new) = timed(&mut spent, || merged(stream, &stored, &change, &key));
    let seconds = started.elapsed().as_secs_f64();
    let mut plain = 0.0;
    timed(&mut plain, || {
        let mut encoder = ParquetEncoder::new(Arc::clone(stream), Vec::new());
        for batch in read_parquet(stream, stored.clone()).unwrap() {
            encoder.push(&batch.unwrap()).unwrap();
        }
        black_box(encoder.finish().unwrap())
    });
    println!(
        "{}",
        json!({
            "rows": rows, "new": new, "bytes": file.len(), "seconds": seconds, "cpu": spent, "read_and_encode": plain,
        })
    );
}
