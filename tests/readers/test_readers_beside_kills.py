"""DuckDB and Polars query without a pause while runs are begun, killed and begun again: every answer is right.

DuckDB reads a file's footer through one handle and its columns through others that it opens later, by the same path;
Polars asks for a file's size before it opens it again to read. A partition that is replaced in between gives them the
end of one file and the middle of another, which they notice: such a query fails and succeeds when repeated. How often
is printed. They notice it because the columns lie elsewhere in the other file, also the first one: its place depends on
the number of rows, so that the counts here, which often need no other column, are never of two versions.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars

from compare import KEYS
from exporter import COMPLETE, Exporter
from lake import duckdb_scan, read_duckdb, read_polars
from sandbox import STREAMS, Sandbox
from scenarios import COMMIT_OFTEN
from served import Forms, assert_served, observed
from strikes import KILLED, AtInstant, struck

SECONDS = float(os.environ.get("BESIDE_SECONDS", "8"))
"""A minute or more for a long night."""
WORKSPACE: dict[str, Any] = {"people": 300, "messages": 6, "deliveries": 600, "activities": 600, "days": 40}
LONGEST = 0.6
"""Seconds until a run is killed, at most."""
Query = Callable[[Forms, Path, str], None]


def count_with_duckdb(_: Forms, lake: Path, stream: str) -> None:
    """As many rows as keys."""
    key = ", ".join(KEYS[stream])
    with duckdb.connect() as connection:
        scan = duckdb_scan(lake / stream)
        rows, keys = connection.execute(f"SELECT count(*), count(DISTINCT ({key})) FROM {scan}").fetchall()[0]
    assert rows == keys, f"{stream}: {rows} rows of {keys} keys"


def count_with_polars(_: Forms, lake: Path, stream: str) -> None:
    """As many rows as keys."""
    scan = polars.scan_parquet(f"{lake / stream}/**/*.parquet", hive_partitioning=True)
    rows, keys = scan.select(polars.len(), polars.struct(KEYS[stream]).n_unique().alias("keys")).collect().row(0)
    assert rows == keys, f"{stream}: {rows} rows of {keys} keys"


def compare_with_duckdb(forms: Forms, lake: Path, stream: str) -> None:
    """Every row as it was served at some time."""
    assert_served(forms, stream, read_duckdb(lake / stream))


def compare_with_polars(forms: Forms, lake: Path, stream: str) -> None:
    """Every row as it was served at some time."""
    assert_served(forms, stream, read_polars(lake / stream))


READERS: dict[str, Query] = {
    "DuckDB counts": count_with_duckdb,
    "Polars counts": count_with_polars,
    "DuckDB rows": compare_with_duckdb,
    "Polars rows": compare_with_polars,
}
ITS_OWN = (duckdb.Error, polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError)
"""How a reader says that it could not read."""


@dataclass
class Watch:
    """Readers that look without a pause."""

    forms: Forms
    lake: Path
    over: threading.Event = field(default_factory=threading.Event)
    right: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def look(self, name: str) -> None:
        """Query the tables in turn until it is over."""
        while not self.over.is_set():
            for stream in STREAMS:
                if next(self.lake.glob(f"{stream}/**/*.parquet"), None):
                    self.query(name, stream)

    def query(self, name: str, stream: str) -> None:
        """One query, and what became of it."""
        try:
            READERS[name](self.forms, self.lake, stream)
            self.right[name] += 1
        except ITS_OWN as failure:
            said = re.sub(r"[\"']?/\S+", "...", f"{type(failure).__name__}: {failure}".splitlines()[0])
            self.failed[name, said[:100]] += 1
        except AssertionError as wrong:
            self.wrong.append(f"{name}: {wrong}")

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Every reader looks as long as this lasts."""
        readers = [threading.Thread(target=self.look, args=(name,)) for name in READERS]
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            self.over.set()
            for reader in readers:
                reader.join()

    def told(self) -> str:
        """The figures, for a person."""
        lines = [f"{name}: {count} queries were answered rightly" for name, count in sorted(self.right.items())]
        lines += [f"{name}: {count} failed ({why})" for (name, why), count in sorted(self.failed.items())]
        return "\n".join([*lines, *self.wrong[:10]])


@dataclass
class Nights:
    """Runs that follow each other, day after day, some of them killed."""

    exporter: Exporter
    days: list[datetime]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    runs: int = 0
    kills: int = 0

    def into(self, lake: Path) -> None:
        """A run a day, killed twice before it may end."""
        for number, day in enumerate(self.days):
            self.exporter.sandbox.set_clock(day)
            flags = ("-q", "--sync", ("incremental", "full-table")[number % 2])
            exporter = replace(self.exporter, lake=lake, flags=flags)
            for _ in range(2):
                self.kills += struck(exporter, AtInstant(self.chance.uniform(0.05, LONGEST))).code == KILLED
            exporter.run().expect(COMPLETE)
            self.runs += 1


def test_every_answer_is_right_beside_kills(binary: Path, tmp_path: Path) -> None:
    """As often as they look; a reader's own error is counted, a wrong row is never taken for one."""
    with Sandbox(binary, **WORKSPACE) as sandbox:
        days = [sandbox.now]
        forms = observed(sandbox)
        for _ in range(3):
            days.append(sandbox.advance("1d"))
            forms = observed(sandbox, forms)
        nights = Nights(Exporter(binary, sandbox, tmp_path, (), COMMIT_OFTEN), days)
        watch = Watch(forms, tmp_path)
        with watch.looking():
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                watch.lake = tmp_path / str(nights.runs)
                watch.lake.mkdir()
                nights.into(watch.lake)
    print(f"\n{nights.runs} runs to their end, {nights.kills} kills\n{watch.told()}")
    assert not watch.wrong, watch.told()
    assert nights.kills
    assert all(watch.right[name] for name in READERS), watch.told()
