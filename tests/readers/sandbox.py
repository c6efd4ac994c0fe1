"""The simulated workspace as a process: it is what the lake is compared with, so nothing here looks at the lake.

The truth is fetched over the sandbox's control interface in canonical form: times as unix seconds, `data` and `_extra`
as JSON text, structs as objects.
"""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

Row = dict[str, Any]

ACTIVITIES = "activities"
CUSTOMERS = "customers"
MESSAGES = "transactional_messages"
METRICS = "transactional_metrics"
DETAILS = "transactional_message_details"
STREAMS = (ACTIVITIES, CUSTOMERS, MESSAGES, METRICS, DETAILS)
LISTS = (
    "campaigns",
    "broadcasts",
    "newsletters",
    "segments",
    "sender_identities",
    "snippets",
    "collections",
    "subscription_topics",
    "object_types",
    "reporting_webhooks",
    "workspaces",
)
"""The streams that are exported only when they are named."""

TRUTH_QUERY = {METRICS: {"period": "days", "steps": "45"}}
CONTROL_TIMEOUT = 60


class Sandbox:
    """A running `cio2parquet sandbox` and its control interface."""

    def __init__(self, binary: Path, *, behaviour: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Start a workspace; `settings` are the command's flags, e.g. `deliveries=500`."""
        command = [str(binary), "sandbox", "--port", "0"]
        for name, value in ({"rate": 0} | settings).items():
            command += [f"--{name}", str(value)]
        if behaviour is not None:
            command += ["--behaviour", json.dumps(behaviour)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self._announced("CIO_API_URL")
        self.token = self._announced("CIO_TOKEN")

    def __enter__(self) -> Self:
        """Serve for as long as the block lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.stop()

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.communicate()

    @property
    def now(self) -> datetime:
        """The simulated clock."""
        return parse_instant(self._control("clock")["now"])

    def advance(self, span: str) -> datetime:
        """Move the clock on, e.g. by `40d`."""
        return parse_instant(self._control("clock", {"advance": span})["now"])

    def set_clock(self, now: datetime) -> None:
        """Set the clock, back as well."""
        self._control("clock", {"now": instant(now)})

    def truth(self, stream: str) -> list[Row]:
        """Every row that the API serves at the present clock."""
        query = urllib.parse.urlencode(TRUTH_QUERY.get(stream, {}))
        with self._open(f"/_sandbox/truth/{stream}?{query}") as answer:
            return [json.loads(line) for line in answer]

    def messages(self) -> list[Row]:
        """Every transactional message ever made: `id`, and whether it is `listed` and `served`."""
        messages: list[Row] = self._control("messages")
        return messages

    def behave(self, **patch: object) -> Row:
        """Change some switches of the API; `None` restores one."""
        behaviour: Row = self._control("behaviour", patch)
        return behaviour

    def requests(self) -> Row:
        """What was asked for since the last `forget_requests`."""
        requests: Row = self._control("requests")
        return requests

    def forget_requests(self) -> None:
        """Count requests from zero."""
        with self._open("/_sandbox/requests", method="DELETE"):
            pass

    def api(self, path: str) -> Any:
        """One call of the simulated App API itself."""
        with self._open(path, headers={"Authorization": f"Bearer {self.token}"}) as answer:
            return json.load(answer)

    def _announced(self, name: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        prefix = f"export {name}="
        assert line.startswith(prefix), f"the sandbox did not announce {name} but said {line!r}"
        return line.removeprefix(prefix)

    def _control(self, name: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with self._open(f"/_sandbox/{name}", data=data) as answer:
            return json.load(answer)

    def _open(self, path: str, **request: Any) -> Any:
        return urllib.request.urlopen(urllib.request.Request(self.url + path, **request), timeout=CONTROL_TIMEOUT)


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant as the product writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant(time: datetime) -> str:
    """An instant as the product reads it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_day(seconds: int) -> str:
    """The UTC day of unix seconds, as partitions are named."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
