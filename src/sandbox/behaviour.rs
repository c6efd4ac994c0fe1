//! How the API behaves: every quirk that the real one has, or may have, as a switch.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// The endpoints of the App API that are simulated, by what they serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `GET /v1/activities`
    Activities,
    /// `POST /v1/customers`
    Customers,
    /// `GET /v1/transactional` and `GET /v1/transactional/{id}`
    Transactional,
    /// `GET /v1/transactional/{id}/metrics`
    Metrics,
    /// `GET /v1/transactional/{id}/messages`
    Details,
    /// `GET /v1/campaigns`
    Campaigns,
    /// `GET /v1/broadcasts`
    Broadcasts,
    /// `GET /v1/newsletters`
    Newsletters,
    /// `GET /v1/segments`
    Segments,
    /// `GET /v1/sender_identities`
    SenderIdentities,
    /// `GET /v1/snippets`
    Snippets,
    /// `GET /v1/collections`
    Collections,
    /// `GET /v1/subscription_topics`
    SubscriptionTopics,
    /// `GET /v1/object_types`
    ObjectTypes,
    /// `GET /v1/reporting_webhooks`
    ReportingWebhooks,
    /// `GET /v1/workspaces`
    Workspaces,
}

impl Endpoint {
    /// Every simulated endpoint.
    pub const ALL: [Self; 16] = [
        Self::Activities,
        Self::Customers,
        Self::Transactional,
        Self::Metrics,
        Self::Details,
        Self::Campaigns,
        Self::Broadcasts,
        Self::Newsletters,
        Self::Segments,
        Self::SenderIdentities,
        Self::Snippets,
        Self::Collections,
        Self::SubscriptionTopics,
        Self::ObjectTypes,
        Self::ReportingWebhooks,
        Self::Workspaces,
    ];
}

/// What `next` is on the last page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastNext {
    /// `""`, as seen live.
    #[default]
    Empty,
    /// `null`.
    Null,
    /// No key at all.
    Absent,
}

/// What happens to a `limit` above the maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLimit {
    /// The maximum is used, silently.
    #[default]
    Clamp,
    /// 400.
    Refuse,
}

/// Under which name a delivery holds the identifiers of its person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonKey {
    /// Mostly `customer_identifiers`, in one row of eight `identifiers`.
    #[default]
    Mixed,
    /// As in the schema and live.
    CustomerIdentifiers,
    /// As in the documented examples.
    Identifiers,
}

/// How a delivery shows that it has no campaign, newsletter, broadcast or action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    /// By row one way or the other.
    #[default]
    Mixed,
    /// Null, as in the documented examples.
    Null,
    /// Left out, as seen live.
    Absent,
}

/// The type of `status` in the bodies of 401 and 404.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorStatus {
    /// `401`
    #[default]
    Integer,
    /// `"401"`
    Text,
}

