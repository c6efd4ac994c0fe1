"""Who may write: of two runs one, of a dead run's heirs one, and nobody while a slow run renews its claim."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter import COMPLETE, HELD, RUN_TIMEOUT, Exporter, Outcome
from lake import data_files, tables
from manifest import add_version, newest, tables_of, version_files
from sandbox import ACTIVITIES, CUSTOMERS, MESSAGES, METRICS, STREAMS, Sandbox, instant
from scenarios import SMALL, left_in_staging
from strikes import KILLED, AtStep, asleep, struck

Names = tuple[str, ...]
ROUNDS = 20 if os.environ.get("CRASH") == "long" else 2
"""Of each pair."""
PAIRS: tuple[tuple[Names, Names], ...] = (
    (STREAMS, STREAMS),
    ((ACTIVITIES, CUSTOMERS), (CUSTOMERS, MESSAGES)),
    ((CUSTOMERS, MESSAGES), (MESSAGES, ACTIVITIES)),
    ((CUSTOMERS,), STREAMS),
    ((MESSAGES, CUSTOMERS), (CUSTOMERS, MESSAGES)),
)
LATENCY = 500
"""Milliseconds: whoever comes second comes while the first one reads."""
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


def of_streams(files: dict[str, bytes], streams: Names) -> dict[str, bytes]:
    """Those of some tables."""
    return {path: content for path, content in files.items() if path.split("/")[0] in streams}


def ended(process: subprocess.Popen[str]) -> Outcome:
    """A started run at its end."""
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)


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
        exporter = Exporter(binary, sandbox, tmp_path / str(number), ("-q",))
        slow(0)
        ready = [asleep(exporter, AtStep("staging-opened"), *names) for names in pair]
        runs = [process for process in ready if process is not None]
        slow(LATENCY)
        for process in runs:
            process.send_signal(signal.SIGCONT)
        while all(process.poll() is None for process in runs):
            time.sleep(0.003)
        slow(0)
        outcomes = [ended(process) for process in runs]
        assert sorted(outcome.code for outcome in outcomes) == [COMPLETE, HELD], [one.stderr for one in outcomes]
        won = outcomes[0].code == COMPLETE
        winner, loser = outcomes if won else outcomes[::-1]
        mine, theirs = pair if won else pair[::-1]
        assert_told(loser, winner, theirs)
        lake = exporter.lake
        assert data_files(lake) == of_streams(whole, mine)
        assert tables(lake) == set(mine)
        for table in set(tables_of(lake)) - set(mine):
            state = newest(lake, table)["state"]
            assert (state["claim"], state["partitions"], state["mark"], state["runs"]) == (None, {}, None, [])
        assert not left_in_staging(lake)
        exporter.run().expect(COMPLETE)
        assert data_files(lake) == whole


def assert_told(loser: Outcome, winner: Outcome, names: Names) -> None:
    """The report of who lost: one table is held, and the others were not begun."""
    report = loser.report
    assert report["exit_code"] == HELD
    assert winner.report["run"] in report["error"]
    assert winner.report["run"] in loser.stderr
    statuses = [stream["status"] for stream in report["streams"]]
    assert sorted(statuses) == ["held"] + ["stopped"] * (len(names) - 1)
    assert not any(stream["rows"]["fetched"] or stream["committed"] for stream in report["streams"])


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
    assert not left_in_staging(exporter.lake)


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
