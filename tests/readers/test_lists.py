"""Lists beyond the core: whoever reads them sees what was served, and what is gone as long as no full-table run was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from compare import Rows, assert_same, by_key
from exporter import COMPLETE, Exporter
from lake import duckdb_scan, read_duckdb, read_polars, read_pyarrow, read_spark, tables
from sandbox import LISTS, Row, Sandbox
from test_types import BOOL, INT, INTS, TEXT, TIME, query, typed

Reader = Callable[[Path], list[Row]]
FIRST, LATER, FULL = "first", "forty-days-later", "full-table"
ODD = {"odd": 80, "strange": 6}
"""Every other row is odd in some way."""

COLUMNS: dict[str, dict[str, str]] = {
    "campaigns": typed(TEXT, "deduplicate_id name description type state actions tags event_name")
    | typed(TIME, "created updated first_started")
    | typed(INTS, "trigger_segment_ids filter_segment_ids")
    | {"id": INT, "active": BOOL},
    "broadcasts": typed(TEXT, "deduplicate_id name type state actions tags")
    | typed(TIME, "created updated first_started")
    | {"id": INT, "active": BOOL, "filter_segment_ids": INTS},
    "newsletters": typed(TEXT, "deduplicate_id name type tags")
    | typed(TIME, "sent_at created updated")
    | typed(INTS, "content_ids recipient_segment_ids")
    | typed(INT, "id subscription_topic_id"),
    "segments": typed(TEXT, "deduplicate_id name description state type tags conditions")
    | typed(TIME, "created_at updated_at")
    | typed(INT, "id progress"),
    "sender_identities": typed(TEXT, "deduplicate_id name email address template_type phone")
    | {"id": INT, "auto_generated": BOOL, "hidden": BOOL},
    "snippets": {"name": TEXT, "value": TEXT, "updated_at": TIME},
    "collections": typed(INT, "id rows bytes") | typed(TEXT, "name schema") | typed(TIME, "created_at updated_at"),
    "subscription_topics": typed(TEXT, "identifier name description") | {"id": INT, "subscribed_by_default": BOOL},
    "object_types": typed(TEXT, "id name singular_name slug singular_slug icon") | {"enabled": BOOL},
    "reporting_webhooks": typed(TEXT, "name endpoint events type")
    | typed(BOOL, "disabled full_resolution with_content")
    | {"id": INT},
    "workspaces": typed(INT, "id messages_sent billable_messages_sent people object_types objects") | {"name": TEXT},
}
"""By hand, as in `test_types`; `_extra` is everywhere."""


@dataclass
class Steps:
    """The lake after each run, and what it has to hold."""

    lakes: dict[str, Path]
    rows: dict[tuple[str, str], Rows]


@pytest.fixture(scope="module")
def steps(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """A first run, an incremental one forty days later, and a full-table run at the same clock."""
    folder = tmp_path_factory.mktemp("lists")
    steps = Steps({}, {})
    with Sandbox(binary, behaviour=ODD) as sandbox:
        exporter = Exporter(binary, sandbox, folder / "lake", ("-q",))

        def step(name: str, *flags: str) -> dict[str, Rows]:
            exporter.run(*LISTS, *flags).expect(COMPLETE)
            steps.lakes[name] = Path(shutil.copytree(exporter.lake, folder / name))
            return {stream: by_key(stream, sandbox.truth(stream)) for stream in LISTS}

        first = step(FIRST)
        sandbox.advance("40d")
        later = step(LATER)
        full = step(FULL, "--sync", "full-table")
    for stream in LISTS:
        assert first[stream].keys() - later[stream].keys(), f"no row of {stream} is gone"
        assert later[stream].keys() - first[stream].keys(), f"no row of {stream} is new"
        steps.rows[FIRST, stream] = first[stream]
        steps.rows[LATER, stream] = first[stream] | later[stream]
        steps.rows[FULL, stream] = full[stream]
    return steps


def check(steps: Steps, step: str, stream: str, reader: Reader) -> None:
    """Compare one table."""
    assert_same(steps.rows[step, stream], by_key(stream, reader(steps.lakes[step] / stream)))


@pytest.mark.parametrize("reader", [read_duckdb, read_polars, read_pyarrow])
@pytest.mark.parametrize("stream", LISTS)
@pytest.mark.parametrize("step", [FIRST, LATER, FULL])
def test_every_row_is_as_served(steps: Steps, step: str, stream: str, reader: Reader) -> None:
    """All lists after all runs."""
    check(steps, step, stream, reader)


@pytest.mark.spark
@pytest.mark.parametrize("stream", LISTS)
def test_spark_reads_every_row_as_served(steps: Steps, stream: str, spark: SparkSession) -> None:
    """Spark is the slowest: only the last lake."""
    check(steps, FULL, stream, partial(read_spark, spark))


@pytest.mark.parametrize("stream", LISTS)
def test_duckdb_types(steps: Steps, stream: str) -> None:
    """What a user sees with DESCRIBE."""
    described = query(f"DESCRIBE SELECT * FROM {duckdb_scan(steps.lakes[LATER] / stream)}")
    assert {name: kind for name, kind, *_ in described} == COLUMNS[stream] | {"_extra": TEXT}


def test_only_what_was_named_is_there(steps: Steps) -> None:
    """One object each, and no core stream."""
    assert tables(steps.lakes[FULL]) == set(LISTS)
    for stream in LISTS:
        assert [path.name for path in (steps.lakes[FULL] / stream).iterdir()] == ["part-0.parquet"]
