"""Rows as dictionaries by key, and differences that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sandbox import ACTIVITIES, CUSTOMERS, DETAILS, LISTS, MESSAGES, METRICS, Row

Key = tuple[Any, ...]
Rows = dict[Key, Row]

KEYS = dict.fromkeys(LISTS, ("id",)) | {
    ACTIVITIES: ("id",),
    CUSTOMERS: ("cio_id",),
    MESSAGES: ("id",),
    METRICS: ("transactional_id", "date"),
    DETAILS: ("id",),
    "snippets": ("name",),
}
SHOWN = 8


def by_key(stream: str, rows: Iterable[Row]) -> Rows:
    """The rows by their key, each of which must be there once."""
    rows = list(rows)
    keys = [tuple(row[name] for name in KEYS[stream]) for row in rows]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    assert not twice, f"{stream}: {len(twice)} keys more than once, e.g. {twice[:SHOWN]}"
    return dict(zip(keys, rows, strict=True))


def assert_same(expected: Rows, actual: Rows) -> None:
    """Every expected row is there, field by field, and no other."""
    differences = difference(expected, actual)
    assert not differences, "\n" + "\n".join(differences)


def difference(expected: Rows, actual: Rows) -> list[str]:
    """What differs, as lines of text; empty when nothing does."""
    missing = sorted(expected.keys() - actual.keys())
    surplus = sorted(actual.keys() - expected.keys())
    wrong = [key for key in expected if key in actual and expected[key] != actual[key]]
    lines = []
    for title, keys, side in (("missing", missing, expected), ("surplus", surplus, actual)):
        if keys:
            lines.append(f"{len(keys)} rows {title} of {len(expected)}:")
            lines += [f"  {key}: {side[key]}" for key in keys[:SHOWN]]
    if wrong:
        lines.append(f"{len(wrong)} rows wrong of {len(expected)}:")
        lines += [line for key in wrong[:SHOWN] for line in row_difference(key, expected[key], actual[key])]
    return lines


def row_difference(key: Key, expected: Row, actual: Row) -> Iterator[str]:
    """The fields of one row that differ."""
    yield f"  {key}:"
    wanted, found = dict(leaves(expected)), dict(leaves(actual))
    for path in [*wanted, *(path for path in found if path not in wanted)]:
        want, have = wanted.get(path, "no such field"), found.get(path, "no such field")
        if want != have or type(want) is not type(have):
            yield f"    {path}: expected {want!r}, read {have!r}"


def leaves(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a row with dots between levels; a struct that is null is a leaf."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
