//! A bucket that speaks S3: where it is, and whose keys open it.

use std::sync::Arc;

use object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key, AwsCredentialProvider, resolve_bucket_region,
};
use object_store::{ClientConfigKey, ClientOptions};

use super::address::{ProfileName, S3Address};
use super::credentials::{brief, patient, prove};
use super::destination::{BucketPlace, Destination, endpoint};
use super::profile::{ProcessProvider, Profile};
use crate::error::{Error, Result};

const NO_KEYS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or let the machine have a role";

/// Settings of the environment that would change what a run relies on, or that are decided here.
const OURS: [Key; 9] = [
    Key::Bucket,
    Key::ConditionalPut,
    Key::CopyIfNotExists,
    Key::Region,
    Key::DefaultRegion,
    Key::Endpoint,
    Key::S3Endpoint,
    Key::VirtualHostedStyleRequest,
    Key::Client(ClientConfigKey::AllowHttp),
];

/// Finds the address, the region and the keys, and proves that there are any.
///
/// # Errors
///
/// Input, naming the setting; nothing of the bucket itself was asked.
pub(super) async fn open(place: &BucketPlace, destination: &Destination) -> Result<AmazonS3> {
    let profile = profile(destination)?;
    let builder = reached(place, destination, profile.as_ref()).await?;
    let provider = keys(&builder, destination, profile).await?;
    let builder = builder
        .with_credentials(provider)
        .with_retry(patient(destination.patience));
    builder.build().map_err(|cause| unusable(place, cause))
}

/// The profile, where one is asked for or the environment has no keys.
fn profile(destination: &Destination) -> Result<Option<Profile>> {
    let in_environment = destination.variable("AWS_ACCESS_KEY_ID").is_some();
    if in_environment && destination.profile.is_none() {
        return Ok(None);
    }
    Profile::read(destination)
}

/// Everything but the keys.
async fn reached(place: &BucketPlace, destination: &Destination, profile: Option<&Profile>) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::new().with_bucket_name(&place.bucket);
    let of_aws = destination
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with("AWS_"));
    for (name, value) in of_aws {
        let key = name.to_ascii_lowercase().parse::<Key>().ok();
        if let Some(key) = key.filter(|key| !OURS.contains(key)) {
            builder = builder.with_config(key, value);
        }
    }
    let address = address(destination, profile)?;
    if let Some((setting, text)) = &address {
        let (mut url, plain) = endpoint(setting, text)?;
        let in_path = path_style(destination)?;
        if !in_path {
            let host = format!("{}.{}", place.bucket, url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|cause| {
                Error::input(format!("{setting} {text:?} cannot carry the bucket's name")).caused_by(cause)
            })?;
        }
        builder = builder
            .with_endpoint(url.as_str().trim_end_matches('/'))
            .with_virtual_hosted_style_request(!in_path)
            .with_config(Key::Client(ClientConfigKey::AllowHttp), plain.to_string());
    }
    let region = region(place, destination, profile, address.is_some()).await?;
    Ok(builder.with_region(region))
}

async fn region(
    place: &BucketPlace,
    destination: &Destination,
    profile: Option<&Profile>,
    elsewhere: bool,
) -> Result<String> {
    let said = destination
        .region
        .as_deref()
        .or(destination.variable("AWS_REGION"))
        .or(destination.variable("AWS_DEFAULT_REGION"))
        .or(profile.and_then(|profile| profile.region.as_deref()));
    match said {
        Some(region) => Ok(region.to_owned()),
        None if elsewhere => Ok("us-east-1".to_owned()),
        None => find_region(place).await,
    }
}

