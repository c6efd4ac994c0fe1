//! `demo`: a simulated workspace becomes a lake, a day passes, and the lake follows; no account needed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::args::{DemoArgs, Output};
use super::config::Config;
use super::listen;
use super::logging;
use super::out;
use super::place;
use super::settings::{COMMIT_EVERY, LEASE};
use super::summary;
use crate::error::{Error, Result};
use crate::manifest::{SIMULATED, SyncMode};
use crate::plan::Ask;
use crate::run::{Job, RunReport, RunSettings, Stop};
use crate::sandbox::{Behaviour, Sandbox, Workspace};
use crate::source::{Base, Source, SourceSettings, Token, parse_api_url};
use crate::storage::{Owner, RunId, Storage};
use crate::stream::{Catalog, ColumnRules};

/// The query that the demo ends with.
const QUERY: &str = "SELECT date, count(*) AS deliveries, count(metrics.opened) AS opened
FROM read_parquet('{to}/transactional_message_details/**/*.parquet', hive_partitioning = true)
GROUP BY date ORDER BY date DESC LIMIT 7;";

/// The simulated workspace has no limit.
const UNLIMITED: f64 = 0.0;

/// Two exports with a day between them.
///
/// # Errors
/// Input and Storage, when the folder cannot be used.
pub async fn run(args: DemoArgs, output: Output) -> Result<u8> {
    let storage = Storage::open(&place::destination(Some(&args.to), &Config::default())?).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let behaviour = Behaviour {
        rate: UNLIMITED,
        ..Behaviour::default()
    };
    let sandbox = Sandbox::start(Workspace::default(), behaviour, address).await;
    let sandbox = sandbox.map_err(|e| Error::internal("cannot start the simulated workspace").caused_by(e))?;
    out::line(&format!(
        "A simulated workspace as of {}; exporting it into {}",
        sandbox.now(),
        args.to
    ))?;
    let first = export(&sandbox, &storage, output).await?;
    if first.exit_code != 0 {
        sandbox.stop().await;
        return Ok(first.exit_code);
    }
    let later = sandbox.now().checked_add(SignedDuration::from_hours(24));
    sandbox.set_now(later.map_err(|e| Error::internal("the simulated clock ends here").caused_by(e))?);
    out::line(&format!(
        "\nA day passes in the workspace: it is {} now. The same export again:",
        sandbox.now()
    ))?;
    let second = export(&sandbox, &storage, output).await?;
    sandbox.stop().await;
    out::line(&format!(
        "\nNext, with DuckDB (pip install duckdb, or the duckdb shell):\n\n{}",
        QUERY.replace("{to}", &args.to)
    ))?;
    out::line("\nThe same for your own workspace:\n\n  CIO_TOKEN=<App API key> cio2parquet export --to ./my-lake")?;
    Ok(second.exit_code)
}

/// Here the summary is the result, so it stands on stdout.
fn tell(report: &RunReport, took: Duration) -> Result<()> {
    out::print(&summary::table(report, took))?;
    report.error.as_ref().map_or(Ok(()), |error| out::line(error))
}

async fn export(sandbox: &Sandbox, storage: &Storage, output: Output) -> Result<RunReport> {
    let now = sandbox.now();
    let source = Source::new(SourceSettings {
        token: Token::new(sandbox.token())?,
        base: Base::Url(parse_api_url(&sandbox.url())?),
        rate: UNLIMITED,
        patience: Duration::from_secs(60),
        user_agent: concat!("cio2parquet/", env!("CARGO_PKG_VERSION"), " demo").to_owned(),
    })?;
    let settings = RunSettings {
        run: uuid::Uuid::now_v7().to_string().parse::<RunId>()?,
        owner: Owner::current(),
        now,
        jobs: jobs(now)?,
        concurrency: 12,
        memory: 256 << 20,
        temp_dir: None,
        take_over: false,
        new_table: false,
        allow_shrink: false,
        whole_range: true,
        description: Some(SIMULATED.to_owned()),
        commit_every: COMMIT_EVERY,
        lease: LEASE,
    };
    let began = Instant::now();
    let _of_run = logging::of_run(&settings.run);
    let listening = listen::listener(&settings, UNLIMITED, output);
    let report = crate::run::run(
        settings,
        source,
        storage.clone(),
        Stop::default(),
        Arc::clone(&listening.hear),
    )
    .await;
    listening.end();
    tell(&report, began.elapsed())?;
    Ok(report)
}

fn jobs(now: Timestamp) -> Result<Vec<Job>> {
    let catalog = Catalog::load()?;
    let jobs = catalog.core().map(|stream| Job {
        stream: Arc::clone(stream),
        table: stream.stream.clone(),
        prefix: String::new(),
        columns: ColumnRules::default(),
        sync: SyncMode::Incremental,
        ask: Ask {
            standing: None,
            since: None,
            until: None,
            lookback: stream.sync.lookback().unwrap_or(SignedDuration::ZERO),
            now,
        },
    });
    Ok(jobs.collect())
}
