"""Who may write in a bucket: of two runs one, and nobody who slept through a take-over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bedroom import Bedroom, furnish
from buckets import BucketExporter
from exporter import COMPLETE, GAPS, HELD, Exporter
from lake import data_files
from races import PAIRS, Names, race
from sandbox import Sandbox
from scenarios import FULL_LATER, IN_PARTS, SMALL, SPILLED
from servers import STORES, Server
from strikes import IN_BUCKETS, ON_DISK, steps

LONG = os.environ.get("CRASH") == "long"
RACES: list[tuple[str, tuple[Names, Names], int]] = (
    [(store, pair, 4 if store == "s3" else 2) for store in STORES for pair in PAIRS]
    if LONG
    else [(store, PAIRS[1], 1) for store in STORES]
)
"""Where, between whom, and how often."""

BEFORE_ITS_CLAIM = ("staging-opened", "table-seen", "run-evicted")
GIVEN_BACK = ("claims-given-back",)
HOLDING = """partition-adopted page-read row-set-aside page-kept run-spilled rows-sorted partition-found object-staged
object-encoded object-finished object-checked object-published partitions-merged version-due version-stored
removal-listed object-removed""".split()
SLEEPS: list[tuple[str, str]] = (
    [(store, step) for store in STORES for step in (*HOLDING, *IN_BUCKETS)]
    if LONG
    else [("s3", "object-checked"), ("s3", "version-due"), ("s3", "upload-sent"), ("gcs", "object-checked")]
)
NAPS = [(store, step) for store in STORES for step in (*BEFORE_ITS_CLAIM, *GIVEN_BACK)]
CLAIMS = 5
"""A version for each table comes before the first request for rows."""
AT = {"version-due": CLAIMS + 2, "version-stored": CLAIMS + 2}

Bedrooms = Callable[[str, str], Bedroom]
Servers = Callable[[str], Server]


@pytest.fixture(scope="module")
def sandbox(binary: Path) -> Iterator[Sandbox]:
    """One workspace for all races."""
    with Sandbox(binary, **SMALL) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def whole(binary: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that was alone."""
    exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("alone"), ("-q",))
    exporter.run().expect(COMPLETE)
    return data_files(exporter.lake)


@pytest.mark.parametrize(("store", "pair", "rounds"), RACES, ids=lambda one: one if isinstance(one, str) else None)
def test_of_two_started_at_once_one_wins(
    store: str,
    pair: tuple[Names, Names],
    rounds: int,
    binary: Path,
    servers: Servers,
    sandbox: Sandbox,
    whole: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """The other says who has it, and has touched nothing: it gave back what it had claimed."""
    for number in range(rounds):
        exporter = BucketExporter(binary, sandbox, tmp_path / str(number), ("-q",), server=servers(store))
        race(exporter, pair, whole, lambda latency: sandbox.behave(latency_ms=latency) and None)
        exporter.discard()


@pytest.fixture(scope="module")
def bedroom(binary: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bedrooms]:
    """The bedroom of a store in which a step is passed."""
    made: dict[tuple[str, ...], Bedroom] = {}

    def make(store: str, step: str) -> Bedroom:
        name = SPILLED if step == "run-spilled" else FULL_LATER
        how = IN_PARTS if step in IN_BUCKETS else {}
        if (store, name, *how) not in made:
            exporter = partial(BucketExporter, server=servers(store))
            made[store, name, *how] = furnish(name, binary, tmp_path_factory.mktemp("scenario"), exporter, how)
        return made[store, name, *how]

    yield make
    for room in made.values():
        room.close()


def test_every_step_is_slept_at(binary: Path) -> None:
    """A step that is new is given a place here."""
    known = [*BEFORE_ITS_CLAIM, *HOLDING, *GIVEN_BACK, *IN_BUCKETS, *ON_DISK]
    assert sorted(steps(binary)) == sorted(known)


@pytest.mark.parametrize(("store", "step"), SLEEPS)
def test_who_sleeps_through_a_take_over_changes_nothing(
    store: str, step: str, bedroom: Bedrooms, tmp_path: Path
) -> None:
    """Wherever it slept while it held its tables: no byte of a table or of its manifest is another."""
    sleeper = bedroom(store, step).fall_asleep(step, tmp_path / "lake", {}, AT.get(step, 1))
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(HELD)


@pytest.mark.skipif(not LONG, reason="only with CRASH=long")
@pytest.mark.parametrize(("store", "step"), NAPS)
def test_who_sleeps_before_its_claim_or_after_goes_on(store: str, step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """It sees what the other has done; every row stays right."""
    sleeper = bedroom(store, step).fall_asleep(step, tmp_path / "lake", {})
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes(COMPLETE, GAPS, *((HELD,) if step in GIVEN_BACK else ()))
