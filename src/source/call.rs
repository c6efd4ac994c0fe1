//! One logical request: its attempts, until there is a body, and its bodies, until one can be read.

use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep};
use url::Url;

use super::body::LARGEST_PAGE;
use super::client::Inner;
use super::error::Place;
use super::exchange::{Answer, Trouble};
use super::retry::{Patience, Ruling, Tally};
use super::{FetchError, Meter, Request, Response, Unreadable};

/// What is remembered between the attempts of one logical request.
pub(super) struct Call<'a> {
    inner: &'a Inner,
    base: &'a Url,
    meter: &'a Meter,
    patience: Patience,
    tally: Tally,
    /// Drawn by the first attempt.
    sequence: Option<u64>,
}

impl<'a> Call<'a> {
    pub(super) fn new(inner: &'a Inner, base: &'a Url, meter: &'a Meter) -> Self {
        Self {
            inner,
            base,
            meter,
            patience: Patience::new(inner.patience),
            tally: Tally::default(),
            sequence: None,
        }
    }

    /// Attempts until a complete body comes with a success. A page that is too large makes `request` ask for less.
    pub(super) async fn response(&mut self, request: &mut Request) -> Result<Response, FetchError> {
        loop {
            let (granted, sequence) = self.begin().await;
            match self.inner.exchange(self.base, request).await {
                Answer::Body(body) => return Ok(Response { body, sequence }),
                Answer::Refused(error) => return Err(error),
                Answer::TooLarge => self.shrink(request)?,
                Answer::Trouble(trouble) => {
                    if trouble.rate_limited {
                        let pause = trouble.wait.map(|wait| wait.min(self.inner.patience));
                        self.inner.limiter.slow_down(granted, pause);
                    }
                    self.rest(request, trouble).await?;
                }
            }
        }
    }

    /// The caller could not read `response`: returns after a pause when another attempt may help.
    pub(super) async fn reject(
        &mut self,
        request: &Request,
        unreadable: Unreadable,
        response: Response,
    ) -> Result<(), FetchError> {
        let ruling = self.tally.rule(&unreadable, &response.body);
        let reason = unreadable.into_reason();
        match ruling {
            Ruling::Again => self.rest(request, Trouble::new(reason)).await,
            Ruling::GiveUp => Err(FetchError::Failed(self.place(request).no_page(&reason))),
            Ruling::Content => Err(FetchError::Content {
                request: request.describe(),
                body: response.body,
                sequence: response.sequence,
                reason,
            }),
        }
    }

    /// Pays for an attempt and enters it.
    async fn begin(&mut self) -> (Instant, u64) {
        let granted = self.inner.limiter.acquire(self.meter.queue()).await;
        self.patience.attempt(granted);
        self.meter.count(self.sequence.is_some());
        let counter = &self.inner.sequence;
        let sequence = *self
            .sequence
            .get_or_insert_with(|| counter.fetch_add(1, Ordering::Relaxed));
        (granted, sequence)
    }

    /// Waits before the next attempt, or gives up when patience has run out.
    async fn rest(&self, request: &Request, trouble: Trouble) -> Result<(), FetchError> {
        let wait = self.patience.wait(Instant::now(), trouble.wait, fastrand::f64());
        let Some(wait) = wait else {
            let error = self.place(request).out_of_patience(&self.patience, &trouble);
            return Err(FetchError::Unanswered(match trouble.cause {
                Some(cause) => error.caused_by(cause),
                None => error,
            }));
        };
        let (wait_ms, tries) = (wait.as_millis() as u64, self.patience.tries());
        if trouble.wait.is_some_and(|asked| asked > wait) {
            let request = request.describe();
            tracing::warn!(request, %trouble, wait_ms, "the server asks for a longer wait than there is patience for");
        }
        tracing::warn!(name: "retry", request = %request.describe(), %trouble, tries, wait_ms, "asking again");
        sleep(wait).await;
        Ok(())
    }

    fn shrink(&mut self, request: &mut Request) -> Result<(), FetchError> {
        if !request.shrink() {
            return Err(self.place(request).too_large(LARGEST_PAGE >> 20));
        }
        self.patience.renew();
        tracing::warn!(request = %request.describe(), "the page was too large, asking for fewer rows");
        Ok(())
    }

