//! What is asked: a method, a path, a query and perhaps a body; never a header, so never the key.

use jiff::Timestamp;
use url::{Url, form_urlencoded};

use crate::stream::{Method, Stream, Window};

/// One page of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// GET, or POST with a filter.
    pub method: Method,
    /// Below the base URL, e.g. `/v1/activities`.
    pub path: String,
    /// Parameters in the clear; they are percent-encoded when sent.
    pub query: Vec<(String, String)>,
    /// The JSON body of a POST.
    pub body: Option<serde_json::Value>,
    /// Rows wanted in one page; `None` when the endpoint takes no limit.
    pub limit: Option<u32>,
    /// The cursor of the page; `None` is the first.
    pub start: Option<String>,
}

impl Request {
    /// The first page of `stream`; `id` is the transactional message that takes the place of `{id}` in its path.
    pub fn of(stream: &Stream, id: Option<i64>) -> Self {
        let fetch = &stream.fetch;
        let path = match id {
            Some(id) => fetch.path.replace("{id}", &id.to_string()),
            None => fetch.path.clone(),
        };
        Self {
            method: fetch.method,
            path,
            query: fetch.query.clone(),
            body: fetch.body.clone(),
            limit: fetch.paging.map(|paging| paging.limit),
            start: None,
        }
    }

    /// Only rows created inside `window`, which becomes the API's whole seconds with both ends inside.
    ///
    /// Rows are created in whole seconds, so rounding both ends of the half-open window up loses none and adds none.
    pub fn between(mut self, window: Window) -> Self {
        let first = whole_seconds_up(window.from);
        let last = (whole_seconds_up(window.to) - 1).max(first);
        self.query.retain(|(name, _)| name != "start_ts" && name != "end_ts");
        self.query.push(("start_ts".into(), first.to_string()));
        self.query.push(("end_ts".into(), last.to_string()));
        self
    }

    /// Pages of at most `limit` rows.
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The page that `cursor` leads to.
    pub fn starting_at(mut self, cursor: impl Into<String>) -> Self {
        self.start = Some(cursor.into());
        self
    }

    /// How it reads in errors and reports, e.g. `GET /v1/activities?limit=100`.
    pub fn describe(&self) -> String {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        match self.encoded_query() {
            Some(query) => format!("{method} {}?{query}", self.path),
            None => format!("{method} {}", self.path),
        }
    }

    /// The address below `base`, which may itself have a path.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), self.path));
        url.set_query(self.encoded_query().as_deref());
        url
    }

    /// Asks for a quarter of the rows; false when a page cannot be made smaller.
    pub(super) fn shrink(&mut self) -> bool {
        match self.limit {
            Some(limit) if limit > 1 => {
                self.limit = Some((limit / 4).max(1));
                true
            }
            _ => false,
        }
    }

    /// Cursors hold `+`, `/` and `=`; a bare `+` would arrive as a space, and the wrong page be served without an error.
    fn encoded_query(&self) -> Option<String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.query);
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if let Some(start) = &self.start {
            query.append_pair("start", start);
        }
        Some(query.finish()).filter(|text| !text.is_empty())
    }
}

/// The first whole second at or after `time`.
fn whole_seconds_up(time: Timestamp) -> i64 {
    let second = time.as_second();
    // `as_second` truncates towards zero, which is already upwards before 1970.
    second + i64::from(time.subsec_nanosecond() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Catalog;

    fn window(from: &str, to: &str) -> Window {
        Window::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    fn seconds(from: &str, to: &str) -> (i64, i64) {
        let stream = Catalog::load().unwrap().get("transactional_message_details").unwrap();
        let request = Request::of(&stream, Some(7)).between(window(from, to));
        let value = |name| {
            let found = request.query.iter().find(|(key, _)| key == name);
            found.unwrap().1.parse().unwrap()
        };
        (value("start_ts"), value("end_ts"))
    }

    #[test]
    fn the_definition_of_a_stream_becomes_its_request() {
        let catalog = Catalog::load().unwrap();
        let describe = |stream, id| Request::of(&catalog.get(stream).unwrap(), id).describe();
        assert_eq!(describe("activities", None), "GET /v1/activities?limit=100");
        assert_eq!(describe("customers", None), "POST /v1/customers?limit=1000");
        assert_eq!(describe("transactional_messages", None), "GET /v1/transactional");
        assert_eq!(
            describe("transactional_metrics", Some(3)),
            "GET /v1/transactional/3/metrics?period=days&steps=45"
        );
    }

    #[test]
    fn neighbouring_windows_meet_one_second_apart() {
        let first = seconds("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z");
        let second = seconds("1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z");
        assert_eq!(first, (0, 86_399));
        assert_eq!(second, (86_400, 172_799));
    }

    #[test]
    fn fractions_of_a_second_keep_neighbours_disjoint_and_complete() {
        let first = seconds("1970-01-01T00:00:00Z", "1970-01-01T00:00:10.5Z");
        let second = seconds("1970-01-01T00:00:10.5Z", "1970-01-01T00:00:20Z");
        assert_eq!((first, second), ((0, 10), (11, 19)));
    }

    #[test]
    fn seconds_before_1970_round_up_too() {
        assert_eq!(seconds("1969-12-31T23:59:50.5Z", "1969-12-31T23:59:55Z"), (-9, -6));
    }

    #[test]
    fn a_later_window_takes_the_place_of_an_earlier_one() {
        let stream = Catalog::load().unwrap().get("transactional_message_details").unwrap();
        let request = Request::of(&stream, Some(1))
            .between(window("1970-01-01T00:00:00Z", "1970-01-01T00:00:05Z"))
            .between(window("1970-01-01T00:00:05Z", "1970-01-01T00:00:09Z"));
        assert_eq!(
            request.describe(),
            "GET /v1/transactional/1/messages?get_tracked_responses=true&start_ts=5&end_ts=8&limit=1000"
        );
    }

    #[test]
    fn cursors_are_percent_encoded_and_keep_their_case() {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let request = Request::of(&stream, None).starting_at("aB+/c==& %");
        let base = Url::parse("http://localhost:1/").unwrap();
        assert_eq!(
            request.url(&base).as_str(),
            "http://localhost:1/v1/activities?limit=100&start=aB%2B%2Fc%3D%3D%26+%25"
        );
    }

    #[test]
    fn a_base_may_have_a_path() {
        let stream = Catalog::load().unwrap().get("transactional_messages").unwrap();
        let base = Url::parse("https://proxy.example.com/cio/").unwrap();
        let url = Request::of(&stream, None).url(&base);
        assert_eq!(url.as_str(), "https://proxy.example.com/cio/v1/transactional");
    }

    #[test]
    fn a_page_shrinks_to_a_quarter_down_to_one_row() {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let mut request = Request::of(&stream, None);
        let mut limits = vec![];
        while request.shrink() {
            limits.push(request.limit.unwrap());
        }
        assert_eq!(limits, [25, 6, 1]);
        assert!(!Request { limit: None, ..request }.shrink());
    }
}
