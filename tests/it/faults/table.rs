//! What can go wrong, and what is promised of each stream then.

use std::time::{Duration, SystemTime};

use cio2parquet::sandbox::{Behaviour, Endpoint, Fault, FaultRule, LastNext, OverLimit};

use super::cell::After;
use Promise::{Believed, Failed, Gaps, SetAside, Whole};

/// The streams and their endpoints, in the order of every row of promises. The last two stand for the lists beyond the core: one in pages,
/// one whole.
pub const STREAMS: [(&str, Endpoint); 7] = [
    ("activities", Endpoint::Activities),
    ("customers", Endpoint::Customers),
    ("transactional_messages", Endpoint::Transactional),
    ("transactional_metrics", Endpoint::Metrics),
    ("transactional_message_details", Endpoint::Details),
    ("newsletters", Endpoint::Newsletters),
    ("segments", Endpoint::Segments),
];

/// How a run ends, and what is stored then. Whatever it is, the next run without the fault ends with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Exit 0 and the truth.
    Whole,
    /// The stream ends: exit 5, or 8 when something was committed. The error holds these words, and the request.
    Failed(&'static str),
    /// Exit 8; what could be read is stored, and the report holds these words.
    Gaps(&'static str),
    /// Exit 8 and the truth; the rows that are not part of it are set aside.
    SetAside,
    /// Exit 0 although rows are missing: nothing in the answer tells. The next full-table run has them.
    Believed,
}

/// One promise for each stream.
pub type Promises = [Promise; 7];

/// Where a fault strikes.
#[derive(Clone)]
pub enum Hazard {
    /// At a page, whichever it is.
    Page(Fault),
    /// At a page that a cursor asked for.
    Cursor(Fault),
}

/// Seconds: for what passes by itself, and for what is not asked twice.
pub const PATIENT: u32 = 20;

/// How long a run goes on asking, in seconds.
#[derive(Clone, Copy)]
pub struct Patience {
    pub once: u32,
    pub lasting: u32,
}

/// One fault and what is promised when it strikes one request, and when it strikes all from there on.
pub struct FaultRow {
    pub name: &'static str,
    pub hazard: Hazard,
    pub patience: Patience,
    /// What comes after it when it lasts.
    pub after: &'static [After],
    pub once: Promises,
    pub lasting: Promises,
}

/// One behaviour that is no failure, and what is promised.
pub struct QuirkRow {
    pub name: &'static str,
    pub hazard: Edit,
    pub promises: Promises,
}

/// Makes the sandbox behave as a row says, for a stream of this endpoint.
pub type Edit = Box<dyn Fn(&mut Behaviour, Endpoint)>;

impl Hazard {
    pub fn fault(&self) -> &Fault {
        let (Self::Page(fault) | Self::Cursor(fault)) = self;
        fault
    }

    pub fn once(&self) -> impl Fn(&mut Behaviour, Endpoint) + use<> {
        self.rule(Some(1))
    }

    pub fn lasting(&self) -> impl Fn(&mut Behaviour, Endpoint) + use<> {
        self.rule(None)
    }

    /// The first request of a stream only asks for its rights, and the second, where there are more, is its first page.
    fn rule(&self, count: Option<u64>) -> impl Fn(&mut Behaviour, Endpoint) + use<> {
        let hazard = self.clone();
        move |behaviour, endpoint| {
            let (matching, from) = match hazard {
                Hazard::Cursor(_) => (Some("start=".to_owned()), 1),
                Hazard::Page(_) if matches!(endpoint, Endpoint::Transactional | Endpoint::Segments) => (None, 2),
                Hazard::Page(_) => (None, 3),
            };
            behaviour.faults.0 = vec![FaultRule {
                matching,
                from: Some(from),
                count,
                ..FaultRule::at(endpoint, [], hazard.fault().clone())
            }];
        }
    }
}

const PATIENTLY: Patience = Patience {
    once: PATIENT,
    lasting: PATIENT,
};

/// Trouble that has to be waited out even once, and so is waited out for a short time.
fn silence(name: &'static str, fault: Fault, words: &'static str) -> FaultRow {
    FaultRow {
        patience: Patience { once: 4, lasting: 2 },
        after: &[After::Recovery, After::FullTable],
        ..trouble(name, fault, words)
    }
}

/// Trouble is waited for as long as patience lasts.
fn trouble(name: &'static str, fault: Fault, words: &'static str) -> FaultRow {
    FaultRow {
        name,
        hazard: Hazard::Page(fault),
        patience: Patience {
            once: PATIENT,
            lasting: 2,
        },
        // Trouble of one kind is as good as trouble of another to what the run takes away.
        after: &[After::Recovery],
        once: [Whole; 7],
        lasting: [Failed(words); 7],
    }
}

/// What is refused is not asked again: the end of a list, and of one transactional message elsewhere.
fn refused(name: &'static str, fault: Fault, words: &'static str) -> FaultRow {
    let (list, one) = (Failed(words), Gaps(words));
    let promises = [list, list, list, one, one, list, list];
    FaultRow {
        name,
        hazard: Hazard::Page(fault),
        patience: PATIENTLY,
        after: &[After::Recovery, After::FullTable],
        once: promises,
        lasting: promises,
    }
}

/// What is wrong with cursors is nothing to those who have none.
fn cursors(name: &'static str, fault: Fault, once: [Promise; 3], lasting: [Promise; 3]) -> FaultRow {
    let spread = |[activities, customers, details]: [Promise; 3]| {
        [activities, customers, Whole, Whole, details, customers, Whole]
    };
    FaultRow {
        name,
        hazard: Hazard::Cursor(fault),
        patience: PATIENTLY,
        after: &[After::Recovery, After::FullTable],
        once: spread(once),
        lasting: spread(lasting),
    }
}

fn status(code: u16, retry_after: Option<&str>) -> Fault {
    let retry_after = retry_after.map(str::to_owned);
    Fault::Status { code, retry_after }
}

/// Every fault; some in more than one form.
pub fn faults() -> Vec<FaultRow> {
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
    let patience = "no usable answer to";
    let mut rows = vec![
        trouble("429", status(429, None), "429: rate limited"),
        trouble("429 in seconds", status(429, Some("1")), "429: rate limited"),
        trouble("429 until a date", status(429, Some(&soon)), "429: rate limited"),
        silence(
            "429 for a day",
            status(429, Some("86400")),
            "asks to be left alone for 86400 s",
        ),
        trouble("408", status(408, None), "the last one: 408"),
        trouble("409", status(409, None), "the last one: 409"),
        trouble("425", status(425, None), "the last one: 425"),
        trouble("500", status(500, None), "the last one: 500"),
        trouble("502", status(502, None), "the last one: 502"),
        trouble("503", status(503, Some("1")), "the last one: 503"),
        trouble("echo of 500", Fault::Echo { code: 500 }, "Bearer ***"),
        trouble("cut before", Fault::CutBefore, patience),
        trouble("cut inside", Fault::CutInside, patience),
        trouble("reset", Fault::Reset, patience),
        trouble("reset inside", Fault::ResetInside, patience),
        trouble("long length", Fault::LongLength, patience),
        trouble("short length", Fault::ShortLength, patience),
        silence("stall", Fault::Stall { ms: None }, "timed out"),
        trouble("html", Fault::Html, patience),
        trouble("garbage", Fault::Garbage, patience),
        trouble("truncated", Fault::Truncated, patience),
        FaultRow {
            patience: PATIENTLY,
            after: &[After::Recovery, After::FullTable],
            ..trouble("no envelope", Fault::NoEnvelope, "no usable page in three tries")
        },
        refused("400", status(400, None), "(400)"),
        refused("echo of 400", Fault::Echo { code: 400 }, "Bearer ***"),
        FaultRow {
            once: [
                Whole,
                Whole,
                Failed("over 32 MiB"),
                Gaps("over 32 MiB"),
                Whole,
                Whole,
                Failed("over 32 MiB"),
            ],
            ..refused("over 32 MiB", Fault::Padded { bytes: (32 << 20) + 1 }, "over 32 MiB")
        },
        FaultRow {
            once: [Believed, Believed, Believed, Whole, Believed, Believed, Believed],
            lasting: [
                Believed,
                Believed,
                Believed,
                Failed("no usable page in three tries"),
                Believed,
                Believed,
                Believed,
            ],
            patience: PATIENTLY,
            ..trouble("empty", Fault::Empty, "")
        },
    ];
    for (name, code) in [("301", 301), ("307", 307)] {
        let to = "http://localhost:9/elsewhere".to_owned();
        rows.push(refused(name, Fault::Redirect { code, to }, "to localhost"));
    }
    for (name, fault) in [
        ("slow", Fault::Slow { ms: 400 }),
        ("short stall", Fault::Stall { ms: Some(200) }),
        ("just 32 MiB", Fault::Padded { bytes: 32 << 20 }),
    ] {
        rows.push(FaultRow {
            lasting: [Whole; 7],
            patience: PATIENTLY,
            ..trouble(name, fault, "")
        });
    }
    let (refusal, circle) = ("start has expired", Failed("has come before"));
    rows.extend([
        cursors(
            "expired cursor",
            Fault::ExpiredCursor,
            [Failed(refusal), Failed(refusal), Gaps(refusal)],
            [Failed(refusal), Failed(refusal), Gaps(refusal)],
        ),
        cursors("repeated cursor", Fault::RepeatCursor, [Whole; 3], [circle; 3]),
        cursors("loop of cursors", Fault::CursorLoop, [Whole; 3], [circle; 3]),
        cursors(
            "endless pages",
            Fault::EndlessPages,
            [Whole; 3],
            [Failed("without a row"); 3],
        ),
    ]);
    rows
}

/// What the API may do without failing.
pub fn quirks() -> Vec<QuirkRow> {
    let row = |name, promises, edit: fn(&mut Behaviour, Endpoint)| QuirkRow {
        name,
        hazard: Box::new(edit),
        promises,
    };
    let unlisted = Gaps("rows in the list transactional_messages");
    vec![
        row("empty pages", [Whole; 7], |behaviour, _| behaviour.empty_pages = 1),
        row("rows twice", [Whole; 7], |behaviour, _| behaviour.duplicates = 1),
        row("null for empty", [Whole; 7], |behaviour, _| {
            (behaviour.null_arrays, behaviour.empty_pages) = (true, 2);
        }),
        row("next is null", [Whole; 7], |behaviour, _| {
            behaviour.last_next = LastNext::Null
        }),
        row("next is absent", [Whole; 7], |behaviour, _| {
            behaviour.last_next = LastNext::Absent
        }),
        row("limits are kept", [Whole; 7], |behaviour, _| {
            behaviour.over_limit = OverLimit::Refuse
        }),
        row("odd rows", [Whole; 7], |behaviour, _| behaviour.odd = 2),
        row("strange rows", [Whole; 7], |behaviour, _| behaviour.strange = 2),
        row(
            "rows without key",
            [SetAside, SetAside, Whole, Whole, SetAside, Whole, Whole],
            |behaviour, _| {
                behaviour.keyless = 4;
            },
        ),
        row(
            "unreadable rows",
            [SetAside, SetAside, SetAside, unlisted, unlisted, SetAside, SetAside],
            |behaviour, _| {
                behaviour.unreadable = 3;
            },
        ),
        row("no gzip", [Whole; 7], |behaviour, _| behaviour.gzip = false),
    ]
}
