//! A chain of pages: `next` of one is `start` of the following one.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{FetchError, Meter, Request, Response, Source, Unreadable};
use crate::error::Error;

/// The pages from one request on.
///
/// The cursor is the vendor's and opaque; only that none comes twice is relied upon, since a chain that returns to
/// itself never ends.
#[derive(Debug)]
pub struct Pages {
    source: Source,
    /// Asks for the page that comes next.
    request: Request,
    meter: Meter,
    /// Fingerprints of every cursor of this chain.
    seen: HashSet<u64>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// At the page that `request` asks for.
    Open,
    /// After the last page.
    Ended,
    /// A page that was read by other means leads back to a cursor that has been.
    Circling(String),
}

impl Pages {
    pub(super) fn new(source: Source, request: Request, meter: Meter) -> Self {
        Self {
            source,
            meter,
            seen: request.start.as_deref().map(fingerprint).into_iter().collect(),
            state: State::Open,
            request,
        }
    }

    /// The next page as `read` understands it, together with the cursor of the one after it; `None` after the last page.
    ///
    /// A page may be empty and yet lead on. The chain ends where a page names no cursor; a list for which no paging is
    /// documented is followed as well, since the API's paging is not always documented.
    ///
    /// # Errors
    /// See [`FetchError`]; the chain then still stands at the same page.
    pub async fn next<T, F, Fut>(&mut self, read: F) -> Result<Option<T>, FetchError>
    where
        F: Fn(Response) -> Fut,
        Fut: Future<Output = Result<(T, Option<String>), Unreadable>>,
    {
        match &self.state {
            State::Open => {}
            State::Ended => return Ok(None),
            State::Circling(cursor) => return Err(FetchError::Failed(self.circling(cursor))),
        }
        let seen = &self.seen;
        let read = |response| {
            let page = read(response);
            async move {
                let (value, next) = page.await?;
                let next = following(next);
                match repeated(seen, next.as_deref()) {
                    Some(cursor) => Err(Unreadable::Envelope(repetition(cursor))),
                    None => Ok((value, next)),
                }
            }
        };
        let (value, next) = self.source.fetch_page(&mut self.request, &self.meter, read).await?;
        self.go_to(next);
        Ok(Some(value))
    }

    /// The cursor of the page that would come next; `None` before the first page of a chain that has no cursor yet, and
    /// after the last page.
    pub fn cursor(&self) -> Option<&str> {
        match self.state {
            State::Open => self.request.start.as_deref(),
            State::Ended | State::Circling(_) => None,
        }
    }

    /// Goes on at `next` after the page that failed with [`FetchError::Content`] was read by other means; `None` when it
    /// was the last.
    pub fn skip_to(&mut self, next: Option<String>) {
        let next = following(next);
        match repeated(&self.seen, next.as_deref()) {
            Some(cursor) => self.state = State::Circling(cursor.to_owned()),
            None => self.go_to(next),
        }
    }

    fn go_to(&mut self, next: Option<String>) {
        match next {
            Some(cursor) => {
                self.seen.insert(fingerprint(&cursor));
                self.request.start = Some(cursor);
            }
            None => self.state = State::Ended,
        }
    }

    fn circling(&self, cursor: &str) -> Error {
        let (request, words) = (self.request.describe(), repetition(cursor));
        Error::api(format!(
            "the pages after {request} do not end: {words}; run again later, and report this line if it stays"
        ))
    }
}

/// The cursor that counts: none at all and an empty one both end a chain.
fn following(next: Option<String>) -> Option<String> {
    next.filter(|cursor| !cursor.is_empty())
}

fn repeated<'a>(seen: &HashSet<u64>, cursor: Option<&'a str>) -> Option<&'a str> {
    cursor.filter(|cursor| seen.contains(&fingerprint(cursor)))
}

fn repetition(cursor: &str) -> String {
    format!("the cursor {cursor:?} has come before")
}

