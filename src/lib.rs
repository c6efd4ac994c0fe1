//! cio2parquet
pub mod error;
pub mod stream;
