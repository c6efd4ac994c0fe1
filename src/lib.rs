//! cio2parquet
pub mod error;
pub mod sandbox;
pub mod stream;
