"""Full-table removes what is proven to be gone, all of it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compare import Rows, assert_same, by_key
from expected import ACTIVITIES_KEPT, Lake, full_table, incremental, observe
from exporter import API, COMPLETE, GAPS, Exporter
from ladder import LAST, Ladder
from lake import data_files, read_duckdb
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, MESSAGES, METRICS, STREAMS, Row, Sandbox, instant

StartSandbox = Callable[..., Sandbox]
MakeExporter = Callable[..., Exporter]

SMALL = {"deliveries": 4_000, "activities": 4_000, "people": 400, "messages": 12, "days": 100}
FULL = ("--sync", "full-table", "-q")


def read(lake: Path, stream: str) -> Rows:
    """One table by key."""
    return by_key(stream, read_duckdb(lake / stream))


def assert_lake_is(lake: Path, wanted: Lake) -> None:
    """All five tables."""
    for stream in STREAMS:
        rows = read(lake, stream)
        assert_same(wanted.expectation(stream, rows), rows)


def test_a_backdated_activity_is_found(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """An incremental run cannot see a row that arrives dated before its bound; the next full-table run does."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    export.run("activities", "-q").expect(COMPLETE)
    sandbox.advance("5d")
    export.run("activities", "-q").expect(COMPLETE)
    served = observe(sandbox).rows[ACTIVITIES]
    assert served.keys() - read(export.lake, ACTIVITIES).keys(), "no row was backdated far enough"
    export.run("activities", *FULL).expect(COMPLETE)
    assert served.keys() <= read(export.lake, ACTIVITIES).keys()


def test_an_activity_that_is_too_old_to_be_served_stays(ladder: Ladder) -> None:
    """Forty days later the API serves none of them, and that proves nothing."""
    truth = ladder.truths[LAST]
    stored = read(ladder.rungs["full-table", LAST].lake, ACTIVITIES)
    old = {key: row for key, row in stored.items() if row["timestamp"] < truth.now - ACTIVITIES_KEPT}
    assert len(old) > 1_000
    assert not old.keys() & truth.rows[ACTIVITIES].keys()


def test_deliveries_of_an_unlisted_message_stay_and_go_on_changing(ladder: Ladder) -> None:
    """It is asked for by its id, which the manifest remembers."""
    truth = ladder.truths[LAST]
    unlisted = truth.served - truth.listed
    assert unlisted
    stored = read(ladder.rungs["full-table", LAST].lake, DETAILS)
    theirs = {key: row for key, row in stored.items() if row["transactional_id"] in unlisted}
    assert theirs
    assert_same({key: truth.rows[DETAILS][key] for key in theirs}, theirs)


def test_deliveries_of_a_vanished_message_stay(ladder: Ladder) -> None:
    """A 404 proves that the message is gone, not that its deliveries never were."""
    before, after = ladder.truths["first"], ladder.truths[LAST]
    vanished = before.served - after.served
    assert vanished
    stored = read(ladder.rungs["full-table", LAST].lake, DETAILS)
    assert any(row["transactional_id"] in vanished for row in stored.values())
    told = ladder.rungs["full-table", LAST].outcome.stream(DETAILS)
    assert told["status"] == "gaps"
    assert all(str(message) in told["error"] and "404" in told["error"] for message in vanished)


