"""The comparison itself must be able to fail, and the expectation to tell the modes apart."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from compare import Rows, assert_same, by_key, difference
from expected import DAY, Lake, Truth, full_table, incremental
from lake import canonical
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, METRICS, STREAMS, Row, utc_day

NOW = 1_795_176_000
MESSAGE = 7


def truth(now: int, rows: dict[str, list[Row]] | None = None, served: frozenset[int] = frozenset({MESSAGE})) -> Truth:
    """A truth of few rows; what is not named is empty."""
    rows = rows or {}
    for row in rows.get(DETAILS, []):
        row |= {"date": utc_day(row["created"]), "transactional_id": MESSAGE}
    return Truth(now, {stream: by_key(stream, rows.get(stream, [])) for stream in STREAMS}, served, served)


def delivery(key: str, created: int, subject: str = "") -> Row:
    """A delivery with the columns that the rules look at."""
    return {"id": key, "created": created, "subject": subject}


def test_a_difference_names_row_and_field() -> None:
    """Missing, surplus and wrong rows, the last down to a field of a struct."""
    expected: Rows = {("a",): {"id": "a", "s": {"x": 1, "y": None}}, ("b",): {"id": "b", "s": None}}
    actual: Rows = {("a",): {"id": "a", "s": {"x": 2, "y": None}}, ("c",): {"id": "c", "s": None}}
    text = "\n".join(difference(expected, actual))
    assert "1 rows missing" in text
    assert "1 rows surplus" in text
    assert "s.x: expected 1, read 2" in text
    assert "s.y" not in text
    with pytest.raises(AssertionError):
        assert_same(expected, actual)
    assert_same(expected, dict(expected))


def test_a_null_struct_is_not_a_struct_of_nulls() -> None:
    """An absent object and an empty one are told apart."""
    assert difference({("a",): {"s": None}}, {("a",): {"s": {"x": None}}})


def test_a_key_that_comes_twice_is_an_error() -> None:
    """A dictionary alone would hide it."""
    with pytest.raises(AssertionError, match="more than once"):
        by_key(CUSTOMERS, [{"cio_id": "a"}, {"cio_id": "a"}])


def test_times_become_unix_seconds_or_an_error() -> None:
    """Whatever zone the reader used; none at all, or a fraction, is not put right silently."""
    time = datetime.fromtimestamp(NOW, UTC)
    there = time.astimezone(timezone(timedelta(hours=9)))
    assert canonical({"t": [time, there], "d": date(2026, 1, 2)}) == {"t": [NOW, NOW], "d": "2026-01-02"}
    with pytest.raises(AssertionError, match="zone"):
        canonical(time.replace(tzinfo=None))
    with pytest.raises(AssertionError, match="fraction"):
        canonical(time.replace(microsecond=1))


def test_incremental_reads_the_lookback_again_and_keeps_the_rest() -> None:
    """A late change is seen for thirty days; what is not asked for stays as it was."""
    old, recent, new = NOW - 60 * DAY, NOW - 10 * DAY, NOW + DAY - 120
    first = truth(NOW, {DETAILS: [delivery("old", old), delivery("recent", recent)]})
    later = [delivery("old", old, "late"), delivery("recent", recent, "late"), delivery("new", new)]
    lake = incremental(incremental(Lake(), first), truth(NOW + DAY, {DETAILS: later}))
    assert {row["id"]: row["subject"] for row in lake.rows[DETAILS].values()} == {
        "old": "",
        "recent": "late",
        "new": "",
    }


def test_the_newest_minute_is_left_for_the_next_run() -> None:
    """It is read by the run after, exactly once."""
    rows = [delivery("fresh", NOW - 60), delivery("settled", NOW - 61)]
    lake = incremental(Lake(), truth(NOW, {DETAILS: rows}))
    assert set(lake.rows[DETAILS]) == {("settled",)}
    lake = incremental(lake, truth(NOW + 3_600, {DETAILS: rows}))
    assert set(lake.rows[DETAILS]) == {("fresh",), ("settled",)}


def test_full_table_removes_only_what_is_proven() -> None:
    """Neither rows of a message that does not answer, nor activities that are too old to be served."""
    ages = {"old": 31 * DAY, "gone": DAY, "ahead": -DAY}
    happened = [{"id": key, "timestamp": NOW - age} for key, age in ages.items()]
    before = truth(NOW, {DETAILS: [delivery("a", NOW - DAY)], ACTIVITIES: happened})
    stored = incremental(Lake(), before)
    nothing_left = full_table(stored, truth(NOW))
    assert not nothing_left.rows[DETAILS]
    assert set(nothing_left.rows[ACTIVITIES]) == {("old",), ("ahead",)}
    vanished = full_table(stored, truth(NOW, served=frozenset()))
    assert set(vanished.rows[DETAILS]) == {("a",)}


def test_metrics_keep_the_time_of_their_request_when_nothing_else_changed() -> None:
    """So that an unchanged partition need not be written again."""

    def metrics(now: int, sent: list[int]) -> Truth:
        row = {"transactional_id": MESSAGE, "date": utc_day(now), "requested_at": now, "sent": sent}
        return truth(now, {METRICS: [row]})

    lake = incremental(Lake(), metrics(NOW, [1, 2]))
    (same,) = incremental(lake, metrics(NOW + 60, [1, 2])).rows[METRICS].values()
    (changed,) = incremental(lake, metrics(NOW + 60, [1, 3])).rows[METRICS].values()
    assert (same["requested_at"], changed["requested_at"]) == (NOW, NOW + 60)
    assert len(incremental(lake, metrics(NOW + DAY, [1, 2])).rows[METRICS]) == 2
    assert len(full_table(lake, metrics(NOW + DAY, [1, 2])).rows[METRICS]) == 1
