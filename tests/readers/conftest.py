"""The binary, the workspaces and the lakes that tests share; they only read what they share."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from exporter import Exporter
from ladder import Ladder, climb
from sandbox import Sandbox
from servers import STORES, Server

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_BINARY = ROOT / "target" / "release" / "cio2parquet"


@pytest.fixture(scope="session")
def binary() -> Path:
    """The command under test: `BIN`, or the release build."""
    path = Path(os.environ.get("BIN", DEFAULT_BINARY))
    assert path.is_file(), f"{path} does not exist; build it first, or name another with BIN"
    return path


@pytest.fixture
def start_sandbox(binary: Path) -> Iterator[Callable[..., Sandbox]]:
    """Start workspaces that end with the test."""
    started: list[Sandbox] = []

    def start(**settings: Any) -> Sandbox:
        started.append(Sandbox(binary, **settings))
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.stop()


@pytest.fixture
def exporter(binary: Path, tmp_path: Path) -> Callable[..., Exporter]:
    """An exporter from a workspace into a new lake."""

    def make(sandbox: Sandbox, lake: str = "lake", **options: Any) -> Exporter:
        return Exporter(binary, sandbox, tmp_path / lake, **options)

    return make


@pytest.fixture(scope="session")
def ladder(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    """The default workspace exported three times in every mode, with a copy of the lake after each run."""
    with Sandbox(binary) as sandbox:
        return climb(binary, sandbox, tmp_path_factory.mktemp("ladder"))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One small Spark for the whole session, in UTC."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    builder = SparkSession.builder.master("local[2]").appName("readers")
    settings = {
        "spark.driver.memory": "1g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """The stores, each started when it is first asked for."""
    started: dict[str, Server] = {}

    def serve(name: str) -> Server:
        if name not in started:
            started[name] = STORES[name]()
        return started[name]

    yield serve
    for server in started.values():
        server.stop()


@pytest.fixture(scope="session", params=list(STORES))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """Each store in turn."""
    return servers(request.param)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Copy a shared lake, to go on from it."""
    return lambda lake: Path(shutil.copytree(lake, tmp_path / "lake"))
