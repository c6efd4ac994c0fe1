"""A server of Google Cloud Storage's XML API.

`python gcs_server.py BUCKET...` says on its first line where it listens and serves until it is ended.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from gcs_api import Api, Request
from gcs_objects import RefusedError
from gcs_xml import Answer, error


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 over the API."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: Api

    def serve(self) -> None:
        """Any request."""
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path.lstrip("/")).partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.command in {"PUT", "POST"} and "content-length" not in headers:
            self.close_connection = True
            return self.send(
                error(RefusedError(411, "MissingContentLength", "You must provide the Content-Length header."))
            )
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return self.send(self.api.answer(Request(self.command, bucket, key, query, headers, body)))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815

    def send(self, answer: Answer) -> None:
        """The answer, in one piece; to HEAD without its body."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        body = b"" if self.command == "HEAD" or answer.status in {204, 304} else answer.body
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Threads that do not outlive it, and room for many who connect at once."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve these buckets on a free port of the loopback interface."""
    Handler.api = Api(sys.argv[1:])
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
