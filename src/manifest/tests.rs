//! What runs do to each other through the manifest.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::*;
use crate::error::ErrorKind;
use crate::storage::layout::{object_path, partition_name, version_path};
use crate::storage::unreliable::{Fault, Kind, Unreliable};
use crate::storage::{Created, Expected, FinishedObject, Owner, Published, RunId, Storage};

const TABLE: &str = "t";
const LEASE: i64 = 600;

/// A store that fails when it is told to, and a lake in it.
pub(super) fn unreliable_lake() -> (Unreliable, Storage) {
    let store = Unreliable::over(object_store::memory::InMemory::new());
    (store.clone(), Storage::over(Arc::new(store), "memory://"))
}

/// The next creation fails, and nothing else.
pub(super) fn strike_next_create(store: &Unreliable, fault: Fault) {
    let mut fault = Some(fault);
    store.plan(move |_, asked| if asked == Kind::Create { fault.take() } else { None });
}

/// A clock that tests move.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn reading(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let seconds = Arc::clone(&self.0);
        move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap()
    }
}

/// A lake, and a clock that all its runs share.
struct Scene {
    lake: Storage,
    clock: Clock,
    _home: Option<tempfile::TempDir>,
}

impl Scene {
    fn over(lake: Storage) -> Self {
        Self {
            lake,
            clock: Clock::default(),
            _home: None,
        }
    }

    fn on_disk() -> Self {
        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        Self {
            _home: Some(home),
            ..Self::over(lake)
        }
    }

    fn everywhere() -> [Self; 2] {
        [Self::on_disk(), Self::over(Storage::in_memory())]
    }

    async fn try_claim(&self, name: &str, owner: &Owner, take_over: bool) -> crate::error::Result<ClaimOutcome> {
        let options = ClaimOptions {
            take_over,
            beside: false,
            moving: false,
            lease: Duration::from_secs(LEASE as u64),
        };
        TableWriter::claim(
            &self.lake,
            TABLE,
            empty(),
            &run(name),
            owner,
            options,
            self.clock.reading(),
        )
        .await
    }

    async fn claim(&self, name: &str, owner: &Owner) -> TableWriter {
        won(self.try_claim(name, owner, false).await.unwrap())
    }

    async fn holder(&self) -> Option<RunId> {
        let newest = newest(&self.lake, TABLE).await.unwrap();
        newest.and_then(|version| version.state.claim).map(|claim| claim.run)
    }

    fn finished(&self, name: &str, text: &str) -> FinishedObject {
        let mut staged = self.lake.stage(&run(name)).unwrap();
        staged.write_all(text.as_bytes()).unwrap();
        staged.finish().unwrap()
    }
}

async fn ours() -> crate::error::Result<bool> {
    Ok(true)
}

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

fn empty() -> TableState {
    let schema = SchemaRef {
        version: 1,
        fingerprint: "f".into(),
    };
    TableState::new("activities", TABLE, schema)
}

fn elsewhere() -> Owner {
    Owner {
        host: "elsewhere".into(),
        ..Owner::current()
    }
}

fn dead() -> Owner {
    Owner {
        process: format!("{}:1", std::process::id()),
        ..Owner::current()
    }
}

fn won(outcome: ClaimOutcome) -> TableWriter {
    match outcome {
        ClaimOutcome::Claimed(writer) => writer,
        ClaimOutcome::Held { claim } => panic!("held by {}", claim.run),
    }
}

fn held_by(outcome: ClaimOutcome) -> RunId {
    match outcome {
        ClaimOutcome::Claimed(_) => panic!("claimed"),
        ClaimOutcome::Held { claim } => claim.run,
    }
}

