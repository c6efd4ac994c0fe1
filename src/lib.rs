//! Exports a Customer.io workspace into partitioned Parquet, incrementally.
//!
//! ```text
//!            stream (what can be exported, as data)
//!               |
//!   source --pages--> run --record batches--> columnar --Parquet--> storage
//!   (HTTP)             |                      (decode, sort, merge)  (objects)
//!                    plan <--- marks and coverage --- manifest ----------'
//! ```
//!
//! What always holds:
//!
//! 1. Claim before data: a run writes into a table only while the newest manifest version names it as the writer.
//! 2. A partition is one object, replaced whole by one atomic put: a reader who globs sees every key once, always.
//! 3. Data before truth: a partition is stored before a manifest version describes it.
//! 4. A manifest version is created once and never changed.
//! 5. A high-water mark says what was asked for and fully read. It never moves back. A row is removed only on proof.
//! 6. There is no other state: resuming is planning again from marks and coverage.
//! 7. Incremental never removes a row; full-table touches only the range the API really served.
//! 8. One stream's failure does not stop the others; the last line and the exit code say so.
//! 9. Nothing is dropped silently: unknown fields go to `_extra`, rejected rows are set aside, counted and located.
//! 10. Same rows, same settings: the same bytes.
//! 11. No secret can be printed.
//!
//! `ARCHITECTURE.md` says which room may import which.

pub mod cli;
pub mod columnar;
pub mod crash;
pub mod error;
pub mod manifest;
pub mod plan;
pub mod run;
pub mod sandbox;
pub mod source;
pub mod storage;
pub mod stream;
