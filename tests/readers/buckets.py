"""The command under test with a lake in a bucket."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from exporter import Exporter
from places import Place
from proxy import Proxy
from servers import ALL, Server


@dataclass(frozen=True)
class BucketExporter(Exporter):
    """`cio2parquet export` into a bucket; `lake` names the place in it, and is the folder for a copy of it."""

    server: Server = field(kw_only=True)
    key: str = ALL
    """With which of the server's keys."""
    proxy: Proxy | None = None
    """Through which the command goes, but not the test."""

    @property
    def place(self) -> Place:
        """The lake in the bucket."""
        name = str(self.lake).strip("/")
        return self.server.place(name, self.key, self.proxy.url if self.proxy else None)

    @property
    def to(self) -> str:
        """The URL of the lake."""
        return str(self.place)

    @property
    def opening(self) -> dict[str, str]:
        """The store's own variables."""
        return self.place.environment

    def begin_with(self, before: Path) -> None:
        """Put every object of that lake."""
        self.place.upload(before)

    def fetch(self) -> Path:
        """A copy of every object, made now."""
        return self.place.download(self.lake)

    def left(self) -> list[str]:
        """Uploads that nobody completed, and what belongs on a disk only.

        Azure knows no uploads, only blocks that nobody has put together, and forgets them by itself.
        """
        uploads = [] if self.place.scheme == "az" else self.place.uploads()
        return [*uploads, *self.place.keys("_staging/")]

    def discard(self) -> None:
        """Remove the copy and every object."""
        shutil.rmtree(self.lake, ignore_errors=True)
        self.place.empty()
