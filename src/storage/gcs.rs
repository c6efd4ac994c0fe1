//! A bucket of Google Cloud Storage: whose keys open it.

use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey as Key};
use url::Url;

use super::address::GcsAddress;
use super::client::{Connector, brief, options, patient};
use super::credentials::prove;
use super::destination::{BucketPlace, Destination, endpoint};
use crate::error::{Error, Result};

const NO_KEYS: &str = "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`, or let the machine have a service account";
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// What is decided here, whatever the environment says.
const OURS: [Key; 3] = [Key::Bucket, Key::BaseUrl, Key::Client(ClientConfigKey::AllowHttp)];

/// Finds the address and the keys, and proves that there are any.
///
/// # Errors
///
/// Input, naming the setting; nothing of the bucket itself was asked.
pub(super) async fn open(place: &BucketPlace, destination: &Destination) -> Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(options())
        .with_http_connector(Connector::default())
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
    let provider = keys(&builder, destination).await?;
    builder = match provider {
        Some(provider) => builder.with_credentials(provider),
        None => builder.with_skip_signature(true),
    };
    let built = builder.with_retry(patient(destination.patience)).build();
    built.map_err(|cause| Error::input(format!("the settings for {place} cannot be used")).caused_by(cause))
}

/// Where the store is if not at Google's, and whether it speaks plain http.
pub(super) fn base_url(destination: &Destination) -> Result<Option<(String, bool)>> {
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
pub(super) fn locate(place: &BucketPlace, destination: &Destination) -> Result<GcsAddress> {
    let url = base_url(destination)?.and_then(|(url, _)| Url::parse(&url).ok());
    Ok(GcsAddress {
        bucket: place.bucket.clone(),
        path: place.prefix.to_string(),
        endpoint: url,
    })
}

/// The keys in the order in which Google's own tools look for them; `None` for a server on this machine that asks for none.
async fn keys(builder: &GoogleCloudStorageBuilder, destination: &Destination) -> Result<Option<GcpCredentialProvider>> {
    let named = [
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ];
    let named = named.into_iter().find(|name| destination.variable(name).is_some());
    if named.is_none() && destination.variable(EMULATOR).is_some() {
        return Ok(None);
    }
    let from = match named {
        Some(name) => format!("the credentials in {name}"),
        None => "there are no credentials for Google Cloud Storage in the environment or gcloud's folder, and the machine's service account".to_owned(),
    };
    let built = builder.clone().with_retry(brief()).build();
    let built = built.map_err(|cause| Error::input(format!("{from} cannot be used: {NO_KEYS}")).caused_by(cause))?;
    let provider = Arc::clone(built.credentials());
    prove(&provider, &from, NO_KEYS).await?;
    Ok(Some(provider))
}
