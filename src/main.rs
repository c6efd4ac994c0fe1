//! The `cio2parquet` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cio2parquet::cli::run()
}
