"""Rows that are not as documented: all kept, told in the report, and what no table can take is set aside."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compare import assert_same, by_key
from expected import Lake, Truth, incremental, observe
from exporter import COMPLETE, GAPS, Exporter, Outcome
from lake import read_duckdb
from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, MESSAGES, METRICS, STREAMS, Row, Sandbox

SMALL = {"deliveries": 4_000, "activities": 2_000, "people": 400, "messages": 12, "days": 100}
STRUCTS = ("metrics", "identifiers", "customer_identifiers")
StartSandbox = Callable[..., Sandbox]
MakeExporter = Callable[..., Exporter]


@pytest.fixture(scope="module")
def odd(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, Outcome, Truth]]:
    """A workspace in which every third row is odd, exported once."""
    behaviour = {"odd": 3, "numeric_cio_id": 3, "secondary_delivered": 4, "template_fields": True}
    with Sandbox(binary, behaviour=behaviour, **SMALL) as sandbox:
        exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("odd") / "lake")
        outcome = exporter.run("-q").expect(COMPLETE)
        yield exporter, outcome, observe(sandbox)


def assert_lake_is(lake: Path, truth: Truth) -> None:
    """The lake is what a first run makes of the truth."""
    wanted = incremental(Lake(), truth)
    for stream in STREAMS:
        assert_same(wanted.rows[stream], by_key(stream, read_duckdb(lake / stream)))


@pytest.mark.parametrize("stream", STREAMS)
def test_odd_rows_are_kept(odd: tuple[Exporter, Outcome, Truth], stream: str) -> None:
    """What fits stands in its column, the rest in `_extra`."""
    exporter, _, truth = odd
    wanted = incremental(Lake(), truth).rows[stream]
    assert_same(wanted, by_key(stream, read_duckdb(exporter.lake / stream)))
    assert any(row["_extra"] for row in wanted.values())


@pytest.mark.parametrize("stream", STREAMS)
def test_everything_in_extra_is_told_as_drift(odd: tuple[Exporter, Outcome, Truth], stream: str) -> None:
    """Each path with the number of its rows."""
    _, outcome, truth = odd
    rows = incremental(Lake(), truth).rows[stream].values()
    told = {entry["path"]: entry["count"] for entry in outcome.stream(stream)["drift"]}
    assert told == Counter(path for row in rows for path in extra_paths(row["_extra"]))
    kinds = {entry["kind"] for entry in outcome.stream(stream)["drift"]}
    assert kinds <= {"unknown_field", "misfit"}


def test_a_misfit_is_told_apart_from_an_unknown_field(odd: tuple[Exporter, Outcome, Truth]) -> None:
    """A documented column whose value does not fit, and a field that nobody documented."""
    _, outcome, _ = odd
    kinds = {entry["path"]: entry["kind"] for entry in outcome.stream(DETAILS)["drift"]}
    assert kinds["action_id"] == "misfit"
    assert kinds["metrics.clicked"] == "misfit"
    assert kinds["metrics.secondary:delivered"] == "unknown_field"
    assert kinds["language"] == "unknown_field"


def extra_paths(extra: str | None) -> Iterable[str]:
    """The paths that an `_extra` holds; only the columns that are structs have a second level."""
    for name, value in json.loads(extra or "{}").items():
        if name in STRUCTS and isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def test_the_oddities_that_the_api_is_known_for_are_all_there(odd: tuple[Exporter, Outcome, Truth]) -> None:
    """Else the tests above would prove little."""
    _, _, truth = odd
    extras = [json.loads(row["_extra"]) for row in truth.rows[DETAILS].values() if row["_extra"]]
    names = {name for extra in extras for name in extra}
    assert {"language", "experiment", "subject", "action_id", "identifiers", "metrics"} <= names
    assert any(row["identifiers"] is None for row in truth.rows[DETAILS].values())
    assert any(row["metrics"] is None for row in truth.rows[DETAILS].values())
    assert any(row["campaign_id"] == 18 for row in truth.rows[DETAILS].values())
    assert any(isinstance(extra["subject"], dict) for extra in extras if "subject" in extra)


@pytest.mark.parametrize(
    "behaviour",
    [
        {"person_key": "identifiers", "parents": "null", "last_next": "null", "null_arrays": True},
        {"person_key": "customer_identifiers", "parents": "absent", "last_next": "absent", "empty_pages": 3},
        {"duplicates": 3, "numeric_cio_id": 1, "over_limit": "refuse", "gzip": False},
    ],
    ids=["docs", "live", "crooked"],
)
def test_every_shape_of_the_api_gives_the_truth(
    behaviour: Row, start_sandbox: StartSandbox, exporter: MakeExporter
) -> None:
    """The documentation and the live API disagree; both have to be read."""
    sandbox = start_sandbox(behaviour=behaviour, **SMALL)
    export = exporter(sandbox)
    export.run("-q").expect(COMPLETE)
    assert_lake_is(export.lake, observe(sandbox))


FAULTS: list[Row] = [
    {"chance": 0.1, "fault": {"status": {"code": 503}}},
    {"chance": 0.05, "fault": {"status": {"code": 429, "retry_after": "0"}}},
    {"chance": 0.05, "fault": "cut_before"},
    {"chance": 0.05, "fault": "cut_inside"},
    {"chance": 0.05, "fault": "html"},
    {"chance": 0.05, "fault": "truncated"},
    {"chance": 0.05, "fault": {"slow": {"ms": 200}}},
    {"numbers": [3], "endpoint": "details", "fault": "no_envelope"},
    {"numbers": [4], "endpoint": "activities", "fault": "repeat_cursor"},
]


def test_a_rough_night_gives_the_truth(start_sandbox: StartSandbox, exporter: MakeExporter) -> None:
    """Every passing failure at once; each is retried, and none costs a row."""
    sandbox = start_sandbox(behaviour={"faults": FAULTS}, **SMALL)
    export = exporter(sandbox)
    outcome = export.run("-q").expect(COMPLETE)
    assert sum(stream["retries"] for stream in outcome.report["streams"]) > 10
    assert_lake_is(export.lake, observe(sandbox))


@pytest.fixture(scope="module")
def keyless(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, Outcome]]:
    """A workspace in which one row in twenty has no key or no usable time, or is no object."""
    with Sandbox(binary, behaviour={"keyless": 20}, **SMALL) as sandbox:
        exporter = Exporter(binary, sandbox, tmp_path_factory.mktemp("keyless") / "lake")
        yield exporter, exporter.run("-q").expect(GAPS)


def test_one_poisoned_row_never_stops_the_night(keyless: tuple[Exporter, Outcome]) -> None:
    """All other rows are there."""
    exporter, _ = keyless
    assert_lake_is(exporter.lake, observe(exporter.sandbox))


@pytest.mark.parametrize("stream", [ACTIVITIES, CUSTOMERS, DETAILS])
def test_rejected_rows_are_set_aside_once(keyless: tuple[Exporter, Outcome], stream: str) -> None:
    """Each form in a file of its own, named after its bytes, with where it came from."""
    exporter, outcome = keyless
    entries = rejected(exporter.lake, stream)
    assert outcome.stream(stream)["status"] == "gaps"
    assert outcome.stream(stream)["rows"]["rejected"] >= len(entries) > 4
    for digest, entry in entries.items():
        assert hashlib.sha256(entry["row"].encode()).hexdigest() == digest
        assert entry["reason"]
        assert "/v1/" in entry["request"]
        assert entry["pointer"].startswith("/")
        assert exporter.sandbox.token not in json.dumps(entry)


@pytest.mark.parametrize("stream", [MESSAGES, METRICS])
def test_streams_without_poison_have_no_rejected_rows(keyless: tuple[Exporter, Outcome], stream: str) -> None:
    """One stream's gaps are its own."""
    exporter, outcome = keyless
    assert not rejected(exporter.lake, stream)
    assert outcome.stream(stream)["status"] == "complete"


