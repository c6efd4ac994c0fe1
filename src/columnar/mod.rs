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
mod careful;
mod column;
mod decode;
mod extra;
mod json_text;
mod layout;
mod notes;
mod page;
mod rows;
#[cfg(test)]
mod testing;
mod value;

pub use decode::PageDecoder;
pub use page::{DecodedPage, Drift, DriftKind, PageContext, PageError, RejectedRow};
