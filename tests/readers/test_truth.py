"""The lake equals the truth row by row and field by field, whoever reads it, after every run in every mode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from compare import assert_same, by_key
from exporter import COMPLETE
from ladder import LAST, MODES, STEPS, Ladder
from lake import read_duckdb, read_polars, read_pyarrow, read_spark, tables
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, MESSAGES, STREAMS, Row

Reader = Callable[[Path], list[Row]]


def check(ladder: Ladder, mode: str, step: str, stream: str, reader: Reader) -> None:
    """Compare one table."""
    rung = ladder.rungs[mode, step]
    read = by_key(stream, reader(rung.lake / stream))
    assert_same(rung.expected.expectation(stream, read), read)


@pytest.mark.parametrize("reader", [read_duckdb, read_polars, read_pyarrow])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", MODES)
def test_every_row_is_as_served(ladder: Ladder, mode: str, step: str, stream: str, reader: Reader) -> None:
    """All five streams after all runs."""
    check(ladder, mode, step, stream, reader)


@pytest.mark.spark
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("mode", MODES)
def test_spark_reads_every_row_as_served(ladder: Ladder, mode: str, stream: str, spark: SparkSession) -> None:
    """Spark is the slowest: only the lakes that went through everything."""
    check(ladder, mode, LAST, stream, partial(read_spark, spark))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", STEPS)
def test_the_report_counts_what_is_there(ladder: Ladder, mode: str, step: str) -> None:
    """`new`, `changed` and `unchanged` add up to what was fetched, and all of them to what is stored."""
    stored = dict.fromkeys(STREAMS, 0)
    for passed in list(STEPS)[: list(STEPS).index(step) + 1]:
        for stream in STREAMS:
            rows = ladder.rungs[mode, passed].outcome.stream(stream)["rows"]
            stored[stream] += rows["new"] - rows["removed"]
            assert rows["new"] + rows["changed"] + rows["unchanged"] <= rows["fetched"]
    rung = ladder.rungs[mode, step]
    assert tables(rung.lake) == set(STREAMS)
    least = {stream: len(rung.expected.rows[stream]) for stream in STREAMS}
    most = least | {ACTIVITIES: least[ACTIVITIES] + len(rung.expected.optional)}
    assert all(least[stream] <= stored[stream] <= most[stream] for stream in STREAMS), (least, stored, most)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", STEPS)
def test_the_same_command_again_finds_nothing_to_do(ladder: Ladder, mode: str, step: str) -> None:
    """Gaps were told once; nothing is new, changed or taken away."""
    repeated = ladder.rungs[mode, step].repeated.expect(COMPLETE)
    for stream in STREAMS:
        rows = repeated.stream(stream)["rows"]
        assert (rows["new"], rows["changed"], rows["removed"], rows["rejected"]) == (0, 0, 0, 0), stream


def test_the_workspace_changes_in_every_way_that_matters(ladder: Ladder) -> None:
    """Without these the comparison above would prove little."""
    first, second, third = ladder.truths.values()
    month = first.now - 30 * 86_400
    old, new = first.rows[DETAILS], second.rows[DETAILS]
    late = [key for key in old if old[key]["metrics"] != new[key]["metrics"]]
    assert any(old[key]["created"] > month for key in late), "no late metric inside the lookback"
    assert any(old[key]["created"] < month for key in late), "no late metric beyond the lookback"
    assert any(new[key]["forgotten"] and not old[key]["forgotten"] for key in old), "no delivery was forgotten"
    before, after = first.rows[CUSTOMERS], third.rows[CUSTOMERS]
    assert before.keys() - after.keys(), "nobody vanished"
    assert after.keys() - before.keys(), "nobody came"
    assert any(before[key] != after[key] for key in before.keys() & after.keys()), "nobody was edited"
    assert first.rows[MESSAGES].keys() - third.rows[MESSAGES].keys(), "no message vanished"
    assert third.rows[MESSAGES].keys() - first.rows[MESSAGES].keys(), "no message is new"
    assert third.served - third.listed, "no message is served without being listed"
    late_rows = [row for key, row in second.rows[ACTIVITIES].items() if key not in first.rows[ACTIVITIES]]
    assert any(row["timestamp"] < first.now for row in late_rows), "no activity was backdated"
    assert any(row["timestamp"] > first.now for row in first.rows[ACTIVITIES].values()), "no activity is dated ahead"


def test_the_modes_differ_where_they_should(ladder: Ladder) -> None:
    """Incremental keeps what is gone; full-table does not."""
    incremental, full = (ladder.rungs[mode, LAST].expected.rows for mode in ("incremental", "full-table"))
    assert incremental[CUSTOMERS].keys() > full[CUSTOMERS].keys()
    assert incremental[MESSAGES].keys() > full[MESSAGES].keys()
    assert any(incremental[DETAILS][key] != full[DETAILS][key] for key in full[DETAILS])
