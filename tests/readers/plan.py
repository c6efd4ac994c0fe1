"""Requests to a store, whatever the store calls them, and what is to happen to which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

CONDITIONS = ("if-match", "if-none-match", "x-goog-if-generation-match")
GET, HEAD, LIST, PUT, DELETE = "get", "head", "list", "put", "delete"
INITIATE, PART, COMPLETE, ABORT, UPLOADS = "initiate", "part", "complete", "abort", "uploads"
READS, WRITES = {GET, HEAD, LIST, UPLOADS}, {PUT, INITIATE, PART, COMPLETE}


@dataclass
class Call:
    """One request and what came of it."""

    kind: str
    """What it does, whatever the store calls it."""
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    target: str = ""
    """Path and query exactly as they were asked for: that is what was signed."""
    status: int | None = None
    """What the client was answered; nothing if the connection was reset."""
    upstream: int | None = None
    """What the store answered, if it was asked."""
    fault: str = ""

    @property
    def conditional(self) -> bool:
        """Whether it is to change something only if a condition holds."""
        return self.kind not in READS and any(name in self.headers for name in CONDITIONS)

    @property
    def creates(self) -> bool:
        """Whether it is to succeed only where nothing is."""
        return self.headers.get("if-none-match") == "*" or self.headers.get("x-goog-if-generation-match") == "0"

    def __str__(self) -> str:
        """For a person."""
        told = f"{self.kind} {self.path} -> {self.status}"
        return f"{told} ({self.fault}; the store said {self.upstream})" if self.fault else told


Where = Callable[[Call], bool]


@dataclass(frozen=True)
class Answer:
    """What a client is answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Rule:
    """A fault, and which requests it hits: after the first `skip` of those that match, so `many`."""

    fault: Fault
    where: Where
    many: int | None = None
    skip: int = 0
    seen: int = 0

    def hits(self, call: Call) -> bool:
        """Whether this request is hit; each that matches counts."""
        if not self.where(call):
            return False
        self.seen += 1
        return self.seen > self.skip and (self.many is None or self.seen <= self.skip + self.many)

    @property
    def struck(self) -> int:
        """How many requests it has hit."""
        hit = max(0, self.seen - self.skip)
        return hit if self.many is None else min(hit, self.many)


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead of being passed on."""

    name: str
    answer: Answer | None = None
    """Answered at once; the store is not asked."""
    delay: float = 0
    """Seconds before anything else."""
    reset: str = ""
    """`before` the store was asked, or `after` it has answered: the client learns nothing."""
    unconditional: bool = False
    """The store does not see the condition."""


def any_call(_: Call) -> bool:
    """Every request."""
    return True


def of_kind(*kinds: str) -> Where:
    """Requests of these kinds."""
    return lambda call: call.kind in kinds


def below(folder: str, *kinds: str) -> Where:
    """Requests of these kinds, or of any, about what has `folder` in its path."""
    return lambda call: folder in call.path and (not kinds or call.kind in kinds)


def kind_of(method: str, query: dict[str, str]) -> str:
    """What a request does, in S3's, Google's or Azure's words."""
    operation = query.get("comp", "")
    if "uploads" in query:
        return INITIATE if method == "POST" else UPLOADS
    if "uploadId" in query:
        return {"PUT": PART, "POST": COMPLETE, "DELETE": ABORT}.get(method, method.lower())
    if operation == "list" or "list-type" in query:
        return UPLOADS if "uncommittedblobs" in query.get("include", "") else LIST
    if operation in {"block", "blocklist"} and method == "PUT":
        return PART if operation == "block" else COMPLETE
    if "delete" in query or operation == "batch":
        return DELETE
    return method.lower()
