"""A disk that fills up or turns read-only in the middle of a run: the run says so, the lake is right, and the same
command goes on once that is mended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter import COMPLETE, GAPS, STORAGE, Exporter, Outcome
from lake import data_files
from manifest import assert_readable, promised
from sandbox import DETAILS, Sandbox
from scenarios import FIRST, FULL_LATER, SETTINGS, SPILLED, Scenario, prepare, rejected_rows
from served import assert_no_wrong_row, assert_objects_only
from strikes import AtStep, asleep, wake

LONG = os.environ.get("CRASH") == "long"
FILLING = (
    [(name, step / 40) for name in (FIRST, FULL_LATER, SPILLED) for step in range(1, 40)]
    if LONG
    else [(FIRST, 0.1), (FULL_LATER, 0.5), (SPILLED, 0.9)]
)
"""How much of what a run needs there is."""
BLOCK = 4096
AMPLE = "1g"
FULL = "the disk is full, free some space and give the same command again"
READ_ONLY = "the file system is read-only"

Scenarios = Callable[[str], Scenario]


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        """Mount it, with ample room."""
        folder.mkdir()
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    def change(self, option: str) -> None:
        """Mount it again with another option."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)

    def used(self) -> int:
        """Bytes that are not free."""
        return shutil.disk_usage(self.folder).used

    def close(self) -> None:
        """Take it away with all that is on it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Where only root may mount, only root can test."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def scenario(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenarios]:
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


def assert_right(scenario: Scenario, lake: Path) -> None:
    """Nothing is wrong, whatever is missing."""
    assert_objects_only(lake)
    assert_readable(lake)
    assert_no_wrong_row(scenario.forms, lake)


def assert_failed(outcome: Outcome, why: str) -> None:
    """It says why, and nothing else went wrong; 6, unless another stream was committed."""
    failed = [stream for stream in outcome.report["streams"] if stream["status"] == "failed"]
    committed = any(stream["committed"] for stream in outcome.report["streams"])
    assert outcome.code == (GAPS if failed and committed else STORAGE), outcome.stderr
    told = [stream["error"] for stream in failed] or [outcome.report["error"]]
    assert all(why in text for text in told), told
    assert why in outcome.stderr


def assert_goes_on(scenario: Scenario, exporter: Exporter) -> None:
    """The same command ends as if there had always been room."""
    exporter.run().expect(COMPLETE, GAPS)
    lake = exporter.lake
    assert data_files(lake) == scenario.whole
    assert rejected_rows(lake) == scenario.rejected
    assert promised(lake) == scenario.manifest
    assert not exporter.left()


def blocks(folder: Path) -> int:
    """Bytes that the files take, in whole blocks."""
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "part"), FILLING)
def test_a_disk_that_fills_up(name: str, part: float, scenario: Scenarios, disk: Disk) -> None:
    """Freeing some space is all that is needed."""
    chosen = scenario(name)
    exporter = chosen.begin(disk.folder / "lake")
    needed = blocks(chosen.exporter.lake) - blocks(exporter.lake)
    disk.change(f"size={disk.used() + int(needed * part)}")
    assert_failed(exporter.run(), FULL)
    assert_right(chosen, exporter.lake)
    disk.change(f"size={AMPLE}")
    assert_goes_on(chosen, exporter)


def test_a_disk_that_can_only_be_read(scenario: Scenarios, disk: Disk) -> None:
    """It is found out before anything is asked for."""
    chosen = scenario(FULL_LATER)
    exporter = chosen.begin(disk.folder / "lake")
    disk.change("ro")
    outcome = exporter.run().expect(STORAGE)
    assert READ_ONLY in outcome.stderr
    assert_right(chosen, exporter.lake)
    disk.change("rw")
    assert_goes_on(chosen, exporter)


@pytest.mark.parametrize("step", ["page-read", "version-due"])
def test_a_disk_that_can_only_be_read_from_now_on(step: str, scenario: Scenarios, disk: Disk) -> None:
    """As a kernel does it with a disk that has errors."""
    chosen = scenario(FULL_LATER)
    exporter = chosen.begin(disk.folder / "lake")
    process = asleep(exporter, AtStep(step, 2 if step == "version-due" else 1), DETAILS)
    assert process is not None
    disk.change("ro")
    assert_failed(wake(process), READ_ONLY)
    assert_right(chosen, exporter.lake)
    disk.change("rw")
    assert_goes_on(chosen, exporter)
