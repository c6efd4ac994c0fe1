//! A stored partition held against what its table promises: footer, columns, order, day and keys.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::civil::Date;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::file::reader::ChunkReader;

use super::order::{Keys, Order, key_hash};
use super::parquet_layout::{SCHEMA_VERSION, STREAM, is_under_rules};
use super::stats::StatsBuilder;
use super::stored::{open, rows_of};
use super::{PartitionKey, PartitionStats};
use crate::error::{Error, Result};
use crate::stream::{Context, Partition, Stream, arrow_schema};

/// What a partition's path and its entry say about the rows inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The UTC day in the path.
    pub day: Option<Date>,
    /// The version of the schema that the manifest names; `None` without an entry.
    pub schema: Option<u32>,
}

/// What a partition really holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// What was read, up to the first row that could not be.
    pub stats: PartitionStats,
    /// Every promise that is broken, each once.
    pub faults: Vec<Fault>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub kind: FaultKind,
    /// What was found instead, as a fragment without a full stop.
    pub detail: String,
}

/// The promises that a partition can break by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is no Parquet file, or its rows cannot be decoded.
    Unreadable,
    /// Its footer names another stream, or none.
    Stream,
    /// Its columns, or the schema version in its footer, are not those of the table.
    Schema,
    /// Rows do not ascend in the table's order.
    Order,
    /// Rows belong to another day than the path says.
    Day,
}

/// Reads the partition in `object` from footer to last row; `see` gets the stand-in of each key, see [`key_hash`].
///
/// Never fails: what keeps it from being read is a fault too.
pub fn audit<R: ChunkReader + 'static>(
    stream: &Stream,
    object: R,
    promise: Promise,
    see: impl FnMut(&[u128]),
) -> Audit {
    let mut audit = Audit::default();
    let outcome = open(stream, object).and_then(|file| {
        audit.faults.extend(footer(stream, &file, promise));
        // Columns that do not fit keep the rows from being read; that is told already.
        if audit.faults.iter().any(|fault| fault.kind == FaultKind::Schema) {
            return Ok(());
        }
        let mut walk = Walk::new(stream, promise, see)?;
        let read = rows_of(stream, file)?.try_for_each(|batch| walk.see(&batch?));
        audit.faults.extend(walk.faults());
        audit.stats = walk.stats.finish()?;
        read
    });
    if let Err(error) = outcome {
        audit.add(FaultKind::Unreadable, error.chain());
    }
    audit
}

impl Audit {
    fn add(&mut self, kind: FaultKind, detail: String) {
        self.faults.push(Fault { kind, detail });
    }
}

/// Calls `see` with every key, integers in decimal, and its stand-in; reads nothing but the key column.
///
/// # Errors
/// Storage, when the object cannot be read.
pub fn visit_keys<R: ChunkReader + 'static>(stream: &Stream, object: R, mut see: impl FnMut(&str, u128)) -> Result<()> {
    let file = open(stream, object)?;
    let mask = ProjectionMask::columns(file.parquet_schema(), [stream.key.as_str()]);
    let failed = || {
        Error::storage(format!(
            "cannot read the keys of a stored partition of {}",
            stream.stream
        ))
    };
    let batches = file.with_projection(mask).build().map_err(|e| failed().caused_by(e))?;
    for batch in batches {
        let batch = batch.map_err(|e| failed().caused_by(e))?;
        let column = batch.columns().first().ok_or_else(failed)?;
        let keys = Keys::of(column)?;
        for row in 0..batch.num_rows() {
            let key = keys.text(row);
            see(&key, key_hash(&key));
        }
    }
    Ok(())
}

