//! A container of Azure Blob Storage: whose keys open it.

use object_store::ClientConfigKey;
use object_store::azure::{AzureConfigKey as Key, MicrosoftAzure, MicrosoftAzureBuilder};
use url::Url;

use super::client::{brief, longest_silence, options, patient};
use super::connect::Connector;
use super::credentials::{Origin, prove, without_secrets};
use crate::error::{Error, Result};
use crate::storage::address::AzureAddress;
use crate::storage::destination::{BucketPlace, Destination, endpoint};

const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";
const NO_KEYS: &str = "set AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, or let the machine have an identity";

/// What is decided here, whatever the environment says.
const OURS: [Key; 4] = [
    Key::ContainerName,
    Key::Endpoint,
    Key::UseEmulator,
    Key::Client(ClientConfigKey::AllowHttp),
];

/// Finds the account, the address and the keys, and proves that there are any.
///
/// # Errors
///
/// As for [`prove`], and Input, naming the setting; nothing of the container itself was asked.
pub(in crate::storage) async fn open(place: &BucketPlace, destination: &Destination) -> Result<MicrosoftAzure> {
    let account = account(place, destination)?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(options())
        .with_http_connector(Connector::to(place, longest_silence(destination)))
        .with_container_name(&place.bucket);
    let of_azure = destination
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with("AZURE_"));
    for (name, value) in of_azure {
        let key = name.to_ascii_lowercase().parse::<Key>().ok();
        if let Some(key) = key.filter(|key| !OURS.contains(key)) {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_account(account);
    if let Some((url, plain)) = address(destination)? {
        builder = builder
            .with_endpoint(url.as_str().trim_end_matches('/').to_owned())
            .with_config(Key::Client(ClientConfigKey::AllowHttp), plain.to_string());
    }
    try_keys(&builder, &origin(destination)).await?;
    let built = builder.with_retry(patient(destination.patience)).build();
    built.map_err(|cause| without_secrets(Error::input(format!("the settings for {place} cannot be used")), cause))
}

fn account<'a>(place: &BucketPlace, destination: &'a Destination) -> Result<&'a str> {
    let account = destination
        .variable(ACCOUNT)
        .or(destination.variable("AZURE_STORAGE_ACCOUNT"));
    account.ok_or_else(|| Error::input(format!("no storage account for {place}: set {ACCOUNT}")))
}

/// Where the store is if not where the account's name says, and whether it speaks plain http.
fn address(destination: &Destination) -> Result<Option<(Url, bool)>> {
    const VARIABLE: &str = "AZURE_STORAGE_ENDPOINT";
    let said = destination
        .endpoint
        .as_deref()
        .map(|text| ("the storage endpoint", text));
    let said = said.or_else(|| Some((VARIABLE, destination.variable(VARIABLE)?)));
    said.map(|(setting, text)| endpoint(setting, text)).transpose()
}

/// Where the container is, for another program.
pub(in crate::storage) fn locate(place: &BucketPlace, destination: &Destination) -> Result<AzureAddress> {
    let by_key = [
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
    ];
    Ok(AzureAddress {
        account: account(place, destination)?.to_owned(),
        container: place.bucket.clone(),
        path: place.prefix.to_string(),
        endpoint: address(destination)?.map(|(url, _)| url),
        by_key: by_key.into_iter().any(|name| destination.variable(name).is_some()),
    })
}

/// Whose keys are taken, in the order in which the client looks for them, so that a person knows which ones they were.
fn origin(destination: &Destination) -> Origin {
    let set = |names: &[&str]| names.iter().all(|name| destination.variable(name).is_some());
    let from = if set(&["AZURE_STORAGE_TOKEN"]) {
        "the token in AZURE_STORAGE_TOKEN"
    } else if set(&["AZURE_STORAGE_ACCOUNT_KEY"]) || set(&["AZURE_STORAGE_ACCESS_KEY"]) {
        "the key in AZURE_STORAGE_ACCOUNT_KEY"
    } else if set(&["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"]) {
        "the workload identity in AZURE_FEDERATED_TOKEN_FILE"
    } else if set(&["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"]) {
        "the application in AZURE_CLIENT_ID"
    } else if set(&["AZURE_STORAGE_SAS_TOKEN"]) || set(&["AZURE_STORAGE_SAS_KEY"]) {
        "the signature in AZURE_STORAGE_SAS_TOKEN"
    } else if set(&["AZURE_USE_AZURE_CLI"]) {
        "the login of the az tool"
    } else {
        return Origin::machine("there are no credentials for Azure in the environment, and the machine's identity");
    };
    Origin::named(from)
}

/// Tries the keys as briefly as a person waits; a run asks for its own, and more patiently.
async fn try_keys(builder: &MicrosoftAzureBuilder, origin: &Origin) -> Result<()> {
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
        let Ok(Place::Bucket(place)) = Place::parse("az://c") else {
            panic!("no container")
        };
        for (name, value) in [
            ("AZURE_STORAGE_ACCOUNT_KEY", "geheim!"),
            ("AZURE_STORAGE_SAS_TOKEN", "geheim"),
        ] {
            let mut destination = Destination::new("az://c");
            destination.environment.insert(ACCOUNT.into(), "account".into());
            destination.environment.insert(name.into(), value.into());
            let text = open(&place, &destination).await.map(drop).unwrap_err().chain();
            assert!(text.contains(name) && text.ends_with(NO_KEYS), "{text}");
            assert!(!text.contains("geheim"), "{text}");
        }
    }
}
