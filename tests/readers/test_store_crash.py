"""The crash campaign in a bucket: a run killed anywhere leaves no half partition, the next one no unfinished upload.

`CRASH=long` strikes every step in every scenario, in one put and in parts.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bedroom import DEAD
from buckets import BucketExporter
from campaign import Campaign
from sandbox import Sandbox
from scenarios import FIRST, FULL_FIRST, FULL_LATER, IN_PARTS, LATER, SETTINGS, SPILLED, Scenario, prepare
from servers import Server
from strikes import IN_BUCKETS, ON_DISK, AtInstant, AtStep, Strike, steps

LONG = os.environ.get("CRASH") == "long"
PARTS = "in parts"
ONCE = {"staging-opened", "claims-given-back"}
"""Steps that a run passes only once."""
Trial = tuple[str, str, tuple[Strike, ...] | float]
"""A scenario, whether objects go in parts, and what strikes: steps, or an instant as a part of the run's time."""
Scenarios = Callable[[str, str], Scenario]

SHORT: tuple[Trial, ...] = (
    (FULL_LATER, "", (AtStep("object-published", 2), AtStep("removal-listed"), AtStep("object-removed"))),
    (FIRST, PARTS, (AtStep("upload-begun", 2), AtStep("upload-sent", 3), AtStep("version-stored", 6))),
    (FIRST, PARTS, 0.6),
)


@pytest.fixture(scope="module")
def scenario(
    binary: Path, servers: Callable[[str], Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scenarios]:
    """A scenario by its name, in one put or in parts; each is made once."""
    made: dict[tuple[str, str], Scenario] = {}
    sandboxes: list[Sandbox] = []
    make = partial(BucketExporter, server=servers("s3"))

    def scenario(name: str, how: str) -> Scenario:
        if (name, how) not in made:
            sandboxes.append(SETTINGS[name].sandbox(binary))
            environment = IN_PARTS if how == PARTS else {}
            folder = tmp_path_factory.mktemp("scenario")
            made[name, how] = prepare(name, binary, sandboxes[-1], folder, make, environment)
        return made[name, how]

    yield scenario
    for sandbox in sandboxes:
        sandbox.stop()


def long_campaign(names: list[str], chance: random.Random) -> Iterator[Trial]:
    """Every step early and late, in one put and in parts; chains; instants."""
    yield from SHORT
    yield FULL_LATER, "", (AtStep("object-published", 2), AtStep("partition-adopted"), AtStep("version-due", 7))
    yield LATER, "", (AtStep("version-stored", 6),)
    turns = [(FULL_LATER, ""), (FIRST, PARTS), (LATER, ""), (FULL_FIRST, PARTS)]
    for number, step in enumerate(names):
        dead = (DEAD[step],) if step in DEAD else ()
        if step == "run-spilled":
            yield SPILLED, PARTS, (AtStep(step),)
        elif step in IN_BUCKETS:
            yield FULL_FIRST, PARTS, (*dead, AtStep(step, chance.randint(5, 40)))
        elif step.startswith(("removal", "object-removed")):
            yield FULL_LATER, PARTS, (*dead, AtStep(step))
        else:
            for turn in (number, number + 1):
                at = 1 if step in DEAD or step in ONCE else chance.randint(1, 3)
                yield *turns[turn % len(turns)], (*dead, AtStep(step, at))
    for turn in range(16):
        yield *turns[turn % len(turns)], chance.random()


def test_killed_anywhere_it_ends_as_if_left_alone(binary: Path, scenario: Scenarios, tmp_path: Path) -> None:
    """Every byte, every promise of the manifest, and nothing on its way any more."""
    names = [step for step in steps(binary) if step not in ON_DISK]
    campaign = Campaign(tmp_path)
    for name, how, strikes in long_campaign(names, random.Random(20261124)) if LONG else SHORT:
        chosen = scenario(name, how)
        if isinstance(strikes, float):
            strikes = (AtInstant(strikes * chosen.seconds),)
        campaign.trial(chosen, *strikes)
    print("\n" + campaign.told())
    assert not campaign.differences, campaign.told()
    assert campaign.left, "no run died in the middle of an upload"
    assert campaign.kills.total() >= (50 if LONG else 6), campaign.told()
    if LONG:
        never = [step for step in names if not campaign.kills[step]]
        assert not never, f"never struck: {never}"