def test_other_rows_are_replaced_whole(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """Another workspace instead: the lake becomes what that one serves, as far as anything is proven."""
    first, second = start_sandbox(seed=1, **SMALL), start_sandbox(seed=2, **SMALL)
    before, after = observe(first), observe(second)
    export, other = exporter(first), exporter(second)
    export.run("-q").expect(COMPLETE)
    other.run(*FULL, "--allow-shrink").expect(COMPLETE, GAPS)
    assert_lake_is(other.lake, full_table(incremental(Lake(), before), after))


def test_a_table_does_not_shrink_by_half_without_leave(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """The key of another workspace, say: nothing goes, and the exit code and the report say so."""
    first, second = start_sandbox(seed=1, **SMALL), start_sandbox(seed=2, **SMALL | {"people": 100})
    exporter(first).run("-q").expect(COMPLETE)
    other = exporter(second)
    before = {stream: read(other.lake, stream).keys() for stream in STREAMS}
    outcome = other.run(*FULL).expect(GAPS)
    for stream in (ACTIVITIES, CUSTOMERS, DETAILS):
        told = outcome.stream(stream)
        assert told["status"] == "gaps", stream
        assert "--allow-shrink" in told["error"]
        assert told["rows"]["removed"] == 0
        assert before[stream] <= read(other.lake, stream).keys()


EMPTY: dict[str, list[Row]] = {
    "everything": [{"from": 1, "fault": "empty"}],
    CUSTOMERS: [{"endpoint": "customers", "from": 1, "fault": "empty"}],
    ACTIVITIES: [{"endpoint": "activities", "from": 1, "fault": "empty"}],
    DETAILS: [{"endpoint": "details", "from": 1, "fault": "empty"}],
}


@pytest.mark.parametrize("where", EMPTY)
def test_an_empty_answer_takes_nothing_away(where: str, start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """A 200 without rows is what a broken API looks like."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    export.run("-q").expect(COMPLETE)
    before = {path: data for path, data in data_files(export.lake).items() if not path.startswith(METRICS)}
    sandbox.behave(faults=EMPTY[where])
    outcome = export.run(*FULL).expect(GAPS)
    after = {path: data for path, data in data_files(export.lake).items() if not path.startswith(METRICS)}
    assert before == after
    if where in STREAMS:
        assert "--allow-shrink" in outcome.stream(where)["error"]


@pytest.mark.parametrize("fault", ["no_envelope", "repeat_cursor", "truncated"])
@pytest.mark.parametrize("endpoint", [CUSTOMERS, ACTIVITIES])
def test_a_broken_answer_ends_the_stream_and_takes_nothing_away(
    endpoint: str, fault: str, start_sandbox: StartSandbox, exporter: MakeExporter
) -> None:
    """Never zero rows: after a few tries the stream ends with what it has."""
    sandbox = start_sandbox(activities=500, deliveries=500, people=3_000)
    export = exporter(sandbox)
    export.run(endpoint, "-q").expect(COMPLETE)
    before = data_files(export.lake)
    sandbox.behave(faults=[{"endpoint": endpoint, "from": 2, "fault": fault}])
    # Half a page is asked for again as long as there is patience.
    impatient = replace(export, environment={"CIO2PARQUET_PATIENCE_SECONDS": "2"})
    outcome = impatient.run(endpoint, *FULL).expect(API)
    assert data_files(export.lake) == before
    assert f"/v1/{endpoint}" in outcome.stream(endpoint)["error"]


def test_people_who_are_gone_are_removed_and_told(ladder: Ladder) -> None:
    """The report's `removed` is the number of rows that went."""
    before, after = ladder.truths["a-day-later"].rows[CUSTOMERS], ladder.truths[LAST].rows[CUSTOMERS]
    told = ladder.rungs["full-table", LAST].outcome.stream(CUSTOMERS)
    assert told["rows"]["removed"] == len(before.keys() - after.keys()) > 0
    assert read(ladder.rungs["full-table", LAST].lake, CUSTOMERS).keys() == after.keys()


def test_todays_metrics_become_the_only_ones(ladder: Ladder) -> None:
    """Folders of other days go with their rows."""
    lake = ladder.rungs["full-table", LAST].lake
    today = instant_day(ladder, LAST)
    assert [folder.name for folder in (lake / METRICS).iterdir()] == [f"date={today}"]
    days = {folder.name for folder in (ladder.rungs["incremental", LAST].lake / METRICS).iterdir()}
    assert days == {f"date={instant_day(ladder, step)}" for step in ladder.truths}


def instant_day(ladder: Ladder, step: str) -> str:
    """The UTC day of a step."""
    return str(next(iter(ladder.truths[step].rows[METRICS]))[1])


def test_a_message_that_vanishes_in_the_middle_keeps_its_rows(
    start_sandbox: StartSandbox, exporter: MakeExporter
) -> None:
    """It answers some pages and then 404; what it did not answer is asked for again until it does."""
    sandbox = start_sandbox(**SMALL)
    export = exporter(sandbox)
    message = sandbox.messages()[0]["id"]
    sandbox.behave(largest_page=100, vanish_after={str(message): 5})
    outcome = export.run(DETAILS, "-q").expect(GAPS)
    assert str(message) in outcome.stream(DETAILS)["error"]
    sandbox.behave(vanish_after=None)
    export.run(DETAILS, "-q").expect(COMPLETE)
    assert_same(incremental(Lake(), observe(sandbox)).rows[DETAILS], read(export.lake, DETAILS))


def test_a_range_removes_nothing_outside_of_it(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """`--since` and `--until` bound what is asked for, so they bound what can be proven."""
    first, second = start_sandbox(seed=1, **SMALL), start_sandbox(seed=2, **SMALL)
    exporter(first).run(DETAILS, "-q").expect(COMPLETE)
    export = exporter(second)
    before = read(export.lake, DETAILS)
    now = int(second.now.timestamp())
    since, until = ((now - days * 86_400) // 86_400 * 86_400 for days in (60, 20))
    bounds = [instant(datetime.fromtimestamp(bound, UTC)) for bound in (since, until)]
    export.run(DETAILS, *FULL, "--since", bounds[0], "--until", bounds[1]).expect(COMPLETE, GAPS)
    served = {key: row for key, row in observe(second).rows[DETAILS].items() if since <= row["created"] < until}
    answering = {message["id"] for message in second.messages() if message["served"]}
    kept = {
        key: row
        for key, row in before.items()
        if not since <= row["created"] < until or row["transactional_id"] not in answering
    }
    assert len(before) - len(kept) > 10
    assert_same(kept | served, read(export.lake, DETAILS))


def test_manifest_and_files_agree_after_removals(ladder: Ladder) -> None:
    """Every stored file is entered with its rows, and every entry is stored."""
    lake = ladder.rungs["full-table", LAST].lake
    for stream in STREAMS:
        newest = max((lake / "_manifest" / stream).glob("*.json"))
        partitions = json.loads(newest.read_text())["state"]["partitions"]
        stored = {str(path.relative_to(lake / stream)) for path in (lake / stream).rglob("*.parquet")}
        assert set(partitions) == stored
        assert sum(entry["rows"] for entry in partitions.values()) == len(read(lake, stream))


def test_messages_are_replaced(ladder: Ladder) -> None:
    """Neither the vanished nor the unlisted one is in the list."""
    assert {key for (key,) in read(ladder.rungs["full-table", LAST].lake, MESSAGES)} == ladder.truths[LAST].listed
