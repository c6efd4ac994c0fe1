//! A bucket that speaks S3: where it is, and whose keys open it.

use std::sync::Arc;

use object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key, AwsCredentialProvider, resolve_bucket_region,
};
use object_store::{ClientConfigKey, ClientOptions};

use super::address::{ProfileName, S3Address};
use super::client::{Connector, brief, options, patient};
use super::credentials::prove;
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
    let (builder, elsewhere) = reached(place, destination, profile.as_ref())?;
    let region = region(destination, profile.as_ref());
    // Services that hand out keys are asked in the region, if one was named.
    let asking = region
        .iter()
        .fold(builder.clone(), |builder, region| builder.with_region(region));
    let provider = keys(asking, destination, profile).await?;
    let region = match region {
        Some(region) => region,
        None => region_of(place, elsewhere).await?,
    };
    let builder = builder
        .with_region(region)
        .with_credentials(provider)
        .with_retry(patient(destination.patience))
        // Objects are deleted one at a time, and one by one every store can; a refusal is then about that object.
        .with_disable_bulk_delete(true);
    let built = builder.build();
    built.map_err(|cause| Error::input(format!("the settings for {place} cannot be used")).caused_by(cause))
}

/// The profile, where one is asked for or the environment has no keys.
fn profile(destination: &Destination) -> Result<Option<Profile>> {
    let in_environment = destination.variable("AWS_ACCESS_KEY_ID").is_some();
    if in_environment && destination.profile.is_none() {
        return Ok(None);
    }
    Profile::read(destination)
}

/// Everything but region and keys, and whether the store is another one than Amazon's.
fn reached(
    place: &BucketPlace,
    destination: &Destination,
    profile: Option<&Profile>,
) -> Result<(AmazonS3Builder, bool)> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(options())
        .with_http_connector(Connector::default())
        .with_bucket_name(&place.bucket);
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
        let hosted = hosted(destination)?.unwrap_or(false);
        if hosted {
            let host = format!("{}.{}", place.bucket, url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|cause| {
                Error::input(format!("{setting} {text:?} cannot carry the bucket's name")).caused_by(cause)
            })?;
        }
        builder = builder
            .with_endpoint(url.as_str().trim_end_matches('/'))
            .with_virtual_hosted_style_request(hosted)
            .with_config(Key::Client(ClientConfigKey::AllowHttp), plain.to_string());
    } else if let Some(hosted) = hosted(destination)? {
        builder = builder.with_virtual_hosted_style_request(hosted);
    }
    Ok((builder, address.is_some()))
}

fn region(destination: &Destination, profile: Option<&Profile>) -> Option<String> {
    let said = destination
        .region
        .as_deref()
        .or(destination.variable("AWS_REGION"))
        .or(destination.variable("AWS_DEFAULT_REGION"))
        .or(profile.and_then(|profile| profile.region.as_deref()));
    said.map(ToOwned::to_owned)
}

/// The region that the bucket is in, where nobody has said it.
async fn region_of(place: &BucketPlace, elsewhere: bool) -> Result<String> {
    if elsewhere {
        return Ok("us-east-1".to_owned());
    }
    find_region(place).await
}

