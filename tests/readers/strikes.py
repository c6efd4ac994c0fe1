"""Where a run can be struck: at the steps that the binary itself names, or at an instant."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from exporter import RUN_TIMEOUT, Exporter, Outcome, run

VARIABLE = "CIO2PARQUET_CRASH"
KILLED = -signal.SIGKILL
IN_BUCKETS = ("upload-begun", "upload-sent")
"""Steps that only a lake in a bucket has, and only where an object goes in parts."""
ON_DISK = ("object-parked", "version-pruned")
"""Steps that only a lake on a disk has: an object is moved aside, a file can be made older than it is."""


@dataclass(frozen=True)
class AtStep:
    """Strike when a step is passed for the `at`-th time: end the process, or put it to sleep."""

    step: str
    at: int = 1
    how: str = "kill"

    def __str__(self) -> str:
        """As the variable is written."""
        return f"{self.step}:{self.at}={self.how}"


@dataclass(frozen=True)
class AtInstant:
    """kill -9 after so many seconds."""

    seconds: float

    def __str__(self) -> str:
        """For a person."""
        return f"after {self.seconds:.3f} s"


Strike = AtStep | AtInstant


def steps(binary: Path) -> list[str]:
    """The name of every step, in the order of a run."""
    told = run(binary, "export", "--to", "nowhere", **{VARIABLE: "?"}).expect(2).stderr
    found = re.search(r"with a step of: ([a-z, -]+)", told)
    assert found, told
    return found[1].split(", ")


def armed(exporter: Exporter, strike: AtStep) -> Exporter:
    """The same command, that will be struck."""
    return replace(exporter, environment=exporter.environment | {VARIABLE: str(strike)})


def struck(exporter: Exporter, strike: Strike) -> Outcome:
    """Run until it is struck, or to its end if that comes first."""
    if isinstance(strike, AtStep):
        process = armed(exporter, strike).start()
    else:
        process = exporter.start()
        time.sleep(strike.seconds)
        process.send_signal(signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)


def asleep(exporter: Exporter, strike: AtStep, *arguments: str) -> subprocess.Popen[str] | None:
    """Start a run that falls asleep at a step; nothing if it comes to its end without passing it."""
    process = armed(exporter, replace(strike, how="stop")).start(*arguments)
    patience = time.monotonic() + RUN_TIMEOUT
    while process.poll() is None:
        if state_of(process) == "T":
            return process
        assert time.monotonic() < patience, f"neither asleep nor at its end: {strike}"
        time.sleep(0.003)
    process.communicate()
    return None


def state_of(process: subprocess.Popen[str]) -> str:
    """The state of a process as `/proc` tells it: `T` is asleep."""
    try:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def wake(process: subprocess.Popen[str]) -> Outcome:
    """Let a sleeper go on to its end."""
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)
