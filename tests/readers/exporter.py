"""The command under test: run to its end, started to be stopped, and what it says about itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox import Sandbox, instant

RUN_TIMEOUT = 120
COMPLETE, INPUT, KEY, FORBIDDEN, API, STORAGE, HELD, GAPS, INTERRUPTED = 0, 2, 3, 4, 5, 6, 7, 8, 130


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report, alone on stdout."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    def stream(self, name: str) -> dict[str, Any]:
        """What the report says about one stream."""
        streams: list[dict[str, Any]] = self.report["streams"]
        return next(stream for stream in streams if stream["stream"] == name)

    def expect(self, *codes: int) -> Outcome:
        """This outcome, if the exit code is one of `codes`."""
        assert self.code in codes, f"exit code {self.code}, not {codes}\n{self.stderr}\n{self.stdout[:4000]}"
        return self


@dataclass(frozen=True)
class Exporter:
    """`cio2parquet export` from one workspace into one lake."""

    binary: Path
    sandbox: Sandbox
    lake: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def to(self) -> str:
        """Where the lake is, as the command is told."""
        return str(self.lake)

    @property
    def opening(self) -> dict[str, str]:
        """What the command needs in its environment to get in."""
        return {}

    def into(self, lake: Path) -> Exporter:
        """The same command into another lake."""
        return replace(self, lake=lake)

    def begin_with(self, before: Path) -> None:
        """Let the lake, that is not there yet, be a copy of this one."""
        shutil.copytree(before, self.lake)

    def fetch(self) -> Path:
        """The folder in which the lake is as it is now."""
        return self.lake

    def left(self) -> list[str]:
        """What is on its way into the lake, or was left there by the dead."""
        staging = self.lake / "_staging"
        return [path.name for path in staging.iterdir()]

    def discard(self) -> None:
        """Remove the lake."""
        shutil.rmtree(self.lake)

    def run(self, *arguments: str, now: datetime | None = None) -> Outcome:
        """Run to the end."""
        process = self.start(*arguments, now=now)
        try:
            stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(f"no end after {RUN_TIMEOUT} s: {' '.join(arguments)}\n{stderr}") from None
        return Outcome(process.returncode, stdout, stderr)

    def start(self, *arguments: str, now: datetime | None = None) -> subprocess.Popen[str]:
        """Start without waiting; the run's idea of now is the sandbox's clock unless said otherwise."""
        clock = instant(now or self.sandbox.now)
        command = [str(self.binary), "export", "--to", self.to, "--api-url", self.sandbox.url]
        unlimited = [] if "--rate" in self.flags else ["--rate", "0"]
        command += [*unlimited, "--now", clock, "--report", "json", *self.flags, *arguments]
        environment = clean_environment() | {"CIO_TOKEN": self.sandbox.token} | self.opening | self.environment
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(binary: Path, *arguments: str, **environment: str) -> Outcome:
    """Any command with exactly these arguments and no settings from outside."""
    done = subprocess.run(
        [str(binary), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        env=clean_environment() | environment,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    """The environment without settings that the tests' user may have in it."""
    ours = ("CIO_", "CIO2PARQUET_", "AWS_", "AZURE_", "GOOGLE_", "STORAGE_", "RUST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"XDG_CONFIG_HOME": str(Path(__file__).parent / "nowhere")}
