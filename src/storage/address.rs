//! Where a lake is, for a program other than this one: everything that it needs, and no key.

use std::path::PathBuf;

use url::Url;

use super::bucket::{azure, gcs, s3};
use super::destination::{Destination, Place, Provider};
use crate::error::{Error, Result};

/// The place that a [`Destination`] names. It never holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An absolute path.
    Folder(PathBuf),
    /// A bucket that speaks S3.
    S3(S3Address),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsAddress),
    /// A container of Azure Blob Storage.
    Azure(AzureAddress),
}

/// A place in a bucket that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// The bucket.
    pub bucket: String,
    /// Where the lake is in the bucket, without slashes at its ends; empty for all of it.
    pub path: String,
    /// The bucket's region.
    pub region: String,
    /// Where the store is if not at Amazon's; without the bucket's name.
    pub endpoint: Option<Url>,
    /// Whether the bucket stands in the path of a URL or in its host name; means nothing without an endpoint.
    pub path_style: bool,
    /// The profile that the keys are taken from, where one is named.
    pub profile: Option<ProfileName>,
}

/// A section of the AWS profile files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileName {
    /// The section's name.
    pub name: String,
    /// Whether a program hands out the keys, and not the files.
    pub by_program: bool,
}

/// A place in a bucket of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsAddress {
    /// The bucket.
    pub bucket: String,
    /// As [`S3Address::path`].
    pub path: String,
    /// Where the store is if not at Google's.
    pub endpoint: Option<Url>,
}

/// A place in a container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureAddress {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// As [`S3Address::path`].
    pub path: String,
    /// Where the account is if not in Azure's public cloud; an emulator has the account's name in the path.
    pub endpoint: Option<Url>,
    /// Whether the account's key or a signature opens it, and not an identity.
    pub by_key: bool,
}

impl Destination {
    /// Where the lake is, for another program. A bucket's region is asked for where nobody has said it.
    ///
    /// # Errors
    ///
    /// Input for settings that cannot be used and for a folder whose name is no text; storage for a folder that is not there.
    pub async fn address(&self) -> Result<Address> {
        let place = match Place::parse(&self.to)? {
            Place::Bucket(place) => place,
            Place::Folder(folder) => {
                let found = folder.canonicalize().map_err(|cause| {
                    Error::storage(format!("cannot find the folder {}, look at --to", folder.display()))
                        .caused_by(cause)
                });
                return found.map(Address::Folder);
            }
        };
        match place.provider {
            Provider::S3 => s3::locate(&place, self).await.map(Address::S3),
            Provider::Gcs => gcs::locate(&place, self).map(Address::Gcs),
            Provider::Azure => azure::locate(&place, self).map(Address::Azure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(to: &str, variables: &[(&str, &str)]) -> Destination {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Destination {
            environment: variables.collect(),
            ..Destination::new(to)
        }
    }

    #[tokio::test]
    async fn an_address_has_no_key_in_it() {
        let secret = "geheim";
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "acme"),
            ("AZURE_STORAGE_ACCOUNT_KEY", secret),
            ("GOOGLE_BEARER_TOKEN", secret),
        ];
        for to in ["s3://b/p", "gs://b/p", "az://b/p"] {
            let address = with(to, &variables).address().await.unwrap();
            assert!(!format!("{address:?}").contains(secret), "{to}");
        }
    }

    #[tokio::test]
    async fn a_program_finds_a_bucket_as_this_one_does() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_ENDPOINT_URL", "https://minio.example"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ];
        let Address::S3(found) = with("s3://b/p/q/", &variables).address().await.unwrap() else {
            panic!("not in S3");
        };
        assert_eq!((found.path.as_str(), found.region.as_str()), ("p/q", "us-east-1"));
        assert_eq!(found.endpoint.unwrap().as_str(), "https://minio.example/");
        assert!(!found.path_style && found.profile.is_none());
    }
}
