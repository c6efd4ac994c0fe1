"""A lake in a bucket is the lake on a disk: on S3, Google Cloud Storage and Azure, in each sync mode, run after run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buckets import BucketExporter
from compare import assert_same, by_key
from exporter import COMPLETE, Exporter
from ladder import MODES, STEPS, Ladder, climb
from lake import data_files, read_duckdb, read_polars
from manifest import promised
from sandbox import STREAMS, Sandbox
from scenarios import SMALL, rejected_rows
from served import assert_objects_only
from servers import Server

LONG = os.environ.get("CRASH") == "long"
WORKSPACE: dict[str, Any] = (
    {} if LONG else {"people": 100, "messages": 8, "deliveries": 150, "activities": 150, "days": 25}
)
"""The default workspace takes as long as it is large."""
SYNCS = MODES if LONG else {mode: MODES[mode] for mode in ("incremental", "full-table")}


@pytest.fixture(scope="module")
def on_disk(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    """The same runs into lakes on a disk."""
    with Sandbox(binary, **WORKSPACE) as sandbox:
        return climb(binary, sandbox, tmp_path_factory.mktemp("disk"), modes=SYNCS)


@pytest.fixture(scope="module")
def in_bucket(server: Server, binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    """Every lake after every run in one store, downloaded."""
    make = partial(BucketExporter, server=server)
    with Sandbox(binary, **WORKSPACE) as sandbox:
        return climb(binary, sandbox, tmp_path_factory.mktemp("bucket"), make, SYNCS)


@pytest.mark.parametrize("mode", SYNCS)
def test_every_row_is_as_served(mode: str, in_bucket: Ladder) -> None:
    """Row by row and field by field, whoever reads it, after every run."""
    for step in STEPS:
        rung = in_bucket.rungs[mode, step]
        for stream in STREAMS:
            for reader in (read_duckdb, read_polars):
                read = by_key(stream, reader(rung.lake / stream))
                assert_same(rung.expected.expectation(stream, read), read)


@pytest.mark.parametrize("mode", SYNCS)
def test_the_same_command_again_finds_nothing_to_do(mode: str, in_bucket: Ladder) -> None:
    """Nothing is new, changed or taken away."""
    for step in STEPS:
        repeated = in_bucket.rungs[mode, step].repeated.expect(COMPLETE)
        for stream in STREAMS:
            rows = repeated.stream(stream)["rows"]
            assert (rows["new"], rows["changed"], rows["removed"], rows["rejected"]) == (0, 0, 0, 0), stream


@pytest.mark.parametrize("mode", SYNCS)
def test_every_byte_is_as_on_a_disk(mode: str, in_bucket: Ladder, on_disk: Ladder) -> None:
    """Data, what was set aside, and what the manifest promises; and there is nothing else."""
    for step in STEPS:
        bucket, disk = in_bucket.rungs[mode, step].lake, on_disk.rungs[mode, step].lake
        assert data_files(bucket) == data_files(disk)
        assert rejected_rows(bucket) == rejected_rows(disk)
        assert promised(bucket) == promised(disk)
        assert_objects_only(bucket)
        assert {path.name for path in bucket.iterdir()} <= {*STREAMS, "_manifest", "_rejected"}


@pytest.fixture
def parts(binary: Path) -> Iterator[Sandbox]:
    """A workspace."""
    with Sandbox(binary, **SMALL) as sandbox:
        yield sandbox


def test_two_lakes_in_one_bucket_do_not_meet(server: Server, binary: Path, parts: Sandbox, tmp_path: Path) -> None:
    """One whose name begins as the other's does, and one inside the other."""
    names = ["lake", "lake-2", "lake/inner lake"]
    lakes = [BucketExporter(binary, parts, tmp_path / name, ("-q",), server=server) for name in names]
    alone = Exporter(binary, parts, tmp_path / "alone", ("-q",))
    alone.run().expect(COMPLETE)
    for lake in lakes:
        lake.run().expect(COMPLETE)
        lake.run().expect(COMPLETE)
    for lake in reversed(lakes):
        copy = lake.place.download(tmp_path / "copy")
        inner = {path: content for path, content in data_files(copy).items() if not path.startswith("inner")}
        assert inner == data_files(alone.lake)
        assert not lake.left()
