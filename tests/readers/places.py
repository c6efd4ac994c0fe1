"""A folder of a bucket as a test sees it, past the binary and past any proxy: list, read, write, delete, download."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import shutil
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

TIMEOUT = 60
AZURE_VERSION = "2023-11-03"
PLAIN = "Content-MD5 Content-Type Date If-Modified-Since If-Match If-None-Match If-Unmodified-Since Range".split()
"""The headers that are signed without their names, in this order."""


class Place:
    """A folder of a bucket; keys are relative to it."""

    scheme: str

    def __init__(self, bucket: str, name: str, environment: dict[str, str]) -> None:
        """A bucket, a folder in it (`""` for all of it), and what the binary must find in its environment."""
        self.bucket, self.name, self.environment = bucket, name.strip("/"), environment
        self.prefix = f"{self.name}/" if self.name else ""

    def __str__(self) -> str:
        """As the binary is told of it."""
        return f"{self.scheme}://{self.bucket}/{self.name}".rstrip("/")

    def keys(self, folder: str = "") -> dict[str, int]:
        """The size of every object below a folder."""
        below = self.prefix + folder
        return {key.removeprefix(self.prefix): size for key, size in self._list(below)}

    def read(self, key: str) -> bytes:
        """An object."""
        return self._read(self.prefix + key)

    def write(self, key: str, content: bytes) -> None:
        """Put an object, whatever is there."""
        self._write(self.prefix + key, content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._delete(self.prefix + key)

    def uploads(self) -> list[str]:
        """The key of every multipart upload that was neither completed nor aborted."""
        return [key.removeprefix(self.prefix) for key in self._uploads(self.prefix)]

    def download(self, folder: Path) -> Path:
        """Make `folder` a copy of what is here now."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for key in self.keys():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(key))
        return folder

    def upload(self, folder: Path) -> None:
        """Put everything that is in `folder`."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.write(str(path.relative_to(folder)), path.read_bytes())

    def empty(self) -> None:
        """Remove every object."""
        for key in self.keys():
            self.delete(key)

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        raise NotImplementedError

    def _read(self, key: str) -> bytes:
        raise NotImplementedError

    def _write(self, key: str, content: bytes) -> None:
        raise NotImplementedError

    def _delete(self, key: str) -> None:
        raise NotImplementedError

    def _uploads(self, prefix: str) -> list[str]:
        raise NotImplementedError


class S3Place(Place):
    """A folder of an S3 bucket."""

    scheme = "s3"

    def __init__(self, bucket: str, name: str, environment: dict[str, str], client: Any) -> None:
        """With a boto3 client that may do everything."""
        super().__init__(bucket, name, environment)
        self.client = client

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", [])]

    def _read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def _write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def _delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def _uploads(self, prefix: str) -> list[str]:
        answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        assert not answer.get("IsTruncated"), "more uploads than one answer holds"
        return [entry["Key"] for entry in answer.get("Uploads", [])]


class HttpPlace(Place):
    """A folder of a bucket that is spoken to in plain HTTP."""

    def __init__(self, bucket: str, name: str, environment: dict[str, str], url: str, secret: str) -> None:
        """With the store's own address, past any proxy, and what opens everything."""
        super().__init__(bucket, name, environment)
        self.url, self.secret = urlsplit(url), secret

    def send(
        self,
        method: str,
        key: str = "",
        query: dict[str, str] | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Any request; its status, headers in small letters, and body."""
        path = f"{self.url.path}/{self.bucket}" + (f"/{quote(key)}" if key else "")
        sent = self.signed(method, path, query or {}, body, headers or {})
        connection = http.client.HTTPConnection(self.url.netloc, timeout=TIMEOUT)
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def signed(
        self, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        """The headers with what proves that this may be done."""
        raise NotImplementedError

    def _expect(self, method: str, *request: Any, **more: Any) -> bytes:
        status, _, body = self.send(method, *request, **more)
        assert status < 300, f"{method} {request}: {status} {body[:500]!r}"
        return body

    def _read(self, key: str) -> bytes:
        return self._expect("GET", key)

    def _write(self, key: str, content: bytes) -> None:
        self._expect("PUT", key, body=content)

    def _delete(self, key: str) -> None:
        self._expect("DELETE", key)

    def _pages(self, query: dict[str, str], token: str, parameter: str) -> list[ElementTree.Element]:
        """Every answer to a list request: the next is asked for with what stands in the element `token`."""
        pages = []
        while True:
            pages.append(ElementTree.fromstring(self._expect("GET", query=query)))
            following = pages[-1].findtext(f"{{*}}{token}") or pages[-1].findtext(token)
            if not following:
                return pages
            query = query | {parameter: following}


class GcsPlace(HttpPlace):
    """A folder of a bucket of Google Cloud Storage."""

    scheme = "gs"

    def signed(
        self, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        """The token alone."""
        return headers | {"Authorization": f"Bearer {self.secret}", "Content-Length": str(len(body))}

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        pages = self._pages({"list-type": "2", "prefix": prefix}, "NextContinuationToken", "continuation-token")
        entries = [entry for page in pages for entry in page.iterfind("{*}Contents")]
        return [(entry.findtext("{*}Key", ""), int(entry.findtext("{*}Size", ""))) for entry in entries]

    def _uploads(self, prefix: str) -> list[str]:
        answer = ElementTree.fromstring(self._expect("GET", query={"uploads": "", "prefix": prefix}))
        assert answer.findtext("{*}IsTruncated") == "false", "more uploads than one answer holds"
        return [entry.findtext("{*}Key", "") for entry in answer.iterfind("{*}Upload")]


class AzurePlace(HttpPlace):
    """A folder of an Azure container."""

    scheme = "az"

    def create_container(self) -> None:
        """Make the container itself."""
        self._expect("PUT", query={"restype": "container"})

    def signed(
        self, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        """Azure's `SharedKey`."""
        length = str(len(body)) if body else ""
        headers = headers | {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True)}
        headers |= {"x-ms-version": AZURE_VERSION}
        plain = ["", "", length, *(headers.get(name, "") for name in PLAIN)]
        ours = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        account = self.environment["AZURE_STORAGE_ACCOUNT_NAME"]
        asked = [f"{name}:{query[name]}" for name in sorted(query)]
        text = "\n".join([method, *plain, *ours, "/".join(["", account + path]), *asked])
        digest = hmac.new(base64.b64decode(self.secret), text.encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        return headers | {"Authorization": f"SharedKey {account}:{signature}", "Content-Length": str(len(body))}

    def _write(self, key: str, content: bytes) -> None:
        self._expect("PUT", key, body=content, headers={"x-ms-blob-type": "BlockBlob", "Content-Type": "x/y"})

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        return [(name, size) for name, size, _ in self._blobs(prefix)]

    def _uploads(self, prefix: str) -> list[str]:
        known = {name for name, _ in self._list(prefix)}
        return [name for name, _, _ in self._blobs(prefix, uncommitted=True) if name not in known]

    def _blobs(self, prefix: str, *, uncommitted: bool = False) -> list[tuple[str, int, str]]:
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        query |= {"include": "uncommittedblobs"} if uncommitted else {}
        blobs = [blob for page in self._pages(query, "NextMarker", "marker") for blob in page.iterfind("Blobs/Blob")]
        sizes = [blob.findtext("Properties/Content-Length") or "0" for blob in blobs]
        names = [blob.findtext("Name", "") for blob in blobs]
        etags = [blob.findtext("Properties/Etag", "") for blob in blobs]
        return [(name, int(size), etag) for name, size, etag in zip(names, sizes, etags, strict=True)]
