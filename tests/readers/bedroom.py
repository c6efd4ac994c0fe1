"""Runs that fall asleep at a step, and what is looked at when they wake too late."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from buckets import BucketExporter
from exporter import COMPLETE, GAPS, HELD, Exporter, Outcome
from sandbox import Sandbox
from scenarios import SETTINGS, Scenario, prepare
from served import assert_no_wrong_row, assert_objects_only, observed
from strikes import AtStep, Strike, asleep, struck, wake

DEAD: dict[str, Strike] = {"run-evicted": AtStep("page-read"), "partition-adopted": AtStep("object-published")}
"""What must have happened to another run for a step to be passed."""

Snapshot = dict[str, bytes]


def furnish(
    name: str,
    binary: Path,
    folder: Path,
    make: Callable[..., Exporter] = Exporter,
    environment: dict[str, str] | None = None,
) -> Bedroom:
    """A scenario by its name, and the workspace of tomorrow."""
    sandbox = SETTINGS[name].sandbox(binary)
    scenario = prepare(name, binary, sandbox, folder, make, environment)
    room = Bedroom(scenario, sandbox, sandbox.now)
    sandbox.advance("1d")
    observed(sandbox, scenario.forms)
    return room


@dataclass
class Bedroom:
    """A scenario in which runs fall asleep, today and tomorrow."""

    scenario: Scenario
    sandbox: Sandbox
    today: datetime
    sleepers: list[subprocess.Popen[str]] = field(default_factory=list)

    def fall_asleep(self, step: str, lake: Path, environment: dict[str, str], at: int = 1) -> Sleeper:
        """A run that sleeps at the step, the `at`-th time; its clock is of today, and from then on it is tomorrow."""
        exporter = self.scenario.begin(lake)
        exporter = replace(exporter, environment=exporter.environment | environment)
        self.sandbox.set_clock(self.today)
        if step in DEAD:
            struck(exporter, DEAD[step])
        process = asleep(exporter, AtStep(step, at))
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
        outcome = wake(self.process).expect(*codes)
        lake = self.exporter.fetch()
        assert_objects_only(lake)
        assert_no_wrong_row(self.scenario.forms, lake)
        assert not self.exporter.left()
        return outcome

    def wakes_too_late(self, *codes: int) -> None:
        """Wake it: it ends so, and no byte of a table or of its manifest is another."""
        before = snapshot(self.exporter.fetch())
        outcome = self.wakes(*codes)
        assert_says_so(outcome)
        after = snapshot(self.exporter.fetch())
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        if changed and isinstance(self.exporter, BucketExporter):
            self._heals(changed, before)
        else:
            assert not changed, f"changed by a run that had lost: {sorted(changed)}"

    def _heals(self, changed: set[str], before: Snapshot) -> None:
        """A request that was on its way when the run fell asleep can still arrive.

        Its condition keeps it from replacing anything. What it creates where the other run had removed something is in
        no manifest, and the next run takes it away.
        """
        assert not changed & before.keys(), f"changed by a run that had lost: {sorted(changed)}"
        assert not any(path.startswith("_") for path in changed), f"entered by a run that had lost: {sorted(changed)}"
        print(f"arrived late: {sorted(changed)}")
        self.exporter.run().expect(COMPLETE, GAPS)
        healed = snapshot(self.exporter.fetch())
        surplus = [path for path in changed if path in healed]
        assert not surplus, f"not taken away by the next run: {surplus}"


def snapshot(lake: Path) -> Snapshot:
    """Every object of the tables and of the manifest; a file with a `#` in its name is not in its place yet."""
    files = (path.relative_to(lake) for path in lake.rglob("*") if path.is_file() and "#" not in path.name)
    return {str(path): (lake / path).read_bytes() for path in files if path.parts[0] not in {"_rejected", "_staging"}}


def assert_says_so(outcome: Outcome) -> None:
    """Who lost a table says that it was taken, and not that something failed."""
    if outcome.code == HELD:
        ended = {stream["status"] for stream in outcome.report["streams"]}
        assert "held" in ended, outcome.stdout
        assert "failed" not in ended, outcome.stdout
