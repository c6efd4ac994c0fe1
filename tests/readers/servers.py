"""Stores to export into, as processes on free ports of the loopback interface: S3, Google Cloud Storage and Azure.

Each has one bucket, and keys of which one may do everything and others not. `place(name)` is a folder of the bucket, as
the binary is told of it and as a test looks into it.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import boto3
from botocore.config import Config

from places import AzurePlace, GcsPlace, Place, S3Place

HERE = Path(__file__).resolve().parent
AZURITE = HERE.parent / "stores" / "node_modules" / ".bin" / "azurite-blob"
BUCKET = "lake"
REGION = "eu-central-1"
PATIENCE = 60

ALL, READ, NO_DELETE = "all", "read", "no-delete"
"""The rights of a key."""
UNKNOWN = "unknown"
"""A key that the store has never heard of."""

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's, which everybody knows."""


class Server:
    """A process that serves one store."""

    keys: tuple[str, ...] = (ALL, UNKNOWN)
    """The keys that a place can be opened with."""
    url: str
    """Where it listens."""

    def __init__(self, command: list[str], **pipes: Any) -> None:
        """Start it and make it ready."""
        self._process: subprocess.Popen[str] = subprocess.Popen(command, text=True, **pipes)
        try:
            self._prepare()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        """Serve for as long as the block lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.stop()

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.communicate()

    def place(self, name: str, key: str = ALL, at: str | None = None) -> Place:
        """A folder of the bucket; the binary may reach it elsewhere, through a proxy say."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Wait until it serves, and make its bucket and keys."""
        raise NotImplementedError

    def _wait(self, ready: Callable[[], object]) -> None:
        patience = time.monotonic() + PATIENCE
        while True:
            assert self._process.poll() is None, f"{self._process.args} ended with {self._process.returncode}"
            assert time.monotonic() < patience, f"{self._process.args} does not answer"
            try:
                ready()
            except OSError:
                time.sleep(0.05)
            else:
                return


class S3(Server):
    """moto: checks signatures and rights once its users are made."""

    keys = (ALL, READ, NO_DELETE, UNKNOWN)
    DENIED: ClassVar = {ALL: [], READ: ["s3:Put*", "s3:Delete*", "s3:Abort*"], NO_DELETE: ["s3:DeleteObject*"]}

    def __init__(self, *, strict: bool = True) -> None:
        """Start it; unless it is `strict`, anything signed in any way may do anything."""
        self._strict = strict
        super().__init__(python("s3_server.py"), stdout=subprocess.PIPE)

    def _prepare(self) -> None:
        self.url = announced(self._process.stdout)
        self._keys = {rights: self._make_key(rights) for rights in self.DENIED}
        self._keys[UNKNOWN] = ("AKIAIOSFODNN7EXAMPLE", "no-secret-at-all")
        place = {"LocationConstraint": REGION}
        self._admin = self._client("s3", ALL)
        self._admin.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        if self._strict:
            plain = {"Content-Type": "text/plain"}
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", plain)).close()

    def place(self, name: str, key: str = ALL, at: str | None = None) -> S3Place:
        """A folder of the bucket."""
        key_id, secret = self._keys[key]
        environment = {
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": at or self.url,
        }
        return S3Place(BUCKET, name, environment, self._admin)

    def _make_key(self, rights: str) -> tuple[str, str]:
        iam = self._client("iam")
        iam.create_user(UserName=rights)
        statements = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
        if self.DENIED[rights]:
            statements.append({"Effect": "Deny", "Action": self.DENIED[rights], "Resource": "*"})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=rights, PolicyName=rights, PolicyDocument=policy)
        made = iam.create_access_key(UserName=rights)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def _client(self, service: str, key: str | None = None) -> Any:
        key_id, secret = self._keys[key] if key else ("anybody", "nothing")
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )


class Gcs(Server):
    """The server of Google's XML API beside this file."""

    keys = (ALL, READ, NO_DELETE, UNKNOWN)
    TOKENS: ClassVar = {
        ALL: "token-of-all-rights",
        READ: "token-to-read",
        NO_DELETE: "token-without-delete",
        UNKNOWN: "token-of-nobody",
    }

    def __init__(self) -> None:
        """Start it."""
        super().__init__(python("gcs_server.py", BUCKET), stdout=subprocess.PIPE)

    def _prepare(self) -> None:
        self.url = announced(self._process.stdout)

    def place(self, name: str, key: str = ALL, at: str | None = None) -> GcsPlace:
        """A folder of the bucket."""
        environment = {"STORAGE_EMULATOR_HOST": at or self.url, "GOOGLE_BEARER_TOKEN": self.TOKENS[key]}
        return GcsPlace(BUCKET, name, environment, self.url, self.TOKENS[ALL])


class Azure(Server):
    """azurite: one account, whose key may do everything."""

    def __init__(self) -> None:
        """Start it."""
        port = free_port()
        assert AZURITE.is_file(), f"{AZURITE} does not exist; scripts/readers.sh installs it"
        command = [str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        command += ["--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", "--silent"]
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _prepare(self) -> None:
        self._wait(lambda: self.place("").create_container())

    def place(self, name: str, key: str = ALL, at: str | None = None) -> AzurePlace:
        """A folder of the container."""
        secret = AZURE_KEY if key == ALL else base64.b64encode(bytes(64)).decode()
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": secret,
            "AZURE_STORAGE_ENDPOINT": f"{at or self.url}/{AZURE_ACCOUNT}",
        }
        return AzurePlace(BUCKET, name, environment, f"{self.url}/{AZURE_ACCOUNT}", AZURE_KEY)


STORES: dict[str, type[Server]] = {"s3": S3, "gcs": Gcs, "azure": Azure}


def python(name: str, *arguments: str) -> list[str]:
    """The command that runs a file beside this one."""
    return [sys.executable, "-B", str(HERE / name), *arguments]


def announced(stream: IO[str] | None) -> str:
    """Where a process says on its first line that it listens."""
    assert stream is not None
    line = stream.readline().strip()
    assert line.startswith("http://127.0.0.1:"), f"it said {line!r}"
    return line


def free_port() -> int:
    """A port that nobody listens on, for a server that must be told."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
