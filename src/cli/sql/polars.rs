//! Polars: lazy frames, and a context that answers SQL.

use url::Url;

use super::quote::{glob, python};
use super::{Content, Lake, Snapshots, Table, below, derived};
use crate::error::Result;
use crate::storage::{Address, AzureAddress, GcsAddress, S3Address};

/// A script for Polars.
///
/// # Errors
/// Input, when the lake's place cannot be written in it.
pub(super) fn statements(lake: &Lake) -> Result<String> {
    let root = lake.address.root()?;
    let mut out = format!(
        "# Polars: a lazy frame in `tables` for each table of {}, and `lake` to ask them in SQL:\n\
         # lake.execute(\"SELECT count(*) FROM ...\").collect()\n\
         # A query that overlaps the replacement of a partition may fail, and succeeds when repeated.\n\
         import polars as pl\n\n",
        lake.shown
    );
    let (settings, argument) = settings(&lake.address);
    out += &settings;
    out += "tables = {}\n";
    for table in &lake.tables {
        out += &frame(table, &root, argument);
        if let Some(snapshots) = &table.snapshots {
            out += &latest(&table.name);
            out += &daily(&table.name, snapshots);
        }
    }
    out += "\nlake = pl.SQLContext(tables)\n";
    Ok(out)
}

fn frame(table: &Table, root: &str, argument: &str) -> String {
    let name = python(&table.name);
    let (path, how) = match &table.content {
        Content::Nothing => {
            return format!("# {name} has no rows yet: print these statements again after the next export.\n");
        }
        Content::Object(path) => (glob(&below(root, path)), "hive_partitioning=False".to_owned()),
        Content::Days { widest } => {
            let path = format!("{}/**/*.parquet", glob(&below(root, &table.name)));
            (path, days(widest.as_deref(), root, argument))
        }
    };
    format!("tables[{name}] = pl.scan_parquet({}, {how}{argument})\n", python(&path))
}

/// Polars takes the columns of the first file for those of all, unless it is told which file has them all.
fn days(widest: Option<&str>, root: &str, argument: &str) -> String {
    let schema = widest.map_or_else(String::new, |path| {
        let path = python(&glob(&below(root, path)));
        format!(", schema=pl.scan_parquet({path}, hive_partitioning=False{argument}).collect_schema()")
    });
    format!("hive_partitioning=True, missing_columns=\"insert\"{schema}")
}

fn latest(table: &str) -> String {
    let name = python(&derived(table, "latest"));
    format!(
        "# The newest day of export.\n\
         tables[{name}] = tables[{}].filter(pl.col(\"date\") == pl.col(\"date\").max())\n",
        python(table)
    )
}

fn daily(table: &str, columns: &Snapshots) -> String {
    let name = python(&derived(table, "daily"));
    let [key, period, steps, requested] =
        [&columns.key, &columns.period, &columns.steps, &columns.requested_at].map(|column| python(column));
    let series: Vec<String> = columns.series.iter().map(|name| python(name)).collect();
    format!(
        "# A row for each day that was counted, as the newest export knows it. A day begins at 05:00 UTC (midnight EST).\n\
         counts = [{}]\n\
         tables[{name}] = (\n    \
           tables[{}]\n    \
           .filter(pl.col({period}) == \"days\")\n    \
           .with_columns(ago=pl.int_ranges(1, pl.col({steps}) + 1))\n    \
           .explode(\"ago\")\n    \
           .with_columns(\n        \
             (pl.col({requested}) - pl.duration(hours=5)).dt.date().dt.offset_by(pl.format(\"-{{}}d\", pl.col(\"ago\") - 1)).alias(\"day\"),\n        \
             pl.col(counts).list.get(-pl.col(\"ago\"), null_on_oob=True),\n    \
           )\n    \
           .sort(\"date\")\n    \
           .unique([{key}, \"day\"], keep=\"last\", maintain_order=True)\n    \
           .select({key}, \"day\", {requested}, *counts)\n\
         )\n",
        series.join(", "),
        python(table)
    )
}

/// What stands before the frames, and what each of them is given of it.
fn settings(address: &Address) -> (String, &'static str) {
    let (note, options, profile) = match address {
        Address::Folder(_) => return (String::new(), ""),
        Address::S3(place) => (
            "the AWS profile files or the machine's role",
            s3(place),
            place.profile.as_ref(),
        ),
        Address::Gcs(place) => (
            "`gcloud auth application-default login` or the machine's service account",
            gcs(place),
            None,
        ),
        Address::Azure(place) => ("the login of the az tool or the machine's identity", azure(place), None),
    };
    let entries: Vec<String> = options
        .iter()
        .map(|(key, value)| format!("{}: {}", python(key), python(value)))
        .collect();
    let mut out = format!(
        "# The keys are taken from the environment of Polars, from {note}.\n\
         storage_options = {{{}}}\n",
        entries.join(", ")
    );
    match profile {
        None => (out + "\n", ", storage_options=storage_options"),
        Some(profile) => {
            out += &format!(
                "credential_provider = pl.CredentialProviderAWS(profile_name={})  # needs boto3\n\n",
                python(&profile.name)
            );
            (
                out,
                ", storage_options=storage_options, credential_provider=credential_provider",
            )
        }
    }
}

type Options = Vec<(&'static str, String)>;

fn s3(place: &S3Address) -> Options {
    let mut options = vec![("aws_region", place.region.clone())];
    if let Some(url) = &place.endpoint {
        let mut url = url.clone();
        if !place.path_style {
            // An address in front of which the bucket cannot stand was refused when the lake was opened.
            let _ = url.set_host(Some(&format!(
                "{}.{}",
                place.bucket,
                url.host_str().unwrap_or_default()
            )));
            options.push(("aws_virtual_hosted_style_request", "true".to_owned()));
        }
        options.push(("aws_endpoint_url", url.as_str().trim_end_matches('/').to_owned()));
        options.extend(plain("aws_allow_http", &url));
    }
    options
}

fn gcs(place: &GcsAddress) -> Options {
    let mut options = Vec::new();
    if let Some(url) = &place.endpoint {
        options.push(("google_base_url", url.as_str().trim_end_matches('/').to_owned()));
        options.extend(plain("allow_http", url));
    }
    options
}

fn azure(place: &AzureAddress) -> Options {
    let mut options = vec![("azure_storage_account_name", place.account.clone())];
    if let Some(url) = &place.endpoint {
        options.push(("azure_storage_endpoint", url.as_str().trim_end_matches('/').to_owned()));
        options.extend(plain("azure_allow_http", url));
    }
    options
}

fn plain(key: &'static str, url: &Url) -> Option<(&'static str, String)> {
    (url.scheme() == "http").then(|| (key, "true".to_owned()))
}