fn lost_to(outcome: CommitOutcome) -> Option<RunId> {
    match outcome {
        CommitOutcome::Committed(number) => panic!("committed {number}"),
        CommitOutcome::Lost(claim) => claim.map(|claim| claim.run),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_that_claim_at_once_one_wins_and_can_commit() {
    for round in 0..50 {
        for scene in Scene::everywhere() {
            let attempt = |name: &'static str| {
                let (lake, now) = (scene.lake.clone(), scene.clock.reading());
                tokio::spawn(async move {
                    let options = ClaimOptions::default();
                    let (run, owner) = (run(name), elsewhere());
                    let claimed = TableWriter::claim(&lake, TABLE, empty(), &run, &owner, options, now);
                    let mut outcome = claimed.await.unwrap();
                    if let ClaimOutcome::Claimed(writer) = &mut outcome {
                        let committed = writer.commit(|state| state.rejected += 1).await.unwrap();
                        assert!(matches!(committed, CommitOutcome::Committed(_)));
                    }
                    outcome
                })
            };
            let (a, b) = tokio::join!(attempt("a"), attempt("b"));
            let outcomes = [a.unwrap(), b.unwrap()];
            let winners: Vec<_> = outcomes
                .iter()
                .filter(|o| matches!(o, ClaimOutcome::Claimed(_)))
                .collect();
            assert_eq!(winners.len(), 1, "round {round} in {}", scene.lake);
            for outcome in outcomes {
                if let ClaimOutcome::Held { claim } = outcome {
                    assert_eq!(scene.holder().await, Some(claim.run));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_live_owner_is_honoured_and_a_release_gives_the_table_back() {
    for scene in Scene::everywhere() {
        let mut first = scene.claim("a", &Owner::current()).await;
        assert_eq!(
            held_by(scene.try_claim("b", &Owner::current(), false).await.unwrap()),
            run("a")
        );
        let released = first.release(|state| state.rejected = 3).await.unwrap();
        assert_eq!(released, CommitOutcome::Committed(2));
        let second = scene.claim("b", &Owner::current()).await;
        assert_eq!(second.state().rejected, 3);
        assert_eq!(second.previous_claim_taken_over(), None);
    }
}

#[tokio::test]
async fn a_dead_owner_is_taken_over_at_once() {
    for scene in Scene::everywhere() {
        scene.lake.open_staging(&run("a"), &dead()).await.unwrap();
        let mut first = scene.claim("a", &dead()).await;
        let second = scene.claim("b", &Owner::current()).await;
        assert_eq!(
            second.previous_claim_taken_over().map(|claim| &claim.run),
            Some(&run("a"))
        );
        assert_eq!(
            lost_to(first.commit(|state| state.rejected = 9).await.unwrap()),
            Some(run("b"))
        );
        assert_eq!(first.state().rejected, 0);
        assert_eq!(lost_to(first.renew().await.unwrap()), Some(run("b")));
        assert_eq!(lost_to(first.release(|_| {}).await.unwrap()), Some(run("b")));
        assert_eq!(scene.holder().await, Some(run("b")));
    }
}

#[tokio::test]
async fn a_claim_past_its_time_is_taken_over_and_a_renewed_one_is_not() {
    for scene in Scene::everywhere() {
        let mut first = scene.claim("a", &elsewhere()).await;
        scene.clock.advance(LEASE / 2);
        assert_eq!(first.renew_at(), (scene.clock.reading())());
        first.renew().await.unwrap();
        scene.clock.advance(LEASE - 1);
        assert_eq!(
            held_by(scene.try_claim("b", &Owner::current(), false).await.unwrap()),
            run("a")
        );
        scene.clock.advance(1);
        scene.claim("b", &Owner::current()).await;
        assert_eq!(lost_to(first.commit(|_| {}).await.unwrap()), Some(run("b")));
    }
}

#[tokio::test]
async fn take_over_takes_from_the_living() {
    for scene in Scene::everywhere() {
        scene.claim("a", &elsewhere()).await;
        let second = won(scene.try_claim("b", &Owner::current(), true).await.unwrap());
        assert_eq!(
            second.previous_claim_taken_over().map(|claim| &claim.run),
            Some(&run("a"))
        );
    }
}

#[tokio::test]
async fn a_sleeper_that_was_taken_over_publishes_nothing() {
    let path = object_path(TABLE, &partition_name(None));
    let scene = Scene::on_disk();
    scene.lake.open_staging(&run("a"), &elsewhere()).await.unwrap();
    let mut first = scene.claim("a", &elsewhere()).await;
    let late = scene.finished("a", "late");
    scene.clock.advance(LEASE);

    scene.lake.open_staging(&run("b"), &Owner::current()).await.unwrap();
    scene.claim("b", &Owner::current()).await;
    let published = scene
        .lake
        .publish(scene.finished("b", "new"), &path, &Expected::Absent, ours)
        .await
        .unwrap();
    assert!(matches!(published, Published::Done(_)));
    assert_eq!(
        scene.lake.publish(late, &path, &Expected::Any, ours).await.unwrap(),
        Published::Conflict
    );
    assert_eq!(scene.lake.get(&path).await.unwrap().unwrap(), "new");
    assert_eq!(lost_to(first.commit(|_| {}).await.unwrap()), Some(run("b")));
}

#[tokio::test]
async fn a_pruned_number_does_not_let_a_sleeper_win() {
    for scene in Scene::everywhere() {
        let mut sleeper = scene.claim("a", &elsewhere()).await;
        scene.clock.advance(LEASE);
        let mut awake = scene.claim("b", &Owner::current()).await;
        for _ in 0..4 {
            awake.renew().await.unwrap();
        }
        for number in 1..=4 {
            scene.lake.delete(&version_path(TABLE, number)).await.unwrap();
        }
        assert_eq!(lost_to(sleeper.commit(|_| {}).await.unwrap()), Some(run("b")));
        assert_eq!(lost_to(sleeper.release(|_| {}).await.unwrap()), Some(run("b")));
        let left = scene.lake.list("_manifest").await.unwrap();
        assert_eq!(left.len(), 2, "it left a version behind: {left:?}");
        assert_eq!(scene.holder().await, Some(run("b")));
    }
}

#[tokio::test]
async fn a_release_that_is_followed_at_once_is_still_a_release() {
    let scene = Scene::over(Storage::in_memory());
    let mut first = scene.claim("a", &Owner::current()).await;
    // The next run's version lands between our creation and our look at what is highest.
    let mut next = newest(&scene.lake, TABLE).await.unwrap().unwrap();
    next.number = 3;
    next.run = run("b");
    next.create(&scene.lake).await.unwrap();
    assert_eq!(first.release(|_| {}).await.unwrap(), CommitOutcome::Committed(2));
}

#[tokio::test]
async fn a_table_that_was_given_back_is_not_written() {
    let scene = Scene::over(Storage::in_memory());
    let mut writer = scene.claim("a", &Owner::current()).await;
    writer.release(|_| {}).await.unwrap();
    assert_eq!(writer.commit(|_| {}).await.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_lost_answer_loses_neither_claim_nor_commit() {
    for fault in [Fault::Repeated, Fault::Lost] {
        let (store, lake) = unreliable_lake();
        let scene = Scene::over(lake);
        strike_next_create(&store, fault);
        let mut writer = scene.claim("a", &Owner::current()).await;
        strike_next_create(&store, fault);
        assert_eq!(
            writer.commit(|state| state.rejected = 1).await.unwrap(),
            CommitOutcome::Committed(2)
        );
        assert_eq!(
            newest(&scene.lake, TABLE).await.unwrap().unwrap().state,
            *writer.state()
        );
    }
}

#[tokio::test]
async fn a_commit_that_failed_may_be_given_again() {
    let (store, lake) = unreliable_lake();
    let scene = Scene::over(lake);
    let mut writer = scene.claim("a", &Owner::current()).await;
    strike_next_create(&store, Fault::Fails);
    assert_eq!(
        writer.commit(|state| state.rejected = 1).await.unwrap_err().kind(),
        ErrorKind::Storage
    );
    assert_eq!(writer.state().rejected, 0);

    // The failed attempt turns up after all, with another content than the next.
    let mut stray = newest(&scene.lake, TABLE).await.unwrap().unwrap();
    stray.number = 2;
    stray.create(&scene.lake).await.unwrap();
    assert_eq!(
        writer.commit(|state| state.rejected = 2).await.unwrap(),
        CommitOutcome::Committed(3)
    );
    assert_eq!(newest(&scene.lake, TABLE).await.unwrap().unwrap().state.rejected, 2);
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_found_out_by_the_claim() {
    let (store, lake) = unreliable_lake();
    store.plan(|_, _| Some(Fault::Unconditional));
    let error = Scene::over(lake)
        .try_claim("a", &Owner::current(), false)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("conditional writes"), "{error}");
}

#[tokio::test]
async fn a_table_of_another_stream_is_not_taken() {
    let scene = Scene::over(Storage::in_memory());
    scene.claim("a", &Owner::current()).await.release(|_| {}).await.unwrap();
    let other = TableState {
        stream: "customers".into(),
        ..empty()
    };
    let options = ClaimOptions::default();
    let now = scene.clock.reading();
    let claimed = TableWriter::claim(&scene.lake, TABLE, other, &run("b"), &Owner::current(), options, now).await;
    let error = claimed.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(scene.holder().await, None);
}

#[tokio::test]
async fn a_removal_is_listed_before_it_is_done_and_finished_by_the_next_run() {
    for scene in Scene::everywhere() {
        let name = partition_name(None);
        let path = object_path(TABLE, &name);
        scene.lake.open_staging(&run("a"), &dead()).await.unwrap();
        let mut first = scene.claim("a", &dead()).await;
        assert_eq!(scene.lake.create(&path, Bytes::from("x")).await.unwrap(), Created::Done);
        first.removal(std::slice::from_ref(&name)).await.unwrap();
        assert!(scene.lake.head(&path).await.unwrap().is_some());

        scene.lake.open_staging(&run("b"), &Owner::current()).await.unwrap();
        let mut second = scene.claim("b", &Owner::current()).await;
        assert_eq!(second.state().removing, std::slice::from_ref(&name));
        assert!(matches!(
            second.finish_removals().await.unwrap().outcome,
            CommitOutcome::Committed(_)
        ));
        assert_eq!(scene.lake.head(&path).await.unwrap(), None);
        assert!(
            newest(&scene.lake, TABLE)
                .await
                .unwrap()
                .unwrap()
                .state
                .removing
                .is_empty()
        );

        // The run that listed it wakes up when something new stands there.
        scene.lake.create(&path, Bytes::from("new")).await.unwrap();
        assert_eq!(lost_to(first.finish_removals().await.unwrap().outcome), Some(run("b")));
        assert_eq!(scene.lake.get(&path).await.unwrap().unwrap(), "new");
    }
}

#[tokio::test]
async fn pruning_keeps_what_is_young_and_the_newest_two_hundred() {
    let scene = Scene::over(Storage::in_memory());
    let mut writer = scene.claim("a", &Owner::current()).await;
    for _ in 0..203 {
        writer.renew().await.unwrap();
    }
    writer.release(|_| {}).await.unwrap();
    // Versions were stored by the real clock, which is far ahead of the scene's.
    let mut writer = scene.claim("b", &Owner::current()).await;
    assert_eq!(writer.prune().await.unwrap(), 0);
    scene.clock.advance(Timestamp::now().as_second() + 8 * 86_400);
    assert_eq!(writer.prune().await.unwrap(), 6);
    assert_eq!(writer.prune().await.unwrap(), 0);
    assert_eq!(newest(&scene.lake, TABLE).await.unwrap().unwrap().number, 206);
}
