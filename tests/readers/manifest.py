"""The manifest as a program would read it: the versions of a table, and what the newest says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Version = dict[str, Any]

PROMISED = ("mark", "asked_since", "coverage", "gaps", "rejected", "transactional_messages")
"""What a run that was broken off and begun again must leave as if it had not been."""
UNFINISHED = ("claim", "removing", "scan", "full_table")
"""What a finished run leaves empty."""
LONG_AGO = 90 * 86_400


def version_files(lake: Path, table: str) -> list[Path]:
    """The files of all versions, the oldest first."""
    return sorted((lake / "_manifest" / table).glob("*.json"))


def newest(lake: Path, table: str) -> Version:
    """The newest version, whole."""
    version: Version = json.loads(version_files(lake, table)[-1].read_bytes())
    return version


def tables_of(lake: Path) -> list[str]:
    """Every table that has a version."""
    folder = lake / "_manifest"
    return sorted(path.name for path in folder.iterdir() if version_files(lake, path.name)) if folder.is_dir() else []


def assert_readable(lake: Path) -> None:
    """The newest version of every table is whole, and numbered as its name says."""
    for table in tables_of(lake):
        path = version_files(lake, table)[-1]
        version = json.loads(path.read_bytes())
        assert (version["version"], version["state"]["table"]) == (int(path.stem), table), path


def promised(lake: Path) -> dict[str, Any]:
    """What the manifest says of each table that must not depend on how often a run was broken off."""
    return {table: promised_of(newest(lake, table)["state"]) for table in tables_of(lake)}


def promised_of(state: dict[str, Any]) -> dict[str, Any]:
    """One table's part: an ETag is the file system's business, everything else of a partition is the rows'."""
    partitions = {
        path: {name: value for name, value in entry.items() if name != "etag"}
        for path, entry in state["partitions"].items()
    }
    left = {name: state[name] for name in UNFINISHED if state[name]}
    return {"partitions": partitions, "left": left} | {name: state[name] for name in PROMISED}


def add_version(lake: Path, table: str, **changes: Any) -> None:
    """Create one more version, with the newest state but for some `changes`."""
    add_versions(lake, table, 1, **changes)


def add_versions(lake: Path, table: str, count: int, **changes: Any) -> None:
    """Create as many more versions, with the newest state but for some `changes`."""
    last = version_files(lake, table)[-1]
    version = json.loads(last.read_bytes())
    version["state"] |= changes
    for number in range(int(last.stem) + 1, int(last.stem) + 1 + count):
        version["version"] = number
        last.with_name(f"{number:020}.json").write_text(json.dumps(version, indent=2) + "\n")


def age_versions(lake: Path, table: str) -> None:
    """Make every version so old that only their number keeps them from being pruned."""
    for path in version_files(lake, table):
        then = path.stat().st_mtime - LONG_AGO
        os.utime(path, (then, then))
