"""A run stopped or killed at any moment leaves no wrong row, and the same command finishes with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from compare import assert_same, by_key
from expected import ACTIVITIES_LOOKBACK, SETTLING, Truth, observe
from exporter import COMPLETE, HELD, INTERRUPTED, RUN_TIMEOUT, Exporter, Outcome
from lake import data_files, read_duckdb
from sandbox import ACTIVITIES, DETAILS, STREAMS, Row, Sandbox
from served import Forms, assert_no_wrong_row, observed

KILLS = int(os.environ.get("KILLS", "6"))
"""In each of the six scenarios; `KILLS=100` for a long night."""
MOST_ATTEMPTS = 10 * KILLS
WORKSPACE: dict[str, Any] = {
    "deliveries": 3_000,
    "activities": 2_500,
    "people": 2_500,
    "messages": 9,
    "days": 120,
    "latency": 4,
}
COMMIT_OFTEN = {"CIO2PARQUET_COMMIT_SECONDS": "0"}
SIGNALS = {signal.SIGKILL: {-signal.SIGKILL}, signal.SIGINT: {INTERRUPTED, -signal.SIGINT}}
"""How a stopped process ends. A signal in the first milliseconds, before anybody listens, is 130 to a shell as well."""


@dataclass
class Scenario:
    """A command that is going to be stopped, the lake it begins with, and the one it should end with."""

    exporter: Exporter
    before: Path | None
    whole: dict[str, bytes]
    seconds: float
    allowed: Forms

    def begin(self, folder: Path) -> Exporter:
        """The command into a lake of its own."""
        if self.before is not None:
            shutil.copytree(self.before, folder)
        return Exporter(self.exporter.binary, self.exporter.sandbox, folder, self.exporter.flags, COMMIT_OFTEN)


SCENARIOS = {
    "first": (None, ()),
    "incremental": ("1d", ()),
    "full-table": ("10d", ("--sync", "full-table")),
}


@pytest.fixture(scope="module", params=SCENARIOS)
def scenario(
    request: pytest.FixtureRequest, binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scenario]:
    """Run once without a break, to know how long it takes and what comes of it."""
    span, flags = SCENARIOS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with Sandbox(binary, **WORKSPACE) as sandbox:
        allowed = observed(sandbox)
        before = None
        if span:
            before = folder / "before"
            Exporter(binary, sandbox, before).run("-q").expect(COMPLETE)
            sandbox.advance(span)
            allowed = observed(sandbox, allowed)
        exporter = Exporter(binary, sandbox, folder / "whole", (*flags, "-q"), COMMIT_OFTEN)
        if before:
            shutil.copytree(before, exporter.lake)
        started = time.monotonic()
        exporter.run().expect(COMPLETE)
        seconds = time.monotonic() - started
        yield Scenario(exporter, before, data_files(exporter.lake), seconds, allowed)


def stop_after(process: Any, seconds: float, how: signal.Signals) -> Outcome | None:
    """Stop a run after so long; nothing if it had ended before."""
    time.sleep(seconds)
    if process.poll() is not None:
        stdout, stderr = process.communicate()
        return Outcome(process.returncode, stdout, stderr).expect(COMPLETE) and None
    process.send_signal(how)
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)


@pytest.mark.parametrize("how", SIGNALS, ids=["kill", "interrupt"])
def test_stopped_again_and_again(scenario: Scenario, how: signal.Signals, tmp_path: Path) -> None:
    """Stop the same command at random moments until it has been stopped often enough, then let it finish."""
    chance = random.Random(f"{how.name} {scenario.exporter.flags}")
    stopped = 0
    fresh = 0
    exporter = scenario.begin(tmp_path / "0")
    for _ in range(MOST_ATTEMPTS):
        outcome = stop_after(exporter.start(), chance.uniform(0.0, scenario.seconds), how)
        if outcome is None or outcome.code == COMPLETE:
            fresh += 1
            assert_finished(scenario, exporter)
            exporter = scenario.begin(tmp_path / str(fresh))
            continue
        assert outcome.code in SIGNALS[how], f"exit code {outcome.code}\n{outcome.stderr}"
        stopped += 1
        assert_no_wrong_row(scenario.allowed, exporter.lake)
        if stopped == KILLS:
            break
    assert stopped == KILLS, "the command is too quick to be stopped"
    exporter.run().expect(COMPLETE)
    assert_finished(scenario, exporter)


def assert_finished(scenario: Scenario, exporter: Exporter) -> None:
    """The lake of a run that was broken off equals that of one that was not."""
    now, whole = data_files(exporter.lake), scenario.whole
    assert now.keys() == whole.keys()
    different = [path for path in whole if now[path] != whole[path]]
    assert not different, f"{len(different)} of {len(whole)} files differ, e.g. {different[:5]}"
    assert not list((exporter.lake / "_staging").rglob("*.parquet"))


def test_a_reader_during_a_run_sees_every_key_once(scenario: Scenario, tmp_path: Path) -> None:
    """As often as it looks: each row as it was, or as it is now.

    DuckDB opens a file more than once in a query, so a query that overlaps the replacement of a file may fail. It says
    so, never with a wrong row, and succeeds when repeated.
    """
    exporter = scenario.begin(tmp_path / "lake")
    process = exporter.start()
    looks = failures = 0
    while process.poll() is None:
        if not exporter.lake.is_dir():
            continue
        try:
            assert_no_wrong_row(scenario.allowed, exporter.lake)
            looks += 1
        except duckdb.Error:
            failures += 1
    stdout, stderr = process.communicate()
    Outcome(process.returncode, stdout, stderr).expect(COMPLETE)
    assert_no_wrong_row(scenario.allowed, exporter.lake)
    assert looks + failures > 0, "nobody looked while the run went on"
    assert_finished(scenario, exporter)


@pytest.mark.parametrize("how", SIGNALS, ids=["kill", "interrupt"])
@pytest.mark.parametrize("sync", ["incremental", "full-table"])
def test_stopped_and_gone_on_with_two_days_later(binary: Path, sync: str, how: signal.Signals, tmp_path: Path) -> None:
    """What was read is not lost, and what happened meanwhile is not missed.

    The lookback counts from the beginning of the scan that was broken off, so a row that arrived meanwhile, dated into
    what had been read by then, is found by the run after.
    """
    chance = random.Random(f"{how.name} {sync}")
    with Sandbox(binary, **WORKSPACE) as sandbox:
        exporter = Exporter(binary, sandbox, tmp_path / "lake", ("--sync", sync, "-q"), COMMIT_OFTEN)
        before = observe(sandbox)
        for _ in range(3):
            stop_after(exporter.start(), chance.uniform(0.1, 0.9), how)
        sandbox.advance("49h")
        after = observe(sandbox)
        for _ in range(2):
            exporter.run().expect(COMPLETE)
    for stream in STREAMS:
        old, new = before.rows[stream], after.rows[stream]
        wanted = {key for key, row in new.items() if key in old or is_promised(stream, row, sync, before, after)}
        read = by_key(stream, read_duckdb(exporter.lake / stream))
        assert wanted <= read.keys(), f"{stream}: {len(wanted - read.keys())} rows are missing"
        assert read.keys() <= old.keys() | new.keys()
        same = {key for key in wanted if key not in old or sync == "full-table"}
        assert_same({key: new[key] for key in same}, {key: read[key] for key in same})


def is_promised(stream: str, row: Row, sync: str, before: Truth, after: Truth) -> bool:
    """Whether a row that came while nobody looked has to be found."""
    if stream == DETAILS:
        return bool(row["created"] < after.now - SETTLING)
    if stream == ACTIVITIES and sync == "incremental":
        return bool(row["timestamp"] >= before.now - ACTIVITIES_LOOKBACK)
    return True


Start = Callable[..., Sandbox]


def slow(start_sandbox: Start) -> Sandbox:
    """A workspace whose answers take their time."""
    return start_sandbox(**WORKSPACE | {"latency": 50})


def wait_for_claims(exporter: Exporter) -> None:
    """Until the run holds every table."""
    patience = time.monotonic() + RUN_TIMEOUT
    while not all(list((exporter.lake / "_manifest" / stream).glob("*.json")) for stream in STREAMS):
        assert time.monotonic() < patience, "the tables were never claimed"
        time.sleep(0.01)


def test_an_interrupted_run_says_so(start_sandbox: Start, exporter: Callable[..., Exporter]) -> None:
    """At once, with a report, and with nothing held."""
    export = exporter(slow(start_sandbox))
    process = export.start("-q")
    wait_for_claims(export)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    assert time.monotonic() - asked < 5
    outcome = Outcome(process.returncode, stdout, stderr).expect(INTERRUPTED)
    assert outcome.report["exit_code"] == INTERRUPTED
    assert "stopped" in {stream["status"] for stream in outcome.report["streams"]}
    export.run("-q").expect(COMPLETE)


def test_a_second_run_is_told_who_holds_the_table(start_sandbox: Start, exporter: Callable[..., Exporter]) -> None:
    """It touches nothing, names the run that holds the table, and that one ends as if alone."""
    sandbox = slow(start_sandbox)
    export = exporter(sandbox)
    first = export.start("-q")
    wait_for_claims(export)
    sandbox.behave(latency_ms=1_000)
    second = export.run("-q").expect(HELD)
    sandbox.behave(latency_ms=0)
    stdout, stderr = first.communicate(timeout=RUN_TIMEOUT)
    report = Outcome(first.returncode, stdout, stderr).expect(COMPLETE).report
    assert report["run"] in second.stderr
    assert "activities" in second.stderr
