//! A bucket of Google Cloud Storage: whose keys open it.

use std::path::Path;

use object_store::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey as Key};
use url::Url;

use super::client::{brief, longest_silence, options, patient};
use super::connect::Connector;
use super::credentials::{Origin, prove, without_secrets};
use crate::error::{Error, Result};
use crate::storage::address::GcsAddress;
use crate::storage::destination::{BucketPlace, Destination, endpoint};

const NO_KEYS: &str = "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`, or let the machine have a service account";
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// Where gcloud keeps its login, below the home folder.
const LOGIN: &str = ".config/gcloud/application_default_credentials.json";

/// What is decided here, whatever the environment says.
const OURS: [Key; 3] = [Key::Bucket, Key::BaseUrl, Key::Client(ClientConfigKey::AllowHttp)];

/// Finds the address and the keys, and proves that there are any.
///
/// # Errors
///
/// As for [`prove`], and Input, naming the setting; nothing of the bucket itself was asked.
pub(in crate::storage) async fn open(place: &BucketPlace, destination: &Destination) -> Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(options())
        .with_http_connector(Connector::to(place, longest_silence(destination)))
        .with_bucket_name(&place.bucket);
    let of_google = destination
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with("GOOGLE_"));
    for (name, value) in of_google {
        let key = name.to_ascii_lowercase().parse::<Key>().ok();
        if let Some(key) = key.filter(|key| !OURS.contains(key)) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(url) = base_url(destination)? {
        builder = builder
            .with_base_url(url.0.trim_end_matches('/'))
            .with_config(Key::Client(ClientConfigKey::AllowHttp), url.1.to_string());
    }
    match origin(destination) {
        Some(origin) => try_keys(&builder, &origin).await?,
        None => builder = builder.with_skip_signature(true),
    }
    let built = builder.with_retry(patient(destination.patience)).build();
    built.map_err(|cause| without_secrets(Error::input(format!("the settings for {place} cannot be used")), cause))
}

/// Where the store is if not at Google's, and whether it speaks plain http.
pub(in crate::storage) fn base_url(destination: &Destination) -> Result<Option<(String, bool)>> {
    let said = destination
        .endpoint
        .as_deref()
        .map(|text| ("the storage endpoint", text.to_owned()));
    let emulator = || {
        let text = destination.variable(EMULATOR)?;
        // Google's own tools take it without a scheme too.
        Some((
            EMULATOR,
            if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            },
        ))
    };
    let Some((setting, text)) = said.or_else(emulator) else {
        return Ok(None);
    };
    let (url, plain) = endpoint(setting, &text)?;
    Ok(Some((url.to_string(), plain)))
}

/// Where the bucket is, for another program.
pub(in crate::storage) fn locate(place: &BucketPlace, destination: &Destination) -> Result<GcsAddress> {
    let url = base_url(destination)?.and_then(|(url, _)| Url::parse(&url).ok());
    Ok(GcsAddress {
        bucket: place.bucket.clone(),
        path: place.prefix.to_string(),
        endpoint: url,
    })
}

/// Whose keys are taken, in the order in which Google's own tools look for them; `None` for a server on this machine that asks for none.
fn origin(destination: &Destination) -> Option<Origin> {
    let named = [
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ];
    let named = named.into_iter().find(|name| destination.variable(name).is_some());
    if let Some(name) = named {
        return Some(Origin::named(format!("the credentials in {name}")));
    }
    if destination.variable(EMULATOR).is_some() {
        return None;
    }
    let home = destination.variable("HOME").map(Path::new);
    Some(match home {
        Some(home) if home.join(LOGIN).exists() => Origin::named("the login of gcloud"),
        _ => Origin::machine(
            "there are no credentials for Google Cloud Storage in the environment or gcloud's folder, and the machine's service account",
        ),
    })
}

/// Tries the keys as briefly as a person waits; a run asks for its own, and more patiently.
async fn try_keys(builder: &GoogleCloudStorageBuilder, origin: &Origin) -> Result<()> {
    let built = builder.clone().with_retry(brief()).build().map_err(|cause| {
        let text = format!("{} cannot be used: {NO_KEYS}", origin.from());
        without_secrets(Error::input(text), cause)
    })?;
    prove(built.credentials(), origin, NO_KEYS).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::destination::Place;

    #[tokio::test]
    async fn a_key_that_cannot_be_read_is_not_repeated() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Ok(Place::Bucket(place)) = Place::parse("gs://b") else {
            panic!("no bucket")
        };
        let quoted = r#""{\"private_key\":\"-----BEGIN PRIVATE KEY-----geheim\"}""#;
        let of_no_use = r#"{"private_key":"geheim","private_key_id":"x","client_email":"x"}"#;
        let long = format!("{{\"private_key\":\"geheim{}\"}}", "x".repeat(5000));
        for (name, value, part) in [
            ("GOOGLE_SERVICE_ACCOUNT_KEY", quoted, ""),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", of_no_use, ""),
            ("GOOGLE_APPLICATION_CREDENTIALS", quoted, "No such file"),
            ("GOOGLE_SERVICE_ACCOUNT", &long, "name too long"),
        ] {
            let mut destination = Destination::new("gs://b");
            destination.environment.insert(name.into(), value.into());
            let error = open(&place, &destination).await.map(drop).unwrap_err();
            let text = error.chain();
            assert_eq!(error.kind(), crate::error::ErrorKind::Input, "{text}");
            assert!(
                text.starts_with(&format!("the credentials in {name}")) && text.contains(part),
                "{text}"
            );
            assert!(!text.contains("geheim"), "{text}");
        }
    }
}
