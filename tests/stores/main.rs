//! One suite over every store: memory and a disk always, S3, Google Cloud Storage and Azure beside `scripts/stores.sh`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod suite;

use std::path::PathBuf;

use cio2parquet::storage::{Destination, Storage};

/// A lake of its own for one test, and what must live as long as it.
struct Lake {
    storage: Storage,
    _folder: Option<tempfile::TempDir>,
}

/// Objects of more than this go in parts, so that the tests can afford some.
const ONE_PUT: u64 = 256 << 10;

async fn memory(_: &str) -> Lake {
    Lake {
        storage: Storage::in_memory(),
        _folder: None,
    }
}

async fn disk(_: &str) -> Lake {
    let folder = tempfile::tempdir().unwrap();
    Lake {
        storage: Storage::at(folder.path()).unwrap(),
        _folder: Some(folder),
    }
}

async fn s3(name: &str) -> Lake {
    bucket("CIO2PARQUET_TEST_S3", name).await
}

async fn gcs(name: &str) -> Lake {
    bucket("CIO2PARQUET_TEST_GCS", name).await
}

async fn azure(name: &str) -> Lake {
    bucket("CIO2PARQUET_TEST_AZURE", name).await
}

async fn bucket(variable: &str, name: &str) -> Lake {
    let to = std::env::var(variable).expect("start the servers with scripts/stores.sh");
    let destination = Destination {
        one_put: Some(ONE_PUT),
        environment: Destination::variables(),
        temp_dir: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
        ..Destination::new(&format!("{to}/{name}-{}", uuid::Uuid::now_v7()))
    };
    Lake {
        storage: Storage::open(&destination).await.unwrap(),
        _folder: None,
    }
}

/// Makes a test of each function of the suite, in a module of the store's name.
macro_rules! over {
    ($($store:ident: $($case:ident)+;)+) => {$(
        mod $store {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::suite::$case(&super::$store(stringify!($case)).await.storage).await;
            }
        )+}
    )+};
}

/// The same for stores that have to be started first.
macro_rules! beside_servers {
    ($($store:ident: $($case:ident)+;)+) => {$(
        mod $store {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs scripts/stores.sh"]
            async fn $case() {
                super::suite::$case(&super::$store(stringify!($case)).await.storage).await;
            }
        )+}
    )+};
}

/// Every store runs the same functions.
macro_rules! everywhere {
    ($($case:ident)+) => {
        over! { memory: $($case)+; disk: $($case)+; }
        beside_servers! { s3: $($case)+; gcs: $($case)+; azure: $($case)+; }
    };
}

everywhere! {
    creating_never_replaces
    what_is_missing_is_no_error
    lists_are_sorted_and_keep_to_whole_segments
    odd_characters_in_a_path_come_back_as_they_were
    a_publication_holds_to_what_it_expects
    a_large_publication_holds_to_what_it_expects
    a_large_object_comes_back_whole
    an_object_is_read_as_it_was_at_one_moment
    what_is_outdated_replaces_nothing
    of_many_who_create_at_once_one_wins
    of_many_who_replace_at_once_one_wins
    of_many_who_claim_a_table_at_once_one_wins
    removing_takes_the_object_and_nothing_else
    an_upload_that_came_to_nothing_leaves_nothing
    who_was_taken_over_cannot_commit
}