/// Where the bucket is, for another program.
pub(super) async fn locate(place: &BucketPlace, destination: &Destination) -> Result<S3Address> {
    let profile = profile(destination)?;
    let address = address(destination, profile.as_ref())?;
    let endpoint = address.map(|(setting, text)| endpoint(&setting, &text)).transpose()?;
    let named = destination.profile.is_some() || destination.variable("AWS_PROFILE").is_some();
    Ok(S3Address {
        bucket: place.bucket.clone(),
        path: place.prefix.to_string(),
        region: region(place, destination, profile.as_ref(), endpoint.is_some()).await?,
        path_style: path_style(destination)?,
        endpoint: endpoint.map(|(url, _)| url),
        profile: profile.filter(|_| named).map(|profile| ProfileName {
            by_program: profile.keys.is_none() && profile.process.is_some(),
            name: profile.name,
        }),
    })
}

fn address(destination: &Destination, profile: Option<&Profile>) -> Result<Option<(String, String)>> {
    let said = destination
        .endpoint
        .clone()
        .map(|text| ("the storage endpoint".to_owned(), text));
    let variable = |name: &str| Some((name.to_owned(), destination.variable(name)?.to_owned()));
    let in_profile = || Some(("endpoint_url of the AWS profile".to_owned(), profile?.endpoint.clone()?));
    Ok(said
        .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .or_else(in_profile))
}

/// Stores other than Amazon's seldom have a name for each bucket.
fn path_style(destination: &Destination) -> Result<bool> {
    const HOSTED: &str = "AWS_VIRTUAL_HOSTED_STYLE_REQUEST";
    match (destination.path_style, destination.variable(HOSTED)) {
        (Some(said), _) => Ok(said),
        (None, None) => Ok(true),
        (None, Some(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(false),
            "false" | "0" => Ok(true),
            _ => Err(Error::input(format!("{HOSTED} is {text:?}, write true or false"))),
        },
    }
}

async fn find_region(place: &BucketPlace) -> Result<String> {
    let found = resolve_bucket_region(&place.bucket, &ClientOptions::new()).await;
    found.map_err(|cause| {
        let text = format!("cannot find out the region of {place}, set AWS_REGION if the bucket exists");
        Error::storage(text).caused_by(cause)
    })
}

/// The keys in the order in which AWS's own tools look for them, named so that a person knows which ones were taken.
async fn keys(
    builder: &AmazonS3Builder,
    destination: &Destination,
    profile: Option<Profile>,
) -> Result<AwsCredentialProvider> {
    let set = |name: &str| destination.variable(name).is_some();
    let mut builder = builder.clone().with_retry(brief());
    let from = match profile {
        Some(Profile {
            keys: Some(keys), name, ..
        }) => {
            builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
            if let Some(token) = keys.token {
                builder = builder.with_token(token);
            }
            format!("the AWS profile {name:?}")
        }
        Some(Profile {
            process: Some(command),
            name,
            ..
        }) => {
            builder = builder.with_credentials(Arc::new(ProcessProvider::new(command)));
            format!("the AWS profile {name:?}")
        }
        _ if set("AWS_ACCESS_KEY_ID") || set("AWS_SECRET_ACCESS_KEY") => "the environment".to_owned(),
        _ if set("AWS_WEB_IDENTITY_TOKEN_FILE") && set("AWS_ROLE_ARN") => "the role in AWS_ROLE_ARN".to_owned(),
        _ if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") => "the container's role".to_owned(),
        _ if set("AWS_CONTAINER_CREDENTIALS_FULL_URI") && set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") => {
            "the pod's role".to_owned()
        }
        _ if destination.variable("AWS_EC2_METADATA_DISABLED") == Some("true") => {
            return Err(Error::input(format!("there are no credentials for S3: {NO_KEYS}")));
        }
        _ => {
            "there are no credentials for S3 in the environment or the profile files, and the machine's role".to_owned()
        }
    };
    let built = builder.build();
    let built =
        built.map_err(|cause| Error::input(format!("{from} gave no credentials: {NO_KEYS}")).caused_by(cause))?;
    let provider = Arc::clone(built.credentials());
    prove(&provider, &from, NO_KEYS).await?;
    Ok(provider)
}

fn unusable(place: &BucketPlace, cause: object_store::Error) -> Error {
    Error::input(format!("the settings for {place} cannot be used")).caused_by(cause)
}