/// Long chains are remembered in eight bytes a page.
fn fingerprint(cursor: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::test_server::{Reply, Server, read_thing, things};

    const PATIENT: Duration = Duration::from_secs(20);

    fn page(number: u64, next: &str) -> Reply {
        Reply::json(200, format!(r#"{{"things":{number},"next":{next}}}"#))
    }

    async fn server(replies: &[(u64, &str)]) -> Server {
        Server::start(replies.iter().map(|(number, next)| page(*number, next)).collect()).await
    }

    fn pages(server: &Server, request: Request) -> Pages {
        server.source(PATIENT).pages(request, Meter::default())
    }

    async fn all(pages: &mut Pages) -> Result<Vec<u64>, FetchError> {
        let mut found = Vec::new();
        while let Some(number) = pages.next(read_thing).await? {
            found.push(number);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn cursors_are_followed_encoded_until_there_is_none() {
        for last in [r#""""#, "null"] {
            let server = server(&[(1, r#""a+/B==""#), (2, r#""c""#), (3, last)]).await;
            let mut pages = pages(&server, things());
            assert_eq!(all(&mut pages).await.unwrap(), [1, 2, 3]);
            assert_eq!(pages.cursor(), None);
            assert_eq!(pages.next(read_thing).await.unwrap(), None);
            assert_eq!(
                server.targets(),
                [
                    "/v1/things?limit=100",
                    "/v1/things?limit=100&start=a%2B%2FB%3D%3D",
                    "/v1/things?limit=100&start=c"
                ]
            );
        }
    }

    #[tokio::test]
    async fn a_list_that_is_served_whole_is_followed_all_the_same_where_it_leads_on() {
        let server = server(&[(1, r#""more""#), (2, "null")]).await;
        let request = Request {
            limit: None,
            ..things()
        };
        assert_eq!(all(&mut pages(&server, request)).await.unwrap(), [1, 2]);
        assert_eq!(server.targets(), ["/v1/things", "/v1/things?start=more"]);
    }

    #[tokio::test]
    async fn a_chain_may_begin_at_a_cursor() {
        let server = server(&[(5, r#""b""#), (6, "null")]).await;
        let mut pages = pages(&server, things().starting_at("a"));
        assert_eq!(pages.cursor(), Some("a"));
        assert_eq!(pages.next(read_thing).await.unwrap(), Some(5));
        assert_eq!(pages.cursor(), Some("b"));
        assert_eq!(server.targets(), ["/v1/things?limit=100&start=a"]);
    }

    #[tokio::test]
    async fn a_cursor_that_has_been_ends_the_chain_after_three_tries() {
        let server = server(&[(1, r#""a""#), (2, r#""b""#), (3, r#""a""#)]).await;
        let mut pages = pages(&server, things());
        let error = all(&mut pages).await.unwrap_err();
        assert!(
            matches!(&error, FetchError::Failed(e) if e.to_string().contains("has come before")),
            "{error:?}"
        );
        assert_eq!(server.targets().len(), 5);
        assert_eq!(
            pages.cursor(),
            Some("b"),
            "the chain still stands at the page that failed"
        );
    }

    #[tokio::test]
    async fn a_passing_repetition_is_forgiven() {
        let server = server(&[(1, r#""a""#), (2, r#""a""#), (2, r#""b""#), (3, "null")]).await;
        assert_eq!(all(&mut pages(&server, things())).await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_first_page_that_leads_to_itself_is_noticed() {
        let server = server(&[(1, r#""a""#)]).await;
        assert!(all(&mut pages(&server, things().starting_at("a"))).await.is_err());
    }

    #[tokio::test]
    async fn a_page_that_was_read_by_other_means_is_skipped() {
        let broken = || Reply::json(200, "{broken}");
        let server = Server::start(vec![broken(), broken(), broken(), page(2, r#""b""#), page(3, "null")]).await;
        let mut pages = pages(&server, things());
        let error = pages.next(read_thing).await.unwrap_err();
        assert!(matches!(error, FetchError::Content { .. }), "{error:?}");
        pages.skip_to(Some("a".into()));
        assert_eq!(pages.cursor(), Some("a"));
        assert_eq!(all(&mut pages).await.unwrap(), [2, 3]);
        assert_eq!(server.targets()[3], "/v1/things?limit=100&start=a");
    }

    #[tokio::test]
    async fn skipping_ends_or_circles_like_reading() {
        let server = server(&[(1, "null")]).await;
        let mut last = pages(&server, things());
        last.skip_to(Some(String::new()));
        assert_eq!(last.next(read_thing).await.unwrap(), None);
        let mut circle = pages(&server, things().starting_at("a"));
        circle.skip_to(Some("a".into()));
        assert!(matches!(circle.next(read_thing).await, Err(FetchError::Failed(_))));
        assert!(server.targets().is_empty());
    }

    #[tokio::test]
    async fn a_smaller_limit_stays_for_the_rest_of_the_chain() {
        let large = Reply::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 33 << 20));
        let server = Server::start(vec![large, page(1, r#""a""#), page(2, "null")]).await;
        assert_eq!(all(&mut pages(&server, things())).await.unwrap(), [1, 2]);
        assert_eq!(server.targets()[2], "/v1/things?limit=25&start=a");
    }

    #[tokio::test]
    async fn a_dropped_next_stays_at_its_page_and_a_chain_moves_between_threads() {
        let slow = page(1, r#""a""#).after(Duration::from_secs(60));
        let server = Server::start(vec![slow, page(1, r#""a""#), page(2, "null")]).await;
        let mut pages = pages(&server, things());
        let dropped = tokio::time::timeout(Duration::from_millis(100), pages.next(read_thing)).await;
        assert!(dropped.is_err());
        let found = tokio::spawn(async move { all(&mut pages).await }).await.unwrap();
        assert_eq!(found.unwrap(), [1, 2]);
    }
}
