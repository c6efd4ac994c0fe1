"""A run that slept through its claim writes nothing any more, wherever it fell asleep.

It is put to sleep at a named step, another run takes its tables over and completes a day later, and then it is woken.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exporter import COMPLETE, GAPS, HELD, Exporter, Outcome
from manifest import tables_of, version_files
from sandbox import Sandbox
from scenarios import FULL_LATER, ODD, SETTINGS, SPILLED, Scenario, add_old_versions, left_in_staging, prepare
from served import assert_no_wrong_row, assert_objects_only, observed
from strikes import AtStep, Strike, asleep, steps, struck, wake

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
DEAD: dict[str, Strike] = {"run-evicted": AtStep("page-read"), "partition-adopted": AtStep("object-published")}
"""What must have happened to another run for a step to be passed."""
LONG = os.environ.get("CRASH") == "long"
ACROSS_PRUNING = HOLDING if LONG else ["version-due", "version-stored"]
ACROSS_A_LEASE = HOLDING if LONG else ["object-checked"]
LEASE_SECONDS = 2
LEASE = {"CIO2PARQUET_LEASE_SECONDS": str(LEASE_SECONDS)}

Snapshot = dict[str, bytes]


@dataclass
class Bedroom:
    """A scenario in which runs fall asleep, today and tomorrow."""

    scenario: Scenario
    sandbox: Sandbox
    today: datetime
    sleepers: list[subprocess.Popen[str]] = field(default_factory=list)

    def fall_asleep(self, step: str, lake: Path, environment: dict[str, str]) -> Sleeper:
        """A run that sleeps at the step; its clock is of today, and from then on it is tomorrow."""
        exporter = self.scenario.begin(lake)
        exporter = replace(exporter, environment=exporter.environment | environment)
        self.sandbox.set_clock(self.today)
        if step in DEAD:
            struck(exporter, DEAD[step])
        process = asleep(exporter, AtStep(step, AT.get(step, 1)))
        assert process is not None, f"the run ended without passing {step}"
        self.sleepers.append(process)
        self.sandbox.set_clock(self.today + timedelta(days=1))
        return Sleeper(self.scenario, exporter, process)

    def close(self) -> None:
        """End whoever sleeps still."""
        for process in self.sleepers:
            process.kill()
        self.sandbox.stop()


@dataclass(frozen=True)
class Sleeper:
    """A run that sleeps, and the command that it is."""

    scenario: Scenario
    exporter: Exporter
    process: subprocess.Popen[str]

    def wakes(self, *codes: int) -> Outcome:
        """Wake it: it ends so, leaves nothing behind, and every row is right."""
        lake = self.exporter.lake
        outcome = wake(self.process).expect(*codes)
        assert_objects_only(lake)
        assert_no_wrong_row(self.scenario.forms, lake)
        assert not left_in_staging(lake)
        return outcome

    def wakes_too_late(self, *codes: int) -> None:
        """Wake it: it ends so, and no byte of a table or of its manifest is another."""
        before = snapshot(self.exporter.lake)
        outcome = self.wakes(*codes)
        assert_says_so(outcome)
        after = snapshot(self.exporter.lake)
        changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        assert not changed, f"changed by a run that had lost: {sorted(changed)}"


def snapshot(lake: Path) -> Snapshot:
    """Every object of the tables and the manifest; a `#` stands in the names of files that are not linked to their place yet."""
    files = (path.relative_to(lake) for path in lake.rglob("*") if path.is_file() and "#" not in path.name)
    return {str(path): (lake / path).read_bytes() for path in files if path.parts[0] not in {"_rejected", "_staging"}}


def assert_says_so(outcome: Outcome) -> None:
    """Who lost a table says that it was taken, and not that something failed."""
    if outcome.code == HELD:
        ended = {stream["status"] for stream in outcome.report["streams"]}
        assert "held" in ended, outcome.stdout
        assert "failed" not in ended, outcome.stdout


@pytest.fixture(scope="module")
def bedroom(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Bedroom]]:
    """The bedroom in which a step is passed."""
    made: dict[str, Bedroom] = {}

    def make(step: str) -> Bedroom:
        name = SPILLED if step == "run-spilled" else FULL_LATER
        if name not in made:
            sandbox = Sandbox(binary, behaviour=ODD, **SETTINGS[name].workspace)
            scenario = prepare(name, binary, sandbox, tmp_path_factory.mktemp("scenario"))
            made[name] = Bedroom(scenario, sandbox, sandbox.now)
            sandbox.advance("1d")
            observed(sandbox, scenario.forms)
        return made[name]

    yield make
    for room in made.values():
        room.close()


Bedrooms = Callable[[str], Bedroom]


def test_every_step_is_slept_at(binary: Path) -> None:
    """A step that is new is given a place here."""
    assert sorted(steps(binary)) == sorted([*BEFORE_ITS_CLAIM, *HOLDING, *GIVEN_BACK])


@pytest.mark.parametrize("step", HOLDING)
def test_who_sleeps_through_a_take_over_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """Wherever it slept while it held its tables."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {})
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(HELD)


@pytest.mark.parametrize("step", GIVEN_BACK)
def test_who_sleeps_after_giving_back_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """It lost what it held still, if anything; what it had finished is finished."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {})
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(COMPLETE, GAPS, HELD)


@pytest.mark.parametrize("step", BEFORE_ITS_CLAIM)
def test_who_sleeps_before_its_claim_goes_on(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """It looks again, sees what the other has done, and may write; every row stays right."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {})
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    sleeper.wakes(COMPLETE, GAPS)


@pytest.mark.parametrize("step", ACROSS_PRUNING)
def test_pruned_versions_do_not_let_a_sleeper_win(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """The number that it would take next is free again, and it does not stay taken."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", {})
    lake = sleeper.exporter.lake
    slept = {table: version_files(lake, table)[-1] for table in tables_of(lake)}
    sleeper.exporter.run("--take-over").expect(COMPLETE, GAPS)
    add_old_versions(lake, *slept)
    sleeper.exporter.run().expect(COMPLETE, GAPS)
    oldest = {table: version_files(lake, table)[0] for table in slept}
    assert all(oldest[table] > newest for table, newest in slept.items()), "nothing was pruned"
    sleeper.wakes_too_late(HELD)


@pytest.mark.parametrize("step", ACROSS_A_LEASE)
def test_who_sleeps_through_its_lease_changes_nothing(step: str, bedroom: Bedrooms, tmp_path: Path) -> None:
    """Nobody asks for `--take-over`: the claim is past its time."""
    sleeper = bedroom(step).fall_asleep(step, tmp_path / "lake", LEASE)
    sleeper.exporter.run().expect(HELD)
    time.sleep(LEASE_SECONDS)
    sleeper.exporter.run().expect(COMPLETE, GAPS)
    sleeper.wakes_too_late(HELD)
