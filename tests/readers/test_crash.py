"""The crash campaign: killed at every named step and at any instant, a run that is begun again ends as if left alone.

`scripts/crash.sh` runs it alone, `scripts/crash.sh long` strikes every step in every scenario several times.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from campaign import COMMIT_OFTEN, Campaign, Scenario, rejected_rows
from exporter import COMPLETE, GAPS, Exporter
from lake import data_files
from manifest import add_version, age_versions, promised
from sandbox import CUSTOMERS, Sandbox
from served import observed
from strikes import AtInstant, AtStep, Strike, steps

LONG = os.environ.get("CRASH") == "long"
VERSIONS_KEPT = 200
SURPLUS = 4
"""Versions that are old enough to be pruned."""
KEYLESS = {"keyless": 40}
SMALL: dict[str, Any] = {"people": 120, "messages": 6, "deliveries": 260, "activities": 260, "days": 50}
WIDE: dict[str, Any] = {"people": 6_000, "messages": 5, "deliveries": 100, "activities": 100, "days": 20}
"""More people than fit into the least memory."""
SPILLING = ("--memory", "64MiB")


@dataclass(frozen=True)
class Setting:
    """What makes a scenario."""

    workspace: dict[str, Any]
    flags: tuple[str, ...] = ()
    span: str | None = None
    """How far the clock moves between the run before and the one that is struck."""


FIRST, FULL_FIRST, LATER, FULL_LATER, SPILLED = "first", "full-table first", "later", "full-table later", "spilled"
SETTINGS = {
    FIRST: Setting(SMALL),
    FULL_FIRST: Setting(SMALL, ("--sync", "full-table")),
    LATER: Setting(SMALL, (), "2d"),
    FULL_LATER: Setting(SMALL, ("--sync", "full-table"), "9d"),
    SPILLED: Setting(WIDE, SPILLING),
}
ONLY_LATER = {"removal-listed", "object-parked", "object-removed", "version-pruned"}
"""Steps of removals and of old versions."""
ONCE = {"staging-opened", "run-spilled", "removal-listed", "claims-given-back"}
"""Steps that a short run may pass only once."""
DEAD: dict[str, Strike] = {"run-evicted": AtStep("page-read"), "partition-adopted": AtStep("object-published")}
"""Steps that are passed only after another run died."""
CHAINS: tuple[tuple[str, tuple[Strike, ...]], ...] = (
    (FULL_LATER, (AtStep("object-parked"), AtStep("removal-listed"), AtStep("object-removed"))),
    (LATER, (AtStep("object-published", 2), AtStep("partition-adopted"), AtStep("version-due", 7), AtStep("page-kept"))),
)


@pytest.fixture(scope="module")
def scenario(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scenario]]:
    """A scenario by its name; each is made once."""
    made: dict[str, Scenario] = {}
    sandboxes: list[Sandbox] = []

    def make(name: str) -> Scenario:
        if name not in made:
            sandboxes.append(Sandbox(binary, behaviour=KEYLESS | {"rate": 0}, **SETTINGS[name].workspace))
            made[name] = prepare(name, binary, sandboxes[-1], tmp_path_factory.mktemp("scenario"))
        return made[name]

    yield make
    for sandbox in sandboxes:
        sandbox.stop()


def prepare(name: str, binary: Path, sandbox: Sandbox, folder: Path) -> Scenario:
    """Run once without a break, to know what should come of it."""
    setting = SETTINGS[name]
    forms = observed(sandbox)
    before = None
    if setting.span:
        before = folder / "before"
        Exporter(binary, sandbox, before).run("-q").expect(GAPS)
        add_old_versions(before)
        sandbox.advance(setting.span)
        forms = observed(sandbox, forms)
    whole = folder / "whole"
    exporter = Exporter(binary, sandbox, whole, (*setting.flags, "-q"), COMMIT_OFTEN)
    if before:
        shutil.copytree(before, whole)
    started = time.monotonic()
    exporter.run().expect(COMPLETE, GAPS)
    seconds = time.monotonic() - started
    return Scenario(name, exporter, before, forms, seconds, data_files(whole), rejected_rows(whole), promised(whole))


def add_old_versions(lake: Path) -> None:
    """So many versions of one table that some are to be pruned."""
    for _ in range(VERSIONS_KEPT + SURPLUS):
        add_version(lake, CUSTOMERS)
    age_versions(lake, CUSTOMERS)


def before(step: str) -> tuple[Strike, ...]:
    """The strikes without which a step is not passed."""
    return (DEAD[step],) if step in DEAD else ()


def short_campaign(names: list[str], chance: random.Random) -> Iterator[tuple[str, tuple[Strike, ...] | float]]:
    """Every step once, some chains, some instants."""
    turns = [FIRST, FULL_LATER, LATER, FULL_FIRST]
    for number, step in enumerate(names):
        where = FULL_LATER if step in ONLY_LATER else turns[number % len(turns)]
        where = SPILLED if step == "run-spilled" else where
        at = 1 if step in DEAD or step in ONCE else chance.randint(1, 2)
        yield where, (*before(step), AtStep(step, at))
    yield from CHAINS
    for where in (FIRST, FULL_FIRST, LATER, FULL_LATER):
        yield where, chance.random()


def long_campaign(names: list[str], chance: random.Random) -> Iterator[tuple[str, tuple[Strike, ...] | float]]:
    """Every step in every scenario, early and late; longer chains; many instants."""
    for where in SETTINGS:
        for step in names:
            for at in (1, 2, 3, 7, 20):
                yield where, (*before(step), AtStep(step, at))
        for _ in range(12):
            yield where, chance.random()
            chosen = chance.sample(names, 4)
            yield where, tuple(AtStep(step, chance.randint(1, 4)) for step in chosen)
    yield from CHAINS


def test_killed_anywhere_it_ends_as_if_left_alone(
    binary: Path, scenario: Callable[[str], Scenario], tmp_path: Path
) -> None:
    """Every step that the binary names is struck at least once, or the campaign has failed."""
    names = steps(binary)
    chance = random.Random(20261120)
    campaign = Campaign(tmp_path)
    for where, strikes in (long_campaign if LONG else short_campaign)(names, chance):
        chosen = scenario(where)
        if isinstance(strikes, float):
            strikes = (AtInstant(strikes * chosen.seconds),)
        campaign.trial(chosen, *strikes)
    print("\n" + campaign.told())
    assert not campaign.differences, campaign.told()
    never = [step for step in names if not campaign.kills[step]]
    assert not never, f"never struck: {never}"
    assert campaign.kills.total() >= (200 if LONG else 30), campaign.told()
