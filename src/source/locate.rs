//! Which region knows the key: each answers 401 to a key of the other.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::de::IgnoredAny;
use url::Url;

use super::base::shown;
use super::call::Call;
use super::client::Inner;
use super::{FetchError, Meter, Request, Unreadable};
use crate::stream::Method;

/// Asks every candidate at once; the first that serves the key is taken, else one that at least knows it.
pub(super) async fn locate(inner: &Inner) -> Result<Url, FetchError> {
    let mut answers: FuturesUnordered<_> = inner
        .candidates
        .iter()
        .map(|base| async move { (base, knock(inner, base).await) })
        .collect();
    let (mut known, mut failed) = (None, None);
    while let Some((base, answer)) = answers.next().await {
        match answer {
            Ok(()) => return Ok(found(base)),
            Err(FetchError::Key(_)) => {}
            Err(FetchError::Unanswered(error) | FetchError::Failed(error)) => failed = Some(error),
            Err(_) => known = Some(base),
        }
    }
    match (known, failed) {
        (Some(base), _) => Ok(found(base)),
        // The region that could not be asked may be the one.
        (None, Some(error)) => Err(FetchError::Failed(error)),
        (None, None) => Err(FetchError::Key(refused_everywhere(&inner.candidates))),
    }
}

/// The cheapest read that every workspace answers and that needs a key.
pub(super) async fn knock(inner: &Inner, base: &Url) -> Result<(), FetchError> {
    let mut request = Request {
        method: Method::Get,
        path: "/v1/activities".into(),
        query: Vec::new(),
        body: None,
        limit: Some(1),
        start: None,
    };
    let meter = Meter::default();
    let mut call = Call::new(inner, base, &meter);
    loop {
        let response = call.response(&mut request).await?;
        match serde_json::from_slice::<IgnoredAny>(&response.body) {
            Ok(_) => return Ok(()),
            Err(error) => {
                let unreadable = Unreadable::NotJson(error.to_string());
                call.reject(&request, unreadable, response).await?;
            }
        }
    }
}

fn found(base: &Url) -> Url {
    tracing::info!(base = shown(base), "found the region of the workspace");
    base.clone()
}

fn refused_everywhere(candidates: &[Url]) -> String {
    let places = candidates.iter().map(shown).collect::<Vec<_>>().join(" and ");
    format!("Customer.io refused the key in every region (401 at {places}); check that CIO_TOKEN holds an App API key")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::error::ErrorKind;
    use crate::source::test_server::{Reply, Server, settings};
    use crate::source::{Base, Source, SourceSettings};

    fn source(servers: [&Server; 2]) -> Source {
        let settings = SourceSettings {
            patience: Duration::from_millis(300),
            ..settings(Base::Probe)
        };
        Source::among(servers.map(Server::url).to_vec(), settings).unwrap()
    }

    async fn probe(us: Reply, eu: Reply) -> (Result<String, crate::error::Error>, [Server; 2]) {
        let servers = [Server::start(vec![us]).await, Server::start(vec![eu]).await];
        let source = source([&servers[0], &servers[1]]);
        let located = source.locate().await;
        let name = match located {
            Ok(()) => {
                let base = source.base().await.unwrap();
                let is_us = *base == servers[0].url();
                Ok(if is_us { "us" } else { "eu" }.to_owned())
            }
            Err(error) => Err(error),
        };
        (name, servers)
    }

    #[tokio::test]
    async fn the_region_that_does_not_answer_401_is_taken() {
        let page = || Reply::json(200, r#"{"activities":null}"#);
        let wrong = || Reply::json(401, r#"{"errors":[{"detail":"unauthorized","status":401}]}"#);
        assert_eq!(probe(page(), wrong()).await.0.unwrap(), "us");
        assert_eq!(probe(wrong(), page()).await.0.unwrap(), "eu");
        assert_eq!(probe(wrong(), Reply::json(403, "{}")).await.0.unwrap(), "eu");
    }

    #[tokio::test]
    async fn a_key_that_no_region_knows_is_a_matter_of_the_key() {
        let (located, servers) = probe(Reply::json(401, "{}"), Reply::json(401, "{}")).await;
        assert_eq!(located.unwrap_err().kind(), ErrorKind::Key);
        assert_eq!(servers[0].requests()[0].target, "/v1/activities?limit=1");
    }

    #[tokio::test]
    async fn a_region_that_cannot_be_asked_may_be_the_one() {
        let (located, _servers) = probe(Reply::json(401, "{}"), Reply::json(503, "{}")).await;
        assert_eq!(located.unwrap_err().kind(), ErrorKind::Api);
    }

    #[tokio::test]
    async fn a_key_without_rights_is_known_all_the_same() {
        for (status, known) in [(200, true), (403, true), (401, false)] {
            let server = Server::start(vec![Reply::json(status, "{}")]).await;
            let source = Source::new(settings(Base::Url(server.url()))).unwrap();
            assert_eq!(source.knows_key().await.unwrap(), known, "{status}");
        }
    }

    #[tokio::test]
    async fn a_base_that_was_given_is_not_probed() {
        let server = Server::start(vec![Reply::json(401, "{}")]).await;
        let source = Source::new(settings(Base::Url(server.url()))).unwrap();
        source.locate().await.unwrap();
        assert!(server.requests().is_empty());
    }
}
