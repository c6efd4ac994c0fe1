"""What a night asks of a bucket: every request costs money, and waits for an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buckets import BucketExporter
from exporter import COMPLETE, GAPS
from plan import GET, PUT, Call
from proxy import Proxy
from sandbox import STREAMS, Sandbox
from servers import Server

FIXED, PER_CHANGED, PER_UNCHANGED = 6, 3, 2
"""Requests for a table, for each partition that changes, and for each that is only read again."""
CLAIM_AND_LAST = 2
"""Versions of a table in which nothing has changed."""


@dataclass(frozen=True)
class Night:
    """What a run asked for."""

    calls: list[Call]

    @property
    def replaced(self) -> set[str]:
        """The partitions that were put."""
        return {call.path for call in self.calls if call.kind == PUT and not in_manifest(call)}

    @property
    def only_read(self) -> set[str]:
        """The partitions that were read again and stayed."""
        return {call.path for call in self.calls if call.kind == GET and not in_manifest(call)} - self.replaced

    @property
    def versions(self) -> list[Call]:
        """The versions that were created."""
        return [call for call in self.calls if call.kind == PUT and in_manifest(call) and call.status == 200]

    @property
    def bound(self) -> int:
        """The most that it may cost."""
        each = PER_CHANGED * len(self.replaced) + PER_UNCHANGED * len(self.only_read)
        return each + FIXED * len(STREAMS)


def in_manifest(call: Call) -> bool:
    """Whether it is about a version."""
    return "/_manifest/" in call.path


def test_a_night_costs_what_has_changed(
    servers: Callable[[str], Server], start_sandbox: Callable[..., Sandbox], binary: Path, tmp_path: Path
) -> None:
    """A year of partitions, of which a few dozen change, and then none."""
    s3 = servers("s3")
    with Proxy(s3.url) as proxy:
        assert_costs_what_has_changed(s3, proxy, start_sandbox(deliveries=20_000), binary, tmp_path)


def assert_costs_what_has_changed(s3: Server, proxy: Proxy, sandbox: Sandbox, binary: Path, tmp_path: Path) -> None:
    """Three nights: the first, one in which nothing has changed, one eight days later."""
    exporter = BucketExporter(binary, sandbox, tmp_path / "year", ("-q",), server=s3, proxy=proxy)

    def night() -> Night:
        proxy.forget()
        exporter.run().expect(COMPLETE, GAPS)
        return Night(proxy.journal)

    night()
    unchanged = night()
    assert not unchanged.replaced
    assert len(unchanged.only_read) > 30
    assert len(unchanged.versions) == CLAIM_AND_LAST * len(STREAMS), [str(call) for call in unchanged.versions]
    assert len(unchanged.calls) <= unchanged.bound

    sandbox.advance("8d")
    changed = night()
    assert 30 <= len(changed.replaced) < 365
    told = f"{len(changed.replaced)} replaced, {len(changed.only_read)} only read"
    print(f"\n{len(changed.calls)} requests of {changed.bound}: {told}")
    assert len(changed.calls) <= changed.bound, sorted(str(call) for call in changed.calls)
