//! DuckDB: a secret that names no key, and views.

use url::Url;

use super::quote::{double, glob, text};
use super::{Content, Lake, Snapshots, Table, below, derived};
use crate::error::Result;
use crate::storage::{Address, AzureAddress, GcsAddress, S3Address};

/// The variable of DuckDB that holds what opens an Azure account by its key.
const AZURE: &str = "azure_connection_string";

/// A script for DuckDB.
///
/// # Errors
/// Input, when the lake's place cannot be written in it.
pub(super) fn statements(lake: &Lake) -> Result<String> {
    let root = lake.address.root()?;
    let mut out = format!(
        "-- DuckDB: a view for each table of {}\n\
         -- A query that overlaps the replacement of a partition may fail, and succeeds when repeated.\n",
        lake.shown
    );
    match &lake.address {
        Address::Folder(_) => {}
        Address::S3(place) => out += &s3(place, &root),
        Address::Gcs(place) => out += &gcs(place, &root),
        Address::Azure(place) => out += &azure(place, &root),
    }
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
    let name = double(&table.name);
    let read = match &table.content {
        Content::Nothing => {
            return format!("-- {name} has no rows yet: print these statements again after the next export.\n");
        }
        Content::Object(path) => {
            let path = text(&glob(&below(root, path)));
            format!("{path}, hive_partitioning = false")
        }
        Content::Days { .. } => {
            let path = format!("{}/**/*.parquet", glob(&below(root, &table.name)));
            format!("{}, hive_partitioning = true, union_by_name = true", text(&path))
        }
    };
    format!("CREATE OR REPLACE VIEW {name} AS\nSELECT * FROM read_parquet({read});\n")
}

fn latest(table: &str) -> String {
    let (name, table) = (double(&derived(table, "latest")), double(table));
    format!(
        "\n-- The newest day of export.\n\
         CREATE OR REPLACE VIEW {name} AS\n\
         SELECT * FROM {table} WHERE date = (SELECT max(date) FROM {table});\n"
    )
}

fn daily(table: &str, columns: &Snapshots) -> String {
    let (name, table) = (double(&derived(table, "daily")), double(table));
    let [key, period, steps, requested] =
        [&columns.key, &columns.period, &columns.steps, &columns.requested_at].map(|column| double(column));
    let names: Vec<String> = columns.series.iter().map(|name| double(name)).collect();
    let counts: Vec<String> = names.iter().map(|name| format!("{name}[-ago] AS {name}")).collect();
    format!(
        "\n-- A row for each day that was counted, as the newest export knows it. A day begins at 05:00 UTC (midnight EST).\n\
         CREATE OR REPLACE VIEW {name} AS\n\
         SELECT {key}, day, {requested}, {}\n\
         FROM (\n  \
           SELECT {key}, date, {requested},\n    \
             CAST(make_timestamp(epoch_us({requested})) - INTERVAL 5 HOUR AS DATE) - CAST(ago - 1 AS INTEGER) AS day,\n    \
             {}\n  \
           FROM {table}, unnest(range(1, {steps} + 1)) AS buckets(ago)\n  \
           WHERE {period} = 'days'\n\
         )\n\
         QUALIFY row_number() OVER (PARTITION BY {key}, day ORDER BY date DESC) = 1;\n",
        names.join(", "),
        counts.join(", ")
    )
}

fn s3(place: &S3Address, root: &str) -> String {
    let mut options = vec!["TYPE s3".to_owned(), "PROVIDER credential_chain".to_owned()];
    if let Some(profile) = &place.profile {
        options.push(format!("PROFILE {}", text(&profile.name)));
        if profile.by_program {
            options.push("CHAIN 'process'".to_owned());
        }
    }
    options.push("REFRESH auto".to_owned());
    options.push(format!("REGION {}", text(&place.region)));
    // The certificate of a bucket's host name does not cover a second dot.
    let in_path = match place.endpoint {
        Some(_) => place.path_style,
        None => place.bucket.contains('.'),
    };
    options.extend(server(place.endpoint.as_ref()));
    if place.endpoint.is_some() || in_path {
        options.push(format!("URL_STYLE '{}'", if in_path { "path" } else { "vhost" }));
    }
    format!(
        "-- The keys are taken from the environment of DuckDB, from the AWS profile files or from the machine's role.\n{}",
        secret(&["httpfs", "aws"], options, root)
    )
}

fn gcs(place: &GcsAddress, root: &str) -> String {
    let mut options = vec!["TYPE gcs".to_owned(), "PROVIDER credential_chain".to_owned()];
    options.extend(server(place.endpoint.as_ref()));
    format!(
        "-- DuckDB opens Google Cloud Storage with an HMAC key (Cloud Storage > Settings > Interoperability), which is taken from\n\
         -- AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment. For an hour a token of `gcloud auth print-access-token` does too:\n\
         -- SET VARIABLE gcs_token = '...', and in the secret BEARER_TOKEN getvariable('gcs_token') in the place of PROVIDER credential_chain.\n{}",
        secret(&["httpfs", "aws"], options, root)
    )
}

fn azure(place: &AzureAddress, root: &str) -> String {
    let said = place.endpoint.as_ref();
    let host = said.and_then(Url::host_str).unwrap_or_default();
    let cloud = host.strip_prefix(&format!("{}.", place.account));
    let mut options = vec!["TYPE azure".to_owned()];
    let mut note = "-- An identity opens the container: AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET in the environment of DuckDB,\n\
                    -- the login of the az tool, or the machine's own.\n"
        .to_owned();
    if place.by_key || (said.is_some() && cloud.is_none()) {
        let end = said.map_or_else(String::new, |url| {
            format!(";BlobEndpoint={}", url.as_str().trim_end_matches('/'))
        });
        note = format!(
            "-- The account's key opens the container. Before these statements, in the duckdb command:\n\
             -- SET VARIABLE {AZURE} = 'AccountName={}{end};AccountKey=' || getenv('AZURE_STORAGE_ACCOUNT_KEY');\n\
             -- elsewhere with the text in the place of getenv, which only the command has.\n",
            place.account
        );
        options.push(format!("CONNECTION_STRING getvariable('{AZURE}')"));
    } else {
        options.push("PROVIDER credential_chain".to_owned());
        options.push(format!("ACCOUNT_NAME {}", text(&place.account)));
        options.extend(cloud.map(|host| format!("ENDPOINT {}", text(host))));
    }
    note + &secret(&["azure"], options, root)
}

/// Where a store is that is not at its vendor's own address.
fn server(endpoint: Option<&Url>) -> Vec<String> {
    let Some(url) = endpoint else { return Vec::new() };
    let plain = url.scheme() == "http";
    let whole = url.as_str().trim_end_matches('/');
    let host = whole.split_once("://").map_or(whole, |(_, host)| host);
    vec![format!("ENDPOINT {}", text(host)), format!("USE_SSL {}", !plain)]
}

/// A secret for what lies below `root`, named after it so that two lakes do not take each other's away.
fn secret(extensions: &[&str], mut options: Vec<String>, root: &str) -> String {
    options.push(format!("SCOPE {}", text(&below(root, ""))));
    let loads = extensions.iter().map(|name| format!("INSTALL {name};\nLOAD {name};\n"));
    format!(
        "{}CREATE OR REPLACE SECRET {} (\n    {}\n);\n",
        loads.collect::<String>(),
        double(root),
        options.join(",\n    ")
    )
}
