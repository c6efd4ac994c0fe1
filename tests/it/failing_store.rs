//! A store that fails at any of its operations: a run commits or leaves the table as it was, says which, and the next one goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cio2parquet::manifest::{SyncMode, TableState, newest};
use cio2parquet::plan::Ask;
use cio2parquet::run::{Job, RunReport, RunSettings, Status, Stop};
use cio2parquet::sandbox::Workspace;
use cio2parquet::source::{Base, Source, SourceSettings, Token, parse_api_url};
use cio2parquet::storage::{Owner, Storage};
use cio2parquet::stream::{Catalog, ColumnRules};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};

use crate::support::{Door, STREAMS, keys_in};
use crate::unreliable::{Fault, Kind, Unreliable};

/// Operations that are struck in the short form; `EVERY=1` strikes each one.
const PLACES: u64 = 8;

fn tiny() -> Workspace {
    Workspace {
        people: 30,
        messages: 3,
        deliveries: 120,
        activities: 90,
        days: 6,
        ..Workspace::default()
    }
}

/// A workspace, a lake as the test begins with it, and what a run that is not disturbed makes of it.
struct Scene<'a> {
    door: &'a Door,
    before: Unreliable,
    sync: SyncMode,
    /// The keys that were served at any time.
    served: BTreeMap<&'static str, BTreeSet<String>>,
    whole: BTreeMap<String, Bytes>,
}

impl<'a> Scene<'a> {
    async fn first_run(door: &'a Door) -> Self {
        let before = Unreliable::over(InMemory::new());
        let scene = Self {
            door,
            before,
            sync: SyncMode::Incremental,
            served: BTreeMap::new(),
            whole: BTreeMap::new(),
        };
        scene.undisturbed().await
    }

    /// The lake is as a first run left it, and time has passed.
    async fn later_run(door: &'a Door, sync: SyncMode) -> Self {
        let first = Self::first_run(door).await;
        let stored = first.before.fork();
        assert_eq!(first.run(&stored).await.exit_code, 0);
        first.door.move_clock(2);
        let later = Self {
            before: stored,
            sync,
            ..first
        };
        later.undisturbed().await
    }

    async fn undisturbed(mut self) -> Self {
        for table in STREAMS {
            self.served.entry(table).or_default().extend(self.door.true_keys(table));
        }
        let store = self.before.fork();
        assert_eq!(self.run(&store).await.exit_code, 0);
        self.whole = data(&store).await;
        self
    }

    async fn run(&self, store: &Unreliable) -> RunReport {
        let now = self.door.sandbox.now();
        let source = Source::new(SourceSettings {
            token: Token::new(self.door.sandbox.token()).unwrap(),
            base: Base::Url(parse_api_url(&self.door.sandbox.url()).unwrap()),
            rate: 0.0,
            patience: Duration::from_secs(5),
            user_agent: "cio2parquet/test".to_owned(),
        });
        let catalog = Catalog::load().unwrap();
        let jobs = catalog.core().map(|stream| Job {
            table: stream.stream.clone(),
            prefix: String::new(),
            columns: ColumnRules::default(),
            sync: self.sync,
            ask: Ask {
                standing: None,
                since: None,
                until: None,
                lookback: stream.sync.lookback().unwrap_or_default(),
                now,
            },
            stream: Arc::clone(stream),
        });
        let settings = RunSettings {
            run: uuid::Uuid::now_v7().to_string().parse().unwrap(),
            // A process that cannot be: the next run need not wait for a claim that could not be given back.
            owner: Owner {
                process: format!("{}:1", i32::MAX),
                ..Owner::current()
            },
            now,
            jobs: jobs.collect(),
            concurrency: 4,
            memory: 256 << 20,
            temp_dir: None,
            take_over: false,
            new_table: false,
            allow_shrink: false,
            whole_range: true,
            description: None,
            commit_every: Duration::ZERO,
            lease: Duration::from_secs(600),
        };
        let listener = Arc::new(|_| ());
        cio2parquet::run::run(settings, source.unwrap(), lake(store), Stop::default(), listener).await
    }

