//! cio2parquet
pub mod error;
