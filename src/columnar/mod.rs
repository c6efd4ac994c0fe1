//! From JSON to rows, from rows to sorted runs, from runs to Parquet.
//!
//! ```text
//! page --PageDecoder--> RecordBatch --RunBuffer--> sorted runs --Fetched--> one partition, sorted, each key once
//!                                                                               |
//!                         stored partition --read_parquet--> RecordBatch --merge_partition--> ParquetEncoder --> bytes
//! ```
//!
//! Nothing here waits, and nothing knows where bytes come from or go to: these are plain functions for worker threads.

mod alias;
mod audit;
mod careful;
mod column;
mod decode;
mod encoder;
mod extra;
mod fetched;
mod json_text;
mod key_index;
mod layout;
mod merge;
mod merge_output;
mod merge_side;
mod notes;
mod order;
mod page;
mod parquet_layout;
mod partition_key;
mod place;
mod proof;
mod row_bytes;
mod row_memory;
mod rows;
#[cfg(test)]
mod ruled;
mod run_buffer;
mod run_merge;
mod small_pages;
mod sorted_run;
mod spill;
mod stamp;
mod stats;
mod stored;
#[cfg(test)]
mod testing;
mod value;

pub use audit::{Audit, Fault, FaultKind, Promise, audit, visit_keys};
pub use decode::PageDecoder;
pub use encoder::ParquetEncoder;
pub use fetched::{Fetched, FetchedPartition};
pub use merge::{MergeInput, MergeOutcome, merge_partition};
pub use order::key_hash;
pub use page::{DecodedPage, Drift, DriftKind, PageContext, PageError, RejectedRow};
pub use partition_key::PartitionKey;
pub use proof::Proof;
pub use row_memory::RowMemory;
pub use run_buffer::RunBuffer;
pub use spill::SpillDir;
pub use stats::{PartitionStats, inspect};
pub use stored::read_parquet;
