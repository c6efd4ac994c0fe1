"""Types read back as documented, in every file alike.

They are written down here by hand, not taken from the product's schemas.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from pyspark.sql import SparkSession

from ladder import LAST, Ladder
from lake import duckdb_scan
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, MESSAGES, METRICS, STREAMS

TEXT, INT, BOOL, TIME, INTS, DATE = "VARCHAR", "BIGINT", "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "BIGINT[]", "DATE"
PERSON = "STRUCT(email VARCHAR, id VARCHAR, cio_id VARCHAR)"
MOMENTS = (
    "bounced clicked converted created delivered drafted dropped failed opened sent spammed undeliverable unsubscribed"
).split()
UNCLEAR = "human_clicked prefetch_clicked human_opened prefetch_opened".split()
SERIES = (
    "attempted bounced clicked human_clicked prefetch_clicked converted created deferred delivered drafted failed "
    "opened human_opened prefetch_opened sent spammed suppressed undeliverable topic_unsubscribed unsubscribed"
).split()
HAPPENED = ", ".join([f"{name} {TIME}" for name in MOMENTS] + [f"{name} {INT}" for name in UNCLEAR])


def typed(kind: str, names: str) -> dict[str, str]:
    """These columns, all of one type."""
    return dict.fromkeys(names.split(), kind)


COLUMNS: dict[str, dict[str, str]] = {
    ACTIVITIES: typed(TEXT, "id customer_id type data delivery_id delivery_type name url _extra")
    | {"customer_identifiers": PERSON, "timestamp": TIME, "date": DATE},
    CUSTOMERS: typed(TEXT, "id email cio_id _extra"),
    MESSAGES: typed(TEXT, "name description trigger_name type status _extra")
    | typed(BOOL, "send_to_unsubscribed link_tracking open_tracking hide_message_body queue_drafts")
    | typed(TIME, "created_at updated_at")
    | typed(INT, "id template_id"),
    METRICS: typed(INTS, " ".join(SERIES))
    | {"transactional_id": INT, "period": TEXT, "steps": INT, "requested_at": TIME, "_extra": TEXT, "date": DATE},
    DETAILS: typed(TEXT, "id deduplicate_id trigger_event_id customer_id recipient subject type failure_message")
    | typed(INT, "transactional_id msg_template_id action_id parent_action_id content_id newsletter_id campaign_id")
    | {"broadcast_id": INT, "identifiers": PERSON, "forgotten": BOOL, "metrics": f"STRUCT({HAPPENED})"}
    | {"created": TIME, "tracked_responses": TEXT, "_extra": TEXT, "date": DATE},
}
ORDER = {
    ACTIVITIES: "timestamp, id",
    CUSTOMERS: "cio_id",
    MESSAGES: "id",
    METRICS: "transactional_id",
    DETAILS: "created, id",
}
IN_SPARK = {
    TEXT: "string",
    INT: "bigint",
    BOOL: "boolean",
    TIME: "timestamp",
    INTS: "array<bigint>",
    DATE: "date",
    PERSON: "struct<email:string,id:string,cio_id:string>",
    f"STRUCT({HAPPENED})": "struct<{}>".format(
        ",".join([f"{name}:timestamp" for name in MOMENTS] + [f"{name}:bigint" for name in UNCLEAR])
    ),
}


@pytest.fixture(scope="module")
def lake(ladder: Ladder) -> Path:
    """A lake that incremental and full-table runs have both written to."""
    return ladder.rungs["mixed", LAST].lake


def query(sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query, in UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("stream", STREAMS)
def test_duckdb_types(lake: Path, stream: str) -> None:
    """What a user sees with DESCRIBE."""
    described = query(f"DESCRIBE SELECT * FROM {duckdb_scan(lake / stream)}")
    assert {name: kind.replace('"', "") for name, kind, *_ in described} == COLUMNS[stream]


@pytest.mark.spark
@pytest.mark.parametrize("stream", STREAMS)
def test_spark_types(lake: Path, stream: str, spark: SparkSession) -> None:
    """What a user sees with printSchema."""
    schema = spark.read.parquet(str(lake / stream)).schema
    assert {field.name: field.dataType.simpleString() for field in schema.fields} == {
        name: IN_SPARK[kind] for name, kind in COLUMNS[stream].items()
    }


@pytest.mark.parametrize("stream", STREAMS)
def test_polars_times_have_a_zone(lake: Path, stream: str) -> None:
    """Microseconds in UTC, at every level."""
    schema = polars.scan_parquet(f"{lake}/{stream}/**/*.parquet", hive_partitioning=True).collect_schema()
    times = {name for name, kind in COLUMNS[stream].items() if kind == TIME}
    assert {name for name, kind in schema.items() if kind == polars.Datetime("us", "UTC")} == times
    if "date" in COLUMNS[stream]:
        assert schema["date"] == polars.Date


@pytest.mark.parametrize("stream", STREAMS)
def test_extra_is_the_last_column_and_the_partition_is_in_the_path_only(lake: Path, stream: str) -> None:
    """The order of columns is part of the promise as far as `_extra` goes."""
    file = one_file(lake / stream)
    names = [name for (name, *_) in query(f"DESCRIBE SELECT * FROM read_parquet('{file}', hive_partitioning = false)")]
    assert names[-1] == "_extra"
    assert "date" not in names


@pytest.mark.parametrize("stream", STREAMS)
def test_every_file_of_a_table_has_the_same_schema(lake: Path, stream: str) -> None:
    """Else a reader that takes the first file's schema for all of them goes wrong on some day."""
    rows = query(
        "SELECT file_name, name, type, repetition_type, num_children, converted_type, logical_type, field_id "
        f"FROM parquet_schema('{lake / stream}/**/*.parquet')"
    )
    schemas: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for file_name, *column in rows:
        schemas[file_name].append(tuple(column))
    assert len({tuple(schema) for schema in schemas.values()}) == 1


