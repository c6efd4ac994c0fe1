"""Commands that are going to be struck: small enough to be run hundreds of times, rich enough to pass every step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter import COMPLETE, GAPS, Exporter
from lake import data_files
from manifest import add_versions, age_versions, promised
from sandbox import CUSTOMERS, Sandbox
from served import Forms, observed

COMMIT_OFTEN = {"CIO2PARQUET_COMMIT_SECONDS": "0"}
IN_PARTS = {"CIO2PARQUET_ONE_PUT_BYTES": "0"}
"""Every object goes into a bucket in parts."""
VERSIONS_KEPT = 200
SURPLUS = 4
"""Versions that are old enough to be pruned."""
SMALL: dict[str, Any] = {"people": 120, "messages": 6, "deliveries": 260, "activities": 260, "days": 50}
WIDE: dict[str, Any] = {"people": 180_000, "messages": 5, "deliveries": 100, "activities": 100, "days": 20}
"""More people than fit into the least memory."""
PAGED: dict[str, Any] = {"people": 20, "messages": 4, "deliveries": 320, "activities": 30, "days": 50}
"""With a row to a page, messages of more pages than one part holds."""
SPILLING = ("--memory", "64MiB")
ODD = {"keyless": 40, "rate": 0}
"""Some rows are to be set aside."""
LIMITED = ("--rate", "100000")
"""Nothing waits, and yet requests are what a run is sparing with: windows of many pages are cut into parts."""


@dataclass(frozen=True)
class Setting:
    """What makes a scenario."""

    workspace: dict[str, Any]
    flags: tuple[str, ...] = ()
    span: str | None = None
    """How far the clock moves between the run before and the one that is struck."""
    page: int = 0
    """Rows in a page at most."""

    def sandbox(self, binary: Path) -> Sandbox:
        """Its workspace, served."""
        return Sandbox(binary, behaviour=ODD | {"largest_page": self.page}, **self.workspace)


FIRST, FULL_FIRST, LATER, FULL_LATER, SPILLED = "first", "full-table first", "later", "full-table later", "spilled"
CUT, FULL_CUT = "cut", "full-table cut"
SETTINGS = {
    FIRST: Setting(SMALL),
    FULL_FIRST: Setting(SMALL, ("--sync", "full-table")),
    CUT: Setting(PAGED, LIMITED, page=1),
    FULL_CUT: Setting(PAGED, ("--sync", "full-table", *LIMITED), page=1),
    LATER: Setting(SMALL, (), "2d"),
    FULL_LATER: Setting(SMALL, ("--sync", "full-table"), "9d"),
    SPILLED: Setting(WIDE, SPILLING),
}


@dataclass(frozen=True)
class Scenario:
    """A command, the lake it begins with, and what it comes to when left alone."""

    name: str
    exporter: Exporter
    before: Path | None
    forms: Forms
    seconds: float
    whole: dict[str, bytes]
    rejected: dict[str, Any]
    manifest: dict[str, Any]

    def begin(self, lake: Path) -> Exporter:
        """The command into a lake of its own."""
        exporter = self.exporter.into(lake)
        if self.before is not None:
            exporter.begin_with(self.before)
        return exporter


def prepare(
    name: str,
    binary: Path,
    sandbox: Sandbox,
    folder: Path,
    make: Callable[..., Exporter] = Exporter,
    environment: dict[str, str] | None = None,
) -> Scenario:
    """Run once without a break, to know what should come of it; the run before has no `environment` of its own."""
    setting = SETTINGS[name]
    forms = observed(sandbox)
    before = None
    if setting.span:
        first = make(binary, sandbox, folder / "before")
        first.run("-q").expect(GAPS)
        before = first.fetch()
        if make is Exporter:
            # Only on a disk can a file be made older than it is.
            add_old_versions(before, CUSTOMERS)
        sandbox.advance(setting.span)
        forms = observed(sandbox, forms)
    exporter = make(binary, sandbox, folder / "whole", (*setting.flags, "-q"), COMMIT_OFTEN | (environment or {}))
    if before:
        exporter.begin_with(before)
    started = time.monotonic()
    exporter.run().expect(COMPLETE, GAPS)
    seconds = time.monotonic() - started
    whole = exporter.fetch()
    return Scenario(name, exporter, before, forms, seconds, data_files(whole), rejected_rows(whole), promised(whole))


def add_old_versions(lake: Path, *tables: str) -> None:
    """So many versions of a table that some are to be pruned."""
    for table in tables:
        add_versions(lake, table, VERSIONS_KEPT + SURPLUS)
        age_versions(lake, table)


def rejected_rows(lake: Path) -> dict[str, Any]:
    """Every row set aside, and why, by its path.

    A row may come in several answers and is kept once: in which request it was met first depends on what was left to be
    asked.
    """
    kept = {str(path.relative_to(lake)): json.loads(path.read_bytes()) for path in (lake / "_rejected").rglob("*.json")}
    return {path: (entry["row"], entry["reason"]) for path, entry in kept.items()}
