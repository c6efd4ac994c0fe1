//! A bucket that speaks S3: where it is.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key, resolve_bucket_region};
use object_store::{ClientConfigKey, ClientOptions};

use super::client::{longest_silence, options, patient};
use super::connect::Connector;
use super::credentials::without_secrets;
use super::profile::Profile;
use super::s3_keys::{in_environment, keys};
use crate::error::{Error, Result};
use crate::storage::address::{ProfileName, S3Address};
use crate::storage::destination::{BucketPlace, Destination, endpoint};

/// Settings of the environment that would change what a run relies on, or that are decided here.
const OURS: [Key; 12] = [
    Key::Bucket,
    Key::ConditionalPut,
    Key::CopyIfNotExists,
    Key::Region,
    Key::DefaultRegion,
    Key::Endpoint,
    Key::S3Endpoint,
    Key::VirtualHostedStyleRequest,
    Key::Client(ClientConfigKey::AllowHttp),
    Key::AccessKeyId,
    Key::SecretAccessKey,
    Key::Token,
];

/// Finds the address, the region and the keys, and proves that there are any.
///
/// # Errors
///
/// As for [`keys`], and Input, naming the setting; nothing of the bucket itself was asked.
pub(in crate::storage) async fn open(place: &BucketPlace, destination: &Destination) -> Result<AmazonS3> {
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
    built.map_err(|cause| without_secrets(Error::input(format!("the settings for {place} cannot be used")), cause))
}

/// The profile; one that nobody named is left aside where the environment has the keys and the files cannot be read.
fn profile(destination: &Destination) -> Result<Option<Profile>> {
    let spare = Profile::named(destination).is_none() && in_environment(destination, None);
    Profile::read(destination).or_else(|error| {
        if !spare {
            return Err(error);
        }
        tracing::warn!(error = %error.chain(), "the AWS profiles are left aside, the environment has keys");
        Ok(None)
    })
}

/// Everything but region and keys, and whether the store is another one than Amazon's.
fn reached(
    place: &BucketPlace,
    destination: &Destination,
    profile: Option<&Profile>,
) -> Result<(AmazonS3Builder, bool)> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(options())
        .with_http_connector(Connector::to(place, longest_silence(destination)))
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
            url.set_host(Some(&host))
                .map_err(|cause| Error::input(format!("{setting} cannot carry the bucket's name")).caused_by(cause))?;
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
pub(in crate::storage) async fn locate(place: &BucketPlace, destination: &Destination) -> Result<S3Address> {
    let profile = profile(destination)?;
    let address = address(destination, profile.as_ref())?;
    let endpoint = address.map(|(setting, text)| endpoint(&setting, &text)).transpose()?;
    let named = Profile::named(destination).is_some() && !in_environment(destination, profile.as_ref());
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

#[cfg(test)]
pub(in crate::storage) mod tests {
    use super::*;
    use crate::storage::destination::Place;

    /// A signed address in the bucket that `to` names, opened with these variables.
    pub(in super::super) async fn opened(
        to: &str,
        variables: &[(&str, &str)],
        edit: impl FnOnce(&mut Destination),
    ) -> Result<String> {
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

    pub(in super::super) const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK")];

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
}
