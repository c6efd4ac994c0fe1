"""What `cio2parquet sql` prints is run as it is printed, and every view holds what the plain glob holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from compare import assert_same, by_key
from exporter import COMPLETE, Exporter, clean_environment, run
from lake import canonical, canonical_rows, columns, epochs, read_duckdb
from places import Place
from sandbox import ACTIVITIES, METRICS, STREAMS, Row, Sandbox
from servers import Server
from test_types import SERIES

HERE = Path(__file__).resolve().parent
HTTPFS = HERE.parents[1] / ".venv-httpfs"
WORKSPACE: dict[str, Any] = {"people": 40, "messages": 5, "deliveries": 200, "activities": 200, "days": 60}
PREFIX = "cio-"
"""Names with it need quotes in every language."""
ODD = "la[k]e {x} 'of' *"
"""A folder that patterns and texts would take for something else."""
EAST = timedelta(hours=5)
Views = dict[str, list[Row]]


@pytest.fixture(scope="module")
def lake(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of export."""
    folder = tmp_path_factory.mktemp("sql") / "lake"
    with Sandbox(binary, **WORKSPACE) as sandbox:
        exporter = Exporter(binary, sandbox, folder, ("--prefix", PREFIX, "-q"))
        exporter.run().expect(COMPLETE)
        sandbox.advance("1d")
        exporter.run().expect(COMPLETE)
    return folder


def printed(binary: Path, engine: str, to: object, **environment: str) -> str:
    """The statements."""
    return run(binary, "sql", engine, "--to", str(to), **environment).expect(COMPLETE).stdout


