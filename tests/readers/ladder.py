"""One workspace, three runs: at first, a day later, forty days later; in each sync mode and from one to the other.

This is the dear part of the tests, so it is done once and every test that only reads shares it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import expected
from expected import Lake, Truth, observe
from exporter import COMPLETE, GAPS, Exporter, Outcome
from sandbox import Sandbox

STEPS = {"first": None, "a-day-later": "1d", "forty-days-later": "40d"}
LAST = "forty-days-later"
ENDS = {"first": COMPLETE, "a-day-later": COMPLETE, LAST: GAPS}
"""In forty days a transactional message vanishes, and activities are forgotten that nobody read: both are told once."""

Rule = Callable[[Lake, Truth], Lake]
RULES: dict[str, Rule] = {"incremental": expected.incremental, "full-table": expected.full_table}
MODES: dict[str, tuple[str, ...]] = {
    "incremental": ("incremental", "incremental", "incremental"),
    "full-table": ("full-table", "full-table", "full-table"),
    "mixed": ("incremental", "incremental", "full-table"),
}


@dataclass
class Rung:
    """One lake after one run."""

    lake: Path
    expected: Lake
    outcome: Outcome
    repeated: Outcome
    """The same command once more, at the same clock."""


@dataclass
class Ladder:
    """Every lake after every run, and what was served at each."""

    truths: dict[str, Truth] = field(default_factory=dict)
    rungs: dict[tuple[str, str], Rung] = field(default_factory=dict)


def climb(
    binary: Path,
    sandbox: Sandbox,
    folder: Path,
    make: Callable[..., Exporter] = Exporter,
    modes: dict[str, tuple[str, ...]] = MODES,
) -> Ladder:
    """Export in these modes at every step."""
    ladder = Ladder()
    lakes = {mode: Lake() for mode in modes}
    for number, (step, span) in enumerate(STEPS.items()):
        if span:
            sandbox.advance(span)
        truth = ladder.truths[step] = observe(sandbox)
        for mode, syncs in modes.items():
            lakes[mode] = RULES[syncs[number]](lakes[mode], truth)
            exporter = make(binary, sandbox, folder / mode, ("--sync", syncs[number], "-q"))
            ladder.rungs[mode, step] = rung(exporter, lakes[mode], folder / f"{mode}-{step}", ENDS[step])
    return ladder


def rung(exporter: Exporter, expected_lake: Lake, copy: Path, end: int) -> Rung:
    """Run twice: the second time there is nothing to do, and nothing may change."""
    outcome = exporter.run().expect(end)
    shutil.copytree(exporter.fetch(), copy)
    return Rung(copy, expected_lake, outcome, exporter.run())
