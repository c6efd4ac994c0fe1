//! cio2parquet
pub mod columnar;
pub mod error;
pub mod stream;
