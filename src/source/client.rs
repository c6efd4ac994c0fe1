//! The workspace as a whole: settings, connection pool, limiter, and the two ways of asking.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::sync::OnceCell;
use url::Url;

use super::base::shown;
use super::call::Call;
use super::locate::{knock, locate};
use super::{Base, FetchError, Meter, Pages, RateLimiter, Region, Request, Response, Token, Unreadable};
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two pieces of an answer; half of the patience where that is less, so that a silence leaves time to ask again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a [`Source`] is made from.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The App API key.
    pub token: Token,
    /// Which host is asked.
    pub base: Base,
    /// Requests a second of all streams together; 0 is unlimited.
    pub rate: f64,
    /// How long one request may go on without progress.
    pub patience: Duration,
    /// What the exporter calls itself.
    pub user_agent: String,
}

/// One Customer.io workspace; clones share connections, limiter and counters.
#[derive(Debug, Clone)]
pub struct Source {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) token: Token,
    pub(super) candidates: Vec<Url>,
    base: OnceCell<Url>,
    pub(super) limiter: RateLimiter,
    pub(super) patience: Duration,
    /// The next number for a logical request.
    pub(super) sequence: AtomicU64,
}

impl Source {
    /// Checks the settings; nothing is sent yet.
    ///
    /// # Errors
    /// Input, for a rate, patience or URL that cannot be used; internal, when TLS cannot be set up.
    pub fn new(settings: SourceSettings) -> Result<Self> {
        let candidates = settings.base.candidates()?;
        Self::among(candidates, settings)
    }

    pub(super) fn among(candidates: Vec<Url>, settings: SourceSettings) -> Result<Self> {
        check(&settings)?;
        let base = match candidates.as_slice() {
            [only] => OnceCell::from(only.clone()),
            _ => OnceCell::new(),
        };
        let inner = Inner {
            http: http_client(&candidates, &settings)?,
            limiter: RateLimiter::new(settings.rate),
            token: settings.token,
            patience: settings.patience,
            sequence: AtomicU64::new(0),
            candidates,
            base,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether requests are held to a rate.
    pub fn is_limited(&self) -> bool {
        self.inner.limiter.is_limited()
    }

    /// How long one request may go on without progress.
    pub fn patience(&self) -> Duration {
        self.inner.patience
    }

    /// Finds the host of the workspace. Sends nothing when the settings name it; otherwise the first fetch would do it.
    ///
    /// # Errors
    /// Key, when every region answers 401; API, when none can be asked.
    pub async fn locate(&self) -> Result<()> {
        self.base().await.map(drop).map_err(Error::from)
    }

    /// The address of the workspace's host and its region, where it is one of Customer.io's own; found as [`Source::locate`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn host(&self) -> Result<(String, Option<Region>)> {
        let base = self.base().await.map_err(Error::from)?;
        Ok((shown(base).to_owned(), Region::of(base)))
    }

    /// Whether the host knows the key, whatever rights it has.
    ///
    /// # Errors
    /// API, when it cannot be asked.
    pub async fn knows_key(&self) -> Result<bool> {
        match knock(&self.inner, self.base().await.map_err(Error::from)?).await {
            Err(FetchError::Key(_)) => Ok(false),
            Err(FetchError::Unanswered(error) | FetchError::Failed(error)) => Err(error),
            Ok(()) | Err(_) => Ok(true),
        }
    }

    /// Asks until a complete body comes that `read` accepts, which it may be given several times.
    ///
    /// # Errors
    /// See [`FetchError`]; none is worth asking again for at once.
    pub async fn fetch<T, F, Fut>(&self, request: &Request, meter: &Meter, read: F) -> Result<T, FetchError>
    where
        F: Fn(Response) -> Fut,
        Fut: Future<Output = Result<T, Unreadable>>,
    {
        self.fetch_page(&mut request.clone(), meter, read).await
    }

    /// The pages from `request` on, in the order of their cursors.
    pub fn pages(&self, request: Request, meter: Meter) -> Pages {
        Pages::new(self.clone(), request, meter)
    }

    /// Like [`Source::fetch`]; a limit that had to be made smaller stays in `request`.
    pub(super) async fn fetch_page<T, F, Fut>(
        &self,
        request: &mut Request,
        meter: &Meter,
        read: F,
    ) -> Result<T, FetchError>
    where
        F: Fn(Response) -> Fut,
        Fut: Future<Output = Result<T, Unreadable>>,
    {
        let mut call = Call::new(&self.inner, self.base().await?, meter);
        loop {
            let response = call.response(request).await?;
            match read(response.clone()).await {
                Ok(value) => return Ok(value),
                Err(unreadable) => call.reject(request, unreadable, response).await?,
            }
        }
    }

    pub(super) async fn base(&self) -> Result<&Url, FetchError> {
        self.inner.base.get_or_try_init(|| locate(&self.inner)).await
    }
}

fn check(settings: &SourceSettings) -> Result<()> {
    if !(settings.rate.is_finite() && settings.rate >= 0.0) {
        return Err(Error::input(format!(
            "a rate of {} requests a second is not possible; give --rate a number from 0 (unlimited) up",
            settings.rate
        )));
    }
    if settings.patience.is_zero() {
        return Err(Error::input(
            "a patience of 0 s leaves no time for any request; give it a second at least",
        ));
    }
    Ok(())
}

fn http_client(candidates: &[Url], settings: &SourceSettings) -> Result<reqwest::Client> {
    // Refused when the process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .redirect(Policy::none())
        // Every attempt has to pass the limiter.
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT.min(settings.patience))
        .read_timeout(IDLE_TIMEOUT.min(settings.patience / 2));
    if candidates.iter().any(|url| url.scheme() == "http") {
        // Plain http is for this machine, and a proxy is another.
        builder = builder.no_proxy();
    }
    if candidates.iter().all(|url| url.scheme() == "http") {
        // Where there is nobody to prove who he is, a machine without certificates will do.
        builder = builder.tls_certs_only(std::iter::empty());
    }
    builder.build().map_err(|e| {
        Error::internal("cannot set up the HTTP client; check the user agent and the system's certificates")
            .caused_by(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::test_server::settings;

    #[test]
    fn impossible_settings_are_refused() {
        for (rate, patience) in [(-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (10.0, 0)] {
            let base = Base::Region(crate::source::Region::Us);
            let settings = SourceSettings {
                rate,
                patience: Duration::from_secs(patience),
                ..settings(base)
            };
            assert_eq!(Source::new(settings).unwrap_err().kind().exit_code(), 2);
        }
    }

    #[test]
    fn debug_of_a_source_holds_no_secret() {
        let settings = settings(Base::Probe);
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(!format!("{:?}", Source::new(settings).unwrap()).contains("s3cret"));
    }
}
