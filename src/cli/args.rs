//! The command line as the user types it; nothing is decided here.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::access::{AccessArgs, PaceArgs};
use super::config::{ConfigArgs, ConfigVerb};
use super::help::{
    CATALOG_HELP, CHECK_HELP, CONFIG_HELP, EXAMPLES, EXPORT_HELP, PLAN_HELP, RENAME_HELP, SCHEDULE_HELP, SQL_HELP,
    VERIFY_HELP,
};
use super::place::PlaceArgs;
use super::what::WhatArgs;

/// Exports a Customer.io workspace into a partitioned Parquet lake, night after night.
#[derive(Debug, Parser)]
#[command(name = "cio2parquet", version = env!("CIO2PARQUET_VERSION"), max_term_width = 100, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How to tell about it.
    #[command(flatten)]
    pub output: Output,
}

/// How much is told, and how.
#[derive(Debug, Default, Clone, Copy, ClapArgs)]
pub struct Output {
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More on stderr: -v for each request, -vv for the libraries too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// How lines on stderr are written
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Try it without an account: a simulated workspace becomes ./cio-lake
    Demo(DemoArgs),
    /// The main job: read streams from Customer.io and bring the lake up to date
    #[command(after_help = EXPORT_HELP)]
    Export(Box<ExportArgs>),
    /// Stays up and exports at each trigger of the config file
    #[command(after_help = SCHEDULE_HELP)]
    Schedule(Box<ScheduleArgs>),
    /// What export would ask for: windows, requests, minutes at the limit; sends only probes
    #[command(after_help = PLAN_HELP)]
    Plan(Box<PlanArgs>),
    /// Whether an export would get along: key, region, the right to each stream, the lake's store and tables
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// What can be exported; the columns of one stream with types and docs
    Streams(StreamsArgs),
    /// The tables of a lake: rows, partitions, bytes, marks, coverage, last runs
    #[command(after_help = CATALOG_HELP)]
    Catalog(CatalogArgs),
    /// Every partition against the manifest: size, checksum, rows, schema, order, days, unique keys
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Give a table another name; the same command goes on where it was cut off
    #[command(after_help = RENAME_HELP)]
    Rename(RenameArgs),
    /// Ready-to-paste statements that create a view for each table
    #[command(after_help = SQL_HELP)]
    Sql(SqlArgs),
    /// The config file: write one, check one, print its schema
    #[command(subcommand, after_help = CONFIG_HELP)]
    Config(ConfigVerb),
    /// A simulated Customer.io workspace as a server on 127.0.0.1
    Sandbox(SandboxArgs),
    /// Prints the completion script of a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
    /// Prints the manual page, or writes that of every command into a folder
    Man(ManArgs),
}

/// `export`.
#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// What is read, from where, into what.
    #[command(flatten)]
    pub what: WhatArgs,
    /// How much a run may take.
    #[command(flatten)]
    pub tune: TuneArgs,
    /// Take tables from a run that still holds them
    #[arg(long)]
    pub take_over: bool,
    /// Begin a table although the lake has another one of the same stream and prefix
    #[arg(long)]
    pub new_table: bool,
    /// Let a full-table run take more than half of a table away
    #[arg(long)]
    pub allow_shrink: bool,
}

/// The flags that tune a run: how much it may take, and how it reports.
#[derive(Debug, Clone, ClapArgs)]
pub struct TuneArgs {
    /// Requests in flight at most; a stream has one at least
    #[arg(long, value_name = "N", default_value = "12", allow_hyphen_values = true)]
    pub concurrency: String,
    /// How much memory to use, 64MiB at least
    #[arg(long, value_name = "SIZE", default_value = "256MiB", allow_hyphen_values = true)]
    pub memory: String,
    /// Where rows are put that do not fit into memory [default: beside the lake; the system's
    /// folder for temporary files when that is a bucket]
    #[arg(long, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
    /// Stop after this long, for example 4h or 90m, with exit code 9; the same command goes on
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub max_duration: Option<String>,
    /// Print a report of the run on stdout
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub report: Option<ReportFormat>,
}

