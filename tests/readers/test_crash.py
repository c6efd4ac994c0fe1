"""The crash campaign: killed at every named step and at any instant, a run that is begun again ends as if left alone.

`scripts/crash.sh` runs it alone, `scripts/crash.sh long` strikes every step in every scenario several times.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign import Campaign
from sandbox import Sandbox
from scenarios import CUT, FIRST, FULL_CUT, FULL_FIRST, FULL_LATER, LATER, SETTINGS, SPILLED, Scenario, prepare
from strikes import IN_BUCKETS, AtInstant, AtStep, Strike, steps

LONG = os.environ.get("CRASH") == "long"
PLACES = {
    "row-set-aside": FIRST,
    "run-spilled": SPILLED,
    "removal-listed": FULL_LATER,
    "object-parked": FULL_LATER,
    "object-removed": FULL_LATER,
    "version-pruned": FULL_LATER,
}
"""Steps that are not passed just anywhere."""
ONCE = {"staging-opened", "run-spilled", "removal-listed", "claims-given-back"}
"""Steps that a short run may pass only once."""
DEAD: dict[str, Strike] = {"run-evicted": AtStep("page-read"), "partition-adopted": AtStep("object-published")}
"""Steps that are passed only after another run died."""
CHAINS: tuple[tuple[str, tuple[Strike, ...]], ...] = (
    (FULL_LATER, (AtStep("object-parked"), AtStep("removal-listed"), AtStep("object-removed"))),
    (LATER, (AtStep("object-published", 2), AtStep("partition-adopted"), AtStep("version-due", 7))),
)


@pytest.fixture(scope="module")
def scenario(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scenario]]:
    """A scenario by its name; each is made once."""
    made: dict[str, Scenario] = {}
    sandboxes: list[Sandbox] = []

    def make(name: str) -> Scenario:
        if name not in made:
            sandboxes.append(SETTINGS[name].sandbox(binary))
            made[name] = prepare(name, binary, sandboxes[-1], tmp_path_factory.mktemp("scenario"))
        return made[name]

    yield make
    for sandbox in sandboxes:
        sandbox.stop()


def before(step: str) -> tuple[Strike, ...]:
    """The strikes without which a step is not passed."""
    return (DEAD[step],) if step in DEAD else ()


def short_campaign(names: list[str], chance: random.Random) -> Iterator[tuple[str, tuple[Strike, ...] | float]]:
    """Every step once, some chains, some instants."""
    turns = [FIRST, FULL_LATER, CUT, LATER, FULL_FIRST]
    for number, step in enumerate(names):
        where = PLACES.get(step, turns[number % len(turns)])
        at = 1 if step in DEAD or step in ONCE else chance.randint(1, 2)
        yield where, (*before(step), AtStep(step, at))
    yield from CHAINS
    for where in (FIRST, FULL_FIRST, LATER, FULL_LATER, CUT, FULL_CUT):
        yield where, chance.random()


def long_campaign(names: list[str], chance: random.Random) -> Iterator[tuple[str, tuple[Strike, ...] | float]]:
    """Every step in every scenario, early and late; longer chains; many instants."""
    for where in SETTINGS:
        for step in names:
            for at in (1,) if where == SPILLED else (1, 3, 8):
                yield where, (*before(step), AtStep(step, at))
        for _ in range(8):
            yield where, chance.random()
            chosen = chance.sample(names, 4)
            yield where, tuple(AtStep(step, chance.randint(1, 4)) for step in chosen)
    yield from CHAINS


def test_killed_anywhere_it_ends_as_if_left_alone(
    binary: Path, scenario: Callable[[str], Scenario], tmp_path: Path
) -> None:
    """Every step of a lake on a disk is struck at least once, or the campaign has failed."""
    names = [step for step in steps(binary) if step not in IN_BUCKETS]
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
