"""What a lake may hold at any moment: rows as they were served at some time, each once, and finished objects only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from compare import by_key
from lake import read_duckdb, tables
from sandbox import STREAMS, Row, Sandbox

Key = tuple[Any, ...]
Forms = dict[str, dict[Key, list[Row]]]
"""Every form in which a row was ever served, by stream and by its key without the date."""

OBJECT = re.compile(r"(date=\d{4}-\d\d-\d\d/)?part-0\.parquet")
UNSERVED = {"date", "requested_at"}
"""Columns that follow from the run, not from what was served."""


def observed(sandbox: Sandbox, forms: Forms | None = None) -> Forms:
    """The `forms` known, and those that are served now."""
    known: Forms = forms or {stream: {} for stream in STREAMS}
    for stream in STREAMS:
        for row in sandbox.truth(stream):
            known[stream].setdefault(bare_key(stream, row), []).append(row)
    return known


def bare_key(stream: str, row: Row) -> Key:
    """The key of a row as the API knows it."""
    name = {"customers": "cio_id", "transactional_metrics": "transactional_id"}.get(stream, "id")
    return (row[name],)


def assert_no_wrong_row(forms: Forms, lake: Path) -> None:
    """Whatever is there is there once, and as it was served at some time."""
    for stream in sorted(tables(lake)):
        if list((lake / stream).rglob("*.parquet")):
            assert_served(forms, stream, read_duckdb(lake / stream))


def assert_served(forms: Forms, stream: str, rows: list[Row]) -> None:
    """Every row is there once, and as it was served at some time."""
    for row in by_key(stream, rows).values():
        bare = {name: value for name, value in row.items() if name not in UNSERVED}
        served = forms[stream].get(bare_key(stream, row), [])
        # Told in one line: the default explanation of a failed comparison would print every row.
        never = not any(form == bare for form in served)
        assert not never, f"{stream}: never served like this: {row}; but like this: {served}"


def assert_objects_only(lake: Path) -> None:
    """The folders of the tables hold finished objects under their own names, and nothing else."""
    for table in tables(lake):
        names = [str(path.relative_to(lake / table)) for path in (lake / table).rglob("*") if path.is_file()]
        odd = [name for name in names if not OBJECT.fullmatch(name)]
        assert not odd, f"{table}: {odd} are no objects of a table"
