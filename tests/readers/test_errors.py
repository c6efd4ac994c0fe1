"""Bad input: one line that names the thing and the remedy, the right exit code, and no table touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter import API, COMPLETE, FORBIDDEN, GAPS, INPUT, KEY, STORAGE, Exporter, Outcome, run
from lake import tables
from sandbox import ACTIVITIES, STREAMS, Sandbox

MakeExporter = Callable[..., Exporter]
ENDPOINTS = ["activities", "customers", "transactional", "metrics", "details"]


@pytest.fixture(scope="module")
def small(binary: Path) -> Iterator[Sandbox]:
    """A workspace that nothing is read from."""
    with Sandbox(binary, deliveries=300, activities=200, people=50, messages=6) as sandbox:
        yield sandbox


def assert_one_line(outcome: Outcome, *words: str) -> None:
    """One line on stderr that holds all these words; nothing on stdout that could be taken for a result."""
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("error: ")
    missing = [word for word in words if word not in lines[0]]
    assert not missing, f"{missing} not in {lines[0]!r}"
    assert not lines[0].endswith(".")


def assert_nothing_sent_or_touched(export: Exporter) -> None:
    """No request went out, and the lake's folder holds no table."""
    assert export.sandbox.requests()["total"] == 0
    assert not export.lake.exists() or not tables(export.lake)


