"""A run that slept through its claim writes nothing any more, wherever it fell asleep.

It is put to sleep at a named step, another run takes its tables over and completes a day later, and then it is woken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bedroom import Bedroom, furnish
from exporter import COMPLETE, GAPS, HELD
from manifest import tables_of, version_files
from scenarios import FULL_LATER, SPILLED, add_old_versions
from strikes import IN_BUCKETS, steps

BEFORE_ITS_CLAIM = ("staging-opened", "table-seen", "run-evicted")
"""Who sleeps there has claimed nothing, or not everything, and may go on when the other has ended."""
GIVEN_BACK = ("version-pruned", "claims-given-back")
"""At these a claim was given back already."""
HOLDING = """partition-adopted page-read row-set-aside page-kept run-spilled rows-sorted partition-found object-staged
object-encoded object-finished object-checked object-published partitions-merged version-due version-stored
removal-listed object-parked object-removed""".split()
CLAIMS = 5
"""A version for each table comes before the first request for rows."""
AT = {"version-due": CLAIMS + 2, "version-stored": CLAIMS + 2}
LONG = os.environ.get("CRASH") == "long"
ACROSS_PRUNING = HOLDING if LONG else ["version-due", "version-stored"]
ACROSS_A_LEASE = HOLDING if LONG else ["object-checked"]
LEASE_SECONDS = 2
LEASE = {"CIO2PARQUET_LEASE_SECONDS": str(LEASE_SECONDS)}


@pytest.fixture(scope="module")
def bedroom(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Bedroom]]:
    """The bedroom in which a step is passed."""
    made: dict[str, Bedroom] = {}

    def make(step: str) -> Bedroom:
        name = SPILLED if step == "run-spilled" else FULL_LATER
        if name not in made:
            made[name] = furnish(name, binary, tmp_path_factory.mktemp("scenario"))
        return made[name]

    yield make
    for room in made.values():
        room.close()


Bedrooms = Callable[[str], Bedroom]


def test_every_step_is_slept_at(binary: Path) -> None:
    """A step that is new is given a place here."""
    assert sorted(steps(binary)) == sorted([*BEFORE_ITS_CLAIM, *HOLDING, *GIVEN_BACK, *IN_BUCKETS])


@pytest.mark.parametrize("step", HOLDING)
def test_who_sleeps_through_a_take_over_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """Wherever it slept while it held its tables."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {}, AT.get(step, 1))
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(HELD)


@pytest.mark.parametrize("step", GIVEN_BACK)
def test_who_sleeps_after_giving_back_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """It lost what it held still, if anything; what it had finished is finished."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {}, AT.get(step, 1))
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(COMPLETE, GAPS, HELD)


@pytest.mark.parametrize("step", BEFORE_ITS_CLAIM)
def test_who_sleeps_before_its_claim_goes_on(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """It looks again, sees what the other has done, and may write; every row stays right."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {}, AT.get(step, 1))
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes(COMPLETE, GAPS)


@pytest.mark.parametrize("step", ACROSS_PRUNING)
def test_pruned_versions_do_not_let_a_sleeper_win(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """The number that it would take next is free again, and it does not stay taken.

    Versions are pruned after a week, which is longer than a lease: where they are made old, the lease is made short.
    """
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", LEASE, AT.get(step, 1))
    lake = sleeper.exporter.lake
    slept = {table: version_files(lake, table)[-1] for table in tables_of(lake)}
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    add_old_versions(lake, *slept)
    sleeper.exporter.run().expect(COMPLETE, GAPS)
    oldest = {table: version_files(lake, table)[0] for table in slept}
    assert all(oldest[table] > newest for table, newest in slept.items()), "nothing was pruned"
    time.sleep(LEASE_SECONDS)
    sleeper.wakes_too_late(HELD)


@pytest.mark.parametrize("step", ACROSS_A_LEASE)
def test_who_sleeps_through_its_lease_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """Nobody asks for `--take-over`: the claim is past its time."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", LEASE, AT.get(step, 1))
    sleeper.exporter.run().expect(HELD)
    time.sleep(LEASE_SECONDS)
    sleeper.exporter.run().expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(HELD)
