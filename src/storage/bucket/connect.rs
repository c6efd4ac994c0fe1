//! The last place before the network: what is final is handed on as such, what changes a table waits for a young look at the claim, and
//! a store that does not answer is told of.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::SignedDuration;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions, Error as StoreError};
use reqwest::StatusCode;
use url::Host;

use super::client::{FINAL, near};
use crate::storage::destination::{BucketPlace, is_loopback};
use crate::storage::look::Look;

/// More than this is much to send: on a slow line it takes some seconds.
const MUCH: usize = 1 << 20;

/// A store that stays silent is told of this often: its requests are sent again after tenths of a second at first, and there are many.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// Connects as `object_store` does, but nothing that is for this machine goes through a proxy.
#[derive(Debug)]
pub(in crate::storage) struct Connector {
    /// How long the store may be silent where much is sent.
    longest: Duration,
    silence: Arc<Silence>,
}

impl Connector {
    /// To the store at `place`, which may be silent for `longest` where much is sent.
    pub(in crate::storage) fn to(place: &BucketPlace, longest: Duration) -> Self {
        Self {
            longest,
            silence: Arc::new(Silence {
                store: place.to_string(),
                told: Mutex::default(),
            }),
        }
    }
}

#[derive(Debug)]
struct Client {
    lines: Lines,
    /// For much that is sent; made when it is first needed, from these options.
    slow: OnceLock<Lines>,
    slowly: ClientOptions,
    /// Plain http is for this machine, unless who asks allows it: the addresses at which a machine asks for its own identity.
    allows_http: bool,
    silence: Arc<Silence>,
}

/// Clients with the same timeouts.
#[derive(Debug, Clone)]
struct Lines {
    far: HttpClient,
    near: HttpClient,
}

impl Lines {
    fn new(options: &ClientOptions) -> object_store::Result<Self> {
        let near = near(timed(options)).map_err(|cause| StoreError::Generic {
            store: "HTTP client",
            source: cause.into(),
        })?;
        Ok(Self {
            far: ReqwestConnector::default().connect(options)?,
            near: HttpClient::new(near),
        })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        Ok(HttpClient::new(Client {
            lines: Lines::new(options)?,
            slow: OnceLock::new(),
            slowly: options.clone().with_read_timeout(self.longest),
            allows_http: allows_http.is_some_and(|text| text == "true"),
            silence: Arc::clone(&self.silence),
        }))
    }
}

impl Client {
    fn lines(&self, bytes: usize) -> &Lines {
        if bytes <= MUCH {
            return &self.lines;
        }
        // The same options have made clients before.
        self.slow
            .get_or_init(|| Lines::new(&self.slowly).unwrap_or_else(|_| self.lines.clone()))
    }
}

/// A client with the timeouts of `options`.
fn timed(options: &ClientOptions) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder();
    if let Some(span) = span(options, ClientConfigKey::Timeout) {
        builder = builder.timeout(span);
    }
    if let Some(span) = span(options, ClientConfigKey::ConnectTimeout) {
        builder = builder.connect_timeout(span);
    }
    match span(options, ClientConfigKey::ReadTimeout) {
        Some(span) => builder.read_timeout(span),
        None => builder,
    }
}

/// Options tell their spans as text.
fn span(options: &ClientOptions, key: ClientConfigKey) -> Option<Duration> {
    let text = options.get_config_value(&key)?;
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(look) = Look::held() {
            look.check()
                .map_err(|aged| HttpError::new(HttpErrorKind::Unknown, aged))?;
        }
        let plain = request.uri().scheme_str() == Some("http");
        let host = request.uri().host().unwrap_or_default().to_owned();
        let is_here = || Host::parse(&host).is_ok_and(|host| is_loopback(&host));
        let lines = self.lines(request.body().content_length());
        let client = if plain && (self.allows_http || is_here()) {
            &lines.near
        } else {
            &lines.far
        };
        let answer = client.execute(request).await;
        let mut response = answer.inspect_err(|trouble| self.silence.tell(plain, &host, trouble))?;
        let status = response.status().as_u16();
        let instead = FINAL.into_iter().find(|(is_final, _)| *is_final == status);
        if let Some(instead) = instead.and_then(|(_, instead)| StatusCode::from_u16(instead).ok()) {
            *response.status_mut() = instead;
        }
        Ok(response)
    }
}

/// What is told of a store that does not answer.
#[derive(Debug)]
struct Silence {
    store: String,
    told: Mutex<Option<Instant>>,
}

impl Silence {
    /// Tells of `trouble` with `host`, unless that was done just now. Nothing of the address but the host: the rest may be signed.
    fn tell(&self, plain: bool, host: &str, trouble: &HttpError) {
        let silent = matches!(trouble.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        // Plain http to elsewhere asks whether the machine has an identity, and mostly it has none.
        let of_store = !plain || Host::parse(host).is_ok_and(|host| is_loopback(&host));
        if silent && of_store && self.is_due() {
            let why = std::iter::successors(Some(trouble as &dyn StdError), |&error| error.source()).last();
            let why = why.map(ToString::to_string).unwrap_or_default();
            tracing::warn!("{} is not reached at {host}, asking again: {why}", self.store);
        }
    }

    fn is_due(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpResponseBody;

    use super::*;
    use crate::storage::bucket::client::{KNOCK, answered};
    use crate::storage::destination::Place;

    #[derive(Debug)]
    struct Answers(u16);

    #[async_trait]
    impl HttpService for Answers {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let mut response = HttpResponse::new(HttpResponseBody::from(bytes::Bytes::new()));
            *response.status_mut() = StatusCode::from_u16(self.0).unwrap();
            Ok(response)
        }
    }

    fn place() -> BucketPlace {
        let Ok(Place::Bucket(place)) = Place::parse("s3://b/lake") else {
            panic!("no bucket")
        };
        place
    }

    #[test]
    fn a_client_for_this_machine_has_the_same_timeouts() {
        let options = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(Duration::from_secs(7))
            .with_read_timeout(Duration::from_secs(376));
        let seconds = |key| span(&options, key).map(|span| span.as_secs());
        assert_eq!(seconds(ClientConfigKey::Timeout), None);
        assert_eq!(seconds(ClientConfigKey::ConnectTimeout), Some(7));
        assert_eq!(seconds(ClientConfigKey::ReadTimeout), Some(376));
    }

    #[tokio::test]
    async fn what_is_final_is_not_asked_again_and_still_called_by_its_name() {
        for (status, is_final) in [(200, false), (503, false), (501, true), (507, true)] {
            let client = Client {
                lines: Lines {
                    far: HttpClient::new(Answers(status)),
                    near: HttpClient::new(Answers(200)),
                },
                slow: OnceLock::new(),
                slowly: ClientOptions::new(),
                allows_http: false,
                silence: Connector::to(&place(), KNOCK).silence,
            };
            let request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
            let handed_on = client.call(request).await.unwrap().status();
            assert_eq!(handed_on.is_server_error(), status >= 500 && !is_final, "{status}");
            assert_eq!(answered(handed_on.as_u16()), status);
        }
    }
}