def test_only_a_row_not_yet_kept_makes_the_exit_code_8(keyless: tuple[Exporter, Outcome]) -> None:
    """The next night has nothing new to tell."""
    exporter, _ = keyless
    before = {stream: rejected(exporter.lake, stream) for stream in STREAMS}
    again = exporter.run("-q").expect(COMPLETE)
    assert {stream: rejected(exporter.lake, stream) for stream in STREAMS} == before
    assert again.stream(CUSTOMERS)["rows"]["rejected"] > 0


def test_every_form_of_a_broken_row_is_set_aside(keyless: tuple[Exporter, Outcome]) -> None:
    """No object at all, no key, a null key, a key that is no text, no time, a time that is none."""
    exporter, _ = keyless
    rows = [entry["row"] for stream in STREAMS for entry in rejected(exporter.lake, stream).values()]
    forms = [json.loads(row) for row in rows]
    assert None in forms
    assert {type(form) for form in forms} >= {str, list, dict}
    assert {"email": None, "id": "7", "cio_id": True} in forms
    assert any(form.get("created") == "yesterday" for form in forms if isinstance(form, dict))
    assert any(form.get("timestamp") == "soon" for form in forms if isinstance(form, dict))


def rejected(lake: Path, stream: str) -> dict[str, dict[str, Any]]:
    """The rows set aside of one stream, by the name of their file."""
    files = (lake / "_rejected" / stream).glob("*.json")
    return {file.stem: json.loads(file.read_text()) for file in files}
