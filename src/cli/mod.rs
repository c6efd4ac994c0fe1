//! Flags, environment, clock and terminal: everything that is decided at the door.

mod access;
mod args;
mod catalog;
mod check;
mod columns;
mod config;
mod demo;
mod drawn;
mod export;
mod help;
mod idle;
mod lanes;
mod listen;
mod log_line;
mod logging;
mod man;
mod out;
mod parse;
mod place;
mod plan;
mod rename;
mod sandbox;
mod schedule;
mod settings;
mod signals;
mod span;
mod sql;
mod streams;
mod summary;
mod timing;
mod verify;
mod what;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use crate::crash;
use crate::error::{Error, Result};
use args::{Args, LogFormat, Output, Verb};
use signals::until_signal;

/// Parses the command line, does what it says and answers the exit code.
pub fn run() -> ExitCode {
    // Left to itself, clap colours a dumb terminal where the variable CI is set.
    let color = if out::plain() {
        ColorChoice::Never
    } else {
        ColorChoice::Auto
    };
    let mut command = Args::command().color(color);
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let args = match parsed.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match act(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            for line in error.lines() {
                out::error(None, &line);
            }
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Help and version go to stdout with 0, mistakes to stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && logs_json(std::env::args_os()) {
        logging::start(Output {
            log_format: LogFormat::Json,
            ..Output::default()
        });
        let text = error.render().to_string();
        let words: Vec<&str> = text.trim_start_matches("error: ").split_whitespace().collect();
        out::error(None, &words.join(" "));
    } else {
        // There is nobody left to tell when the terminal is gone.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether a command line that cannot be understood asks for log lines in JSON.
fn logs_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.collect();
    args.iter().any(|arg| arg == "--log-format=json")
        || args
            .windows(2)
            .any(|pair| pair[0] == "--log-format" && pair[1] == "json")
}

fn act(args: Args) -> Result<u8> {
    logging::start(args.output);
    if let Ok(plan) = std::env::var(crash::VARIABLE) {
        crash::arm(&plan)?;
    }
    let wait = |work: std::pin::Pin<Box<dyn Future<Output = Result<u8>>>>| runtime(Some(1))?.block_on(work);
    let serve = |work: std::pin::Pin<Box<dyn Future<Output = Result<u8>>>>| runtime(None)?.block_on(work);
    match args.verb {
        Verb::Export(flags) => wait(Box::pin(export::run(flags, args.output))),
        Verb::Schedule(flags) => wait(Box::pin(schedule::run(flags, args.output))),
        Verb::Plan(flags) => wait(Box::pin(plan::run(flags))),
        Verb::Check(flags) => wait(Box::pin(check::run(flags))),
        Verb::Demo(flags) => serve(Box::pin(until_signal(demo::run(flags, args.output)))),
        Verb::Catalog(flags) => wait(Box::pin(until_signal(catalog::run(flags)))),
        Verb::Verify(flags) => wait(Box::pin(until_signal(verify::run(flags, args.output)))),
        Verb::Rename(flags) => wait(Box::pin(until_signal(rename::run(flags)))),
        Verb::Sql(flags) => wait(Box::pin(until_signal(sql::run(flags)))),
        Verb::Sandbox(flags) => serve(Box::pin(sandbox::run(flags))),
        Verb::Streams(flags) => streams::run(&flags),
        Verb::Config(verb) => config::run(&verb),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "cio2parquet", &mut script);
            out::print(&String::from_utf8_lossy(&script)).map(|()| 0)
        }
        Verb::Man(flags) => man::run(&flags, Args::command()),
    }
}

/// A runtime with one thread a core, or with so many; one is plenty for asking and waiting, and pages do not travel between threads then.
fn runtime(threads: Option<usize>) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    runtime.map_err(|e| Error::internal("cannot start the runtime").caused_by(e))
}
