//! cio2parquet
pub mod error;
pub mod source;
pub mod stream;