/// Every quirk of the simulated API. "One in" switches are 0 for never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// One row in so many differs from the documentation in some way that an exporter must survive without losing a byte.
    /// Transactional messages, metrics and other lists, of which there are few rows, are odd forty times as often.
    pub odd: u32,
    /// One activity, customer or delivery in so many has no key, no usable time, or is no object; such rows are not part of the truth.
    pub keyless: u32,
    /// One row in so many is legal JSON and hard to read: huge numbers, deep nesting, NUL, a key twice. It is part of the truth.
    pub strange: u32,
    /// One row in so many cannot be read at all: no text, half a character, nested without end. It is not part of the truth;
    /// the list of transactional messages and the lists of few rows hold such rows besides their own.
    pub unreadable: u32,
    /// What `next` is on the last page.
    pub last_next: LastNext,
    /// An empty data array is `null`.
    pub null_arrays: bool,
    /// One cursor in so many first leads to an empty page with a further cursor.
    pub empty_pages: u32,
    /// One cursor in so many leads to a page that begins with the last row of the page before.
    pub duplicates: u32,
    /// What happens to a `limit` above the maximum.
    pub over_limit: OverLimit,
    /// No page holds more rows than this, whatever the limit; 0 for as many as documented.
    pub largest_page: usize,
    /// Deliveries come oldest first: their order is seen live and documented nowhere.
    pub oldest_first: bool,
    /// The clock moves on by so many milliseconds with every request, so that people come and go between two pages; with it the
    /// cursors of `POST /v1/customers` count rows, and rows move from one page to another.
    pub shifting_ms: u32,
    /// Under which name a delivery holds the identifiers of its person.
    pub person_key: PersonKey,
    /// How a delivery shows that it has no parents.
    pub parents: Parents,
    /// One delivery in so many has its `cio_id` as a number, if its digits allow that.
    pub numeric_cio_id: u32,
    /// One delivery in so many has the undocumented metric `secondary:delivered`.
    pub secondary_delivered: u32,
    /// Whether transactional messages have the undocumented `type`, `status` and `template_id`.
    pub template_fields: bool,
    /// The type of `status` in the bodies of 401 and 404.
    pub error_status: ErrorStatus,
    /// Requests a second that the workspace is allowed; 0 is without limit.
    pub rate: f64,
    /// How many requests may come at once before the rate holds.
    pub burst: u32,
    /// Whether a 429 says `Retry-After: 1`.
    pub retry_after: bool,
    /// How long every answer takes, in milliseconds.
    pub latency_ms: u64,
    /// Up to so many milliseconds more, drawn for each request.
    pub jitter_ms: u64,
    /// Whether bodies over 1 KiB are compressed for those who accept gzip.
    pub gzip: bool,
    /// Endpoints that the key has no right to: 403.
    pub forbidden: BTreeSet<Endpoint>,
    /// Transactional messages, by id, that answer 404 after so many requests.
    pub vanish_after: BTreeMap<u64, u64>,
    /// Transactional messages, by id, that the list leaves out although they are served.
    pub unlisted: BTreeSet<u64>,
    /// How many days of activities are served; the API promises 30 and may keep more.
    pub activity_days: u32,
    /// Failures by plan.
    pub faults: Faults,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            odd: 200,
            keyless: 0,
            strange: 0,
            unreadable: 0,
            last_next: LastNext::default(),
            null_arrays: false,
            empty_pages: 0,
            duplicates: 0,
            over_limit: OverLimit::default(),
            largest_page: 0,
            oldest_first: false,
            shifting_ms: 0,
            person_key: PersonKey::default(),
            parents: Parents::default(),
            numeric_cio_id: 50,
            secondary_delivered: 60,
            template_fields: false,
            error_status: ErrorStatus::default(),
            rate: 10.0,
            burst: 10,
            retry_after: true,
            latency_ms: 0,
            jitter_ms: 0,
            gzip: true,
            forbidden: BTreeSet::new(),
            vanish_after: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            activity_days: 30,
            faults: Faults::default(),
        }
    }
}

impl Behaviour {
    /// The default, without odd rows, undocumented fields and rate limit: for measurements.
    pub fn plain() -> Self {
        Self {
            odd: 0,
            numeric_cio_id: 0,
            secondary_delivered: 0,
            rate: 0.0,
            ..Self::default()
        }
    }

    /// This behaviour with some settings replaced: a JSON merge patch, so that `null` goes back to the default.
    ///
    /// # Errors
    /// The text of what is wrong with the patch; the behaviour is then as it was.
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        merge(&mut value, patch);
        serde_json::from_value(value)
    }
}

/// RFC 7396.
fn merge(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let serde_json::Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(serde_json::Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_null_restores() {
        let patch = json!({"odd": 0, "forbidden": ["customers"], "vanish_after": {"7": 3}});
        let patched = Behaviour::default().patched(&patch).unwrap();
        assert_eq!(patched.odd, 0);
        assert!(patched.forbidden.contains(&Endpoint::Customers));
        assert_eq!(patched.vanish_after[&7], 3);
        assert_eq!(patched.rate, 10.0);
        assert_eq!(patched.patched(&json!({"odd": null})).unwrap().odd, 200);
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(Behaviour::default().patched(&json!({"ood": 0})).is_err());
        assert!(Behaviour::default().patched(&json!(7)).is_err());
    }
}
