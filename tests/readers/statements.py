"""Runs what `cio2parquet sql` printed, and writes every view that it made as one Parquet file.

Run as `python statements.py duckdb|polars FOLDER` with the statements on stdin, in a process of its own: engines take
keys from their environment. It imports nothing beside it, because another interpreter with another DuckDB runs it too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def run_duckdb(text: str, folder: Path) -> None:
    """Each view as DuckDB reads it; extensions are found where `EXTENSIONS` says."""
    import duckdb

    config = {"extension_directory": os.environ["EXTENSIONS"]} if "EXTENSIONS" in os.environ else {}
    connection = duckdb.connect(config=config)
    connection.execute(text)
    views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    for (view,) in views:
        connection.execute(f"COPY (FROM \"{view}\") TO '{folder / view}.parquet' (FORMAT parquet)")


def run_polars(text: str, folder: Path) -> None:
    """Each frame as Polars reads it, through the context that answers SQL."""
    names: dict[str, Any] = {}
    exec(compile(text, "statements", "exec"), names)
    for view in names["tables"]:
        names["lake"].execute(f'SELECT * FROM "{view}"').collect().write_parquet(folder / f"{view}.parquet")


if __name__ == "__main__":
    {"duckdb": run_duckdb, "polars": run_polars}[sys.argv[1]](sys.stdin.read(), Path(sys.argv[2]))