    /// Strikes each chosen operation of a run of its own and looks at the lake, then lets the same command go on.
    async fn strike(&self, fault: Fault, and_after: bool) {
        let operations = self.operations(fault).await;
        let step = if std::env::var_os("EVERY").is_some() {
            1
        } else {
            (operations / PLACES).max(1)
        };
        // Another first place for every fault, so that not all of them strike the same operations.
        let first = 1 + (fault as u64 * 5 + u64::from(and_after)) % step;
        let mut missed = 0;
        for place in (first..=operations).step_by(usize::try_from(step).unwrap()) {
            let at = format!("{fault:?} at {place} of {operations}, and after: {and_after}");
            let store = self.before.fork();
            let before = states(&lake(&store)).await;
            let mut asked = 0;
            store.plan(move |_, kind| {
                asked += u64::from(matters(fault, kind));
                let now = asked == place || (and_after && asked > place);
                (now && matters(fault, kind)).then_some(fault)
            });
            let report = self.run(&store).await;
            missed += u64::from(store.struck() == 0);
            store.plan(|_, _| None);
            self.assert_honest(&report, &before, &states(&lake(&store)).await, &at);
            self.assert_no_wrong_key(&data(&store).await, &at);
            let report = self.run(&store).await;
            assert_eq!(report.exit_code, 0, "{at}: {report:?}");
            let whole = data(&store).await;
            assert!(whole == self.whole, "{at}: {}", difference(&whole, &self.whole));
            assert_described(&states(&lake(&store)).await, &whole, &at);
        }
        // Streams go side by side, so that one run may need a few operations less than another.
        assert!(
            missed * step * 20 <= operations,
            "{fault:?}: {missed} runs were not struck"
        );
    }

    /// How many operations of a run `fault` can do something to.
    async fn operations(&self, fault: Fault) -> u64 {
        let store = self.before.fork();
        let counted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&counted);
        store.plan(move |_, kind| {
            counter.fetch_add(u64::from(matters(fault, kind)), Ordering::Relaxed);
            None
        });
        assert_eq!(self.run(&store).await.exit_code, 0);
        counted.load(Ordering::Relaxed)
    }

    fn assert_honest(&self, report: &RunReport, before: &States, after: &States, at: &str) {
        assert!([0, 6, 8].contains(&report.exit_code), "{at}: {report:?}");
        for stream in &report.streams {
            let told = format!("{at}: {stream:?}");
            match stream.status {
                Status::Complete | Status::Stopped => assert!(stream.error.is_none(), "{told}"),
                _ => assert!(
                    stream.error.as_ref().is_some_and(|text| text.contains("memory://")),
                    "{told}"
                ),
            }
            let in_doubt = stream
                .error
                .as_ref()
                .is_some_and(|text| text.contains("cannot tell whether"));
            if !stream.committed && !in_doubt {
                let known = |states: &States| states.get(&stream.table).map(facts);
                assert_eq!(
                    known(before).unwrap_or_default(),
                    known(after).unwrap_or_default(),
                    "{told}"
                );
            }
        }
    }

    /// Every key at most once in a table, and none that is not served.
    fn assert_no_wrong_key(&self, data: &BTreeMap<String, Bytes>, at: &str) {
        for table in STREAMS {
            let mut keys = BTreeSet::new();
            for (path, bytes) in data.iter().filter(|(path, _)| path.starts_with(&format!("{table}/"))) {
                // The day is part of the key of a snapshot.
                let place = if table == "transactional_metrics" { path } else { table };
                for key in keys_in(table, bytes.clone()) {
                    assert!(
                        keys.insert((place, key.clone())),
                        "{at}: {key} is stored twice in {place}"
                    );
                }
            }
            let keys: BTreeSet<String> = keys.into_iter().map(|(_, key)| key).collect();
            assert!(keys.is_subset(&self.served[table]), "{at}: {table}");
        }
    }
}

