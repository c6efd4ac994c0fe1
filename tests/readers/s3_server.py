"""moto as a server of S3, that checks the signature in an address as well as the one in a header.

moto checks the latter only, and answers 500 to an address that was signed, and to a part of an upload that is gone.
`python s3_server.py` says on its first line where it listens and serves until it is ended.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto.iam import access_control
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import FakeKey, S3Backend
from werkzeug.serving import make_server

SIGNATURE = "X-Amz-Signature"
ORIGINAL_PART = S3Backend.upload_part


def upload_part(backend: S3Backend, bucket_name: str, multipart_id: str, part_id: int, value: bytes) -> FakeKey:
    """S3 does not fall over an upload that was completed or aborted."""
    if multipart_id not in backend.get_bucket(bucket_name).multiparts:
        raise NoSuchUpload(upload_id=multipart_id)
    return ORIGINAL_PART(backend, bucket_name, multipart_id, part_id, value)


class SignedRequest(access_control.S3IAMRequest):
    """A request that is signed either way."""

    def __init__(self, *, path: str, headers: Any, **request: Any) -> None:
        """What an address says of its signature is what a header would say; a `+` in it is a space, as S3 reads it."""
        path, mark, query_text = path.partition("?")
        path += mark + query_text.replace("+", "%20")
        query = dict(parse_qsl(urlsplit(path).query, keep_blank_values=True))
        self._in_address = SIGNATURE in query
        headers = dict(headers)
        if self._in_address:
            names = {"Credential": "X-Amz-Credential", "SignedHeaders": "X-Amz-SignedHeaders", "Signature": SIGNATURE}
            signed = ", ".join(f"{name}={query[value]}" for name, value in names.items())
            headers |= {"Authorization": f"AWS4-HMAC-SHA256 {signed}", "X-Amz-Date": query["X-Amz-Date"]}
        # Nobody's key: a request that is not signed at all is refused as one of a key that is not known.
        headers.setdefault("Authorization", "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request")
        super().__init__(path=path, headers=headers, **request)

    def _create_auth(self, credentials: Any) -> S3SigV4Auth:
        if self._in_address:
            return S3SigV4QueryAuth(credentials, self._service, self._region)
        return super()._create_auth(credentials)

    def _create_aws_request(self) -> AWSRequest:
        if not self._in_address:
            return super()._create_aws_request()
        path, _, query = self._path.partition("?")
        query = "&".join(one for one in query.split("&") if not one.startswith(f"{SIGNATURE}="))
        signed = self._get_string_between("SignedHeaders=", ",", self._headers["Authorization"]).split(";")
        headers = self._create_headers_for_aws_request(signed, self._headers)
        request = AWSRequest(method=self._method, url=f"{path}?{query}", headers=headers)
        request.context["timestamp"] = self._headers["X-Amz-Date"]
        return request


def main() -> None:
    """Serve on a free port of the loopback interface."""
    access_control.S3IAMRequest = SignedRequest
    S3Backend.upload_part = upload_part
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