fn footer<R: ChunkReader + 'static>(
    stream: &Stream,
    file: &ParquetRecordBatchReaderBuilder<R>,
    promise: Promise,
) -> Vec<Fault> {
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let says = |name: &str| pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == name)?.value.clone());
    let mut faults = Vec::new();
    let mut add = |kind, detail| faults.push(Fault { kind, detail });
    match says(STREAM) {
        Some(name) if name == stream.stream => {}
        Some(name) => add(FaultKind::Stream, format!("its footer names the stream {name}")),
        None => add(FaultKind::Stream, "its footer names no stream".to_owned()),
    }
    if let Ok(false) = is_under_rules(stream, file.metadata().file_metadata()) {
        let detail = "its footer says that other columns were left out or hashed than the manifest does".to_owned();
        add(FaultKind::Schema, detail);
    }
    let version = says(SCHEMA_VERSION).and_then(|text| text.parse::<u32>().ok());
    match version {
        None => add(FaultKind::Schema, "its footer names no schema version".to_owned()),
        Some(found) if found > stream.version => add(
            FaultKind::Schema,
            format!(
                "its schema version is {found}, this binary knows {} at most",
                stream.version
            ),
        ),
        Some(found) => {
            if let Some(known) = promise.schema.filter(|known| *known != found) {
                let detail = format!("its schema version is {found}, the manifest says {known}");
                add(FaultKind::Schema, detail);
            }
            // An older schema has fewer columns; whether those fit is found out by reading.
            if let Some(detail) = columns(stream, file).filter(|_| found == stream.version) {
                add(FaultKind::Schema, detail);
            }
        }
    }
    faults
}

/// How the columns differ from the stream's.
fn columns<R: ChunkReader>(stream: &Stream, file: &ParquetRecordBatchReaderBuilder<R>) -> Option<String> {
    let expected = arrow_schema(stream);
    let (wanted, found) = (expected.fields(), file.schema().fields());
    let name = |at: usize| found.get(at).map_or("nothing", |field| field.name().as_str());
    if let Some(at) = (0..wanted.len()).find(|at| found.get(*at) != Some(&wanted[*at])) {
        let field = &wanted[at];
        return Some(match found.find(field.name()) {
            Some((_, other)) if other.data_type() != field.data_type() => {
                format!(
                    "its column {} is {}, not {}",
                    field.name(),
                    other.data_type(),
                    field.data_type()
                )
            }
            Some(_) => format!(
                "its column {} stands elsewhere or differs in what may be null",
                field.name()
            ),
            None => format!("it has {} where the column {} belongs", name(at), field.name()),
        });
    }
    if found.len() > wanted.len() {
        return Some(format!(
            "it has the column {}, which the stream has not",
            name(wanted.len())
        ));
    }
    let parquet = ArrowSchemaConverter::new().convert(&expected).ok()?;
    let same = parquet.root_schema() == file.parquet_schema().root_schema();
    (!same).then(|| "its Parquet types are not those that the stream is written with".to_owned())
}

/// One walk over the rows.
struct Walk<F> {
    order: Order,
    /// The column whose day the path names, and the day's number.
    day: Option<(usize, i64)>,
    stats: StatsBuilder,
    see: F,
    rows: u64,
    last: Vec<u8>,
    disorder: Seen,
    strays: Seen,
}

/// How often something was seen, and where first.
#[derive(Default)]
struct Seen {
    count: u64,
    first: Option<String>,
}

impl Seen {
    fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(describe());
        }
    }

    fn fault(self, kind: FaultKind, what: &str) -> Option<Fault> {
        let (count, first) = (self.count, self.first?);
        let detail = format!("{what}: {count} of them, the first is {first}");
        Some(Fault { kind, detail })
    }
}

const MICROS_A_DAY: i64 = 86_400_000_000;

impl<F: FnMut(&[u128])> Walk<F> {
    fn new(stream: &Stream, promise: Promise, see: F) -> Result<Self> {
        let column = match &stream.partition {
            Partition::Day { column } => stream.position(column),
            Partition::RunDay => stream
                .columns
                .iter()
                .position(|c| c.context == Some(Context::RequestedAt)),
            Partition::None => None,
        };
        let number = |day: Date| crate::stream::whole_day(day).map(|day| day.from.as_second() / 86_400);
        Ok(Self {
            order: Order::new(stream)?,
            day: column.zip(promise.day.and_then(number)),
            stats: StatsBuilder::default(),
            see,
            rows: 0,
            last: Vec::new(),
            disorder: Seen::default(),
            strays: Seen::default(),
        })
    }