    fn place(&self, request: &Request) -> Place {
        Place::new(self.base, request)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::source::test_server::{Asked, Reply, Server, read_thing, things};

    const PAGE: &str = r#"{"things":7,"next":""}"#;
    const PATIENT: Duration = Duration::from_secs(20);

    fn page() -> Reply {
        Reply::json(200, PAGE)
    }

    /// What one logical request comes to, and the requests that it took.
    async fn fetch(replies: Vec<Reply>, patience: Duration) -> (Result<u64, FetchError>, Vec<Asked>) {
        let server = Server::start(replies).await;
        let meter = Meter::default();
        let answer = server.source(patience).fetch(&things(), &meter, read_thing).await;
        let asked = server.requests();
        assert_eq!(meter.requests(), asked.len() as u64);
        assert_eq!(meter.retries(), asked.len() as u64 - 1);
        (answer.map(|(thing, _)| thing), asked)
    }

    async fn refusal(reply: Reply) -> FetchError {
        let (answer, asked) = fetch(vec![reply, page()], PATIENT).await;
        assert_eq!(asked.len(), 1, "it must not be asked again");
        answer.unwrap_err()
    }

    #[tokio::test]
    async fn the_key_goes_out_in_one_header_and_gzip_is_welcome() {
        let (answer, asked) = fetch(vec![page()], PATIENT).await;
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(asked[0].head.matches("s3cret").count(), 1);
        assert!(asked[0].head.contains("authorization: Bearer s3cret\r\n"));
        assert!(asked[0].head.contains("accept-encoding: gzip\r\n"));
        assert!(asked[0].head.contains("user-agent: cio2parquet/test\r\n"));
    }

    #[tokio::test]
    async fn a_filter_is_posted_as_json() {
        let server = Server::start(vec![page()]).await;
        let request = Request {
            method: crate::stream::Method::Post,
            body: Some(serde_json::json!({"filter": 1})),
            ..things()
        };
        let source = server.source(PATIENT);
        source.fetch(&request, &Meter::default(), read_thing).await.unwrap();
        let asked = &server.requests()[0];
        assert_eq!(
            (asked.method.as_str(), asked.body.as_str()),
            ("POST", r#"{"filter":1}"#)
        );
        assert!(asked.head.contains("content-type: application/json"));
    }

    #[tokio::test]
    async fn what_may_pass_is_asked_again() {
        let troubles = [
            Reply::json(408, ""),
            Reply::json(409, ""),
            Reply::json(423, ""),
            Reply::json(425, ""),
            Reply::json(429, ""),
            Reply::json(500, "{}"),
            Reply::json(503, "<html>"),
            Reply::json(200, "<html>maintenance</html>"),
            Reply::json(200, ""),
            Reply::json(200, r#"{"things":7,"ne"#),
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"things\":7"),
            Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"thi\r\n"),
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope"),
            Reply::raw("not http at all\r\n\r\n"),
            Reply::raw(""),
        ];
        let attempts = troubles
            .into_iter()
            .map(|trouble| fetch(vec![trouble, page()], PATIENT));
        for (number, (answer, asked)) in futures::future::join_all(attempts).await.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), 7, "trouble {number}");
            assert_eq!(asked.len(), 2, "trouble {number}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_waited_for_as_long_as_patience_lasts() {
        let server = Server::start(vec![page()]).await;
        let free_port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut nowhere = server.url();
        nowhere.set_port(Some(free_port.port())).unwrap();
        let source = crate::source::Source::new(crate::source::SourceSettings {
            patience: Duration::from_millis(500),
            ..crate::source::test_server::settings(crate::source::Base::Url(nowhere))
        })
        .unwrap();
        let meter = Meter::default();
        let error = source.fetch(&things(), &meter, read_thing).await.unwrap_err();
        assert!(meter.retries() >= 1);
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Api);
        assert!(error.chain().contains("cannot connect"), "{}", error.chain());
        assert!(error.chain().contains("GET /v1/things?limit=100"), "{}", error.chain());
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_left() {
        let silent = page().after(Duration::from_secs(60));
        let (answer, asked) = fetch(vec![silent], Duration::from_millis(400)).await;
        assert!(matches!(answer, Err(FetchError::Unanswered(_))), "{answer:?}");
        assert!(!asked.is_empty());
    }