BAD_SETTINGS = {
    "unknown stream": (["activitys"], ["activitys", "activities"]),
    "stream far from any": (["zzz"], ["zzz", *STREAMS]),
    "bad since": (["--since", "yesterday"], ["--since", "yesterday", "2026-01-31", "90d"]),
    "bad until": (["--until", "2026-02-30"], ["--until", "2026-02-30"]),
    "since after until": (["--since", "2026-03-01", "--until", "2026-02-01"], ["--since", "--until", "2026-03-01"]),
    "since in the future": (["--since", "2027-01-01"], ["--since", "2027-01-01"]),
    "bad sync": (["--sync", "full"], ["full", "full-table", "incremental"]),
    "bad lookback": (["--lookback", "a while"], ["--lookback", "a while", "30d"]),
    "bad memory": (["--memory", "lots"], ["--memory", "lots", "256MiB"]),
    "too little memory": (["--memory", "1KiB"], ["--memory", "1KiB"]),
    "bad concurrency": (["--concurrency", "0"], ["--concurrency", "0"]),
    "bad table": (["--table", "activities"], ["--table", "STREAM=NAME"]),
    "unknown stream in table": (["--table", "activitys=a"], ["activitys", "activities"]),
    "two streams in one table": (["--table", "activities=customers"], ["activities", "customers"]),
    "bad table name": (["--table", "activities=../up"], ["../up"]),
    "bad prefix": (["--prefix", "_"], ["_"]),
    "missing config": (["--config", "nowhere.toml"], ["nowhere.toml"]),
    "missing key file": (["--token-file", "nowhere.key"], ["nowhere.key"]),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_bad_settings(arguments: list[str], words: list[str], small: Sandbox, exporter: MakeExporter) -> None:
    """Found before anything is sent."""
    small.forget_requests()
    export = exporter(small)
    assert_one_line(export.run(*arguments).expect(INPUT), *words)
    assert_nothing_sent_or_touched(export)


@pytest.mark.parametrize("flags", [["--rate", "fast"], ["--now", "today"]])
def test_bad_settings_given_twice_over(flags: list[str], binary: Path, tmp_path: Path) -> None:
    """Flags that the other tests set themselves."""
    outcome = run(binary, "export", "--to", str(tmp_path / "lake"), *flags, CIO_TOKEN="x").expect(INPUT)
    assert_one_line(outcome, *flags)


def test_a_misspelt_flag_names_the_right_one(binary: Path) -> None:
    """The argument parser's own message, which has more than one line."""
    outcome = run(binary, "export", "--snyc", "incremental").expect(INPUT)
    assert "--snyc" in outcome.stderr
    assert "--sync" in outcome.stderr


def test_a_misspelt_config_key_names_the_right_one(small: Sandbox, exporter: MakeExporter, tmp_path: Path) -> None:
    """With the file it stands in."""
    config = tmp_path / "nightly.toml"
    config.write_text('[streams.activities]\nlokback = "30d"\n')
    outcome = exporter(small).run("--config", str(config)).expect(INPUT)
    assert_one_line(outcome, "nightly.toml", "lokback", "lookback")


def test_no_key(binary: Path, tmp_path: Path) -> None:
    """The variable and the flag are named."""
    outcome = run(binary, "export", "--to", str(tmp_path / "lake")).expect(INPUT)
    assert_one_line(outcome, "CIO_TOKEN", "--token-file")


def test_an_empty_key(binary: Path, tmp_path: Path) -> None:
    """As a shell leaves it when a variable was not set."""
    outcome = run(binary, "export", "--to", str(tmp_path / "lake"), CIO_TOKEN=" ").expect(INPUT)
    assert_one_line(outcome, "CIO_TOKEN")


def test_nowhere_to_export_to(binary: Path) -> None:
    """The flag is named."""
    assert_one_line(run(binary, "export", CIO_TOKEN="x").expect(INPUT), "--to")


def test_plain_http_to_elsewhere(binary: Path, tmp_path: Path) -> None:
    """The key does not travel unprotected."""
    outcome = run(
        binary, "export", "--to", str(tmp_path / "lake"), "--api-url", "http://api.example.com", CIO_TOKEN="x"
    ).expect(INPUT)
    assert_one_line(outcome, "api.example.com", "https")


def test_an_unknown_region(binary: Path, tmp_path: Path) -> None:
    """Both regions are named."""
    outcome = run(binary, "export", "--to", str(tmp_path / "lake"), "--region", "asia", CIO_TOKEN="x").expect(INPUT)
    assert_one_line(outcome, "asia", "us", "eu")


def test_a_folder_that_cannot_be_made(small: Sandbox, binary: Path) -> None:
    """Nobody, not even root, can make a folder here."""
    small.forget_requests()
    export = Exporter(binary, small, Path("/proc/lake"))
    assert_one_line(export.run().expect(STORAGE), "/proc/lake")
    assert small.requests()["total"] == 0


def test_a_file_where_a_folder_is_expected(small: Sandbox, exporter: MakeExporter) -> None:
    """The path is named, and the file is left alone."""
    small.forget_requests()
    export = exporter(small)
    export.lake.write_text("mine")
    assert_one_line(export.run().expect(INPUT, STORAGE), str(export.lake))
    assert export.lake.read_text() == "mine"
    assert small.requests()["total"] == 0


@pytest.mark.parametrize("table", ["activities", "_manifest", "_manifest/customers"])
def test_a_file_where_a_table_is_expected(table: str, small: Sandbox, exporter: MakeExporter) -> None:
    """Found out before it is too late to say so, with the path."""
    export = exporter(small)
    blocked = export.lake / table
    blocked.parent.mkdir(parents=True)
    blocked.write_text("mine")
    outcome = export.run("-q").expect(STORAGE, GAPS)
    assert blocked.name in outcome.stderr + outcome.stdout
    assert blocked.read_text() == "mine"


def test_a_wrong_key(small: Sandbox, exporter: MakeExporter) -> None:
    """401 ends the run before any table is touched; the key is not repeated."""
    secret = "wr0ngs3cret"
    export = exporter(small, environment={"CIO_TOKEN": secret})
    outcome = export.run().expect(KEY)
    assert_one_line(outcome, "401")
    assert secret not in outcome.stderr + outcome.stdout
    assert not tables(export.lake)
    assert outcome.report["exit_code"] == KEY


def test_every_stream_forbidden(small: Sandbox, exporter: MakeExporter) -> None:
    """403 everywhere: the report names every stream, and no table is touched."""
    small.behave(forbidden=ENDPOINTS)
    try:
        export = exporter(small)
        outcome = export.run("-q").expect(FORBIDDEN)
    finally:
        small.behave(forbidden=None)
    assert {stream["status"] for stream in outcome.report["streams"]} == {"forbidden"}
    assert "403" in outcome.stderr
    assert not tables(export.lake)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_one_endpoint_forbidden(endpoint: str, small: Sandbox, exporter: MakeExporter) -> None:
    """The streams that do not need it are exported; the report says which one was not."""
    small.behave(forbidden=[endpoint])
    try:
        export = exporter(small)
        outcome = export.run("-q").expect(GAPS)
    finally:
        small.behave(forbidden=None)
    hit = {
        "transactional": {"transactional_messages", "transactional_metrics", "transactional_message_details"},
        "metrics": {"transactional_metrics"},
        "details": {"transactional_message_details"},
    }.get(endpoint, {endpoint})
    statuses = {stream["stream"]: stream["status"] for stream in outcome.report["streams"]}
    assert statuses == {stream: "forbidden" if stream in hit else "complete" for stream in STREAMS}
    assert all("403" in outcome.stream(stream)["error"] for stream in hit)
    assert tables(export.lake) == set(STREAMS) - hit
    export.run("-q").expect(COMPLETE)


def test_an_api_that_is_not_there(binary: Path, tmp_path: Path) -> None:
    """Retried for a while, then told; a short `--max-duration` must end it."""
    arguments = ["export", "--to", str(tmp_path / "lake"), "--api-url", "http://127.0.0.1:9", "--max-duration", "2s"]
    outcome = run(binary, *arguments, CIO_TOKEN="x")
    assert outcome.code in {API, 9}, outcome.stderr
    assert outcome.stderr


def test_a_stream_named_twice_is_exported_once(small: Sandbox, exporter: MakeExporter) -> None:
    """No two writers of one table."""
    outcome = exporter(small).run(ACTIVITIES, ACTIVITIES, "-q").expect(COMPLETE)
    assert [stream["stream"] for stream in outcome.report["streams"]] == [ACTIVITIES]
