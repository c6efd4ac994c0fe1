"""`check` against real stores: what a run would meet there, told before one, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import faults
from exporter import INTERRUPTED, STORAGE, Outcome, clean_environment, run
from plan import ABORT, GET, LIST, PUT, UPLOADS, Call, any_call, of_kind
from proxy import Proxy
from sandbox import Sandbox
from servers import ALL, NO_DELETE, READ, S3, UNKNOWN, Azure, Server

RIGHT_TO_DELETE = {"s3": "s3:DeleteObject", "gs": "storage.objects.delete"}
Check = Callable[..., Outcome]


@pytest.fixture(scope="module")
def workspace(binary: Path) -> Iterator[Sandbox]:
    """A workspace whose key may do everything."""
    with Sandbox(binary) as sandbox:
        yield sandbox


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test."""
    return str(request.node.name)


@pytest.fixture
def check(binary: Path, workspace: Sandbox, server: Server, name: str) -> Check:
    """`check` of a folder of the store, with some key and perhaps through a proxy."""

    def check(*flags: str, key: str = ALL, at: str | None = None, **more: str) -> Outcome:
        place = server.place(name, key, at)
        environment = place.environment | {"CIO_TOKEN": workspace.token, "CIO_API_URL": workspace.url} | more
        return run(binary, "check", "--to", str(place), "--json", *flags, **environment)

    return check


def left(server: Server, name: str) -> list[str]:
    """Everything that is there."""
    place = server.place(name)
    return [*place.keys(), *place.uploads()]


def statuses(outcome: Outcome) -> dict[str, str]:
    """How each check ended."""
    return {check["name"]: check["status"] for check in outcome.report["checks"]}


def bad(outcome: Outcome) -> dict[str, str]:
    """What did not work."""
    return {name: status for name, status in statuses(outcome).items() if status != "ok"}


def detail(outcome: Outcome, name: str) -> str:
    """What is said about a check."""
    found: list[dict[str, Any]] = [check for check in outcome.report["checks"] if check["name"] == name]
    return str(found[0]["detail"])


def test_a_good_store(check: Check, server: Server, name: str) -> None:
    """Everything works, and nothing of it stays."""
    outcome = check().expect(0)
    assert bad(outcome) == {}
    assert outcome.report["left"] == []
    assert left(server, name) == []


def test_rights(check: Check, server: Server, name: str) -> None:
    """A key that may only read, one that may not delete, and one that nobody knows."""
    if READ in server.keys:
        outcome = check(key=READ).expect(STORAGE)
        assert {"create", "upload"} <= {name for name, status in bad(outcome).items() if status == "failed"}
        assert statuses(outcome)["list"] == "ok"
        assert "the key lacks" in detail(outcome, "create")
        assert left(server, name) == []
    outcome = check(key=UNKNOWN).expect(STORAGE)
    assert statuses(outcome)["activities"] == "ok"
    # Azure's emulator does not tell a wrong key from a right that lacks.
    if not isinstance(server, Azure):
        assert "look at" in detail(outcome, "open")
        assert statuses(outcome)["create"] == "skipped"
    if NO_DELETE in server.keys:
        outcome = check(key=NO_DELETE)
        scheme = str(server.place(name)).partition(":")[0]
        # Google's store takes a replacement for a delete.
        outcome.expect(0 if scheme == "s3" else STORAGE)
        assert statuses(outcome)["delete"] == "warning"
        assert RIGHT_TO_DELETE[scheme] in detail(outcome, "delete")
        there = left(server, name)
        assert [f"{server.place(name)}/{key}" for key in there] == outcome.report["left"]
        assert len(there) == 1


