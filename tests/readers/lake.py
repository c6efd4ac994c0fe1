"""What a user sees of a lake: each reader's rows through the documented glob, in the truth's canonical form.

Every reader has its own way to hand out times, dates and structs. They are brought to one form here, strictly: a time
without zone or with a fraction of a second is an error, not something to be rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars
from pyarrow import dataset
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as spark
from pyspark.sql.types import DataType, StructType, TimestampType

from sandbox import Row

Reader = Callable[[Path], list[Row]]


def duckdb_scan(table: Path) -> str:
    """The documented scan of one table, as SQL."""
    return f"read_parquet('{table}/**/*.parquet', hive_partitioning = true)"


def read_duckdb(table: Path) -> list[Row]:
    """All rows, read by DuckDB."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute(f"SELECT * FROM {duckdb_scan(table)}")
        return canonical_rows([column[0] for column in cursor.description], cursor.fetchall())


def read_polars(table: Path) -> list[Row]:
    """All rows, read by Polars."""
    frame = polars.scan_parquet(f"{table}/**/*.parquet", hive_partitioning=True).collect()
    return canonical_rows(frame.columns, frame.iter_rows())


def read_pyarrow(table: Path) -> list[Row]:
    """All rows, read by PyArrow, which takes the days of a path for text."""
    rows = dataset.dataset(table, format="parquet", partitioning="hive").to_table().to_pylist()
    return [canonical(row) for row in rows]


def read_spark(session: SparkSession, table: Path) -> list[Row]:
    """All rows, read by Spark."""
    frame = session.read.parquet(str(table))
    rows = frame.select([epochs(frame[name], kind).alias(name) for name, kind in columns(frame)]).collect()
    return [canonical(row.asDict(recursive=True)) for row in rows]


def columns(frame: DataFrame) -> list[tuple[str, DataType]]:
    """The columns of a Spark frame with their types."""
    return [(field.name, field.dataType) for field in frame.schema.fields]


def epochs(column: Column, kind: DataType) -> Column:
    """The column with its times as unix seconds: PySpark would hand them out without zone, as the process sees them."""
    if isinstance(kind, TimestampType):
        return spark.unix_seconds(column)
    if isinstance(kind, StructType):
        fields = [epochs(column[field.name], field.dataType).alias(field.name) for field in kind.fields]
        return spark.when(column.isNotNull(), spark.struct(*fields))
    return column


def canonical_rows(names: list[str], rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Rows in canonical form."""
    return [dict(zip(names, map(canonical, row), strict=True)) for row in rows]


def canonical(value: Any) -> Any:
    """A value as the sandbox's truth writes it."""
    if isinstance(value, datetime):
        return unix_seconds(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return value


def unix_seconds(time: datetime) -> int:
    """The unix seconds of a time that has a zone and no fraction."""
    assert time.tzinfo is not None, f"{time} has no zone"
    assert time.microsecond == 0, f"{time} has a fraction of a second"
    return int(time.astimezone(UTC).timestamp())


def tables(lake: Path) -> set[str]:
    """The folders of a lake that hold rows."""
    return {folder.name for folder in lake.iterdir() if folder.is_dir() and not folder.name.startswith("_")}


def data_files(lake: Path) -> dict[str, bytes]:
    """Every data file of the lake by its path, whole."""
    files = (path for table in tables(lake) for path in (lake / table).rglob("*") if path.is_file())
    return {str(path.relative_to(lake)): path.read_bytes() for path in files}
