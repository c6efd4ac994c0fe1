//! What holds of all rows, all states and all plans, tried on arbitrary ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use cio2parquet::columnar::{
    Fetched, MergeInput, PageContext, PageDecoder, ParquetEncoder, Promise, RowMemory, RunBuffer, SpillDir, audit,
    merge_partition, read_parquet,
};
use cio2parquet::manifest::{
    Claim, Coverage, DriftNote, FullTable, Gap, KnownMessage, PartitionFile, RowCounts, RunRecord, ScanProgress,
    SchemaRef, SyncMode, TableState, Version,
};
use cio2parquet::plan::{self, Ask};
use cio2parquet::storage::Owner;
use cio2parquet::stream::{Catalog, Column, ColumnType, Stream, Window, arrow_schema};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

const HOUR: i64 = 3_600;

fn streams() -> Vec<Arc<Stream>> {
    Catalog::load().unwrap().streams().to_vec()
}

fn details() -> Arc<Stream> {
    Catalog::load().unwrap().get("transactional_message_details").unwrap()
}

fn context() -> PageContext {
    PageContext {
        transactional_id: Some(7),
        requested_at: Timestamp::UNIX_EPOCH,
        period: Some("days".to_owned()),
        steps: Some(45),
    }
}

// Rows.

/// A value that is served for a column: mostly one that fits.
fn served(column: &Column) -> BoxedStrategy<Value> {
    let fitting = match column.kind {
        ColumnType::Text => ".{0,12}".prop_map(Value::from).boxed(),
        ColumnType::Integer => any::<i64>().prop_map(Value::from).boxed(),
        ColumnType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        ColumnType::Time => (-3_000_000_000_i64..9_000_000_000).prop_map(Value::from).boxed(),
        ColumnType::Integers => vec(option::of(any::<i64>()), 0..4).prop_map(|list| json!(list)).boxed(),
        ColumnType::Json | ColumnType::Extra => anything().boxed(),
        ColumnType::Struct => object(&column.fields),
    };
    prop_oneof![6 => fitting, 1 => anything()].boxed()
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

/// Some of the fields, under one of the names they come by.
fn object(columns: &[Column]) -> BoxedStrategy<Value> {
    let fields: Vec<_> = columns
        .iter()
        .map(|column| {
            let names: Vec<String> = column.json_names().map(str::to_owned).collect();
            let value = served(column);
            match names.is_empty() {
                true => Just(None).boxed(),
                false => option::of((prop::sample::select(names), value)).boxed(),
            }
        })
        .collect();
    fields
        .prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
        .boxed()
}

fn page(stream: &Stream, rows: &[Value]) -> Vec<u8> {
    let rows = if stream.fetch.paging.is_none() && stream.fetch.rows.len() > 1 {
        rows.first().cloned().unwrap_or_default()
    } else {
        json!(rows)
    };
    let page = stream
        .fetch
        .rows
        .iter()
        .rev()
        .fold(rows, |inner, name| json!({ name.as_str(): inner }));
    page.to_string().into_bytes()
}

fn any_page() -> impl Strategy<Value = (Arc<Stream>, Vec<Value>)> {
    prop::sample::select(streams()).prop_flat_map(|stream| {
        let mut row = stream.columns.clone();
        row.retain(|column| column.kind != ColumnType::Extra);
        let rows = vec(object(&row), 1..8);
        // A key and a time, so that most rows can stand in the table.
        let must = [Some(stream.key.clone()), stream.time_column().map(str::to_owned)];
        let names: Vec<String> = must.into_iter().flatten().collect();
        rows.prop_map(move |mut rows| {
            for (number, row) in (1..).zip(&mut rows) {
                names.iter().for_each(|name| row[name.as_str()] = json!(number));
            }
            (Arc::clone(&stream), rows)
        })
    })
}

fn encode(stream: &Stream, rows: &RecordBatch) -> Bytes {
    let mut encoder = ParquetEncoder::new(Arc::new(stream.clone()), Vec::new());
    encoder.push(rows).unwrap();
    encoder.finish().unwrap().into()
}

/// A delivery: its key decides its time, so that equal keys are the same row or a later form of it.
fn delivery() -> impl Strategy<Value = Value> {
    (0..60_u32, 0..3_u32).prop_map(
        |(key, form)| json!({"id": format!("k{key}"), "created": key * 7_919 % 200_000, "subject": format!("s{form}")}),
    )
}

/// What a buffer makes of rows that arrive in pages of so many.
fn fetch(stream: &Arc<Stream>, rows: &[Value], size: usize, limit: usize) -> (tempfile::TempDir, Arc<Fetched>) {
    let dir = tempfile::tempdir().unwrap();
    let decoder = PageDecoder::new(Arc::clone(stream));
    let mut buffer = RunBuffer::new(
        Arc::clone(stream),
        &RowMemory::new(limit, 0),
        SpillDir::new(dir.path().join("spill")),
    )
    .unwrap();
    for (number, rows) in (0..).zip(rows.chunks(size)) {
        let decoded = decoder.decode(&page(stream, rows), &context()).unwrap();
        buffer.push(decoded.rows, number).unwrap();
    }
    (dir, Arc::new(buffer.finish().unwrap()))
}

/// The files that the rows are merged into, by partition, on top of those that are stored.
fn merge(stream: &Stream, fetched: &Fetched, stored: &BTreeMap<String, Bytes>) -> (BTreeMap<String, Bytes>, bool) {
    let (mut files, mut differs) = (stored.clone(), false);
    for key in fetched.partitions() {
        let mut encoder = ParquetEncoder::new(Arc::new(stream.clone()), Vec::new());
        let input = MergeInput {
            stored: match stored.get(&key.to_string()) {
                Some(file) => Box::new(read_parquet(stream, file.clone()).unwrap()),
                None => Box::new(std::iter::empty()),
            },
            fetched: Some(fetched.partition(&key).unwrap()),
            remove: &HashSet::new(),
            proof: None,
        };
        let outcome = merge_partition(stream, input, &mut encoder).unwrap();
        differs |= outcome.differs();
        files.insert(key.to_string(), encoder.finish().unwrap().into());
    }
    (files, differs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_of_every_stream_come_back_from_parquet_as_they_went((stream, rows) in any_page()) {
        let decoder = PageDecoder::new(Arc::clone(&stream));
        let body = page(&stream, &rows);
        let decoded = decoder.decode(&body, &context()).unwrap();
        prop_assert_eq!(decoded.served, decoded.rows.num_rows() + decoded.rejected.len());
        let file = encode(&stream, &decoded.rows);
        let back: Vec<RecordBatch> = read_parquet(&stream, file.clone()).unwrap().map(Result::unwrap).collect();
        let back = concat_batches(&arrow_schema(&stream), &back).unwrap();
        prop_assert_eq!(&back, &decoded.rows);
        prop_assert_eq!(encode(&stream, &back), file.clone(), "the same rows made other bytes");
        let careful = decoder.decode_carefully(&body, &context()).unwrap();
        prop_assert_eq!(careful.rows, decoded.rows);
        // Rows are numbered in the order of their keys where those are numbers; otherwise the order is not promised here.
        let audit = audit(&stream, file, Promise { day: None, schema: Some(stream.version) }, |_| ());
        prop_assert!(audit.faults.iter().all(|fault| format!("{:?}", fault.kind) == "Order"), "{:?}", audit.faults);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn how_rows_were_paged_leaves_no_trace(
        rows in vec(delivery(), 1..120),
        sizes in (1..50_usize, 1..50_usize),
        limit in prop_oneof![Just(usize::MAX), 0..8_000_usize],
    ) {
        let stream = details();
        let (_dir, one) = fetch(&stream, &rows, sizes.0, usize::MAX);
        let (_other_dir, other) = fetch(&stream, &rows, sizes.1, limit);
        let (files, _) = merge(&stream, &one, &BTreeMap::new());
        prop_assert_eq!(&merge(&stream, &other, &BTreeMap::new()).0, &files);
        // And merging them once more changes nothing.
        let (again, differs) = merge(&stream, &other, &files);
        prop_assert!(!differs);
        prop_assert_eq!(again, files);
    }

    #[test]
    fn the_order_of_pages_with_equal_rows_leaves_no_trace(
        keys in vec(0..60_u32, 1..120),
        size in 1..50_usize,
        shift in any::<prop::sample::Index>(),
    ) {
        let stream = details();
        let row = |key: &u32| json!({"id": format!("k{key}"), "created": key * 7_919 % 200_000, "subject": "s"});
        let mut rows: Vec<Value> = keys.iter().map(row).collect();
        let (_dir, one) = fetch(&stream, &rows, size, usize::MAX);
        rows.rotate_left(shift.index(keys.len()));
        rows.reverse();
        let (_other_dir, other) = fetch(&stream, &rows, size, 0);
        prop_assert_eq!(merge(&stream, &one, &BTreeMap::new()).0, merge(&stream, &other, &BTreeMap::new()).0);
    }
}

// States.

fn instant() -> impl Strategy<Value = Timestamp> {
    (-3_000_000_000_i64..9_000_000_000, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn coverage() -> impl Strategy<Value = Coverage> {
    vec((0..200_i64, 1..60_i64, vec(1..5_i64, 0..3)), 0..6).prop_map(|windows| {
        let mut coverage = Coverage::default();
        for (from, hours, unread) in windows {
            coverage.add(hourly(from, from + hours), &unread);
        }
        coverage
    })
}

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_second(1_700_006_400 + hour * HOUR).unwrap()
}

fn hourly(from: i64, to: i64) -> Window {
    Window::new(hour(from), hour(to)).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,10}"
}

fn file() -> impl Strategy<Value = PartitionFile> {
    let times = (option::of(instant()), option::of(instant()));
    (
        any::<(u64, u64, u32)>(),
        "[0-9a-f]{64}",
        option::of(text()),
        times,
        option::of(text()),
    )
        .prop_map(
            |((rows, bytes, schema), sha256, etag, (least_time, greatest_time), key)| PartitionFile {
                rows,
                bytes,
                sha256,
                etag,
                schema,
                least_time,
                greatest_time,
                least_key: key.clone(),
                greatest_key: key,
            },
        )
}

fn progress() -> impl Strategy<Value = ScanProgress> {
    let times = (instant(), option::of(instant()), instant(), option::of(instant()));
    (times, option::of(text())).prop_map(|((upper, lower, reached, topped), cursor)| ScanProgress {
        upper,
        lower,
        reached,
        cursor,
        topped,
    })
}

fn full_table() -> impl Strategy<Value = FullTable> {
    let keys = || btree_map("date=2026-0[1-9]-1[0-9]/part-0.parquet", vec(text(), 0..4), 0..3);
    (
        instant(),
        option::of(instant()),
        coverage(),
        option::of(progress()),
        keys(),
        keys(),
        any::<u64>(),
    )
        .prop_map(|(now, from, done, scan, met, candidates, count)| FullTable {
            done,
            scan,
            met,
            candidates,
            fetched: count,
            ..FullTable::begin(now, from, from, count)
        })
}

fn record() -> impl Strategy<Value = RunRecord> {
    (instant(), instant(), any::<[u64; 4]>(), any::<bool>(), text()).prop_map(
        |(started, ended, counts, full, outcome)| {
            let [requests, retries, fetched, new] = counts;
            RunRecord {
                run: "0199-a".parse().unwrap(),
                started,
                ended,
                sync: if full {
                    SyncMode::FullTable
                } else {
                    SyncMode::Incremental
                },
                requests,
                retries,
                rows: RowCounts {
                    fetched,
                    new,
                    ..RowCounts::default()
                },
                outcome,
            }
        },
    )
}

fn state() -> impl Strategy<Value = TableState> {
    let time = || option::of(instant());
    let progress = (option::of(progress()), option::of(full_table()), vec(record(), 0..3));
    let lists = (
        vec((any::<i64>(), any::<bool>()), 0..4),
        vec((instant(), text()), 0..3),
        vec(text(), 0..3),
    );
    let files = btree_map("date=2026-0[1-9]-1[0-9]/part-0.parquet", file(), 0..4);
    let rest = (option::of(text()), any::<u64>(), option::of((instant(), text())));
    (time(), time(), coverage(), files, progress, lists, rest).prop_map(
        |(mark, asked_since, coverage, partitions, (scan, full_table, runs), (known, notes, removing), rest)| {
            let (description, rejected, claim) = rest;
            let schema = SchemaRef {
                version: 3,
                fingerprint: "f".to_owned(),
            };
            TableState {
                description,
                sync: full_table.as_ref().map(|_| SyncMode::FullTable),
                mark,
                asked_since,
                coverage,
                transactional_messages: known.into_iter().map(|(id, gone)| KnownMessage { id, gone }).collect(),
                gaps: notes
                    .iter()
                    .map(|(at, why)| Gap {
                        from: *at,
                        to: *at,
                        reason: why.clone(),
                    })
                    .collect(),
                partitions,
                removing,
                scan,
                full_table,
                drift: notes
                    .into_iter()
                    .map(|(first_seen, path)| DriftNote {
                        path,
                        kind: "misfit".to_owned(),
                        count: 1,
                        first_seen,
                    })
                    .collect(),
                rejected,
                claim: claim.map(|(until, host)| Claim {
                    run: "r".parse().unwrap(),
                    owner: Owner {
                        host,
                        boot: String::new(),
                        process: "1:2".to_owned(),
                    },
                    until,
                }),
                runs,
                ..TableState::new("activities", "t", schema)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_state_comes_back_from_the_manifest_as_it_went(state in state(), number: u64, written_at in instant()) {
        let version = Version { number, state, written_at, run: "r-1".parse().unwrap() };
        let stored = version.encode().unwrap();
        let back = Version::parse("it", &stored).unwrap();
        prop_assert_eq!(&back, &version);
        prop_assert_eq!(back.encode().unwrap(), stored);
    }

    #[test]
    fn windows_ask_for_every_instant_once_and_for_nothing_else(
        covered in coverage(),
        mark in option::of(0..300_i64),
        since in option::of(0..250_i64),
        asked_since in 0..100_i64,
        now in 120..300_i64,
        lookback in 0..100_i64,
        full in any::<bool>(),
    ) {
        let now = hour(now);
        let ask = Ask { since: since.map(hour), standing: None, until: None, lookback: SignedDuration::from_hours(lookback), now };
        let schema = SchemaRef { version: 1, fingerprint: String::new() };
        let state = TableState {
            mark: mark.map(hour),
            asked_since: Some(plan::ceil_day(hour(asked_since))),
            coverage: covered.clone(),
            ..TableState::new("transactional_message_details", "t", schema)
        };
        let sync = if full { SyncMode::FullTable } else { SyncMode::Incremental };
        let plan = plan::windows(&details(), sync, &ask, &state);
        let range = Window::new(plan.since, plan.until);
        // The whole days from the lookback before the mark on are read again.
        let again = state.mark.map(|mark| {
            let from = mark.min(now).checked_sub(ask.lookback).unwrap();
            cio2parquet::stream::floor_day(from)
        });
        for half_hour in -24..640_i64 {
            let at = hour(0).checked_add(SignedDuration::from_secs(half_hour * HOUR / 2)).unwrap();
            let tasks: Vec<_> = plan.tasks.iter().filter(|task| task.window.contains(at)).collect();
            let known = covered.windows().iter().find(|covered| covered.window().contains(at));
            let wanted = range.is_some_and(|range| range.contains(at))
                && (full || known.is_none() || again.is_some_and(|again| again <= at));
            let whole = tasks.iter().filter(|task| task.only.is_none()).count();
            prop_assert_eq!(whole, usize::from(wanted), "{} as a whole", at);
            let asked: Vec<i64> = tasks.iter().filter_map(|task| task.only.clone()).flatten().collect();
            // Nothing at all is asked for where nothing of the range has settled.
            let owed = known.filter(|_| !wanted && !full && range.is_some()).map_or(Vec::new(), |known| known.unread.clone());
            prop_assert_eq!(&asked, &owed, "{} of some messages", at);
            prop_assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
        }
    }
}