    fn see(&mut self, batch: &RecordBatch) -> Result<()> {
        self.stats.see(&self.order, batch)?;
        self.compare(batch)?;
        let keys = self.order.keys(batch)?;
        self.place(batch, &keys)?;
        let hashes: Vec<u128> = (0..batch.num_rows()).map(|row| key_hash(&keys.text(row))).collect();
        (self.see)(&hashes);
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn compare(&mut self, batch: &RecordBatch) -> Result<()> {
        let places = self.order.rows(batch)?;
        let keys = self.order.keys(batch)?;
        let mut last: &[u8] = &self.last;
        for (row, place) in places.iter().enumerate() {
            if self.rows + row as u64 > 0 && place.data() < last {
                let number = self.rows + row as u64 + 1;
                self.disorder
                    .add(|| format!("row {number} with the key {}", keys.text(row)));
            }
            last = places.row(row).data();
        }
        self.last = last.to_vec();
        Ok(())
    }

    fn place(&mut self, batch: &RecordBatch, keys: &Keys<'_>) -> Result<()> {
        let Some((column, day)) = self.day else { return Ok(()) };
        let times = batch.column(column).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let micros = (!times.is_null(row)).then(|| times.value(row));
            if micros.map(|micros| micros.div_euclid(MICROS_A_DAY)) == Some(day) {
                continue;
            }
            let when = match micros {
                Some(micros) => PartitionKey::of(super::order::timestamp(micros)?).to_string(),
                None => "no time".to_owned(),
            };
            self.strays.add(|| format!("{} with {when}", keys.text(row)));
        }
        Ok(())
    }

    fn faults(&mut self) -> impl Iterator<Item = Fault> + use<F> {
        let disorder = std::mem::take(&mut self.disorder);
        let strays = std::mem::take(&mut self.strays);
        let disorder = disorder.fault(FaultKind::Order, "it has rows that stand after greater ones");
        let strays = strays.fault(FaultKind::Day, "it has rows of another day");
        disorder.into_iter().chain(strays)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::testing::{context, stream, things};
    use super::super::{PageDecoder, ParquetEncoder};
    use super::*;

    fn file(stream: &Stream, rows: &RecordBatch) -> Bytes {
        let mut encoder = ParquetEncoder::new(Arc::new(stream.clone()), Vec::new());
        encoder.push(rows).unwrap();
        encoder.finish().unwrap().into()
    }

    fn faults(file: &Bytes, schema: Option<u32>) -> Vec<FaultKind> {
        let promise = Promise {
            day: Some("1970-01-02".parse().unwrap()),
            schema,
        };
        let audit = audit(&stream(), file.clone(), promise, |_| ());
        audit.faults.into_iter().map(|fault| fault.kind).collect()
    }

    #[test]
    fn a_file_of_an_older_schema_is_in_order_if_the_manifest_says_so() {
        let mut older = (*stream()).clone();
        older.version -= 1;
        older.columns.retain(|column| column.name != "name");
        let decoder = PageDecoder::new(older.clone().into());
        let rows = decoder
            .decode(br#"{"rows":[{"id":"a","at":86400}]}"#, &context())
            .unwrap()
            .rows;
        let file = file(&older, &rows);
        assert_eq!(faults(&file, Some(2)), []);
        assert_eq!(faults(&file, None), []);
        assert_eq!(faults(&file, Some(3)), [FaultKind::Schema]);
    }

    #[test]
    fn order_and_day_are_told_once_with_the_first_row() {
        let day = 86_400;
        let rows = [
            ("b", day),
            ("a", day + 5),
            ("c", day + 3),
            ("d", day + 2),
            ("e", 2 * day),
        ];
        let rows = things(&rows.map(|(key, at)| (key.to_owned(), at, 0)));
        let promise = Promise {
            day: Some("1970-01-02".parse().unwrap()),
            schema: None,
        };
        let mut keys = 0;
        let audit = audit(&stream(), file(&stream(), &rows), promise, |some| keys += some.len());
        let told: Vec<_> = audit.faults.into_iter().map(|fault| fault.detail).collect();
        let expected = [
            "it has rows that stand after greater ones: 2 of them, the first is row 3 with the key c",
            "it has rows of another day: 1 of them, the first is e with date=1970-01-03",
        ];
        assert_eq!(told, expected);
        assert_eq!((keys, audit.stats.rows), (5, 5));
        let sound = things(&[("a".to_owned(), day, 0), ("b".to_owned(), day, 0)]);
        assert_eq!(faults(&file(&stream(), &sound), Some(3)), []);
    }
}
