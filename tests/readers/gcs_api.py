"""Google Cloud Storage's XML API, as far as a client needs it that writes objects and lists them: requests to answers.

A request needs one of the tokens of `RIGHTS`; as with the real one, replacing an object needs the right to delete it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from dataclasses import dataclass
from email.utils import format_datetime
from xml.etree import ElementTree

from gcs_objects import MOST_KEYS, Bucket, Object, RefusedError, precondition_failed
from gcs_xml import Answer, document, element, error, timestamp

READ, CREATE, DELETE = "read", "create", "delete"
RIGHTS = {
    "token-of-all-rights": {READ, CREATE, DELETE},
    "token-to-read": {READ},
    "token-without-delete": {READ, CREATE},
}


@dataclass
class Request:
    """What was asked for."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def condition(self) -> str | None:
        """The generation that the object must have; 0 when there must be none."""
        return self.headers.get("x-goog-if-generation-match")

    @property
    def content_type(self) -> str:
        """What the object is said to be."""
        return self.headers.get("content-type", "application/octet-stream")


class Api:
    """The buckets, and what each request does to them."""

    def __init__(self, buckets: list[str]) -> None:
        """Empty buckets of these names."""
        self._buckets = {name: Bucket() for name in buckets}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Do what was asked, in one step."""
        try:
            rights = rights_of(request)
            with self._lock:
                if request.bucket not in self._buckets:
                    raise RefusedError(404, "NoSuchBucket", "The specified bucket does not exist.", request.bucket)
                bucket = self._buckets[request.bucket]
                writes = request.method in {"PUT", "POST"} or "uploadId" in request.query
                need(rights, CREATE if writes else READ)
                return on_object(request, bucket, rights) if request.key else on_bucket(request, bucket)
        except RefusedError as refused:
            return error(refused)


def rights_of(request: Request) -> set[str]:
    """What the request's token allows."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer" or token not in RIGHTS:
        raise RefusedError(401, "AuthenticationRequired", "Authentication required.")
    return RIGHTS[token]


def need(rights: set[str], right: str) -> None:
    """Refuse who may not."""
    if right not in rights:
        details = f"The caller does not have storage.objects.{right} access to the Google Cloud Storage object."
        raise RefusedError(403, "AccessDenied", "Access denied.", details)


def on_bucket(request: Request, bucket: Bucket) -> Answer:
    """Lists of objects and of uploads."""
    if request.method not in {"GET", "HEAD"}:
        raise RefusedError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    return list_uploads(request, bucket) if "uploads" in request.query else list_objects(request, bucket)


def on_object(request: Request, bucket: Bucket, rights: set[str]) -> Answer:
    """Everything that has a key."""
    method, key, query = request.method, request.key, request.query
    if method in {"GET", "HEAD"}:
        return read(request, bucket.get(key))
    if method == "DELETE" and "uploadId" in query:
        bucket.abort(key, query["uploadId"])
        return Answer(204, {})
    if method == "DELETE":
        need(rights, DELETE)
        bucket.delete(key, request.condition)
        return Answer(204, {})
    if method == "POST" and "uploads" in query:
        identifier = bucket.initiate(key, request.content_type)
        return document("InitiateMultipartUploadResult", Bucket=request.bucket, Key=key, UploadId=identifier)
    if method == "PUT" and "uploadId" in query:
        etag = bucket.part(key, query["uploadId"], query.get("partNumber", ""), request.body)
        return Answer(200, {"ETag": etag})
    if method == "POST" and "uploadId" in query:
        need(rights, DELETE if bucket.generation(key) else CREATE)
        return complete(request, bucket)
    if method == "PUT":
        # The condition comes first: who may not replace an object still learns that it is there.
        bucket.check_generation(key, request.condition)
        need(rights, DELETE if bucket.generation(key) else CREATE)
        made = bucket.put(key, request.body, request.content_type, request.condition)
        return Answer(200, described(made))
    raise RefusedError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def complete(request: Request, bucket: Bucket) -> Answer:
    """The parts become an object."""
    try:
        parts = [
            (int(part.findtext("{*}PartNumber", "")), part.findtext("{*}ETag", ""))
            for part in ElementTree.fromstring(request.body).iterfind("{*}Part")
        ]
    except (ElementTree.ParseError, ValueError):
        raise RefusedError(
            400, "MalformedCompleteMultipartUploadRequest", "The XML you provided is malformed."
        ) from None
    made = bucket.complete(request.key, request.query["uploadId"], parts)
    answer = document("CompleteMultipartUploadResult", Bucket=request.bucket, Key=request.key, ETag=made.etag)
    answer.headers["x-goog-generation"] = str(made.generation)
    return answer