    #[tokio::test]
    async fn patience_ends_with_the_words_of_the_server() {
        let down = Reply::json(503, r#"{"errors":[{"detail":"down for s3cret maintenance"}]}"#);
        let (answer, asked) = fetch(vec![down], Duration::from_millis(600)).await;
        assert!(asked.len() >= 3, "there is a last attempt at the end of patience");
        let text = Error::from(answer.unwrap_err()).chain();
        assert!(text.contains("503: down for *** maintenance"), "{text}");
    }

    #[tokio::test]
    async fn a_wait_in_seconds_is_obeyed() {
        let busy = Reply::with_headers(429, &[("retry-after", "1")], "");
        let (answer, asked) = fetch(vec![busy, page()], PATIENT).await;
        assert_eq!(answer.unwrap(), 7);
        assert!(asked[1].at - asked[0].at >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_wait_until_a_date_is_obeyed_by_everybody() {
        let now = SystemTime::now();
        let until = httpdate::fmt_http_date(now + Duration::from_secs(2));
        let date = httpdate::fmt_http_date(now);
        let busy = Reply::with_headers(429, &[("retry-after", &until), ("date", &date)], "");
        let server = Server::start(vec![busy, page()]).await;
        let (source, meter, first) = (server.source(PATIENT), Meter::default(), things());
        let refused = source.fetch(&first, &meter, read_thing);
        let second = things().with_limit(1);
        let later = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            source.fetch(&second, &meter, read_thing).await
        };
        let (refused, later) = tokio::join!(refused, later);
        refused.unwrap();
        later.unwrap();
        let asked = server.requests();
        let waits = asked[1..].iter().map(|other| other.at - asked[0].at);
        assert!(waits.min().unwrap() >= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_wait_beyond_patience_ends_with_a_last_attempt() {
        let busy = Reply::with_headers(429, &[("retry-after", "86400")], "");
        let (answer, asked) = fetch(vec![busy], Duration::from_millis(300)).await;
        assert!(matches!(answer, Err(FetchError::Unanswered(_))), "{answer:?}");
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test]
    async fn what_will_not_change_is_not_asked_again() {
        let typed = |status| Reply::json(status, r#"{"errors":[{"detail":"because","status":"x"}]}"#);
        assert!(matches!(refusal(typed(401)).await, FetchError::Key(_)));
        assert!(matches!(refusal(typed(403)).await, FetchError::Forbidden(_)));
        assert!(matches!(refusal(typed(404)).await, FetchError::NotFound(_)));
        for status in [400, 405, 413, 422] {
            let error = refusal(typed(status)).await;
            assert!(matches!(&error, FetchError::Refused(text) if text.contains(&format!("({status}: because)"))));
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_with_the_key() {
        let other = Server::start(vec![page()]).await;
        let location = format!("{}v1/things?k=s3cret", other.url());
        let moved = Reply::with_headers(302, &[("location", &location)], "");
        let error = refusal(moved).await;
        assert!(
            matches!(&error, FetchError::Refused(text) if text.contains("to 127.0.0.1 (302)")),
            "{error:?}"
        );
        assert!(!error.to_string().contains("s3cret"));
        assert!(other.requests().is_empty());
    }

    #[tokio::test]
    async fn the_same_broken_page_three_times_is_content() {
        let broken = "{\"things\":\u{7}7}";
        let (answer, asked) = fetch(vec![Reply::json(200, broken)], PATIENT).await;
        assert_eq!(asked.len(), 3);
        match answer {
            Err(FetchError::Content { request, body, .. }) => {
                assert_eq!(request, "GET /v1/things?limit=100");
                assert_eq!(body, broken.as_bytes());
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_missing_envelope_has_three_tries() {
        let bare = || Reply::json(200, "{}");
        let (answer, _) = fetch(vec![bare(), bare(), page()], PATIENT).await;
        assert_eq!(answer.unwrap(), 7);
        let (answer, asked) = fetch(vec![bare()], PATIENT).await;
        assert_eq!(asked.len(), 3);
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, FetchError::Failed(e) if e.to_string().contains("no things")),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_page_over_the_cap_is_asked_for_in_smaller_pieces() {
        let large = || {
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                LARGEST_PAGE + 1
            ))
        };
        let server = Server::start(vec![large(), bomb(), page()]).await;
        let source = server.source(PATIENT);
        let answer = source.fetch(&things(), &Meter::default(), read_thing).await;
        assert_eq!(answer.unwrap().0, 7);
        assert_eq!(
            server.targets(),
            ["/v1/things?limit=100", "/v1/things?limit=25", "/v1/things?limit=6"]
        );
        let (answer, asked) = fetch(vec![large()], PATIENT).await;
        assert!(matches!(answer, Err(FetchError::Refused(text)) if text.contains("32 MiB")));
        assert_eq!(asked.last().unwrap().target, "/v1/things?limit=1");
    }

    /// Small on the wire, over the cap when decoded.
    fn bomb() -> Reply {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b' '; LARGEST_PAGE + 1]).unwrap();
        let body = gzip.finish().unwrap();
        Reply::with_headers(200, &[("content-encoding", "gzip")], body)
    }

    #[tokio::test]
    async fn a_later_request_has_a_larger_number_and_a_retry_keeps_its_own() {
        let server = Server::start(vec![page(), Reply::json(503, ""), page()]).await;
        let source = server.source(PATIENT);
        let (meter, request) = (Meter::default(), things());
        let sequence = || source.fetch(&request, &meter, async |response: Response| Ok(response.sequence));
        let (first, second, third) = (
            sequence().await.unwrap(),
            sequence().await.unwrap(),
            sequence().await.unwrap(),
        );
        assert_eq!([first, second, third], [0, 1, 2]);
        assert_eq!(meter.retries(), 1);
    }

    #[tokio::test]
    async fn every_attempt_is_paid_for() {
        let server = Server::start(vec![Reply::json(503, ""), page()]).await;
        let settings = crate::source::SourceSettings {
            rate: 1.0,
            ..crate::source::test_server::settings(crate::source::Base::Url(server.url()))
        };
        let source = crate::source::Source::new(settings).unwrap();
        source.fetch(&things(), &Meter::default(), read_thing).await.unwrap();
        let asked = server.requests();
        assert!(asked[1].at - asked[0].at >= Duration::from_millis(950));
    }
}