def views(engine: str, text: str, folder: Path, python: str = sys.executable, **environment: str) -> Views:
    """The rows of every view that the statements make."""
    folder.mkdir()
    done = subprocess.run(
        [python, "-B", str(HERE / "statements.py"), engine, str(folder)],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment() | environment,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{text}"
    return {path.stem: rows(path) for path in sorted(folder.iterdir())}


def rows(path: Path) -> list[Row]:
    """One file in canonical form."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [str(path)])
        return canonical_rows([column[0] for column in cursor.description], cursor.fetchall())


def spark_views(session: SparkSession, text: str) -> Views:
    """The rows of every view that the statements make in Spark."""
    for table in session.catalog.listTables():
        session.catalog.dropTempView(f"`{table.name}`")
    exec(compile(text, "statements", "exec"), {"spark": session})
    found = {}
    for table in session.catalog.listTables():
        frame = session.table(f"`{table.name}`")
        chosen = frame.select([epochs(frame[name], kind).alias(name) for name, kind in columns(frame)])
        found[table.name] = [canonical(row.asDict(recursive=True)) for row in chosen.collect()]
    return found


def assert_holds(lake: Path, found: Views) -> None:
    """Every view, and no other, holds what its table holds."""
    names = {PREFIX + stream for stream in STREAMS} | {f"{PREFIX}{METRICS}_{what}" for what in ("latest", "daily")}
    assert found.keys() == names
    for stream in STREAMS:
        expected = by_key(stream, read_duckdb(lake / (PREFIX + stream)))
        assert_same(expected, by_key(stream, found[PREFIX + stream]))
    snapshots = read_duckdb(lake / (PREFIX + METRICS))
    newest = max(row["date"] for row in snapshots)
    assert newest > min(row["date"] for row in snapshots), "one day of export tells nothing of the newest"
    latest = by_key(METRICS, [row for row in snapshots if row["date"] == newest])
    assert_same(latest, by_key(METRICS, found[f"{PREFIX}{METRICS}_latest"]))
    daily = {(row["transactional_id"], row["day"]): row for row in found[f"{PREFIX}{METRICS}_daily"]}
    assert len(daily) == len(found[f"{PREFIX}{METRICS}_daily"])
    assert_same(by_day(snapshots), daily)


def by_day(snapshots: list[Row]) -> dict[tuple[Any, ...], Row]:
    """Each series laid out by the days it counts, the newest export last and therefore kept."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in sorted(snapshots, key=lambda row: row["date"]):
        last = (datetime.fromtimestamp(row["requested_at"], UTC) - EAST).date()
        for ago in range(row["steps"]):
            day = (last - timedelta(days=ago)).isoformat()
            counts = {name: list(reversed(row[name] or [])) for name in SERIES}
            values = {name: count[ago] if ago < len(count) else None for name, count in counts.items()}
            key = row["transactional_id"]
            found[key, day] = {"transactional_id": key, "day": day, "requested_at": row["requested_at"]} | values
    return found


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_a_folder_with_an_odd_name(engine: str, lake: Path, binary: Path, tmp_path: Path) -> None:
    """Whatever the name of the folder and the zone of the session."""
    folder = shutil.copytree(lake, tmp_path / ODD)
    text = printed(binary, engine, folder)
    text = "SET TimeZone = 'Asia/Tokyo';\n" + text if engine == "duckdb" else text
    assert_holds(lake, views(engine, text, tmp_path / "out", TZ="Asia/Tokyo"))


@pytest.fixture
def far_east(spark: SparkSession) -> Iterator[SparkSession]:
    """Spark in another zone."""
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    yield spark
    spark.conf.set("spark.sql.session.timeZone", "UTC")


@pytest.mark.spark
def test_spark(far_east: SparkSession, lake: Path, binary: Path, tmp_path: Path) -> None:
    """The same for Spark."""
    folder = shutil.copytree(lake, tmp_path / ODD)
    assert_holds(lake, spark_views(far_east, printed(binary, "spark", folder)))


@pytest.fixture
def grown(lake: Path, tmp_path: Path) -> Path:
    """A lake whose first partition of activities is older than the column `url`."""
    folder = shutil.copytree(lake, tmp_path / "grown")
    table = PREFIX + ACTIVITIES
    first = min((folder / table).rglob("*.parquet"))
    with duckdb.connect() as connection:
        narrow = f"SELECT * EXCLUDE (url) FROM read_parquet('{first}', hive_partitioning = false)"
        connection.execute(f"COPY ({narrow}) TO '{first}.new' (FORMAT parquet)")
    Path(f"{first}.new").rename(first)
    version = max((folder / "_manifest" / table).iterdir())
    state = json.loads(version.read_text())
    state["state"]["partitions"][str(first.relative_to(folder / table))]["schema"] = 0
    version.write_text(json.dumps(state))
    return folder


def without_url(lake: Path, grown: Path) -> dict[tuple[Any, ...], Row]:
    """What the grown lake holds."""
    expected = by_key(ACTIVITIES, read_duckdb(lake / (PREFIX + ACTIVITIES)))
    first = min(row["date"] for row in expected.values())
    assert any(row["date"] != first and row["url"] for row in expected.values()), "no file has the column"
    return {key: row | ({"url": None} if row["date"] == first else {}) for key, row in expected.items()}


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_files_that_lack_a_column(engine: str, lake: Path, grown: Path, binary: Path, tmp_path: Path) -> None:
    """They read as if it were null in them."""
    found = views(engine, printed(binary, engine, grown), tmp_path / "out")[PREFIX + ACTIVITIES]
    assert_same(without_url(lake, grown), by_key(ACTIVITIES, found))


@pytest.mark.spark
def test_files_that_lack_a_column_in_spark(spark: SparkSession, lake: Path, grown: Path, binary: Path) -> None:
    """The same for Spark."""
    found = spark_views(spark, printed(binary, "spark", grown))[PREFIX + ACTIVITIES]
    assert_same(without_url(lake, grown), by_key(ACTIVITIES, found))


@pytest.fixture(scope="module")
def place(server: Server, lake: Path) -> Place:
    """The same lake in a bucket."""
    place = server.place("analytics/sql of today")
    place.upload(lake)
    return place


AZURE = (
    "SET VARIABLE azure_connection_string = "
    "'AccountName={AZURE_STORAGE_ACCOUNT_NAME};BlobEndpoint={AZURE_STORAGE_ENDPOINT};"
    "AccountKey={AZURE_STORAGE_ACCOUNT_KEY}';\n"
)
TOKEN = (
    "import os\nimport polars as pl\n"
    "pl.Config.set_default_credential_provider(lambda: ({'bearer_token': os.environ['GOOGLE_BEARER_TOKEN']}, None))\n"
)
"""What Polars' own providers find in a real account."""


def test_duckdb_on_a_bucket(place: Place, lake: Path, binary: Path, tmp_path: Path) -> None:
    """As printed; where the comments leave something to a person, as they say."""
    text = printed(binary, "duckdb", place, **place.environment)
    if place.scheme == "az":
        text = AZURE.format(**place.environment) + text
    if place.scheme == "gs":
        token = f"SET VARIABLE gcs_token = '{place.environment['GOOGLE_BEARER_TOKEN']}';\n"
        assert "BEARER_TOKEN getvariable('gcs_token')" in text
        text = token + text.replace("    PROVIDER credential_chain", "    BEARER_TOKEN getvariable('gcs_token')")
    python, extensions = str(HTTPFS / "bin" / "python"), str(HTTPFS / "extensions")
    environment = place.environment | {"EXTENSIONS": extensions, "AWS_EC2_METADATA_DISABLED": "true"}
    assert_holds(lake, views("duckdb", text, tmp_path / "out", python, **environment))


def test_polars_on_a_bucket(place: Place, lake: Path, binary: Path, tmp_path: Path) -> None:
    """As printed."""
    text = printed(binary, "polars", place, **place.environment)
    text = TOKEN + text if place.scheme == "gs" else text
    opening = {name: value for name, value in place.environment.items() if name in text or is_key(name)}
    assert_holds(lake, views("polars", text, tmp_path / "out", **opening))


def is_key(name: str) -> bool:
    """Whether a variable opens something; where the store is must be in the statements themselves."""
    return name.endswith(("_KEY", "_KEY_ID", "_TOKEN"))


@pytest.mark.spark
def test_spark_on_a_bucket(place: Place, spark: SparkSession, binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores' clients are no packages of Python, so nothing is read: it is Python, and its settings arrive."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    text = printed(binary, "spark", place, **place.environment)
    compile(text, "statements", "exec")
    settings = [line for line in text.splitlines() if line.startswith(("import ", "spark.conf.set("))]
    assert settings
    exec("\n".join(settings), {"spark": spark})
    hadoop = spark._jsparkSession.sessionState().newHadoopConf()
    wanted = {
        "s3": ("fs.s3a.bucket.lake.endpoint", place.environment.get("AWS_ENDPOINT_URL_S3")),
        "gs": ("fs.gs.auth.type", "APPLICATION_DEFAULT"),
        "az": (
            "fs.azure.account.key.devstoreaccount1.dfs.core.windows.net",
            place.environment.get("AZURE_STORAGE_ACCOUNT_KEY"),
        ),
    }
    key, value = wanted[place.scheme]
    assert hadoop.get(key) == value


@pytest.mark.parametrize("engine", ["duckdb", "spark", "polars"])
def test_no_key_is_printed(engine: str, place: Place, binary: Path) -> None:
    """Only where it is taken from."""
    text = printed(binary, engine, place, **place.environment)
    secrets = [value for name, value in place.environment.items() if is_key(name)]
    assert secrets
    assert not [secret for secret in secrets if secret in text]


def test_a_profile_whose_keys_a_program_hands_out(
    servers: Callable[[str], Server], lake: Path, binary: Path, tmp_path: Path
) -> None:
    """DuckDB asks the same program."""
    place = servers("s3").place("profile")
    place.upload(lake)
    answer = {"Version": 1, "AccessKeyId": place.environment["AWS_ACCESS_KEY_ID"]}
    answer["SecretAccessKey"] = place.environment["AWS_SECRET_ACCESS_KEY"]
    program, config = tmp_path / "program.json", tmp_path / "config"
    program.write_text(json.dumps(answer))
    config.write_text(f"[profile night]\nregion = eu-central-1\ncredential_process = cat {program}\n")
    environment = {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "night", "AWS_EC2_METADATA_DISABLED": "true"}
    environment["AWS_ENDPOINT_URL_S3"] = place.environment["AWS_ENDPOINT_URL_S3"]
    text = printed(binary, "duckdb", place, **environment)
    assert "PROFILE 'night'" in text
    python, extensions = str(HTTPFS / "bin" / "python"), str(HTTPFS / "extensions")
    del environment["AWS_PROFILE"]
    assert_holds(lake, views("duckdb", text, tmp_path / "out", python, EXTENSIONS=extensions, **environment))