def test_conditions_that_are_ignored(binary: Path, workspace: Sandbox, server: Server, name: str) -> None:
    """What keeps two runs apart is missing."""
    if isinstance(server, Azure):
        pytest.skip("Azure's signatures hold the conditions")
    with ExitStack() as stack:
        # A condition is signed, so whoever looks at signatures misses it.
        loose = stack.enter_context(S3(strict=False)) if isinstance(server, S3) else server
        proxy = stack.enter_context(Proxy(loose.url))
        proxy.plan(faults.UNCONDITIONAL)
        place = loose.place(name, at=proxy.url)
        environment = place.environment | {"CIO_TOKEN": workspace.token, "CIO_API_URL": workspace.url}
        outcome = run(binary, "check", "--to", str(place), "--json", **environment).expect(STORAGE)
        assert left(loose, name) == []
    assert bad(outcome) == {"create_again": "failed", "replace_outdated": "failed"}


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (LIST, {"open", "list"}),
        (GET, {"read", "read_range"}),
        (PUT, {"create"}),
        (ABORT, {"upload"}),
    ],
)
def test_one_right_that_is_missing(check: Check, server: Server, name: str, kind: str, failed: set[str]) -> None:
    """It is named, and hides no other."""
    with Proxy(server.url) as proxy:
        struck = proxy.plan(faults.DENIED, of_kind(kind))
        outcome = check(at=proxy.url)
        if not struck.struck:
            pytest.skip("this store is not asked for that")
        outcome.expect(STORAGE)
        assert {name for name, status in bad(outcome).items() if status == "failed"} == failed
        assert all("the key lacks" in detail(outcome, check) for check in failed)
    if kind == ABORT:
        # Only whoever may abort can clean up.
        assert any("unfinished upload" in path for path in outcome.report["left"])
    elif kind == PUT and isinstance(server, Azure):
        # Parts are out of sight, and without a put they stay for a week.
        assert server.place(name).keys() == {}
    else:
        assert left(server, name) == []


def test_unfinished_uploads_that_may_not_be_listed(check: Check, server: Server, name: str) -> None:
    """A run gets along without."""
    if isinstance(server, Azure):
        pytest.skip("Azure lists none")
    with Proxy(server.url) as proxy:
        proxy.plan(faults.DENIED, of_kind(UPLOADS))
        outcome = check(at=proxy.url).expect(0)
    assert bad(outcome) == {"list_uploads": "warning"}
    assert "the key lacks" in detail(outcome, "list_uploads")
    assert left(server, name) == []


def test_a_store_that_does_not_answer(check: Check, server: Server) -> None:
    """It is given up soon, and Customer.io is checked all the same."""
    with Proxy(server.url) as proxy:
        proxy.plan(faults.SLOW_DOWN)
        began = time.monotonic()
        outcome = check(at=proxy.url).expect(STORAGE)
    assert time.monotonic() - began < 20
    assert statuses(outcome)["open"] == "failed"
    assert statuses(outcome)["transactional_metrics"] == "ok"


def test_lost_answers(check: Check, server: Server, name: str) -> None:
    """Whatever is answered in vain, nothing stays."""
    for skip in range(12):
        with Proxy(server.url) as proxy:
            proxy.plan(faults.LOST, any_call, many=1, skip=skip)
            check(at=proxy.url).expect(0, STORAGE)
        assert left(server, name) == [], skip


def test_an_interrupt(binary: Path, workspace: Sandbox, server: Server, name: str) -> None:
    """What is under way is ended, and taken away."""
    with Proxy(server.url) as proxy:
        place = server.place(name, at=proxy.url)
        proxy.plan(faults.late(0.3))
        environment = clean_environment() | place.environment
        environment |= {"CIO_TOKEN": workspace.token, "CIO_API_URL": workspace.url}
        command = [str(binary), "check", "--to", str(place), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        wait_for(proxy, lambda call: call.kind == PUT)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    outcome = Outcome(process.returncode, stdout, stderr).expect(INTERRUPTED)
    assert statuses(outcome)["delete"] == "skipped"
    assert left(server, name) == []


def wait_for(proxy: Proxy, wanted: Callable[[Call], bool]) -> None:
    """Wait until such a request has come."""
    patience = time.monotonic() + 30
    while not any(wanted(call) for call in proxy.journal):
        assert time.monotonic() < patience
        time.sleep(0.01)
