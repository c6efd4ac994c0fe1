"""A store that refuses: one clear message with its exit code, at once or later on; what was committed stays right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

import faults
from buckets import BucketExporter
from exporter import COMPLETE, GAPS, INPUT, STORAGE, Exporter, Outcome, run
from lake import data_files
from manifest import assert_readable, promised
from plan import DELETE, PUT, UPLOADS, Fault, Where, any_call, below, of_kind
from proxy import Proxy
from sandbox import METRICS, STREAMS, Sandbox
from scenarios import FULL_LATER, SETTINGS, SMALL, Scenario, prepare
from served import Forms, assert_no_wrong_row, assert_objects_only, observed
from servers import NO_DELETE, READ, S3, UNKNOWN, Gcs, Server

LONG = os.environ.get("CRASH") == "long"
IMPATIENT = {"CIO2PARQUET_PATIENCE_SECONDS": "1"}


@pytest.fixture(scope="module")
def sandbox(binary: Path) -> Iterator[Sandbox]:
    """One workspace for all."""
    with Sandbox(binary, **SMALL) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def forms(sandbox: Sandbox) -> Forms:
    """Every row that it serves."""
    return observed(sandbox)


@pytest.fixture(scope="module")
def alone(binary: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a run on a disk."""
    exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("alone"), ("-q",))
    exporter.run().expect(COMPLETE)
    return exporter.lake


@dataclass(frozen=True)
class Refusal:
    """A command against a store that will refuse, and the workspace that may not be asked for rows in vain."""

    exporter: BucketExporter
    proxy: Proxy

    def with_key(self, key: str) -> BucketExporter:
        """The command with another key."""
        return replace(self.exporter, key=key)

    def to(self, fault: Fault, where: Where = any_call, skip: int = 0) -> BucketExporter:
        """The command, when requests are answered so."""
        self.proxy.behave()
        self.proxy.plan(fault, where, skip=skip)
        return self.exporter


@pytest.fixture
def refusal(server: Server, binary: Path, sandbox: Sandbox, tmp_path: Path) -> Iterator[Refusal]:
    """Into each store, through a proxy."""
    with Proxy(server.url) as proxy:
        sandbox.forget_requests()
        exporter = BucketExporter(binary, sandbox, tmp_path / "lake", ("-q",), IMPATIENT, server=server, proxy=proxy)
        yield Refusal(exporter, proxy)


def rows_asked_for(sandbox: Sandbox) -> int:
    """How many requests went out beyond the first cheap one of each stream and the list of messages."""
    return max(0, int(sandbox.requests()["total"]) - len(STREAMS) - 1)


def assert_told(outcome: Outcome, *words: str) -> None:
    """One line that holds all these words, and none of the store's XML."""
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1, outcome.stderr
    missing = [word for word in words if word not in lines[0]]
    assert not missing, f"{missing} not in {lines[0]!r}"
    assert "<" not in lines[0]


def assert_refused(exporter: BucketExporter, *words: str) -> None:
    """It ends with 6 before any row is asked for, and has written nothing."""
    assert_told(exporter.run().expect(STORAGE), *words)
    assert rows_asked_for(exporter.sandbox) == 0
    assert not exporter.place.keys()


def assert_goes_on(refusal: Refusal, alone: Path) -> None:
    """The same command ends as if nothing had been, once the store is as it should be."""
    refusal.proxy.behave()
    refusal.exporter.run().expect(COMPLETE)
    lake = refusal.exporter.fetch()
    assert data_files(lake) == data_files(alone)
    assert promised(lake) == promised(alone)
    assert not refusal.exporter.left()


def assert_right(lake: Path, forms: Forms) -> None:
    """Nothing is wrong, whatever is missing."""
    assert_objects_only(lake)
    assert_readable(lake)
    assert_no_wrong_row(forms, lake)


def test_a_key_that_nobody_knows(refusal: Refusal) -> None:
    """The place is named, and where to look."""
    assert_refused(refusal.with_key(UNKNOWN), str(refusal.exporter.place), "credentials")


def test_no_key_at_all(server: Server, refusal: Refusal, binary: Path) -> None:
    """A mistake in the settings: what can be set is named, and nobody is waited for."""
    if isinstance(server, Gcs):
        pytest.skip("a server of our own on this machine may want no key")
    address = {name: value for name, value in refusal.exporter.opening.items() if "END" in name or "NAME" in name}
    address |= {"AWS_EC2_METADATA_DISABLED": "true"} if isinstance(server, S3) else {}
    command = ["export", "--to", refusal.exporter.to, "--api-url", refusal.exporter.sandbox.url]
    outcome = run(binary, *command, CIO_TOKEN=refusal.exporter.sandbox.token, HOME="/nowhere", **address).expect(INPUT)
    assert_told(outcome, "AWS_ACCESS_KEY_ID" if isinstance(server, S3) else "AZURE_STORAGE_ACCOUNT_KEY")


def test_a_bucket_that_is_not_there(refusal: Refusal, binary: Path) -> None:
    """It is not made."""
    exporter = refusal.exporter
    url = f"{exporter.place.scheme}://no-such-bucket/lake"
    command = ["export", "--to", url, "--api-url", exporter.sandbox.url, "-q"]
    outcome = run(binary, *command, CIO_TOKEN=exporter.sandbox.token, **exporter.opening, **IMPATIENT)
    assert_told(outcome.expect(STORAGE), url, "no such bucket")
    assert rows_asked_for(exporter.sandbox) == 0


def test_a_key_that_may_only_read(server: Server, refusal: Refusal) -> None:
    """It is found out before any row is asked for."""
    if READ not in server.keys:
        pytest.skip("one key for everything")
    assert_refused(refusal.with_key(READ), str(refusal.exporter.place), "right", "write")


