//! Multipart uploads that nobody completed: found and aborted, for a store keeps (and charges for) their parts until somebody does.

use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::gcp::GoogleCloudStorage;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

use super::client::{ANSWER, Again, KNOCK, near};
use super::gcs;
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::storage::destination::{BucketPlace, Destination};
use crate::storage::failure::failed;

/// How long the address of a list of uploads is good for.
const VALID: Duration = Duration::from_mins(5);

/// A list holds 1,000 uploads; more than this many lists mean that aborting them does not make them go away.
const LISTS: usize = 100;

/// Lists and aborts the uploads of a bucket, which `object_store` cannot.
pub(in crate::storage) struct Uploads {
    store: Store,
    prefix: Path,
    clients: Clients,
    patience: Duration,
}

enum Store {
    S3(AmazonS3),
    Gcs { store: GoogleCloudStorage, bucket: Url },
}

/// The answer to `GET ?uploads`, which Google's XML interface shares with S3.
#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Upload>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

impl Storage {
    /// Aborts every upload that was begun below `folder` and not completed; how many.
    ///
    /// Nothing to do on a disk, where staging folders are swept, and where a store forgets unfinished uploads by itself.
    ///
    /// # Errors
    ///
    /// Storage, when they cannot be listed.
    pub async fn abort_uploads(&self, folder: &str) -> Result<usize> {
        let Some(uploads) = self.uploads() else { return Ok(0) };
        let aborted = uploads.abort(&format!("{folder}/")).await;
        aborted.map_err(|cause| failed("list the unfinished uploads of", &self.place(folder), cause))
    }

    /// Aborts every upload of the object at `path`; how many.
    pub(in crate::storage) async fn abort_uploads_of(&self, path: &Path) -> object_store::Result<usize> {
        match self.uploads() {
            Some(uploads) => uploads.abort(path.as_ref()).await,
            None => Ok(0),
        }
    }

    /// Aborts every unfinished upload below one of `folders`; how many. One request for all of them when there is none.
    ///
    /// # Errors
    ///
    /// Storage, when they cannot be listed.
    pub async fn abort_uploads_below(&self, folders: &[&str]) -> Result<usize> {
        let Some(uploads) = self.uploads() else { return Ok(0) };
        let found = uploads.list("").await;
        let found = found.map_err(|cause| failed("list the unfinished uploads of", &self.place(""), cause))?;
        let mut aborted = 0;
        for folder in folders {
            let below = uploads.full(&format!("{folder}/"));
            if found.iter().any(|upload| upload.key.starts_with(&below)) {
                aborted += self.abort_uploads(folder).await?;
            }
        }
        Ok(aborted)
    }

    /// How many uploads were begun below `folder` and not completed; `None` where a store keeps none.
    ///
    /// # Errors
    ///
    /// Storage, when they cannot be listed.
    pub async fn count_uploads(&self, folder: &str) -> Result<Option<usize>> {
        let Some(uploads) = self.uploads() else { return Ok(None) };
        let found = uploads.list(&format!("{folder}/")).await;
        let found = found.map_err(|cause| failed("list the unfinished uploads of", &self.place(folder), cause))?;
        Ok(Some(found.len()))
    }
}

impl Uploads {
    /// # Errors
    ///
    /// Internal, when no client can be made.
    pub(in crate::storage) fn s3(store: AmazonS3, place: &BucketPlace, destination: &Destination) -> Result<Self> {
        Ok(Self {
            store: Store::S3(store),
            prefix: place.prefix.clone(),
            clients: Clients::new()?,
            // They are looked for beside what a run is there for, and what stays is found by the next one.
            patience: destination.patience.min(KNOCK),
        })
    }

    /// # Errors
    ///
    /// Input, for an address that is none; Internal, when no client can be made.
    pub(in crate::storage) fn gcs(
        store: GoogleCloudStorage,
        place: &BucketPlace,
        destination: &Destination,
    ) -> Result<Self> {
        let base = gcs::base_url(destination)?.map_or("https://storage.googleapis.com".to_owned(), |(url, _)| url);
        let bucket = format!("{}/{}", base.trim_end_matches('/'), place.bucket);
        let bucket =
            Url::parse(&bucket).map_err(|cause| Error::input(format!("{bucket} is no URL")).caused_by(cause))?;
        Ok(Self {
            store: Store::Gcs { store, bucket },
            prefix: place.prefix.clone(),
            clients: Clients::new()?,
            // They are looked for beside what a run is there for, and what stays is found by the next one.
            patience: destination.patience.min(KNOCK),
        })
    }