/// `schedule`.
#[derive(Debug, ClapArgs)]
pub struct ScheduleArgs {
    /// The config file, with `trigger` in it.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How Customer.io is reached.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How fast it may be asked.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How much a run may take.
    #[command(flatten)]
    pub tune: TuneArgs,
}

/// `plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    /// What would be read, from where, into what.
    #[command(flatten)]
    pub what: WhatArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Json,
}

/// `demo`.
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// Where the lake goes: a folder or a URL, as with export
    #[arg(long, value_name = "DIR", default_value = "./cio-lake")]
    pub to: String,
}

/// `streams`.
#[derive(Debug, ClapArgs)]
pub struct StreamsArgs {
    /// Show the columns of this stream
    pub stream: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print every stream as Markdown, as in docs/streams.md
    #[arg(long, conflicts_with = "stream")]
    pub markdown: bool,
}

/// `catalog`.
#[derive(Debug, ClapArgs)]
pub struct CatalogArgs {
    /// The tables to show; all of them when none is named
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Which lake.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// Which lake.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only hold what is there against the manifest; reads no data
    #[arg(long)]
    pub quick: bool,
    /// How much memory to use, 64MiB at least
    #[arg(long, value_name = "SIZE", default_value = "256MiB", allow_hyphen_values = true)]
    pub memory: String,
}

/// `rename`.
#[derive(Debug, ClapArgs)]
pub struct RenameArgs {
    /// The table, prefix included
    pub table: String,
    /// Its new name, prefix included
    pub name: String,
    /// Which lake.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Take the table from a run that still holds it
    #[arg(long)]
    pub take_over: bool,
}

/// `check`.
#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// The streams to check; every core stream when none is named
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Which lake.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How Customer.io is reached.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Put before every table name, as with export
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Another name for a stream's table, as with export
    #[arg(long, value_name = "STREAM=NAME")]
    pub table: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `sql`.
#[derive(Debug, ClapArgs)]
pub struct SqlArgs {
    /// What the statements are for; those for spark and polars are Python
    #[arg(value_enum)]
    pub engine: Engine,
    /// Which lake.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Who reads a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    Duckdb,
    Spark,
    Polars,
}

/// `sandbox`.
#[derive(Debug, ClapArgs)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The same seed simulates the same workspace
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The simulated clock at the start, an RFC 3339 instant
    #[arg(long, value_name = "INSTANT", default_value = "2026-11-20T12:00:00Z")]
    pub now: String,
    /// Days of history before the clock
    #[arg(long, default_value_t = 400)]
    pub days: u32,
    /// People
    #[arg(long, default_value_t = 500)]
    pub people: u64,
    /// Transactional messages
    #[arg(long, default_value_t = 12)]
    pub messages: u32,
    /// Deliveries over the whole history
    #[arg(long, default_value_t = 20_000)]
    pub deliveries: u64,
    /// Activities over the last 30 days
    #[arg(long, default_value_t = 6_000)]
    pub activities: u64,
    /// Requests a second before 429; 0 is unlimited
    #[arg(long, value_name = "N", default_value = "10", allow_hyphen_values = true)]
    pub rate: String,
    /// Milliseconds before an answer
    #[arg(long, default_value_t = 0)]
    pub latency: u64,
    /// Milliseconds by which the latency varies
    #[arg(long, default_value_t = 0)]
    pub jitter: u64,
    /// A JSON object of behaviour switches, as POST /_sandbox/behaviour takes
    #[arg(long, value_name = "JSON")]
    pub behaviour: Option<String>,
}

/// `man`.
#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// Write a page for each command into this folder: cio2parquet.1, cio2parquet-export.1, ...
    #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
    pub dir: Option<PathBuf>,
    /// Print every command as Markdown, as in docs/commands.md
    #[arg(long)]
    pub markdown: bool,
}
