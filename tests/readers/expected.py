"""What a lake must hold, worked out from what the API served at each run and from nothing the exporter says.

One function for each stream and sync mode: from the lake before a run and the truth at the run to the lake after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from compare import Rows, by_key
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, MESSAGES, METRICS, STREAMS, Row, Sandbox, utc_day

DAY = 86_400
SETTLING = 60
ACTIVITIES_KEPT = 30 * DAY
ACTIVITIES_LOOKBACK = 7 * DAY
DETAILS_LOOKBACK = 30 * DAY
DETAILS_FIRST = 365 * DAY


@dataclass(frozen=True)
class Truth:
    """What the API serves at one instant."""

    now: int
    rows: dict[str, Rows]
    served: frozenset[int]
    listed: frozenset[int]


@dataclass(frozen=True)
class Lake:
    """What a lake must hold after its runs so far."""

    rows: dict[str, Rows] = field(default_factory=lambda: {stream: {} for stream in STREAMS})
    optional: Rows = field(default_factory=dict)
    """Activities older than every run's bound: a run met them in the page that reached its bound, or not."""
    now: int | None = None
    """The clock of the last run."""
    since: int | None = None
    """Where the covered range of details begins."""

    def expectation(self, stream: str, read: Rows) -> Rows:
        """The rows of one stream, with those optional ones that were `read`."""
        optional = self.optional if stream == ACTIVITIES else {}
        return self.rows[stream] | {key: row for key, row in optional.items() if key in read}


def observe(sandbox: Sandbox) -> Truth:
    """Take down everything that the API serves now."""
    now = int(sandbox.now.timestamp())
    rows = {stream: sandbox.truth(stream) for stream in STREAMS}
    served = frozenset(message["id"] for message in sandbox.messages() if message["served"])
    listed = frozenset(message["id"] for message in sandbox.messages() if message["listed"])
    rows[METRICS] += [unlisted_metrics(sandbox, message) for message in sorted(served - listed)]
    for row in rows[METRICS]:
        row |= {"requested_at": now, "date": utc_day(now)}
    for row in rows[ACTIVITIES]:
        row["date"] = utc_day(row["timestamp"])
    for row in rows[DETAILS]:
        row["date"] = utc_day(row["created"])
    return Truth(now, {stream: by_key(stream, rows[stream]) for stream in STREAMS}, served, listed)


def unlisted_metrics(sandbox: Sandbox, message: int) -> Row:
    """The metrics of a message that is served but not listed: the truth is told for listed ones only."""
    series = sandbox.api(f"/v1/transactional/{message}/metrics?period=days&steps=45")["metric"]["series"]
    template = sandbox.truth(METRICS)[0]
    names = [name for name in template if name not in {"transactional_id", "period", "steps", "_extra"}]
    odd = [name for name, counts in series.items() if name not in names or not is_counts(counts)]
    assert not odd, f"message {message} has odd metrics ({odd}); choose another seed"
    row = {"transactional_id": message, "period": "days", "steps": 45}
    return row | {name: series.get(name) for name in names} | {"_extra": None}


def is_counts(value: object) -> bool:
    """Whether a series is as documented."""
    return isinstance(value, list) and all(type(count) is int for count in value)


def incremental(before: Lake, truth: Truth) -> Lake:
    """The lake after an incremental run."""
    return advance(before, truth, INCREMENTAL)


def full_table(before: Lake, truth: Truth) -> Lake:
    """The lake after a full-table run."""
    return advance(before, truth, FULL_TABLE)


def advance(before: Lake, truth: Truth, rules: dict[str, Callable[[Lake, Truth], Rows]]) -> Lake:
    """Apply the rule of each stream."""
    rows = {stream: rules[stream](before, truth) for stream in STREAMS}
    optional = before.optional | truth.rows[ACTIVITIES]
    if rules is FULL_TABLE:
        optional = {key: row for key, row in optional.items() if not in_promise(row, truth)}
    optional = {key: row for key, row in optional.items() if key not in rows[ACTIVITIES]}
    return Lake(rows, optional, truth.now, details_since(before, truth))


def upserted(stream: str) -> Callable[[Lake, Truth], Rows]:
    """The whole list laid over what is stored."""
    return lambda before, truth: before.rows[stream] | truth.rows[stream]


