"""A sandbox, exports from it, and what they cost: processes only, nothing here knows the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

BINARY = os.environ["BIN"]
DETAILS = "transactional_message_details"
ACTIVITIES = "activities"
NOW = "2026-11-20T12:00:00Z"


class Sandbox:
    """A simulated workspace as a process of its own."""

    def __init__(self, **settings: Any) -> None:
        """Start one; `settings` are the command's flags."""
        flags = [f"--{name}={value}" for name, value in ({"rate": 0, "now": NOW} | settings).items()]
        command = [BINARY, "sandbox", "--port=0", *flags]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout
        said = [self._process.stdout.readline() for _ in range(2)]
        self.url, self.token = (line.strip().split("=", 1)[1].strip("'\"") for line in said)

    def __enter__(self) -> Self:
        """Serve for as long as the block lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> bytes:
        """The answer to one request, as it came over the wire."""
        data = None if body is None else json.dumps(body).encode()
        headers |= {"Authorization": f"Bearer {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as answer:
            content: bytes = answer.read()
        return content

    def forget(self) -> None:
        """Count requests from zero."""
        self.ask("/_sandbox/requests", method="DELETE")

    def requests(self) -> dict[str, Any]:
        """What was asked for since."""
        seen: dict[str, Any] = json.loads(self.ask("/_sandbox/requests"))
        return seen

    def capture(self, path: Path, stream: str) -> None:
        """Write down the answers to what the last export asked for `stream`: the very same pages, still packed."""
        shape = re.compile(r"/v1/transactional/(\d+)/messages" if stream == DETAILS else r"/v1/activities()")
        with path.open("wb") as out:
            for request in self.requests()["log"]:
                found = shape.fullmatch(request["path"])
                # The first request only finds out whether the stream may be read.
                if found and "limit=1" not in request["query"].split("&"):
                    query = f"?{request['query']}" if request["query"] else ""
                    body = self.ask(request["path"] + query, **{"Accept-Encoding": "gzip"})
                    for number in (int(found[1] or -1), len(body)):
                        out.write(number.to_bytes(8, "little", signed=True))
                    out.write(body)


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    seconds: float
    cpu: float
    peak_mib: float
    output: str

    @property
    def stream(self) -> dict[str, Any]:
        """What the report of an export says about its only stream."""
        stream: dict[str, Any] = json.loads(self.output)["streams"][-1]
        return stream


def run(command: list[str], **environment: str) -> Cost:
    """Run a process to its end."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}\n{errors.read()}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.read())


def export(sandbox: Sandbox, lake: Path, stream: str, *flags: str, now: str = NOW, rate: float = 0) -> Cost:
    """Export one stream."""
    command = [BINARY, "export", stream, f"--to={lake}", f"--api-url={sandbox.url}", f"--rate={rate}", f"--now={now}"]
    return run([*command, "--report=json", *flags], CIO_TOKEN=sandbox.token)
