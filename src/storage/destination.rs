//! What flags, environment and config file say about where a lake is: a folder or a place in a bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::path::Path as Prefix;
use url::{Host, Url};

use crate::error::{Error, Result};

/// Environment variables that begin with one of these are a store's.
pub const VARIABLES: [&str; 5] = ["AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR_HOST", "HOME"];

/// Where a lake is, and how the store is to be reached.
#[derive(Clone)]
pub struct Destination {
    /// A path, or a `file://`, `s3://`, `gs://` or `az://` URL.
    pub to: String,
    /// The address of a store that speaks S3, Google's or Azure's protocol; plain http only on this machine.
    pub endpoint: Option<String>,
    /// The region of an S3 bucket.
    pub region: Option<String>,
    /// Whether an S3 bucket stands in the path of a URL (`true`) or in its host name.
    pub path_style: Option<bool>,
    /// The section of the AWS profile files that holds the keys.
    pub profile: Option<String>,
    /// What the environment says to the stores; see [`Destination::variables`].
    pub environment: BTreeMap<String, String>,
    /// The bytes that objects on their way into a bucket may take in memory.
    pub memory: u64,
    /// The largest object that goes in one put, when that is less than `memory`.
    pub one_put: Option<u64>,
    /// The folder for objects that do not fit into memory; the system's for temporary files when it is not given.
    pub temp_dir: Option<PathBuf>,
    /// How long one request to the store may be repeated.
    pub patience: Duration,
}

impl Destination {
    /// `to` and nothing else: for a folder that is enough.
    pub fn new(to: &str) -> Self {
        Self {
            to: to.to_owned(),
            endpoint: None,
            region: None,
            path_style: None,
            profile: None,
            environment: BTreeMap::new(),
            memory: 32 << 20,
            one_put: None,
            temp_dir: None,
            patience: Duration::from_mins(3),
        }
    }

    /// Whether `to` can be a lake's place, and `endpoint` the address of a store; nothing is asked.
    ///
    /// # Errors
    /// Input, for a URL that is neither.
    pub fn check(&self) -> Result<()> {
        Place::parse(&self.to)?;
        let endpoint = self.endpoint.as_deref().map(|text| endpoint("endpoint", text));
        endpoint.transpose().map(|_| ())
    }

