"""The config file: the binary and the schema, as any validator reads it, are of one mind about the same files."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[2]

GOOD = {
    "empty": "",
    "a lake": 'to = "./lake"',
    "everything at the top": """
        description = "Production workspace, nightly"
        to = "s3://acme-lake/customerio"
        region = "us"
        trigger = "0 3 * * *"
        timezone = "Europe/Berlin"
        full_sync = "0 4 * * SUN"
        prefix = "cio_"
    """,
    "no prefix": 'prefix = ""',
    "the longest description": f'description = "{"ü" * 140}"',
    "a store": """
        [storage]
        endpoint = "https://minio.example.com"
        region = "us-east-1"
        path_style = false
        profile = "night"
    """,
    "plain http on this machine": '[storage]\nendpoint = "http://127.0.0.1:9000"',
    "columns": 'columns.exclude = ["subject"]\ncolumns.hash = ["recipient", "email", "identifiers.email"]',
    "streams": """
        [streams.activities]
        table = "events"
        sync = "incremental"
        since = "2026-01-31"
        lookback = "7 d"
        [streams.customers]
        sync = "full-table"
        [streams.transactional_message_details.columns]
        hash = ["recipient", "identifiers.email"]
    """,
}

BAD = {
    "unknown key": 'too = "./lake"',
    "unknown key of a stream": '[streams.activities]\nsnyc = "incremental"',
    "unknown key of the store": "[storage]\nretries = 3",
    "unknown key of the columns": '[columns]\ndrop = ["subject"]',
    "unknown stream": "[streams.activites]",
    "secret": 'token = "abc"',
    "number for text": "to = 1",
    "text for yes or no": '[storage]\npath_style = "yes"',
    "text for a list": '[columns]\nexclude = "subject"',
    "number in a list": "[columns]\nhash = [7]",
    "date for text": "[streams.activities]\nsince = 2026-01-31",
    "list for sections": 'streams = ["activities"]',
    "text for a section": '[streams]\nactivities = "yes"',
    "region": 'region = "US"',
    "sync": '[streams.activities]\nsync = "full"',
    "no lake": 'to = ""',
    "long description": f'description = "{"x" * 141}"',
    "description in lines": 'description = "a\\nb"',
    "prefix": 'prefix = "_x"',
    "long prefix": f'prefix = "{"x" * 129}"',
    "table": '[streams.activities]\ntable = "a b"',
    "empty table": '[streams.activities]\ntable = ""',
    "lookback": '[streams.activities]\nlookback = "soon"',
    "endpoint": '[storage]\nendpoint = "minio:9000"',
    "endpoint with a user": '[storage]\nendpoint = "https://user:word@minio.example.com"',
    "endpoint with a query": '[storage]\nendpoint = "https://minio.example.com/?a=b"',
}

# What a schema cannot know.
ONLY_THE_BINARY = {
    "trigger": 'trigger = "0 24 * * *"',
    "time zone": 'timezone = "Europe/Berln"',
    "since": '[streams.activities]\nsince = "yesterday"',
    "scheme": 'to = "ftp://host/lake"',
    "column": 'columns.exclude = ["subjct"]',
    "shared table": '[streams.activities]\n[streams.customers]\ntable = "activities"',
    "plain http": '[storage]\nendpoint = "http://minio.example.com"',
}


def run(binary: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `config` where no other file is found."""
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder / "nowhere")}
    command = [str(binary), "config", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    """The schema as it is kept."""
    schema: dict[str, Any] = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_both_take_what_is_good(binary: Path, schema: Draft7Validator, tmp_path: Path, text: str) -> None:
    """The binary says what it makes of it."""
    (tmp_path / "cio2parquet.toml").write_text(text)
    assert [error.message for error in schema.iter_errors(tomllib.loads(text))] == []
    checked = run(binary, tmp_path, "check", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["file"] == "./cio2parquet.toml"


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_both_refuse_what_is_bad(binary: Path, schema: Draft7Validator, tmp_path: Path, text: str) -> None:
    """The binary with its exit code for input."""
    (tmp_path / "cio2parquet.toml").write_text(text)
    assert not schema.is_valid(tomllib.loads(text))
    checked = run(binary, tmp_path, "check")
    assert checked.returncode == 2, checked.stdout
    assert checked.stderr.startswith("error: ./cio2parquet.toml:")


@pytest.mark.parametrize("text", ONLY_THE_BINARY.values(), ids=ONLY_THE_BINARY)
def test_the_binary_knows_more(binary: Path, schema: Draft7Validator, tmp_path: Path, text: str) -> None:
    """The schema must not refuse what it cannot judge."""
    (tmp_path / "cio2parquet.toml").write_text(text)
    assert schema.is_valid(tomllib.loads(text))
    assert run(binary, tmp_path, "check").returncode == 2


def test_a_new_file_is_good_as_it_stands_and_with_every_example(
    binary: Path, schema: Draft7Validator, tmp_path: Path
) -> None:
    """An example is a comment without a space before its key."""
    assert run(binary, tmp_path, "init").returncode == 0
    text = (tmp_path / "cio2parquet.toml").read_text()
    examples = "\n".join(
        line[1:] if line.startswith("#") and line[1:2] not in {" ", ":", ""} else line for line in text.splitlines()
    )
    assert examples.count("#") < text.count("#")
    for form in (text, examples):
        assert [error.message for error in schema.iter_errors(tomllib.loads(form))] == []


def test_the_schema_is_the_one_that_the_binary_prints(binary: Path, tmp_path: Path) -> None:
    """What editors fetch is what is checked."""
    assert run(binary, tmp_path, "schema").stdout == (ROOT / "docs" / "config.schema.json").read_text()