/// Where the bucket is, for another program.
pub(super) async fn locate(place: &BucketPlace, destination: &Destination) -> Result<S3Address> {
    let profile = profile(destination)?;
    let address = address(destination, profile.as_ref())?;
    let endpoint = address.map(|(setting, text)| endpoint(&setting, &text)).transpose()?;
    let named = destination.profile.is_some() || destination.variable("AWS_PROFILE").is_some();
    let region = match region(destination, profile.as_ref()) {
        Some(region) => region,
        None => region_of(place, endpoint.is_some()).await?,
    };
    Ok(S3Address {
        bucket: place.bucket.clone(),
        path: place.prefix.to_string(),
        region,
        path_style: !hosted(destination)?.unwrap_or(false),
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

/// Whether the bucket stands in the host name; where nobody says so it stands in the path, which every store takes.
fn hosted(destination: &Destination) -> Result<Option<bool>> {
    const HOSTED: &str = "AWS_VIRTUAL_HOSTED_STYLE_REQUEST";
    match (destination.path_style, destination.variable(HOSTED)) {
        (Some(in_path), _) => Ok(Some(!in_path)),
        (None, None) => Ok(None),
        (None, Some(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
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
    builder: AmazonS3Builder,
    destination: &Destination,
    profile: Option<Profile>,
) -> Result<AwsCredentialProvider> {
    let set = |name: &str| destination.variable(name).is_some();
    let mut builder = builder.with_retry(brief());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::destination::Place;

    async fn opened(to: &str, variables: &[(&str, &str)], edit: impl FnOnce(&mut Destination)) -> Result<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut destination = Destination::new(to);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        destination.environment.extend(variables);
        edit(&mut destination);
        let Ok(Place::Bucket(place)) = Place::parse(to) else {
            panic!("{to} is no bucket")
        };
        let store = open(&place, &destination).await?;
        let path = object_store::path::Path::from("x");
        let valid = std::time::Duration::from_secs(9);
        let url = object_store::signer::Signer::signed_url(&store, reqwest::Method::GET, &path, valid).await;
        Ok(url.unwrap().to_string())
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK")];

    #[tokio::test]
    async fn address_and_region_come_from_where_a_person_expects_them() {
        let [id, secret] = KEYS;
        let aws = opened("s3://b", &[id, secret, ("AWS_REGION", "eu-west-3")], |_| {})
            .await
            .unwrap();
        assert!(aws.starts_with("https://s3.eu-west-3.amazonaws.com/b/x?"), "{aws}");
        assert!(aws.contains("AK%2F"), "{aws}");

        let both = [
            id,
            secret,
            ("AWS_ENDPOINT_URL", "https://a"),
            ("AWS_ENDPOINT_URL_S3", "https://minio.example/"),
        ];
        let minio = opened("s3://b", &both, |_| {}).await.unwrap();
        assert!(
            minio.starts_with("https://minio.example/b/x?") && minio.contains("us-east-1"),
            "{minio}"
        );

        let config = |destination: &mut Destination| {
            destination.endpoint = Some("https://r2.example".into());
            destination.region = Some("auto".into());
            destination.path_style = Some(false);
        };
        let hosted = opened("s3://b", &both, config).await.unwrap();
        assert!(
            hosted.starts_with("https://b.r2.example/x?") && hosted.contains("%2Fauto%2F"),
            "{hosted}"
        );
    }

    #[tokio::test]
    async fn keys_come_from_the_profile_that_is_named_even_beside_the_environment() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("keys");
        std::fs::write(
            &file,
            "[night]\naws_access_key_id=NK\naws_secret_access_key=NS\nregion=x\n",
        )
        .unwrap();
        let [id, secret] = KEYS;
        let path = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
        let url = opened("s3://b", &[id, secret, path], |to| to.profile = Some("night".into())).await;
        assert!(url.unwrap().contains("NK%2F"));
        let url = opened("s3://b", &[path, ("AWS_PROFILE", "night")], |_| {}).await;
        assert!(url.unwrap().contains("NK%2F"));
    }

    #[tokio::test]
    async fn half_a_key_and_no_key_are_told_before_anything_is_asked() {
        let half = opened("s3://b", &KEYS[..1], |_| {}).await.unwrap_err();
        assert_eq!(half.kind(), crate::error::ErrorKind::Input);
        assert!(
            half.chain().contains("the environment gave no credentials"),
            "{}",
            half.chain()
        );
        let none = opened("s3://b", &[("AWS_EC2_METADATA_DISABLED", "true")], |_| {})
            .await
            .unwrap_err();
        assert!(
            none.chain().contains("no credentials for S3") && none.chain().contains("AWS_PROFILE"),
            "{}",
            none.chain()
        );
    }
}
