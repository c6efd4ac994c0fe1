"""A store that answers badly now and then: overloaded, reset connections, answers lost after the work was done, delays.

Nothing of it may be seen afterwards: the run is complete, every byte is as on a disk, and nothing is left on its way.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import faults
from buckets import BucketExporter
from exporter import COMPLETE, Exporter
from lake import data_files
from manifest import promised
from plan import COMPLETE as COMPLETING
from plan import GET, INITIATE, LIST, PART, PUT, Call, Fault, Where, of_kind
from proxy import Proxy
from sandbox import Sandbox
from scenarios import IN_PARTS, SMALL
from servers import Server

BAD = (faults.SLOW_DOWN, faults.INTERNAL, faults.RESET, faults.LOST, faults.late(0.3))


@pytest.fixture(scope="module")
def sandbox(binary: Path) -> Iterator[Sandbox]:
    """One workspace for all."""
    with Sandbox(binary, **SMALL) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def alone(binary: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a run on a disk."""
    exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("alone"), ("-q",))
    exporter.run().expect(COMPLETE)
    return exporter.lake


@pytest.fixture
def exporter(server: Server, binary: Path, sandbox: Sandbox, tmp_path: Path) -> Iterator[BucketExporter]:
    """Into each store, through a proxy."""
    with Proxy(server.url) as proxy:
        yield BucketExporter(binary, sandbox, tmp_path / "lake", ("-q",), server=server, proxy=proxy)


def data(call: Call) -> bool:
    """A partition that goes in one put."""
    return call.kind == PUT and call.path.endswith(".parquet")


def version(call: Call) -> bool:
    """A version of a manifest."""
    return call.kind == PUT and "/_manifest/" in call.path


def once_each(proxy: Proxy, where: Where, first: int, bad: tuple[Fault, ...] = BAD) -> list[str]:
    """Let each fault hit one request of a kind, three apart; which are to be hit."""
    for number, fault in enumerate(bad):
        proxy.plan(fault, where, many=1, skip=first + 3 * number)
    return [fault.name for fault in bad]


def hits(proxy: Proxy, *wheres: Where) -> list[str]:
    """The faults that hit."""
    return [call.fault for call in proxy.journal if call.fault and any(where(call) for where in wheres)]


def assert_untouched(exporter: BucketExporter, alone: Path) -> None:
    """As if every answer had been good."""
    exporter.run().expect(COMPLETE)
    lake = exporter.fetch()
    assert data_files(lake) == data_files(alone)
    assert promised(lake) == promised(alone)
    assert not exporter.left()


@pytest.mark.parametrize("first", [0, 2] if os.environ.get("CRASH") == "long" else [1])
def test_partitions_and_versions(first: int, exporter: BucketExporter, alone: Path) -> None:
    """Each fault on a put with a condition: nobody can tell from outside whether it was done."""
    assert exporter.proxy is not None
    wanted = [*once_each(exporter.proxy, data, first), *once_each(exporter.proxy, version, first)]
    assert_untouched(exporter, alone)
    assert sorted(hits(exporter.proxy, data, version)) == sorted(wanted)


def in_parts(exporter: BucketExporter) -> BucketExporter:
    """The same command, with objects that go in parts."""
    return replace(exporter, environment=IN_PARTS)


def test_uploads_in_parts(exporter: BucketExporter, alone: Path) -> None:
    """Each fault at a part and at its completion; at the beginning of an upload those that begin none."""
    assert exporter.proxy is not None
    wanted = [name for kind in (PART, COMPLETING) for name in once_each(exporter.proxy, of_kind(kind), 1)]
    if exporter.place.scheme != "az":
        wanted += once_each(exporter.proxy, of_kind(INITIATE), 1, tuple(fault for fault in BAD if fault != faults.LOST))
    assert_untouched(in_parts(exporter), alone)
    assert sorted(hits(exporter.proxy, of_kind(INITIATE, PART, COMPLETING))) == sorted(wanted)


def test_an_upload_whose_beginning_was_not_answered(
    servers: Callable[[str], Server], binary: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The run that began it has no name by which it could end it; the next one finds it."""
    server = servers("s3")
    with Proxy(server.url) as proxy:
        exporter = BucketExporter(binary, sandbox, tmp_path / "lake", ("-q",), IN_PARTS, server=server, proxy=proxy)
        proxy.plan(faults.LOST, of_kind(INITIATE), many=1)
        exporter.run().expect(COMPLETE)
        exporter.run().expect(COMPLETE)
        assert not exporter.left()


def test_reading(exporter: BucketExporter, alone: Path) -> None:
    """A second run reads what is stored: the same faults on lists and objects."""
    assert exporter.proxy is not None
    exporter.run().expect(COMPLETE)
    exporter.proxy.forget()
    wanted = [*once_each(exporter.proxy, of_kind(LIST), 0), *once_each(exporter.proxy, of_kind(GET), 0)]
    assert_untouched(exporter, alone)
    assert sorted(hits(exporter.proxy, of_kind(LIST, GET))) == sorted(wanted)


def test_one_request_in_five_is_refused(exporter: BucketExporter, alone: Path) -> None:
    """All the time, whatever it is."""
    assert exporter.proxy is not None
    numbers = itertools.count()
    exporter.proxy.plan(faults.SLOW_DOWN, lambda _: next(numbers) % 5 == 0)
    assert_untouched(exporter, alone)
    assert len(hits(exporter.proxy, lambda _: True)) > 15