def replaced(stream: str) -> Callable[[Lake, Truth], Rows]:
    """The whole list in the place of what is stored."""
    return lambda _before, truth: truth.rows[stream]


def incremental_activities(before: Lake, truth: Truth) -> Rows:
    """From the newest row back to the mark less the lookback; everything served in the first run."""
    bound = None if before.now is None else before.now - ACTIVITIES_LOOKBACK
    read = {key: row for key, row in truth.rows[ACTIVITIES].items() if bound is None or row["timestamp"] >= bound}
    return before.rows[ACTIVITIES] | read


def full_table_activities(before: Lake, truth: Truth) -> Rows:
    """Everything served; a stored row goes only if it lies in the days for which the API promises to serve all."""
    kept = {key: row for key, row in before.rows[ACTIVITIES].items() if not in_promise(row, truth)}
    return kept | truth.rows[ACTIVITIES]


def in_promise(row: Row, truth: Truth) -> bool:
    """Whether an activity would be served if it still existed."""
    happened: int = row["timestamp"]
    return truth.now - ACTIVITIES_KEPT <= happened < truth.now


def incremental_metrics(before: Lake, truth: Truth) -> Rows:
    """Today's rows laid over what is stored; a row whose counts are as before keeps the time of its request."""
    return before.rows[METRICS] | todays_metrics(before, truth)


def full_table_metrics(before: Lake, truth: Truth) -> Rows:
    """Today's rows, and those of today's earlier runs."""
    today = utc_day(truth.now)
    kept = {key: row for key, row in before.rows[METRICS].items() if row["date"] == today}
    return kept | todays_metrics(before, truth)


def todays_metrics(before: Lake, truth: Truth) -> Rows:
    """The metrics served now, as they are to be stored."""
    return {key: kept_request(before.rows[METRICS].get(key), row) for key, row in truth.rows[METRICS].items()}


def kept_request(stored: Row | None, fetched: Row) -> Row:
    """The fetched row, unless only the time of the request is new."""
    same = stored is not None and stored | {"requested_at": None} == fetched | {"requested_at": None}
    return stored if stored is not None and same else fetched


def incremental_details(before: Lake, truth: Truth) -> Rows:
    """The windows never covered, and from the mark less the lookback on."""
    read = {key: row for key, row in truth.rows[DETAILS].items() if is_asked(row, before, truth)}
    return before.rows[DETAILS] | read


def is_asked(row: Row, before: Lake, truth: Truth) -> bool:
    """Whether an incremental run asks for the second in which a delivery was created."""
    created: int = row["created"]
    if not first_day(truth) <= created < truth.now - SETTLING:
        return False
    if before.now is None or before.since is None:
        return True
    mark = before.now - SETTLING
    covered = before.since <= created < mark
    return not covered or created >= floor_day(mark - DETAILS_LOOKBACK)


def full_table_details(before: Lake, truth: Truth) -> Rows:
    """What is served in the whole range; rows of messages that do not answer stay."""
    since, until = details_since(before, truth), truth.now - SETTLING
    served = {key: row for key, row in truth.rows[DETAILS].items() if since <= row["created"] < until}
    stored = before.rows[DETAILS].items()
    kept = {
        key: row
        for key, row in stored
        if row["transactional_id"] not in truth.served or not since <= row["created"] < until
    }
    return kept | served


def details_since(before: Lake, truth: Truth) -> int:
    """The beginning of the range of details that a lake is about: that of its first run."""
    return first_day(truth) if before.since is None else before.since


def first_day(truth: Truth) -> int:
    """The first second that a first run asks for."""
    return floor_day(truth.now - DETAILS_FIRST)


def floor_day(seconds: int) -> int:
    """Midnight UTC at or before."""
    return seconds - seconds % DAY


INCREMENTAL = {
    ACTIVITIES: incremental_activities,
    CUSTOMERS: upserted(CUSTOMERS),
    MESSAGES: upserted(MESSAGES),
    METRICS: incremental_metrics,
    DETAILS: incremental_details,
}
FULL_TABLE = {
    ACTIVITIES: full_table_activities,
    CUSTOMERS: replaced(CUSTOMERS),
    MESSAGES: replaced(MESSAGES),
    METRICS: full_table_metrics,
    DETAILS: full_table_details,
}
