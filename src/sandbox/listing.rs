//! The lists of few rows: where each is served, how, and what a row of it is.

use super::behaviour::Endpoint;
use super::item::Item;
use super::json::Object;
use super::list_row;

/// One list of the App API, `GET /v1/<name>`.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) endpoint: Endpoint,
    /// The end of its path, and the name of its stream.
    pub(super) name: &'static str,
    /// The key of the rows in the envelope.
    pub(super) key: &'static str,
    pub(super) pages: Pages,
    /// How many rows there are before the clock is moved.
    pub(super) count: u64,
    /// Writes the fields of a row, in one order for the API and the lake.
    pub(super) fields: fn(&Item, &mut Object<'_>),
    /// The fields that may be served otherwise than documented.
    pub(super) odd: &'static [Odd],
}

/// How a list is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// One answer holds everything, and has no `next`.
    Whole,
    /// `limit` and `start`.
    Cursors,
    /// The same, and the last page that holds rows leads on to one that holds none.
    Trailing,
}

/// A field that may be served otherwise than documented, by what it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Odd {
    Text(&'static str),
    /// A time, or a count.
    Number(&'static str),
    Flag(&'static str),
    /// Of integers.
    List(&'static str),
}

/// Every list.
pub(super) static LISTINGS: [Listing; 11] = [
    Listing {
        endpoint: Endpoint::Campaigns,
        name: "campaigns",
        key: "campaigns",
        pages: Pages::Whole,
        count: 24,
        fields: list_row::campaign,
        odd: &[
            Odd::Text("description"),
            Odd::Number("created"),
            Odd::Flag("active"),
            Odd::List("filter_segment_ids"),
        ],
    },
    Listing {
        endpoint: Endpoint::Broadcasts,
        name: "broadcasts",
        key: "broadcasts",
        pages: Pages::Whole,
        count: 9,
        fields: list_row::broadcast,
        odd: &[
            Odd::Text("name"),
            Odd::Number("first_started"),
            Odd::List("filter_segment_ids"),
        ],
    },
    Listing {
        endpoint: Endpoint::Newsletters,
        name: "newsletters",
        key: "newsletters",
        pages: Pages::Cursors,
        count: 36,
        fields: list_row::newsletter,
        odd: &[
            Odd::Text("name"),
            Odd::Number("sent_at"),
            Odd::Number("subscription_topic_id"),
            Odd::List("content_ids"),
        ],
    },
    Listing {
        endpoint: Endpoint::Segments,
        name: "segments",
        key: "segments",
        pages: Pages::Whole,
        count: 30,
        fields: list_row::segment,
        odd: &[
            Odd::Text("description"),
            Odd::Number("progress"),
            Odd::Number("updated_at"),
        ],
    },
    Listing {
        endpoint: Endpoint::SenderIdentities,
        name: "sender_identities",
        key: "sender_identities",
        pages: Pages::Trailing,
        count: 8,
        fields: list_row::sender_identity,
        odd: &[Odd::Text("name"), Odd::Text("phone"), Odd::Flag("auto_generated")],
    },
    Listing {
        endpoint: Endpoint::Snippets,
        name: "snippets",
        key: "snippets",
        pages: Pages::Whole,
        count: 14,
        fields: list_row::snippet,
        odd: &[Odd::Text("value"), Odd::Number("updated_at")],
    },
    Listing {
        endpoint: Endpoint::Collections,
        name: "collections",
        key: "collections",
        pages: Pages::Whole,
        count: 6,
        fields: list_row::collection,
        odd: &[Odd::Text("name"), Odd::Number("bytes"), Odd::Number("created_at")],
    },
    Listing {
        endpoint: Endpoint::SubscriptionTopics,
        name: "subscription_topics",
        key: "topics",
        pages: Pages::Whole,
        count: 6,
        fields: list_row::subscription_topic,
        odd: &[Odd::Text("description"), Odd::Flag("subscribed_by_default")],
    },
    Listing {
        endpoint: Endpoint::ObjectTypes,
        name: "object_types",
        key: "types",
        pages: Pages::Whole,
        count: 5,
        fields: list_row::object_type,
        odd: &[Odd::Text("icon"), Odd::Flag("enabled")],
    },
    Listing {
        endpoint: Endpoint::ReportingWebhooks,
        name: "reporting_webhooks",
        key: "reporting_webhooks",
        pages: Pages::Whole,
        count: 5,
        fields: list_row::reporting_webhook,
        odd: &[Odd::Text("name"), Odd::Flag("full_resolution")],
    },
    Listing {
        endpoint: Endpoint::Workspaces,
        name: "workspaces",
        key: "workspaces",
        pages: Pages::Whole,
        count: 4,
        fields: list_row::workspace,
        odd: &[Odd::Text("name"), Odd::Number("people")],
    },
];

impl Listing {
    /// The list of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        LISTINGS.iter().find(|listing| listing.name == name)
    }

    /// The list that an endpoint serves, if it serves one of these.
    pub(super) fn of(endpoint: Endpoint) -> Option<&'static Self> {
        LISTINGS.iter().find(|listing| listing.endpoint == endpoint)
    }

    /// Tells the rows of this list apart from those of the others, wherever luck is drawn for one.
    pub(super) fn lane(&self, index: u64) -> u64 {
        (self.endpoint as u64) << 32 | index
    }
}
