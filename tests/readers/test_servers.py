"""The stores themselves: a promise that was seen to hold on them is worth as much as they are like the real ones."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import faults
from gcs_objects import LEAST_PART
from places import AzurePlace, GcsPlace, HttpPlace, Place
from plan import COMPLETE, DELETE, GET, INITIATE, LIST, PART, PUT, UPLOADS, any_call, below, of_kind
from proxy import Proxy
from servers import ALL, BUCKET, NO_DELETE, READ, REGION, S3, UNKNOWN, Server

RACES, RACERS = 10, 16


@pytest.fixture
def place(server: Server, request: pytest.FixtureRequest) -> Place:
    """A folder of its own in each store."""
    return server.place(f"test {request.node.name}")


@pytest.fixture
def gcs(servers: Callable[[str], Server], request: pytest.FixtureRequest) -> GcsPlace:
    """A folder of its own in Google's."""
    place = servers("gcs").place(request.node.name)
    assert isinstance(place, GcsPlace)
    return place


@pytest.fixture
def s3(servers: Callable[[str], Server]) -> S3:
    """The S3 server."""
    server = servers("s3")
    assert isinstance(server, S3)
    return server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of each store."""
    with Proxy(server.url) as proxy:
        yield proxy


def client(place: Place) -> Any:
    """boto3 as the binary would come: with the keys and the address of the environment."""
    environment = place.environment
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code with which S3 refuses."""
    with pytest.raises(ClientError) as caught:
        call(Bucket=BUCKET, **arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_place_is_a_folder(place: Place, tmp_path: Path) -> None:
    """Odd names and all; what lies beside it is not seen."""
    files = {f"a b/date=2026-01-{day:02}/part-0.parquet": b"x" * day for day in range(1, 32)} | {"ä+%/1.json": b""}
    for key, content in files.items():
        place.write(key, content)
    assert place.keys() == {key: len(content) for key, content in files.items()}
    assert set(place.keys("ä")) == {"ä+%/1.json"}
    copy = place.download(tmp_path / "copy")
    assert {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == files
    place.delete("ä+%/1.json")
    assert set(place.keys()) == files.keys() - {"ä+%/1.json"}
    place.empty()
    assert not place.keys()
    place.upload(copy)
    assert place.keys().keys() == files.keys()
    assert not place.uploads()


def test_the_keys_of_s3_differ(s3: S3) -> None:
    """One may do everything, one reads, one does not delete, and nobody else does anything."""
    body = {"Key": "rights/one", "Body": b"1"}
    key = {"Key": "rights/one"}
    everything, reader, keeper, unknown = (client(s3.place("", key)) for key in (ALL, READ, NO_DELETE, UNKNOWN))
    everything.put_object(Bucket=BUCKET, **body)
    reader.get_object(Bucket=BUCKET, **key)
    assert refusal(reader.put_object, **body) == "AccessDenied"
    keeper.put_object(Bucket=BUCKET, **body)
    assert refusal(keeper.delete_object, **key) == "AccessDenied"
    assert refusal(unknown.get_object, **key) == "InvalidAccessKeyId"
    forger = s3.place("", ALL)
    forger.environment["AWS_SECRET_ACCESS_KEY"] += "x"
    assert refusal(client(forger).get_object, **key) == "SignatureDoesNotMatch"
    everything.delete_object(Bucket=BUCKET, **key)


@pytest.mark.parametrize(("key", "status"), [(ALL, 200), (UNKNOWN, 403)])
def test_an_address_can_be_signed(s3: S3, key: str, status: int) -> None:
    """A list of uploads has no call of its own in every client, but an address that may be asked for."""
    signer = client(s3.place("", key))
    for forged in ("", "0"):
        url = signer.generate_presigned_url("list_multipart_uploads", Params={"Bucket": BUCKET, "Prefix": "a b/"})
        with contextlib.closing(http.client.HTTPConnection(s3.url.removeprefix("http://"))) as connection:
            connection.request("GET", url.removeprefix(s3.url) + forged)
            assert connection.getresponse().status == (403 if forged else status)


def test_the_tokens_of_google_differ(servers: Callable[[str], Server], gcs: GcsPlace) -> None:
    """As with S3, but that replacing an object is deleting one."""

    def sent(key: str, method: str, name: str, **headers: str) -> int:
        token = servers("gcs").place("", key).environment["GOOGLE_BEARER_TOKEN"]
        asked = HttpPlaceWithToken(gcs, token)
        return asked.send(method, f"{gcs.prefix}{name}", headers=headers, body=b"1" if method == "PUT" else b"")[0]

    assert sent(ALL, "PUT", "one") == 200
    assert [sent(READ, method, "one") for method in ("GET", "PUT", "DELETE")] == [200, 403, 403]
    assert [sent(NO_DELETE, method, "one") for method in ("GET", "PUT", "DELETE")] == [200, 403, 403]
    assert sent(NO_DELETE, "PUT", "two") == 200
    assert sent(NO_DELETE, "PUT", "two", **{"x-goog-if-generation-match": "0"}) == 412
    assert [sent(UNKNOWN, method, "one") for method in ("GET", "PUT", "DELETE")] == [401] * 3


class HttpPlaceWithToken(GcsPlace):
    """A place that is asked with another token."""

    def __init__(self, place: GcsPlace, token: str) -> None:
        """The same place."""
        super().__init__(place.bucket, "", {}, place.url.geturl(), token)


def test_google_replaces_only_the_generation_that_is_named(gcs: GcsPlace) -> None:
    """0 stands for none; the ETag does not count for a put."""

    def put(generation: str | None, **headers: str) -> tuple[int, str, str]:
        condition = {} if generation is None else {"x-goog-if-generation-match": generation}
        status, answered, body = gcs.send("PUT", f"{gcs.prefix}one", body=b"1", headers=condition | headers)
        return status, answered.get("x-goog-generation", ""), body.decode()

    status, first, _ = put("0")
    assert (status, first.isdecimal()) == (200, True)
    status, _, body = put("0")
    assert status == 412
    assert "<Code>PreconditionFailed</Code>" in body
    status, second, _ = put(first)
    assert (status, int(second) > int(first)) == (200, True)
    assert put(first)[0] == 412
    assert put(None, **{"If-Match": '"another"'})[0] == 200
    assert gcs.send("DELETE", f"{gcs.prefix}one", headers={"x-goog-if-generation-match": second})[0] == 412
    assert [gcs.send("DELETE", f"{gcs.prefix}one")[0] for _ in range(2)] == [204, 404]
    assert put(second)[0] == 412


def test_google_answers_ranges_and_conditions(gcs: GcsPlace) -> None:
    """GET and HEAD."""
    gcs.write("one", b"0123456789")

    def get(method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        return gcs.send(method, f"{gcs.prefix}one", headers={name.replace("_", "-"): headers[name] for name in headers})

    status, headers, body = get()
    assert (status, body, headers["x-goog-stored-content-length"]) == (200, b"0123456789", "10")
    assert {"etag", "last-modified", "x-goog-generation", "content-length"} <= headers.keys()
    assert (get("HEAD")[1]["content-length"], get("HEAD")[2]) == ("10", b"")
    for span, wanted in {"2-4": b"234", "7-": b"789", "-3": b"789", "8-99": b"89"}.items():
        status, answered, body = get(Range=f"bytes={span}")
        assert (status, body, "content-range" in answered) == (206, wanted, True)
    assert get(Range="bytes=10-")[0] == 416
    assert get(If_Match=headers["etag"])[0] == 200
    assert get(If_Match='"another"')[0] == 412
    assert get(If_None_Match=headers["etag"])[0] == 304
    assert gcs.send("HEAD", f"{gcs.prefix}two")[0] == 404


def test_google_lists_page_by_page(gcs: GcsPlace) -> None:
    """Keys and folders count alike, and none is told twice or left out."""
    names = [f"{folder}/{number}" for folder in ("a", "b", "b-", "c") for number in range(3)] + ["d", "e"]
    for name in names:
        gcs.write(name, b"1")

    def listed(**query: str) -> list[str]:
        asked = {"list-type": "2", "prefix": gcs.prefix} | {name.replace("_", "-"): query[name] for name in query}
        found = []
        for page in gcs._pages(asked, "NextContinuationToken", "continuation-token"):
            found += [one.findtext("{*}Key", "") for one in page.iterfind("{*}Contents")]
            found += [one.findtext("{*}Prefix", "") for one in page.iterfind("{*}CommonPrefixes")]
        return [name.removeprefix(gcs.prefix) for name in found]

    for limit in range(1, 6):
        assert listed(max_keys=str(limit)) == sorted(names)
        folders = listed(max_keys=str(limit), delimiter="/")
        assert sorted(folders) == ["a/", "b-/", "b/", "c/", "d", "e"], limit
    assert listed(start_after=f"{gcs.prefix}b/1") == [name for name in sorted(names) if name > "b/1"]


def test_google_makes_objects_of_parts(gcs: GcsPlace) -> None:
    """Of five MiB each, but the last; until then there is none, and an upload can be found and given up."""
    key = f"{gcs.prefix}one"

    def begin() -> str:
        body = gcs.send("POST", key, {"uploads": ""})[2]
        return ElementTree.fromstring(body).findtext("{*}UploadId", "")

    def part(upload: str, number: int, content: bytes) -> str:
        return gcs.send("PUT", key, {"uploadId": upload, "partNumber": str(number)}, content)[1]["etag"]

    def complete(upload: str, *parts: tuple[int, str]) -> tuple[int, bytes]:
        inside = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
        body = f"<CompleteMultipartUpload>{inside}</CompleteMultipartUpload>".encode()
        status, _, answer = gcs.send("POST", key, {"uploadId": upload}, body)
        return status, answer

    upload, large = begin(), b"x" * LEAST_PART
    etags = [part(upload, 1, large), part(upload, 2, b"end")]
    assert gcs.uploads() == ["one"]
    assert not gcs.keys()
    assert complete(upload, (2, etags[1]), (1, etags[0]))[0] == 400
    assert complete(upload, (1, etags[0]), (2, etags[0]))[0] == 400
    assert complete(upload, (1, etags[0]), (2, etags[1]))[0] == 200
    assert gcs.read("one") == large + b"end"
    assert complete(upload, (1, etags[0]), (2, etags[1]))[0] == 404
    upload = begin()
    etags = [part(upload, 1, b"small"), part(upload, 2, b"end")]
    assert b"EntityTooSmall" in complete(upload, (1, etags[0]), (2, etags[1]))[1]
    assert gcs.send("DELETE", key, {"uploadId": upload})[0] == 204
    assert not gcs.uploads()


def create_once(place: Place) -> Callable[[str], bool]:
    """A put that succeeds only where nothing is; whether it did."""
    if isinstance(place, HttpPlace):
        condition = {"If-None-Match": "*"} if isinstance(place, AzurePlace) else {"x-goog-if-generation-match": "0"}
        kind = {"x-ms-blob-type": "BlockBlob", "Content-Type": "x/y"} if isinstance(place, AzurePlace) else {}
        return lambda key: place.send("PUT", place.prefix + key, body=b"1", headers=kind | condition)[0] < 300
    asked = client(place)

    def put(key: str) -> bool:
        try:
            asked.put_object(Bucket=BUCKET, Key=place.prefix + key, Body=b"1", IfNoneMatch="*")
        except asked.exceptions.ClientError:
            return False
        return True

    return put


def test_of_many_who_create_one_wins(place: Place) -> None:
    """However close together they come."""
    create = create_once(place)
    with ThreadPoolExecutor(RACERS) as racers:
        for number in range(RACES):
            won = list(racers.map(create, [str(number)] * RACERS))
            assert sum(won) == 1, won


def through(place: Place, proxy: Proxy) -> Place:
    """The same place, asked through the proxy."""
    if isinstance(place, HttpPlace):
        place.url = place.url._replace(netloc=proxy.url.removeprefix("http://"))
        return place
    place.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    place.client = client(place)
    return place


def test_a_proxy_changes_nothing_and_writes_everything_down(place: Place, proxy: Proxy) -> None:
    """Signatures hold, and each store's requests go by the same names."""
    inside = through(place, proxy)
    inside.write("a b/one", b"1")
    assert inside.read("a b/one") == b"1"
    assert inside.keys() == {"a b/one": 1}
    assert not inside.uploads()
    inside.delete("a b/one")
    kinds = [call.kind for call in proxy.journal]
    assert kinds[:3] == [PUT, GET, LIST]
    assert UPLOADS in kinds
    assert kinds[-1] == DELETE
    assert all(call.status is not None and call.status < 300 for call in proxy.journal), list(map(str, proxy.journal))
    assert proxy.journal[0].path.endswith("a b/one")


def test_a_proxy_does_harm_by_plan(place: Place, proxy: Proxy) -> None:
    """To those requests that it is about, so many, after so many, and then no more."""
    inside = through(place, proxy)
    rule = proxy.plan(faults.DENIED, of_kind(PUT), many=1, skip=1)
    inside.write("one", b"1")
    with pytest.raises((AssertionError, ClientError), match="AccessDenied"):
        inside.write("two", b"2")
    inside.write("three", b"3")
    assert (rule.struck, set(inside.keys())) == (1, {"one", "three"})
    proxy.plan(faults.RESET, below("four"))
    proxy.plan(faults.LOST, below("five", PUT))
    for name in ("four", "five"):
        with pytest.raises(Exception, match=r"reset|aborted|closed"):
            inside.write(name, b"1")
    proxy.behave()
    assert set(inside.keys()) == {"one", "three", "five"}
    proxy.plan(faults.late(0.2), any_call, many=1)
    started = time.monotonic()
    inside.read("one")
    assert time.monotonic() - started > 0.2


def test_a_proxy_can_hide_conditions(s3: S3) -> None:
    """From a store that does not look at signatures, for the condition is signed."""
    with S3(strict=False) as loose, Proxy(loose.url) as proxy:
        asked = client(loose.place("", at=proxy.url))
        asked.put_object(Bucket=BUCKET, Key="one", Body=b"1")
        assert refusal(asked.put_object, Key="one", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
        proxy.plan(faults.UNCONDITIONAL)
        asked.put_object(Bucket=BUCKET, Key="one", Body=b"2", IfNoneMatch="*")
        assert [call.creates for call in proxy.journal] == [False, True, True]
        assert all(call.conditional for call in proxy.journal[1:])


def test_a_proxy_knows_multipart_uploads(s3: S3) -> None:
    """Every step of one by its name."""
    with Proxy(s3.url) as proxy:
        asked = client(s3.place("", at=proxy.url))
        upload = asked.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        about: dict[str, Any] = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
        etag = asked.upload_part(**about, PartNumber=1, Body=b"1")["ETag"]
        asked.complete_multipart_upload(**about, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        assert [call.kind for call in proxy.journal] == [INITIATE, PART, COMPLETE]
        asked.delete_object(Bucket=BUCKET, Key="parts")
