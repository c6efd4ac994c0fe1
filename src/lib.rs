//! cio2parquet
pub mod error;
pub mod manifest;
pub mod sandbox;
pub mod storage;
pub mod stream;