def test_another_region(servers: Callable[[str], Server], binary: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    """Both ways in which S3 says so; where it names the right one, so do we."""
    server = servers("s3")
    with Proxy(server.url) as proxy:
        exporter = BucketExporter(binary, sandbox, tmp_path / "lake", ("-q",), IMPATIENT, server=server, proxy=proxy)
        refusal = Refusal(exporter, proxy)
        sandbox.forget_requests()
        assert_refused(refusal.to(faults.MOVED), "region", "AWS_REGION")
        assert_refused(refusal.to(faults.WRONG_REGION), "us-west-2", "AWS_REGION")


@pytest.mark.parametrize("fault", [faults.SLOW_DOWN, faults.RESET], ids=lambda fault: fault.name)
def test_a_store_that_is_never_well(fault: Fault, refusal: Refusal) -> None:
    """It is asked again for as long as there is patience."""
    assert_refused(refusal.to(fault), str(refusal.exporter.place))
    assert len(refusal.proxy.journal) > 2


def test_a_store_that_refuses_conditions(refusal: Refusal) -> None:
    """501: two runs could not be told apart."""
    assert_refused(refusal.to(faults.NO_CONDITIONS, lambda call: call.conditional), "condition")


@pytest.mark.parametrize("name", ["s3", "gcs"])
def test_a_store_that_ignores_conditions(
    name: str, servers: Callable[[str], Server], binary: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It says nothing, so it is found out by asking twice, before any row is asked for.

    The condition is part of what is signed, so only a store that does not check signatures can be made to overlook it.
    """
    server = S3(strict=False) if name == "s3" else servers(name)
    with Proxy(server.url) as proxy:
        proxy.plan(faults.UNCONDITIONAL)
        sandbox.forget_requests()
        exporter = BucketExporter(binary, sandbox, tmp_path / "lake", ("-q",), IMPATIENT, server=server, proxy=proxy)
        assert_told(exporter.run().expect(STORAGE), "condition")
        assert rows_asked_for(sandbox) == 0
        assert not [key for key in sorted(exporter.place.keys()) if key.endswith(".parquet")]
    if name == "s3":
        server.stop()


MIDDLE: dict[str, tuple[Fault, Where, int, tuple[str, ...]]] = {
    "full": (faults.FULL, of_kind(PUT), 25, ("full", "free some space")),
    "expired": (faults.EXPIRED, any_call, 60, ("expired", "same command again")),
    "not known any more": (faults.UNAUTHENTICATED, any_call, 60, ("credentials",)),
    "right to write taken": (faults.DENIED, below(".parquet", PUT), 8, ("right",)),
    "gone": (faults.RESET, any_call, 60, ()),
}


@pytest.mark.parametrize("why", MIDDLE if LONG else ["full", "expired", "right to write taken"])
def test_in_the_middle_of_a_run(why: str, refusal: Refusal, forms: Forms, alone: Path) -> None:
    """6, or 8 where another stream was committed; each stream that failed says why."""
    fault, where, skip, words = MIDDLE[why]
    outcome = refusal.to(fault, where, skip).run().expect(STORAGE, GAPS)
    failed = [stream for stream in outcome.report["streams"] if stream["status"] == "failed"]
    assert failed, outcome.stdout
    for stream in failed:
        assert all(word in stream["error"] for word in words), stream["error"]
    assert_right(refusal.exporter.fetch(), forms)
    assert_goes_on(refusal, alone)


@pytest.fixture(scope="module")
def removal(server: Server, binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """A full-table run that has a partition to remove."""
    with SETTINGS[FULL_LATER].sandbox(binary) as sandbox:
        make = partial(BucketExporter, server=server)
        yield prepare(FULL_LATER, binary, sandbox, tmp_path_factory.mktemp("scenario"), make)


def test_a_delete_that_is_refused(removal: Scenario, server: Server, tmp_path: Path) -> None:
    """What was to be removed stays and is named; everything else is done, and the next run that may removes it."""
    exporter = removal.begin(tmp_path / "lake")
    assert isinstance(exporter, BucketExporter)
    with Proxy(server.url) as proxy:
        proxy.plan(faults.DENIED, of_kind(DELETE))
        outcome = replace(exporter, proxy=proxy).run().expect(GAPS)
    told = outcome.stream(METRICS)
    assert "left" in told["error"]
    assert "right" in told["error"]
    assert {outcome.stream(name)["status"] for name in STREAMS} <= {"complete", "gaps"}
    lake = exporter.fetch()
    kept = data_files(lake)
    assert removal.whole.items() <= kept.items()
    assert len(kept) == len(removal.whole) + 1
    assert_right(lake, removal.forms)
    exporter.run().expect(COMPLETE)
    assert data_files(exporter.fetch()) == removal.whole
    assert promised(exporter.lake) == removal.manifest


def test_a_key_that_may_not_delete(server: Server, refusal: Refusal, alone: Path) -> None:
    """A first run deletes nothing."""
    if NO_DELETE not in server.keys:
        pytest.skip("one key for everything")
    exporter = refusal.with_key(NO_DELETE)
    exporter.run().expect(COMPLETE)
    assert data_files(exporter.fetch()) == data_files(alone)


def test_a_key_that_may_not_list_uploads(refusal: Refusal, alone: Path) -> None:
    """Unfinished uploads are somebody's to remove, but no reason to export nothing."""
    refusal.to(faults.DENIED, of_kind(UPLOADS)).run().expect(COMPLETE)
    assert data_files(refusal.exporter.fetch()) == data_files(alone)
