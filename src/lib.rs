//! cio2parquet
pub mod error;
pub mod storage;
pub mod stream;
