"""Who may write: of two runs one, of a dead run's heirs one, and nobody while a slow run renews its claim."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter import COMPLETE, HELD, Exporter
from lake import data_files
from manifest import add_version, newest, tables_of, version_files
from races import PAIRS, Names, ended, race
from sandbox import METRICS, Sandbox, instant
from scenarios import SMALL
from strikes import KILLED, AtStep, struck

ROUNDS = 20 if os.environ.get("CRASH") == "long" else 2
"""Of each pair."""
LEASE_SECONDS = 2
LEASE = {"CIO2PARQUET_LEASE_SECONDS": str(LEASE_SECONDS)}


@pytest.fixture(scope="module")
def sandbox(binary: Path) -> Iterator[Sandbox]:
    """One workspace for all."""
    with Sandbox(binary, **SMALL) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def whole(binary: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that was alone."""
    exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("alone"), ("-q",))
    exporter.run().expect(COMPLETE)
    return data_files(exporter.lake)


@pytest.fixture
def slow(sandbox: Sandbox) -> Iterator[Callable[[int], None]]:
    """Make every answer take so many milliseconds, until the end of the test."""

    def behave(latency: int) -> None:
        sandbox.behave(latency_ms=latency)

    yield behave
    sandbox.behave(latency_ms=0)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " vs ".join("+".join(names) for names in pair))
def test_of_two_started_at_once_one_wins(
    pair: tuple[Names, Names],
    binary: Path,
    sandbox: Sandbox,
    whole: dict[str, bytes],
    slow: Callable[[int], None],
    tmp_path: Path,
) -> None:
    """The other says who has it, and has touched nothing: it gave back what it had claimed."""
    for number in range(ROUNDS):
        race(Exporter(binary, sandbox, tmp_path / str(number), ("-q",)), pair, whole, slow)


@pytest.fixture
def widowed(binary: Path, sandbox: Sandbox, tmp_path: Path) -> Exporter:
    """A command whose run was killed with every table claimed."""
    exporter = Exporter(binary, sandbox, tmp_path / "lake", ("-q",), LEASE)
    assert struck(exporter, AtStep("object-published", 3)).code == KILLED
    return exporter


def move_elsewhere(lake: Path, **other: str) -> None:
    """Let the dead run's claims, with two seconds left, and its folder be those of another machine or another boot."""
    until = instant(datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS))
    for table in tables_of(lake):
        claim = newest(lake, table)["state"]["claim"]
        if claim is not None:
            add_version(lake, table, claim=claim | {"owner": claim["owner"] | other, "until": until})
    for path in (lake / "_staging").glob("*/owner.json"):
        path.write_text(json.dumps(json.loads(path.read_bytes()) | other))


def assert_inherited(exporter: Exporter, whole: dict[str, bytes]) -> None:
    """Everything is there, and nothing of the dead run is left."""
    assert data_files(exporter.lake) == whole
    assert not exporter.left()


def test_the_dead_of_this_machine_are_not_waited_for(widowed: Exporter, whole: dict[str, bytes]) -> None:
    """The claim stands for ten minutes more, but its process is gone."""
    replace(widowed, environment={}).run().expect(COMPLETE)
    assert_inherited(widowed, whole)


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"boot": "before"}], ids=["host", "boot"])
def test_the_dead_of_elsewhere_are_waited_for(
    other: dict[str, str], widowed: Exporter, whole: dict[str, bytes]
) -> None:
    """Nobody can tell whether they live, so their claim holds until its time."""
    move_elsewhere(widowed.lake, **other)
    before = data_files(widowed.lake)
    outcome = widowed.run().expect(HELD)
    assert "--take-over" in outcome.stderr
    assert data_files(widowed.lake) == before
    time.sleep(LEASE_SECONDS)
    widowed.run().expect(COMPLETE)
    assert_inherited(widowed, whole)


def test_the_dead_of_elsewhere_need_not_be_waited_for(widowed: Exporter, whole: dict[str, bytes]) -> None:
    """Who knows better says so."""
    move_elsewhere(widowed.lake, host="elsewhere")
    widowed.run("--take-over").expect(COMPLETE)
    assert_inherited(widowed, whole)


def test_a_slow_run_keeps_its_claim(
    binary: Path, sandbox: Sandbox, whole: dict[str, bytes], slow: Callable[[int], None], tmp_path: Path
) -> None:
    """It renews it at half time, whether or not anything was committed."""
    exporter = Exporter(binary, sandbox, tmp_path / "lake", ("-q",), LEASE)
    slow(1_200)
    first = exporter.start(METRICS, "--concurrency", "1")
    while not tables_of(exporter.lake):
        assert first.poll() is None
        time.sleep(0.01)
    claimed = time.monotonic()
    while time.monotonic() - claimed < 1.5 * LEASE_SECONDS:
        exporter.run(METRICS).expect(HELD)
    assert first.poll() is None, "it was not slow enough"
    assert len(version_files(exporter.lake, METRICS)) >= 3, "it never renewed its claim"
    slow(0)
    ended(first).expect(COMPLETE)
    exporter.run().expect(COMPLETE)
    assert data_files(exporter.lake) == whole