def test_lists_hold_elements(lake: Path) -> None:
    """Three levels, the innermost named `element`, as the Parquet specification wants it."""
    schema = query(f"SELECT name, num_children, repetition_type FROM parquet_schema('{one_file(lake / METRICS)}')")
    names = [name for name, *_ in schema]
    for series in SERIES:
        at = names.index(series)
        assert names[at : at + 3] == [series, "list", "element"]
        assert [kind for *_, kind in schema[at : at + 3]] == ["OPTIONAL", "REPEATED", "OPTIONAL"]


@pytest.mark.parametrize("stream", STREAMS)
def test_physical_types_are_those_that_every_engine_reads(lake: Path, stream: str) -> None:
    """Micros in UTC, signed integers, no INT96."""
    leaves = query(
        f"SELECT name, type, logical_type FROM parquet_schema('{one_file(lake / stream)}') WHERE num_children IS NULL"
    )
    assert {kind for _, kind, _ in leaves} <= {"BOOLEAN", "INT64", "BYTE_ARRAY"}
    times = [str(logical) for _, _, logical in leaves if "Timestamp" in str(logical)]
    assert all("isAdjustedToUTC=1" in logical and "MICROS" in logical for logical in times), times
    assert len(times) == sum(kind.count(TIME) for kind in COLUMNS[stream].values())


@pytest.mark.parametrize("stream", STREAMS)
def test_files_are_zstd_and_have_statistics(lake: Path, stream: str) -> None:
    """Both are what makes a scan cheap."""
    key = {CUSTOMERS: "cio_id", METRICS: "transactional_id"}.get(stream, "id")
    chunks = query(
        "SELECT compression, path_in_schema, stats_min_value, stats_max_value "
        f"FROM parquet_metadata('{lake / stream}/**/*.parquet')"
    )
    assert {compression for compression, *_ in chunks} == {"ZSTD"}
    keys = [(least, most) for _, path, least, most in chunks if path == key]
    assert keys
    assert all(least is not None and most is not None for least, most in keys)


@pytest.mark.parametrize("stream", STREAMS)
def test_rows_stand_in_the_documented_order(lake: Path, stream: str) -> None:
    """In every file, by time and key."""
    disorder = query(f"""
        SELECT count(*) FROM (
            SELECT file_row_number AS place,
                row_number() OVER (PARTITION BY filename ORDER BY {ORDER[stream]}) - 1 AS wanted
            FROM read_parquet('{lake / stream}/**/*.parquet', filename = true, file_row_number = true)
        ) WHERE place <> wanted""")
    assert disorder == [(0,)]


@pytest.mark.parametrize(
    ("stream", "time"), [(ACTIVITIES, "timestamp"), (DETAILS, "created"), (METRICS, "requested_at")]
)
def test_the_date_is_the_utc_day(lake: Path, stream: str, time: str) -> None:
    """A filter on `date` finds exactly the rows of that day."""
    wrong = query(f"SELECT count(*) FROM {duckdb_scan(lake / stream)} WHERE date <> {time}::DATE")
    assert wrong == [(0,)]


def test_a_table_holds_one_file_a_partition_and_nothing_else(lake: Path) -> None:
    """The documented names: what else lay there would be data to some reader."""
    for stream in STREAMS:
        for path in (lake / stream).rglob("*"):
            parts = path.relative_to(lake / stream).parts
            if path.is_file():
                assert path.name == "part-0.parquet"
                assert len(parts) == (2 if "date" in COLUMNS[stream] else 1)
            else:
                assert path.name.startswith("date=")
                assert any(path.iterdir()), f"{path} is empty"
    assert not list((lake / "_staging").rglob("*")), "something was left in _staging"


def test_data_is_json_with_its_numbers_as_served(lake: Path) -> None:
    """In Python and with DuckDB's own JSON functions."""
    scan = duckdb_scan(lake / ACTIVITIES)
    texts = [text for (text,) in query(f"SELECT DISTINCT data FROM {scan} WHERE data IS NOT NULL")]
    assert all(isinstance(json.loads(text), dict) for text in texts)
    exact = '{"order_id":9007199254740993,"total":2.50,"big":12345678901234567890}'
    assert exact in texts
    big = query(f"SELECT DISTINCT data->>'$.order_id', data->>'$.big' FROM {scan} WHERE data = '{exact}'")
    assert big == [("9007199254740993", "12345678901234567890")]
    assert query(f"SELECT count(*) FROM {scan} WHERE NOT json_valid(data)") == [(0,)]


@pytest.mark.spark
def test_spark_reads_big_numbers_out_of_data(lake: Path, spark: SparkSession) -> None:
    """With its own JSON function."""
    rows = spark.read.parquet(str(lake / ACTIVITIES)).selectExpr(
        "get_json_object(data, '$.order_id') AS small", "get_json_object(data, '$.big') AS big"
    )
    found = rows.where("big IS NOT NULL").distinct().collect()
    assert [tuple(row) for row in found] == [("9007199254740993", "12345678901234567890")]


def one_file(table: Path) -> Path:
    """Any file of a table."""
    return next(table.rglob("*.parquet"))
