"""Two runs started at once: one wins, and the other has touched nothing."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

from exporter import COMPLETE, HELD, RUN_TIMEOUT, Exporter, Outcome
from lake import data_files, tables
from manifest import newest, tables_of
from sandbox import ACTIVITIES, CUSTOMERS, MESSAGES, STREAMS
from strikes import AtStep, asleep

Names = tuple[str, ...]
PAIRS: tuple[tuple[Names, Names], ...] = (
    (STREAMS, STREAMS),
    ((ACTIVITIES, CUSTOMERS), (CUSTOMERS, MESSAGES)),
    ((CUSTOMERS, MESSAGES), (MESSAGES, ACTIVITIES)),
    ((CUSTOMERS,), STREAMS),
    ((MESSAGES, CUSTOMERS), (CUSTOMERS, MESSAGES)),
)
LATENCY = 500
"""Milliseconds: whoever comes second comes while the first one reads."""


def race(exporter: Exporter, pair: tuple[Names, Names], whole: dict[str, bytes], slow: Callable[[int], None]) -> None:
    """One table at least is wanted by both; `whole` are the files of a run that was alone."""
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
    lake = exporter.fetch()
    assert data_files(lake) == of_streams(whole, mine)
    assert tables(lake) == set(mine)
    for table in set(tables_of(lake)) - set(mine):
        state = newest(lake, table)["state"]
        assert (state["claim"], state["partitions"], state["mark"], state["runs"]) == (None, {}, None, [])
    assert not exporter.left()
    exporter.run().expect(COMPLETE)
    assert data_files(exporter.fetch()) == whole


def of_streams(files: dict[str, bytes], streams: Names) -> dict[str, bytes]:
    """Those of some tables."""
    return {path: content for path, content in files.items() if path.split("/")[0] in streams}


def ended(process: subprocess.Popen[str]) -> Outcome:
    """A started run at its end."""
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)


def assert_told(loser: Outcome, winner: Outcome, names: Names) -> None:
    """The report of who lost: one table is held, and the others were not begun."""
    report = loser.report
    assert report["exit_code"] == HELD
    assert winner.report["run"] in report["error"]
    assert winner.report["run"] in loser.stderr
    statuses = [stream["status"] for stream in report["streams"]]
    assert sorted(statuses) == ["held"] + ["stopped"] * (len(names) - 1)
    assert not any(stream["rows"]["fetched"] or stream["committed"] for stream in report["streams"])