    /// Whether both name one place, however they are spelled; nothing is asked of a store.
    pub fn is_where(&self, other: &Self) -> bool {
        match (Place::parse(&self.to), Place::parse(&other.to)) {
            (Ok(Place::Folder(one)), Ok(Place::Folder(other))) => {
                one == other
                    || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
            }
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
    }

    /// The variables of this process that concern a store; empty ones count as unset, and so do those that are no text.
    pub fn variables() -> BTreeMap<String, String> {
        let concerns = |name: &str| VARIABLES.iter().any(|start| name.starts_with(start));
        let set =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        set.filter(|(name, value)| concerns(name) && !value.trim().is_empty())
            .collect()
    }

    /// The bytes of the largest object that goes in one put.
    pub(super) fn largest_put(&self) -> u64 {
        self.one_put.unwrap_or(u64::MAX).min(self.memory)
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Destination {
    /// The environment holds keys, so it is not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// What `to` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(BucketPlace),
}

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BucketPlace {
    pub(super) provider: Provider,
    pub(super) bucket: String,
    pub(super) prefix: Prefix,
}

/// Whose protocol a bucket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Gcs,
    Azure,
}

impl Provider {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider.scheme(), self.bucket)?;
        if self.prefix.as_ref().is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl Place {
    /// # Errors
    ///
    /// Input, for what names no folder and no place in a bucket.
    pub(super) fn parse(to: &str) -> Result<Self> {
        let Some((scheme, rest)) = to.split_once("://") else {
            return folder(to).map(Self::Folder);
        };
        let provider = match scheme.to_ascii_lowercase().as_str() {
            "file" => return file_url(to).map(Self::Folder),
            "s3" => Provider::S3,
            "gs" => Provider::Gcs,
            "az" => Provider::Azure,
            other => return Err(unknown_scheme(other)),
        };
        bucket_url(to, provider, rest).map(Self::Bucket)
    }
}

/// A path, unless it is more likely to be something else: a slip would make a folder of that name, and the lake would lie there unseen.
fn folder(to: &str) -> Result<PathBuf> {
    let scheme = to.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let meant = match scheme.as_deref() {
        Some("file") => "is no URL: write file:///absolute/path",
        Some("s3") => "is no URL: write s3://BUCKET/PATH",
        Some("gs") => "is no URL: write gs://BUCKET/PATH",
        Some("az") => "is no URL: write az://CONTAINER/PATH",
        _ if to.is_empty() => return Err(Error::input("--to is empty: give a folder, as in --to ./cio-lake")),
        _ if to.starts_with(['~', '$']) => {
            "begins with what only a shell replaces: write the whole path, or ./ before a folder that is called so"
        }
        _ => return Ok(Path::new(to).to_owned()),
    };
    Err(Error::input(format!("{} {meant}", told("--to", to))))
}

fn unknown_scheme(scheme: &str) -> Error {
    let meant = match scheme {
        "s3a" | "s3n" => ", write s3://",
        "gcs" => ", write gs://",
        "abfs" | "abfss" | "wasb" | "wasbs" | "azure" | "adl" => {
            ", write az://CONTAINER/PATH and set AZURE_STORAGE_ACCOUNT_NAME"
        }
        _ => "",
    };
    Error::input(format!(
        "--to does not take `{scheme}://`{meant}: it takes a path or a file://, s3://, gs:// or az:// URL"
    ))
}

fn file_url(to: &str) -> Result<PathBuf> {
    let wrong = || {
        Error::input(format!(
            "{} names no local folder: write file:///absolute/path",
            told("--to", to)
        ))
    };
    let url = Url::parse(to).map_err(|cause| wrong().caused_by(cause))?;
    url.to_file_path().map_err(|()| wrong())
}

/// Keys are taken as they are written, as the stores' own tools do: nothing is decoded.
fn bucket_url(to: &str, provider: Provider, rest: &str) -> Result<BucketPlace> {
    let form = format!("write {}://BUCKET/PATH", provider.scheme());
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = !bucket.is_empty()
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'$'));
    let to_told = told("--to", to);
    if !named {
        return Err(Error::input(format!("{to_told} names no bucket: {form}")));
    }
    if path.contains(['?', '#', '*', '\\']) {
        return Err(Error::input(format!(
            "the path of {to_told} has one of ? # * \\, which readers take for something else: {form}"
        )));
    }
    let wrong = || Error::input(format!("{to_told} names no place in a bucket: {form}"));
    // A key that begins with a slash is another key to the readers, and none to the library.
    let path = Some(path.trim_end_matches('/')).filter(|path| !path.starts_with('/'));
    let prefix = Prefix::parse(path.ok_or_else(wrong)?).map_err(|cause| match to.contains('@') {
        true => wrong(),
        false => wrong().caused_by(cause),
    })?;
    Ok(BucketPlace {
        provider,
        bucket: bucket.to_owned(),
        prefix,
    })
}

/// An address that `setting` names, and whether it speaks plain http.
///
/// # Errors
///
/// Input, for what is no URL, and for plain http beyond this machine: keys and rows would cross a network in the open.
pub(super) fn endpoint(setting: &str, text: &str) -> Result<(Url, bool)> {
    let wrong = |why: &str| Error::input(format!("{} {why}", told(setting, text)));
    let url = Url::parse(text).map_err(|cause| wrong("is no URL, write https://HOST").caused_by(cause))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::input(format!(
            "{setting} holds a user or a password, which belong into the store's own variables"
        )));
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok((url, false)),
        ("http", Some(host)) if is_loopback(&host) => Ok((url, true)),
        ("http", Some(_)) => Err(wrong("is plain http, which is only for this machine: write https://")),
        _ => Err(wrong("is no address of a store, write https://HOST")),
    }
}

/// `setting` with the `text` in it, as far as an error may repeat that: before an `@` there may be a password, after a `?` a signature.
fn told(setting: &str, text: &str) -> String {
    if text.contains(['@', '?']) {
        return setting.to_owned();
    }
    format!("{setting} `{text}`")
}

