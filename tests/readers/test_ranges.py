"""A range asked for is exported, and what is exported is not asked for again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from compare import Rows, assert_same, by_key
from expected import DAY, floor_day, observe
from exporter import COMPLETE, Exporter
from lake import read_duckdb
from sandbox import DETAILS, Sandbox, instant

StartSandbox = Callable[..., Sandbox]
MakeExporter = Callable[..., Exporter]

SMALL = {"deliveries": 3_000, "activities": 100, "people": 100, "messages": 6, "days": 500}


def served(sandbox: Sandbox, since: int, until: int) -> Rows:
    """What the API serves of a range."""
    rows = observe(sandbox).rows[DETAILS]
    return {key: row for key, row in rows.items() if since <= row["created"] < until}


def read(lake: Path) -> Rows:
    """The table of details."""
    return by_key(DETAILS, read_duckdb(lake / DETAILS))


def asked(sandbox: Sandbox) -> list[tuple[int, int]]:
    """The ranges that were asked for, probes of one row aside, as unix seconds, both inclusive."""
    ranges = []
    for request in sandbox.requests()["log"]:
        query = {name: values[0] for name, values in parse_qs(request["query"]).items()}
        if "start_ts" in query and query["limit"] != "1":
            ranges.append((int(query["start_ts"]), int(query["end_ts"])))
    return ranges


def seconds(time: datetime) -> int:
    """Unix seconds."""
    return int(time.timestamp())


def test_a_longer_history_is_added_to_a_shorter_one(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """Beyond the twelve months that one request may span; only what is missing is asked for, but for the lookback."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    now = seconds(sandbox.now)
    export.run(DETAILS, "--since", "100d", "-q").expect(COMPLETE)
    assert_same(served(sandbox, floor_day(now - 100 * DAY), now - 60), read(export.lake))
    sandbox.forget_requests()
    export.run(DETAILS, "--since", "500d", "-q").expect(COMPLETE)
    assert_same(served(sandbox, floor_day(now - 500 * DAY), now - 60), read(export.lake))
    between = (floor_day(now - 100 * DAY), floor_day(now - 31 * DAY))
    again = [span for span in asked(sandbox) if span[1] >= between[0] and span[0] < between[1]]
    assert not again, f"what is covered was asked for again: {again[:3]}"


def test_a_range_in_the_past(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """`--until` is not included, and both are rounded outward to whole UTC days."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    now = sandbox.now
    since, until = now - timedelta(days=90), now - timedelta(days=30)
    export.run(DETAILS, "--since", instant(since), "--until", instant(until), "-q").expect(COMPLETE)
    bounds = floor_day(seconds(since)), floor_day(seconds(until)) + DAY
    assert_same(served(sandbox, *bounds), read(export.lake))
    assert all(bounds[0] <= first <= last < bounds[1] for first, last in asked(sandbox))


def test_the_hole_between_two_ranges_is_filled(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """A range in the past, then the default one: nothing between them is left out."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    now = seconds(sandbox.now)
    export.run(DETAILS, "--since", "450d", "--until", "420d", "-q").expect(COMPLETE)
    export.run(DETAILS, "-q").expect(COMPLETE)
    assert_same(served(sandbox, floor_day(now - 450 * DAY), now - 60), read(export.lake))


@pytest.mark.parametrize("outage", ["14d", "50d"])
def test_an_outage_leaves_no_hole(outage: str, start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """The lookback counts back from the mark, not from now: late changes during the outage are seen."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    first = seconds(sandbox.now)
    export.run(DETAILS, "--since", "100d", "-q").expect(COMPLETE)
    sandbox.advance(outage)
    now = seconds(sandbox.now)
    export.run(DETAILS, "-q")
    present = {message["id"] for message in sandbox.messages() if message["served"]}
    changed = served(sandbox, floor_day(first - 60 - 30 * DAY), now - 60)
    stored = {key: row for key, row in read(export.lake).items() if key in changed or row["created"] >= first}
    assert_same(changed, {key: row for key, row in stored.items() if row["transactional_id"] in present})


def test_metrics_and_lists_take_no_range(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """`--since` is about streams that have a time; the others are exported as ever."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    outcome = export.run("customers", "transactional_messages", "--since", "10d", "-q").expect(COMPLETE)
    assert all(stream["rows"]["fetched"] > 0 for stream in outcome.report["streams"])
