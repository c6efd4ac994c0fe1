"""What a bucket of Google Cloud Storage holds and how it changes: objects with generations, and multipart uploads.

Made after the reference of the XML API, not after what some client needs. Every method is one step: the server
holds one lock around it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

LEAST_PART = 5 * 1024 * 1024
"""Of all parts of a multipart upload but the last."""
MOST_PARTS = 10_000
MOST_KEYS = 1_000
"""Of one answer to a list request."""


class RefusedError(Exception):
    """What the API answers instead of doing what was asked."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        """An HTTP status, and what stands in the error document."""
        super().__init__(f"{status} {code}: {message} {details}")
        self.status, self.code, self.message, self.details = status, code, message, details


def precondition_failed() -> RefusedError:
    """A condition on the generation or the ETag did not hold."""
    return RefusedError(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


@dataclass(frozen=True)
class Object:
    """A finished object."""

    content: bytes
    etag: str
    generation: int
    content_type: str
    modified: datetime
    composite: bool = False
    """Made of parts: the ETag is no MD5 then, and none is told."""


@dataclass
class Upload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    content_type: str
    initiated: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Listing:
    """One answer to a list request."""

    objects: list[tuple[str, Object]]
    prefixes: list[str]
    next: str | None
    """Where the next answer begins, if there is one."""


class Bucket:
    """Objects by key, and uploads by id."""

    def __init__(self) -> None:
        """An empty one."""
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self._last_generation = 0
        self._numbers = itertools.count(1)

    def get(self, key: str) -> Object:
        """An object that exists."""
        if key not in self.objects:
            raise RefusedError(404, "NoSuchKey", "The specified key does not exist.", f"No such object: {key}")
        return self.objects[key]

    def generation(self, key: str) -> int:
        """The generation of an object; 0 when there is none."""
        return self.objects[key].generation if key in self.objects else 0

    def check_generation(self, key: str, wanted: str | None) -> None:
        """Refuse unless the object has this generation; 0 stands for no object."""
        if wanted is None:
            return
        if not wanted.isdecimal():
            raise RefusedError(400, "InvalidArgument", "Invalid argument.", f"generation {wanted}")
        if int(wanted) != self.generation(key):
            raise precondition_failed()

    def put(self, key: str, content: bytes, content_type: str, wanted: str | None) -> Object:
        """Create or replace an object, if its generation is the `wanted` one."""
        self.check_generation(key, wanted)
        return self._store(key, content, content_type, f'"{hashlib.md5(content).hexdigest()}"')

    def delete(self, key: str, wanted: str | None) -> None:
        """Remove an object, if its generation is the `wanted` one."""
        self.get(key)
        self.check_generation(key, wanted)
        del self.objects[key]

    def initiate(self, key: str, content_type: str) -> str:
        """Begin a multipart upload; its id."""
        identifier = f"upload-{next(self._numbers):08}"
        self.uploads[identifier] = Upload(key, content_type, datetime.now(UTC))
        return identifier

    def part(self, key: str, identifier: str, number: str, content: bytes) -> str:
        """Store a part, in the place of an earlier one of that number; its ETag."""
        upload = self._upload(key, identifier)
        if not number.isdecimal() or not 1 <= int(number) <= MOST_PARTS:
            raise RefusedError(400, "InvalidArgument", "Invalid argument.", f"part number {number}")
        upload.parts[int(number)] = content
        return part_etag(content)

    def complete(self, key: str, identifier: str, parts: list[tuple[int, str]]) -> Object:
        """Make the object of these parts; there is no condition for it."""
        upload = self._upload(key, identifier)
        numbers = [number for number, _ in parts]
        if not parts:
            raise RefusedError(400, "MalformedCompleteMultipartUploadRequest", "The request names no part.")
        if numbers != sorted(set(numbers)):
            raise RefusedError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in parts:
            stored = upload.parts.get(number)
            if stored is None or part_etag(stored).strip('"') != etag.strip('"'):
                raise RefusedError(
                    400, "InvalidPart", "One or more of the specified parts could not be found.", str(number)
                )
        if any(len(upload.parts[number]) < LEAST_PART for number in numbers[:-1]):
            raise RefusedError(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.")
        content = b"".join(upload.parts[number] for number in numbers)
        del self.uploads[identifier]
        digest = hashlib.md5(content + identifier.encode()).digest()
        etag = f'"-{base64.b64encode(digest).decode()}"'
        return self._store(key, content, upload.content_type, etag, composite=True)

    def abort(self, key: str, identifier: str) -> None:
        """Give up an upload and its parts."""
        self._upload(key, identifier)
        del self.uploads[identifier]

    def list(self, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
        """The keys below `prefix` that sort behind `after`; folders count as one key."""
        found: Listing = Listing([], [], None)
        last = ""
        for key in sorted(key for key in self.objects if key.startswith(prefix) and key > after):
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            folder = key[: cut + len(delimiter)] if cut >= 0 else ""
            if folder and (folder in found.prefixes[-1:] or after.startswith(folder)):
                last = key
                continue
            if len(found.objects) + len(found.prefixes) == limit:
                found.next = last
                break
            if folder:
                found.prefixes.append(folder)
            else:
                found.objects.append((key, self.objects[key]))
            last = key
        return found

    def list_uploads(self, prefix: str, after: tuple[str, str], limit: int) -> list[tuple[str, Upload]]:
        """The uploads under way, in order of key and id, behind a place; one more than the limit if there are more."""
        rows = sorted((upload.key, identifier) for identifier, upload in self.uploads.items())
        behind = [row for row in rows if row[0].startswith(prefix) and row > after]
        return [(identifier, self.uploads[identifier]) for _, identifier in behind[: limit + 1]]

    def _upload(self, key: str, identifier: str) -> Upload:
        upload = self.uploads.get(identifier)
        if upload is None or upload.key != key:
            raise RefusedError(404, "NoSuchUpload", "The requested upload was not found.", identifier)
        return upload

    def _store(self, key: str, content: bytes, content_type: str, etag: str, *, composite: bool = False) -> Object:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1_000)
        made = Object(content, etag, self._last_generation, content_type, datetime.now(UTC), composite)
        self.objects[key] = made
        return made


def part_etag(content: bytes) -> str:
    """The ETag of a part."""
    return f'"{hashlib.md5(content).hexdigest()}"'
