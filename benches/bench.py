"""Measures the exporter in six parts and prints what it finds as Markdown; `scripts/bench.sh` calls it.

Where two things are compared they are run in turns, and what counts is the median of the ratios: a machine that is slow
for a minute is slow for both.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workspace import ACTIVITIES, DETAILS, NOW, Cost, Sandbox, export, run

PAGES = os.environ["PAGES"]
QUICK = "quick" in sys.argv[1:]
REPEATS = 1 if QUICK else 5
TOMORROW = "2026-11-21T12:00:00Z"


def table(head: str, rows: Iterable[Iterable[Any]]) -> None:
    """Print a table."""
    columns = head.split("|")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        cells = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row)
        print("| " + " | ".join(cells) + " |", flush=True)
    print()


def median(values: Iterable[float], rows: int = 1_000_000) -> float:
    """The median, for a million rows."""
    return statistics.median(values) / rows * 1e6


def million(rows: int) -> str:
    """A number of rows in words."""
    return f"{rows / 1e6:g} M"


def machine() -> str:
    """What it was measured on."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in about if line.startswith("model name")]
    return f"{len(models)} cores, {models[0]}, Linux {platform.release()}"


def bare(what: str, stream: str, pages: Path, *more: int) -> dict[str, Any]:
    """One of the loops of `pages.rs`."""
    result: dict[str, Any] = json.loads(run([PAGES, what, stream, str(pages), *map(str, more)]).output)
    return result


def fresh(lake: Path) -> Path:
    """The same lake, empty."""
    shutil.rmtree(lake, ignore_errors=True)
    return lake


def details(rows: int, **settings: Any) -> dict[str, Any]:
    """The settings of a workspace with so many deliveries over a year."""
    return {"days": 365, "activities": 100, "deliveries": rows} | settings


def activities(rows: int, **settings: Any) -> dict[str, Any]:
    """The settings of a workspace with so many activities over thirty days."""
    return {"deliveries": 100, "activities": rows} | settings


FLOOR = ("gunzip", "decode", "encode")


