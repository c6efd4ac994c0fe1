//! `sql` through the door: the statements word for word, for a lake on a disk and for the same lake in a bucket.
//!
//! `tests/readers/test_sql.py` runs them. Where a change is meant, `UPDATE_GOLDEN=1 cargo test --test it sql` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::support::{Door, Ran, binary, small};

const ENGINES: [&str; 3] = ["duckdb", "spark", "polars"];

/// A lake with names that must be quoted.
fn exported() -> Door {
    let door = Door::open(small());
    door.export(&["--prefix", "cio-"]).expect(0);
    door
}

fn sql(engine: &str, to: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = binary();
    command
        .args(["sql", engine, "--to", to])
        .envs(environment.iter().copied());
    command.output().unwrap().into()
}

/// Holds `printed` against what is written down, with what differs from run to run under a name.
pub fn assert_golden(name: &str, printed: &str, names: &[(&str, &str)]) {
    let replaced = names
        .iter()
        .fold(printed.to_owned(), |text, (value, name)| text.replace(value, name));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &replaced).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == replaced,
        "{} is not what is printed:\n{replaced}",
        path.display()
    );
}

#[test]
fn a_lake_on_a_disk() {
    let door = exported();
    let lake = door.lake().canonicalize().unwrap();
    let lake = lake.to_str().unwrap();
    for engine in ENGINES {
        let ran = sql(engine, lake, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_golden(&format!("sql-{engine}-disk.txt"), &ran.stdout, &[(lake, "/LAKE")]);
    }
}

#[test]
fn a_lake_in_a_bucket_at_an_address_of_its_own() {
    let door = exported();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = runtime.block_on(serve(door.lake()));
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-to-be-printed"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_S3", &endpoint),
    ];
    for engine in ENGINES {
        let ran = sql(engine, "s3://acme/customer.io", &keys);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(!ran.stdout.contains("AKIDEXAMPLE") && !ran.stdout.contains("not-to-be-printed"));
        let host = endpoint.strip_prefix("http://").unwrap();
        assert_golden(
            &format!("sql-{engine}-s3.txt"),
            &ran.stdout,
            &[(host, "127.0.0.1:9000")],
        );
    }
}

#[test]
fn a_place_without_tables_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    for engine in ENGINES {
        let ran = sql(engine, folder.path().to_str().unwrap(), &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(
            ran.stderr.contains("holds no table") && ran.stderr.contains("--to"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_table_without_rows_is_named_and_left_out() {
    let door = Door::open(small());
    door.export(&["transactional_messages"]).expect(0);
    let versions = door.lake().join("_manifest/transactional_messages");
    let newest = fs::read_dir(versions)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let mut version: serde_json::Value = serde_json::from_slice(&fs::read(&newest).unwrap()).unwrap();
    version["state"]["partitions"] = serde_json::json!({});
    fs::write(&newest, version.to_string()).unwrap();
    for engine in ENGINES {
        let printed = sql(engine, door.lake().to_str().unwrap(), &[]).stdout;
        assert!(printed.contains("has no rows yet"), "{printed}");
        assert!(!printed.contains("parquet("), "{printed}");
    }
}

#[test]
fn a_table_keeps_its_name_from_a_derived_view() {
    let door = Door::open(small());
    let table = "customers=Transactional_Metrics_daily";
    door.export(&["customers", "transactional_metrics", "--table", table])
        .expect(0);
    for engine in ENGINES {
        let printed = sql(engine, door.lake().to_str().unwrap(), &[]).stdout;
        assert!(printed.contains("Transactional_Metrics_daily"), "{printed}");
        assert!(!printed.contains("transactional_metrics_daily"), "{printed}");
    }
}

/// A folder as a bucket that answers lists and reads, whoever asks.
async fn serve(folder: PathBuf) -> String {
    let app = Router::new().fallback(answer).with_state(Arc::new(folder));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn answer(
    State(folder): State<Arc<PathBuf>>,
    Query(query): Query<BTreeMap<String, String>>,
    uri: Uri,
) -> Response {
    let root = "customer.io/";
    if let Some(prefix) = query.get("prefix") {
        let start = query.get("start-after").cloned().unwrap_or_default();
        let keys = files(&folder).into_iter().map(|name| format!("{root}{name}"));
        let found = keys.filter(|key| key.starts_with(prefix) && *key > start);
        let entries = found.map(|key| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-22T03:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>1</Size></Contents>"
            )
        });
        let entries: String = entries.collect();
        return format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>")
            .into_response();
    }
    let name = uri.path().strip_prefix("/acme/customer.io/").unwrap_or_default();
    match fs::read(folder.join(name)) {
        Ok(bytes) => {
            let headers = [
                (header::ETAG, "\"x\""),
                (header::LAST_MODIFIED, "Sun, 22 Nov 2026 03:00:00 GMT"),
            ];
            (headers, Body::from(bytes)).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}
