//! PySpark: settings of the session that name no key, and temporary views.

use url::Url;

use super::quote::{back, hadoop_glob, python};
use super::{Content, Lake, Snapshots, Table, below, derived};
use crate::error::Result;
use crate::storage::{Address, AzureAddress, GcsAddress, S3Address};

/// The Hadoop that Spark 4.3 brings; its clients of stores must be of the same version.
const HADOOP: &str = "3.5.0";

/// A script for PySpark.
///
/// # Errors
/// Input, when the lake's place cannot be written in it.
pub(super) fn statements(lake: &Lake) -> Result<String> {
    let (root, settings) = match &lake.address {
        Address::Folder(_) => (format!("file://{}", lake.address.root()?), String::new()),
        Address::S3(place) => (below(&format!("s3a://{}", place.bucket), &place.path), s3(place)),
        Address::Gcs(place) => (lake.address.root()?, gcs(place)),
        Address::Azure(place) => azure(place),
    };
    let mut out = format!(
        "# Spark 4 (PySpark): a view for each table of {}\n\
         # A query that overlaps the replacement of a partition may fail, and succeeds when repeated.\n{settings}",
        lake.shown
    );
    for table in &lake.tables {
        out.push('\n');
        out += &view(table, &root);
        if let Some(snapshots) = &table.snapshots {
            out += &latest(&table.name);
            out += &daily(&table.name, snapshots);
        }
    }
    Ok(out)
}

fn view(table: &Table, root: &str) -> String {
    let name = python(&back(&table.name));
    if matches!(table.content, Content::Nothing) {
        return format!("# {name} has no rows yet: print these statements again after the next export.\n");
    }
    let folder = python(&hadoop_glob(&below(root, &table.name)));
    format!("spark.read.option(\"mergeSchema\", \"true\").parquet({folder}).createOrReplaceTempView({name})\n")
}

fn latest(table: &str) -> String {
    let (name, table) = (back(&derived(table, "latest")), back(table));
    format!(
        "\n# The newest day of export.\n\
         spark.sql(\"\"\"\n\
         CREATE OR REPLACE TEMPORARY VIEW {name} AS\n\
         SELECT * FROM {table} WHERE date = (SELECT max(date) FROM {table})\n\
         \"\"\")\n"
    )
}

fn daily(table: &str, columns: &Snapshots) -> String {
    let (name, table) = (back(&derived(table, "daily")), back(table));
    let [key, period, steps, requested] =
        [&columns.key, &columns.period, &columns.steps, &columns.requested_at].map(|column| back(column));
    let names: Vec<String> = columns.series.iter().map(|name| back(name)).collect();
    let counts: Vec<String> = names
        .iter()
        .map(|name| format!("try_element_at({name}, -ago) AS {name}"))
        .collect();
    format!(
        "\n# A row for each day that was counted, as the newest export knows it. A day begins at 05:00 UTC (midnight EST).\n\
         spark.sql(\"\"\"\n\
         CREATE OR REPLACE TEMPORARY VIEW {name} AS\n\
         SELECT {key}, day, {requested}, {list}\n\
         FROM (\n  \
           SELECT *, row_number() OVER (PARTITION BY {key}, day ORDER BY date DESC) AS age\n  \
           FROM (\n    \
             SELECT {key}, date, {requested},\n      \
               date_add(DATE'1970-01-01', CAST((unix_seconds({requested}) - 18000) DIV 86400 AS INT) - ago + 1) AS day,\n      \
               {counts}\n    \
             FROM {table} LATERAL VIEW explode(sequence(1, CAST({steps} AS INT))) buckets AS ago\n    \
             WHERE {period} = 'days'\n  \
           )\n\
         )\n\
         WHERE age = 1\n\
         \"\"\")\n",
        list = names.join(", "),
        counts = counts.join(", ")
    )
}

/// How a session is started that knows the store.
fn package(coordinates: &str) -> String {
    format!(
        "# The session needs the store's client from its start, of the Hadoop that its Spark brings; for Spark 4.3:\n\
         # pyspark --packages {coordinates}\n"
    )
}

fn set(key: &str, value: &str) -> String {
    format!("spark.conf.set({}, {})\n", python(key), python(value))
}

fn s3(place: &S3Address) -> String {
    let key = |name: &str| format!("fs.s3a.bucket.{}.{name}", place.bucket);
    let mut out = package(&format!("org.apache.hadoop:hadoop-aws:{HADOOP}"));
    match &place.profile {
        None => out += "# The keys are taken from the environment of Spark or from the machine's role.\n",
        Some(profile) => {
            out += &set(
                &key("aws.credentials.provider"),
                "org.apache.hadoop.fs.s3a.auth.ProfileAWSCredentialsProvider",
            );
            out += &set(&key("auth.profile.name"), &profile.name);
        }
    }
    out += &set(&key("endpoint.region"), &place.region);
    if let Some(url) = &place.endpoint {
        out += &set(&key("endpoint"), url.as_str().trim_end_matches('/'));
        out += &set(
            &key("path.style.access"),
            if place.path_style { "true" } else { "false" },
        );
        if url.scheme() == "http" {
            out += &set(&key("connection.ssl.enabled"), "false");
        }
    }
    out
}

fn gcs(place: &GcsAddress) -> String {
    let mut out = package("com.google.cloud.bigdataoss:gcs-connector:4.0.0");
    out += "# The keys are those of `gcloud auth application-default login` or of GOOGLE_APPLICATION_CREDENTIALS.\n";
    out += &set("fs.gs.auth.type", "APPLICATION_DEFAULT");
    if let Some(url) = &place.endpoint {
        out += &set("fs.gs.storage.root.url", url.as_str());
    }
    out
}

/// The lake's root and the settings.
fn azure(place: &AzureAddress) -> (String, String) {
    let said = place.endpoint.as_ref().and_then(Url::host_str);
    let cloud = said.and_then(|host| host.strip_prefix(&format!("{}.blob.", place.account)));
    let host = format!("{}.dfs.{}", place.account, cloud.unwrap_or("core.windows.net"));
    let root = below(&format!("abfss://{}@{host}", place.container), &place.path);
    let mut out = package(&format!("org.apache.hadoop:hadoop-azure:{HADOOP}"));
    if place.by_key {
        let key = python(&format!("fs.azure.account.key.{host}"));
        out += &format!("import os\n\nspark.conf.set({key}, os.environ[\"AZURE_STORAGE_ACCOUNT_KEY\"])\n");
    } else {
        out += &format!(
            "# How an identity opens the account is said by fs.azure.account.auth.type.{host}\n\
             # and its fellows: https://hadoop.apache.org/docs/r{HADOOP}/hadoop-azure/abfs.html\n"
        );
    }
    (root, out)
}