def against_the_floor(folder: Path) -> None:
    """The whole export beside the bare loop over the very same pages, which writes as many files as the lake has; and one file."""
    rows = 50_000 if QUICK else 900_000
    cases: list[tuple[str, dict[str, Any], list[str]]] = [
        (DETAILS, details(rows), []),
        (DETAILS + ", four times as many", details(4 * rows), []),
        (DETAILS + ", `--memory=64MiB`", details(rows), ["--memory=64MiB"]),
        (DETAILS + ", four times as many, `--memory=64MiB`", details(4 * rows), ["--memory=64MiB"]),
        (ACTIVITIES, activities(rows // 4), []),
        (ACTIVITIES + ", spilling", activities(rows), []),
    ]
    lines = []
    for name, settings, flags in cases:
        stream = name.split(",")[0]
        with Sandbox(**settings) as sandbox:
            exports, floors, single = [], [], []
            for turn in range(REPEATS):
                sandbox.forget()
                exports.append(export(sandbox, fresh(folder / "lake"), stream, *flags))
                if turn == 0:
                    sandbox.capture(folder / "pages", stream)
                single.append(bare("floor", stream, folder / "pages"))
                files = sum(1 for _ in (folder / "lake").rglob("*.parquet"))
                floors.append(bare("floor", stream, folder / "pages", -(-single[0]["rows"] // files)))
        count = floors[0]["rows"]
        assert exports[0].stream["rows"]["fetched"] == count, "the export has read other pages than were captured"
        whole = median((cost.cpu for cost in exports), count)
        least = median((floor["cpu"] for floor in floors), count)
        parts = " + ".join(f"{median((floor[part] for floor in floors), count):.2f}" for part in FLOOR)
        ratio, to_one_file = (
            statistics.median(cost.cpu / floor["cpu"] for cost, floor in zip(exports, bares, strict=True))
            for bares in (floors, single)
        )
        wall = median((cost.seconds for cost in exports), count)
        peak = max(cost.peak_mib for cost in exports)
        lines.append((name, count, files, whole, least, parts, ratio, to_one_file, wall, peak))
    head = "stream|rows|files|export, CPU s per million|floor in as many files|gunzip + decode + encode|ratio"
    head += "|ratio, floor in one file|export, s per million|peak MiB"
    table(head, lines)


def limiter(folder: Path) -> None:
    """How much of what the rate limit allows is used, as the server saw it."""
    lines = []
    days, rows, messages = (30, 20_000, 40) if QUICK else (365, 400_000, 200)
    for latency in (50,) if QUICK else (50, 150, 300):
        settings = details(rows, messages=messages, rate=10, latency=latency, jitter=min(latency // 3, 50))
        with Sandbox(**settings) as sandbox:
            sandbox.forget()
            cost = export(sandbox, fresh(folder / "lake"), DETAILS, f"--since={days}d", rate=10)
            seen = sandbox.requests()
        seconds = (seen["log"][-1]["at_ms"] - seen["log"][0]["at_ms"]) / 1000
        refused = seen["status"].get("429", 0)
        assert cost.stream["requests"] <= seen["total"]
        fullness, with_process = (f"{seen['total'] / (10 * time + 10):.3f}" for time in (seconds, cost.seconds))
        delay = f"{latency} ± {min(latency // 3, 50)}"
        lines.append((delay, seen["total"], seconds, fullness, with_process, refused, cost.cpu))
    head = "latency, ms|requests|seconds, first to last|requests / (10 x seconds + 10)|the same of the whole process"
    table(head + "|answered 429|CPU s", lines)


def change(folder: Path) -> None:
    """A hundredth laid into a large stored partition, beside reading and encoding that partition."""
    rows = 20_000 if QUICK else 400_000
    with Sandbox(**details(rows, days=2)) as sandbox:
        sandbox.forget()
        export(sandbox, fresh(folder / "lake"), DETAILS, "--since=2d")
        sandbox.capture(folder / "pages", DETAILS)
    runs = [bare("merge", DETAILS, folder / "pages") for _ in range(REPEATS)]
    count = runs[0]["rows"]
    merge, plain = (median((one[part] for one in runs), count) for part in ("cpu", "read_and_encode"))
    ratio = median(one["cpu"] / one["read_and_encode"] for one in runs)
    head = "rows in the partition|new rows|merge, CPU s per million stored|reading and encoding alone|ratio"
    table(head, [(count, runs[0]["new"], merge, plain, ratio)])


def growth(folder: Path) -> None:
    """Memory and CPU with many times the rows."""
    rows = 20_000 if QUICK else 1_000_000
    lines: list[tuple[Any, ...]] = []
    for times in (1, 4, 16):
        with Sandbox(**details(rows * times)) as sandbox:
            cost = export(sandbox, fresh(folder / "lake"), DETAILS)
        count = cost.stream["rows"]["fetched"]
        per_million = cost.cpu / count * 1e6
        least = lines[0][2] if lines else per_million
        lines.append((million(rows * times), count, per_million, per_million / least, cost.seconds, cost.peak_mib))
    table("deliveries|rows|CPU s per million|to the first line|seconds|peak MiB", lines)


def nightly(folder: Path) -> None:
    """A year of rows is stored; the next day's run reads thirty days again."""
    rows = 50_000 if QUICK else 10_000_000
    lake = fresh(folder / "lake")
    with Sandbox(**details(rows)) as sandbox:
        first = export(sandbox, lake, DETAILS)
        before = {path: path.stat().st_ino for path in lake.rglob("*.parquet")}
        sandbox.ask("/_sandbox/clock", {"now": TOMORROW})
        second = export(sandbox, lake, DETAILS, now=TOMORROW)
    after = {path: path.stat().st_ino for path in lake.rglob("*.parquet")}
    written = sum(1 for path in after if before.get(path) != after[path])

    def line(name: str, cost: Cost, written: int) -> tuple[Any, ...]:
        fate, requests = cost.stream["rows"], cost.stream["requests"]
        return name, requests, fate["fetched"], fate["new"], fate["changed"], written, cost.seconds, cost.cpu

    head = "run|requests|rows read|new|changed|partitions written|seconds|CPU s"
    table(head, [line("the first, a year", first, len(before)), line("a day later", second, written)])
    read = second.stream["rows"]["fetched"] / first.stream["rows"]["fetched"]
    cpu, seconds = second.cpu / first.cpu, second.seconds / first.seconds
    print(f"{len(after)} partitions are stored. The lookback is {30 / 365:.2f} of the year; of the first run,")
    print(f"the second one has {read:.2f} of the rows, {cpu:.2f} of the CPU time and {seconds:.2f} of the time.\n")


DUCKDB = """
import json, pathlib, sys, duckdb
duckdb.sql("SET enable_progress_bar = false")
lake, out = map(pathlib.Path, sys.argv[1:])
files = [str(file) for file in sorted(lake.rglob("*.parquet"))]
def copy(source, name):
    rows = f"read_parquet({source}, hive_partitioning = false)"
    duckdb.sql(f"COPY (FROM {rows}) TO '{out / name}' (FORMAT parquet, COMPRESSION zstd)")
    return (out / name).stat().st_size
print(json.dumps({
    "rows": duckdb.sql(f"SELECT count(*) FROM read_parquet({files})").fetchall()[0][0],
    "files": len(files),
    "ours": sum(pathlib.Path(file).stat().st_size for file in files),
    "each": sum(copy([file], "one.parquet") for file in files),
    "whole": copy(files, "whole.parquet"),
}))
"""


def size(folder: Path) -> None:
    """Bytes a row beside DuckDB's Parquet of the same rows, file by file and in one file."""
    rows = 50_000 if QUICK else 1_000_000
    cases: list[tuple[str, str, dict[str, Any]]] = [
        (DETAILS, "ten deliveries a person", details(rows, people=rows // 10)),
        (DETAILS, "500 people", details(rows, people=500)),
        (ACTIVITIES, "ten activities a person", activities(rows, people=rows // 10)),
        (ACTIVITIES, "500 people", activities(rows, people=500)),
    ]
    lines = []
    python = os.environ.get("PYTHON", sys.executable)
    for stream, people, settings in cases:
        with Sandbox(**settings) as sandbox:
            export(sandbox, fresh(folder / "lake"), stream)
        command = [python, "-c", DUCKDB, folder / "lake", folder]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        each = [found[kind] / found["rows"] for kind in ("ours", "each", "whole")]
        lines.append((stream, people, found["rows"], found["files"], *each))
    table("stream|of|rows|files|bytes a row|DuckDB, zstd, file by file|DuckDB, zstd, one file", lines)


PARTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "floor": ("Without a limit: the export and the bare loop over the same pages", against_the_floor),
    "limiter": ("At ten requests a second", limiter),
    "merge": ("A small change in a large partition", change),
    "growth": ("Many times the rows", growth),
    "nightly": ("The next day", nightly),
    "size": ("Bytes a row", size),
}


def main() -> None:
    """Measure the parts that are named, or all."""
    named = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    print(f"Measured on {machine()}. Medians of {REPEATS}.\n")
    for name in named:
        title, part = PARTS[name]
        print(f"## {title}\n")
        with tempfile.TemporaryDirectory(prefix="cio2parquet-bench-") as folder:
            part(Path(folder))


if __name__ == "__main__":
    main()