/// Only what changes something can be repeated.
fn matters(fault: Fault, kind: Kind) -> bool {
    fault != Fault::Repeated || matches!(kind, Kind::Put | Kind::Create)
}

/// The manifest names every object with its checksum, and nothing else.
fn assert_described(states: &States, data: &BTreeMap<String, Bytes>, at: &str) {
    let entries = states.iter().flat_map(|(table, state)| {
        let entries = state.partitions.iter();
        entries.map(move |(name, file)| (format!("{table}/{name}"), file.sha256.clone()))
    });
    let hex = |bytes: &Bytes| {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let stored = data.iter().map(|(path, bytes)| (path.clone(), hex(bytes)));
    assert_eq!(entries.collect::<BTreeMap<_, _>>(), stored.collect(), "{at}");
}

type States = BTreeMap<String, TableState>;

fn lake(store: &Unreliable) -> Storage {
    Storage::over(Arc::new(store.clone()), "memory://lake")
}

async fn states(lake: &Storage) -> States {
    let mut states = States::new();
    for table in STREAMS {
        if let Some(version) = newest(lake, table).await.unwrap() {
            states.insert(table.to_owned(), version.state);
        }
    }
    states
}

/// What a commit of data changes.
fn facts(state: &TableState) -> String {
    let known = (
        &state.partitions,
        &state.coverage,
        &state.mark,
        &state.scan,
        &state.full_table,
        &state.removing,
    );
    if *state == TableState::new(&state.stream, &state.table, state.schema.clone()) {
        return String::new();
    }
    let nothing = known.0.is_empty() && known.1.is_empty() && known.2.is_none() && known.3.is_none();
    if nothing { String::new() } else { format!("{known:?}") }
}

async fn data(store: &Unreliable) -> BTreeMap<String, Bytes> {
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for object in objects
        .into_iter()
        .filter(|object| object.location.as_ref().ends_with(".parquet"))
    {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        found.insert(object.location.to_string(), bytes);
    }
    found
}

fn difference(one: &BTreeMap<String, Bytes>, other: &BTreeMap<String, Bytes>) -> String {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = paths.into_iter().filter(|path| one.get(*path) != other.get(*path));
    format!("{:?}", differing.collect::<Vec<_>>())
}

/// In a first run, in one that merges into what is stored, and in one that may also remove.
fn everywhere(fault: Fault, and_after: bool) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = Door::open(tiny());
    runtime.block_on(async { Scene::first_run(&door).await.strike(fault, and_after).await });
    for sync in [SyncMode::Incremental, SyncMode::FullTable] {
        let door = Door::open(tiny());
        runtime.block_on(async { Scene::later_run(&door, sync).await.strike(fault, and_after).await });
    }
}

#[test]
fn an_operation_that_fails() {
    everywhere(Fault::Fails, false);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_store_that_goes_away() {
    everywhere(Fault::Fails, true);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_store_that_is_full() {
    everywhere(Fault::Full, true);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn an_answer_that_is_lost() {
    everywhere(Fault::Lost, false);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn every_answer_from_some_moment_on_is_lost() {
    everywhere(Fault::Lost, true);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn an_operation_that_is_repeated_below_us() {
    everywhere(Fault::Repeated, false);
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_slow_store() {
    everywhere(Fault::Late, false);
}

#[test]
fn a_store_that_ignores_conditions_is_refused_before_a_row_is_fetched() {
    let door = Door::open(tiny());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let scene = Scene::first_run(&door).await;
        let store = scene.before.fork();
        store.plan(|_, kind| (kind == Kind::Create).then_some(Fault::Unconditional));
        let report = scene.run(&store).await;
        assert_eq!(report.exit_code, 6);
        let error = report.error.unwrap();
        assert!(error.contains("use a store with conditional writes"), "{error}");
        assert!(report.streams.iter().all(|stream| stream.rows.fetched == 0));
        assert!(data(&store).await.is_empty());
    });
}