    /// Aborts what was begun at paths of the lake that start with `start`.
    async fn abort(&self, start: &str) -> object_store::Result<usize> {
        let mut aborted = 0;
        for _ in 0..LISTS {
            let found = self.list(start).await?;
            if found.is_empty() {
                break;
            }
            for upload in &found {
                self.abort_one(upload).await?;
            }
            aborted += found.len();
        }
        Ok(aborted)
    }

    async fn abort_one(&self, upload: &Upload) -> object_store::Result<()> {
        let path = Path::parse(&upload.key)?;
        let aborted = match &self.store {
            Store::S3(store) => store.abort_multipart(&path, &upload.upload_id).await,
            Store::Gcs { store, .. } => store.abort_multipart(&path, &upload.upload_id).await,
        };
        match aborted {
            // Somebody else aborted or completed it.
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// A path of the lake as the bucket's key.
    fn full(&self, path: &str) -> String {
        match self.prefix.as_ref() {
            "" => path.to_owned(),
            lake => format!("{lake}/{path}"),
        }
    }

    async fn list(&self, start: &str) -> object_store::Result<Vec<Upload>> {
        let prefix = self.full(start);
        let mut again = Again::within(self.patience);
        loop {
            let sent = self.request(&prefix).await?.send().await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(_) if again.wait().await => continue,
                Err(cause) => return Err(garbled(cause.without_url())),
            };
            let status = answer.status();
            let text = answer.text().await.map_err(|cause| garbled(cause.without_url()))?;
            if status == StatusCode::OK {
                let listing: Listing = quick_xml::de::from_str(&text).map_err(garbled)?;
                return Ok(listing.uploads);
            }
            let passing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
            if !passing || !again.wait().await {
                return Err(garbled(format!("status code: {status}: {text}")));
            }
        }
    }

    async fn request(&self, prefix: &str) -> object_store::Result<RequestBuilder> {
        Ok(match &self.store {
            Store::S3(store) => {
                let options = SignedUrlOptions::default().with_query([("uploads", ""), ("prefix", prefix)]);
                let url = store
                    .signed_url_opts(Method::GET, &Path::default(), VALID, &options)
                    .await?;
                self.clients.get(url)
            }
            Store::Gcs { store, bucket } => {
                let credential = store.credentials().get_credential().await?;
                let request = self.clients.get(bucket.clone());
                let request = request.query(&[("uploads", ""), ("prefix", prefix)]);
                match credential.bearer.as_str() {
                    "" => request,
                    bearer => request.bearer_auth(bearer),
                }
            }
        })
    }
}

/// One for stores elsewhere, one for this machine.
struct Clients {
    far: Client,
    near: Client,
}

impl Clients {
    fn new() -> Result<Self> {
        let settings = || Client::builder().connect_timeout(KNOCK).timeout(ANSWER);
        let made = |client: reqwest::Result<Client>| {
            client.map_err(|cause| Error::internal("cannot make an HTTP client").caused_by(cause))
        };
        Ok(Self {
            far: made(settings().build())?,
            near: made(near(settings()))?,
        })
    }

    fn get(&self, url: Url) -> RequestBuilder {
        match url.scheme() {
            "http" => self.near.get(url),
            _ => self.far.get(url),
        }
    }
}

fn garbled(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic {
        store: "the list of uploads",
        source: cause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_may_hold_none_one_or_many() {
        let read = |inside: &str| {
            let text = format!(
                "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>{inside}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
            );
            quick_xml::de::from_str::<Listing>(&text).unwrap().uploads
        };
        let upload = |id: &str| {
            format!(
                "<Upload><Key>lake/t/part-0.parquet</Key><UploadId>{id}</UploadId><Initiator><ID>x</ID></Initiator></Upload>"
            )
        };
        assert_eq!(read(""), []);
        let ids: Vec<_> = read(&(upload("1") + &upload("2")))
            .into_iter()
            .map(|upload| upload.upload_id)
            .collect();
        assert_eq!(ids, ["1", "2"]);
    }
}