pub(super) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(to: &str) -> String {
        match Place::parse(to) {
            Ok(Place::Folder(folder)) => folder.display().to_string(),
            Ok(Place::Bucket(place)) => place.to_string(),
            Err(error) => error.chain(),
        }
    }

    #[test]
    fn one_place_may_be_spelled_in_several_ways() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let around = format!("{folder}/../{}/", folder.rsplit('/').next().unwrap());
        let is_where = |one: &str, other: &str| Destination::new(one).is_where(&Destination::new(other));
        for (one, other, same) in [
            (folder, &*around, true),
            (folder, &*format!("file://{folder}"), true),
            (folder, "/", false),
            ("./not-there", "./not-there", true),
            ("./not-there", "./not-there-either", false),
            ("s3://lake/a", "S3://lake/a/", true),
            ("s3://lake/a", "gs://lake/a", false),
            ("s3://lake/a", "ftp://lake/a", false),
        ] {
            assert_eq!(is_where(one, other), same, "{one} and {other}");
        }
    }

    #[test]
    fn every_form_of_a_place_is_understood() {
        for (to, place) in [
            ("./lake", "./lake"),
            ("./~", "./~"),
            ("./s3:", "./s3:"),
            ("file:///a/b%20c", "/a/b c"),
            ("s3://acme-lake", "s3://acme-lake"),
            ("S3://acme-lake/", "s3://acme-lake"),
            ("s3://acme.lake/customer io/%20/", "s3://acme.lake/customer io/%20"),
            ("gs://b/a/b", "gs://b/a/b"),
            ("az://container/a", "az://container/a"),
        ] {
            assert_eq!(shown(to), place, "{to}");
        }
    }

    #[test]
    fn what_names_no_place_is_told_with_the_right_form() {
        for (to, part) in [
            ("", "--to is empty"),
            ("s3:///a", "write s3://BUCKET/PATH"),
            ("s3://user@bucket/a", "write s3://BUCKET/PATH"),
            ("s3://b//a", "write s3://BUCKET/PATH"),
            ("gs://b/../a", "write gs://BUCKET/PATH"),
            ("az://b/*.parquet", "readers take for something else"),
            ("s3a://b/a", "write s3://"),
            ("abfss://c@a.dfs.core.windows.net/x", "write az://CONTAINER"),
            ("https://x/y", "does not take `https://`"),
            ("file://relative/path", "names no local folder"),
            ("file:/absolute/path", "write file:///absolute/path"),
            ("s3:/bucket/path", "write s3://BUCKET/PATH"),
            ("S3:bucket", "write s3://BUCKET/PATH"),
            ("az:container/path", "write az://CONTAINER/PATH"),
            ("~/lake", "write the whole path"),
            ("$HOME/lake", "write the whole path"),
        ] {
            let text = shown(to);
            assert!(text.contains(part), "{to}: {text}");
            assert_eq!(Place::parse(to).unwrap_err().kind(), crate::error::ErrorKind::Input);
        }
    }

    #[test]
    fn a_key_in_a_place_is_not_repeated() {
        for to in [
            "s3://KEY:geheim@bucket/a",
            "s3://KEY:geh/geheim@bucket/a",
            "az://b//geheim@x",
            "gs://b/../geheim@x",
            "gs://b/geheim@x?a",
            "az://container/a?sv=1&sig=geheim",
            "file://KEY:geheim@host/x",
            "s3:/KEY:geheim@bucket/a",
        ] {
            let text = Place::parse(to).unwrap_err().chain();
            assert!(text.contains("write ") && !text.contains("geheim"), "{to}: {text}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        assert!(endpoint("x", "http://127.0.0.1:9000").unwrap().1);
        assert!(endpoint("x", "http://[::1]:9000").unwrap().1);
        assert!(endpoint("x", "http://localhost:9000").unwrap().1);
        assert!(!endpoint("x", "https://minio.example").unwrap().1);
        for wrong in [
            "http://minio.example",
            "minio:9000",
            "",
            "https://key:secret@minio.example",
            "https://key:sec/secret@minio.example",
            "key:secret@minio.example",
            "http://minio.example/?key=secret@x",
        ] {
            let error = endpoint("AWS_ENDPOINT_URL", wrong).unwrap_err().chain();
            assert!(error.starts_with("AWS_ENDPOINT_URL"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn nothing_prints_the_environment() {
        let mut destination = Destination::new("s3://b");
        destination
            .environment
            .insert("AWS_SECRET_ACCESS_KEY".into(), "geheim".into());
        assert!(!format!("{destination:?}").contains("geheim"));
    }
}