def read(request: Request, found: Object) -> Answer:
    """An object or a range of it, if it is the one that the request wants."""
    headers = described(found) | {"Last-Modified": format_datetime(found.modified, usegmt=True)}
    headers |= {"Content-Type": found.content_type, "Accept-Ranges": "bytes"}
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    generation = request.query.get("generation", str(found.generation))
    if generation != str(found.generation):
        raise RefusedError(404, "NoSuchKey", "The specified key does not exist.", f"generation {generation}")
    if request.condition not in {None, str(found.generation)} or wanted not in {None, "*", found.etag}:
        raise precondition_failed()
    if unwanted in {"*", found.etag}:
        return Answer(304, headers)
    spans = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if not spans or not any(spans.groups()):
        return Answer(200, headers, found.content)
    size = len(found.content)
    first = int(spans[1]) if spans[1] else max(0, size - int(spans[2]))
    end = min(size, int(spans[2]) + 1) if spans[1] and spans[2] else size
    if first >= end:
        raise RefusedError(416, "InvalidRange", "The requested range cannot be satisfied.", f"bytes={first}-{end - 1}")
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return Answer(206, headers, found.content[first:end])


def described(found: Object) -> dict[str, str]:
    """The headers that tell of an object."""
    headers = {
        "ETag": found.etag,
        "x-goog-generation": str(found.generation),
        "x-goog-metageneration": "1",
        "x-goog-stored-content-encoding": "identity",
        "x-goog-stored-content-length": str(len(found.content)),
        "x-goog-storage-class": "STANDARD",
    }
    if not found.composite:
        headers["x-goog-hash"] = f"md5={base64.b64encode(hashlib.md5(found.content).digest()).decode()}"
    return headers


def list_objects(request: Request, bucket: Bucket) -> Answer:
    """`list-type=2`: keys and folders, a thousand at a time."""
    query = request.query
    if query.get("list-type") != "2":
        raise RefusedError(400, "InvalidArgument", "Invalid argument.", "only list-type=2 is served here")
    prefix, delimiter, limit = query.get("prefix", ""), query.get("delimiter", ""), limit_of(query, "max-keys")
    token = query.get("continuation-token")
    try:
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
    except ValueError:
        raise RefusedError(400, "InvalidArgument", "Invalid argument.", f"continuation-token {token}") from None
    found = bucket.list(prefix, delimiter, after, limit)
    children = [
        element("Contents", Key=key, Generation=made.generation, MetaGeneration=1)[: -len("</Contents>")]
        + element("LastModified", timestamp(made.modified))
        + element("ETag", made.etag)
        + element("Size", len(made.content))
        + "</Contents>"
        for key, made in found.objects
    ]
    children += [element("CommonPrefixes", Prefix=folder) for folder in found.prefixes]
    fields: dict[str, object] = {"Name": request.bucket, "Prefix": prefix, "MaxKeys": limit}
    fields |= {"KeyCount": len(children), "IsTruncated": str(found.next is not None).lower()}
    if found.next is not None:
        fields["NextContinuationToken"] = base64.urlsafe_b64encode(found.next.encode()).decode()
    return document("ListBucketResult", "".join(children), **fields)


def list_uploads(request: Request, bucket: Bucket) -> Answer:
    """Uploads that were neither completed nor aborted."""
    query, limit = request.query, limit_of(request.query, "max-uploads")
    prefix = query.get("prefix", "")
    # A key alone stands for all its uploads.
    after = (query.get("key-marker", ""), query.get("upload-id-marker", "\U0010ffff"))
    found = bucket.list_uploads(prefix, after, limit)
    more, found = len(found) > limit, found[:limit]
    children = [
        element("Upload", Key=one.key, UploadId=name, StorageClass="STANDARD", Initiated=timestamp(one.initiated))
        for name, one in found
    ]
    fields: dict[str, object] = {"Bucket": request.bucket, "Prefix": prefix, "MaxUploads": limit}
    fields["IsTruncated"] = str(more).lower()
    if more:
        fields |= {"NextKeyMarker": found[-1][1].key, "NextUploadIdMarker": found[-1][0]}
    return document("ListMultipartUploadsResult", "".join(children), **fields)


def limit_of(query: dict[str, str], name: str) -> int:
    """How many entries are wanted, at most as many as one answer holds."""
    text = query.get(name, str(MOST_KEYS))
    if not text.isdecimal():
        raise RefusedError(400, "InvalidArgument", "Invalid argument.", f"{name} {text}")
    return min(int(text), MOST_KEYS)
