"""A proxy in front of a store that keeps a journal of requests and does harm by a plan.

The `Host` header passes unchanged, so that signatures hold: the store thinks it was asked directly.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from gcs_server import Server
from plan import CONDITIONS, Answer, Call, Fault, Rule, Where, any_call, kind_of

TIMEOUT = 60
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Proxy:
    """Passes requests on to a store, unless a rule says otherwise."""

    def __init__(self, upstream: str) -> None:
        """In front of the store at this address."""
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._journal: list[Call] = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        """Serve for as long as the block lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()

    def plan(self, fault: Fault, where: Where = any_call, *, many: int | None = None, skip: int = 0) -> Rule:
        """Do this to requests that match, before what was planned earlier."""
        rule = Rule(fault, where, many, skip)
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def behave(self) -> None:
        """Forget every plan."""
        with self._lock:
            self._rules.clear()

    def forget(self) -> None:
        """Begin a new journal."""
        with self._lock:
            self._journal.clear()

    @property
    def journal(self) -> list[Call]:
        """Every request so far, in the order in which they came."""
        with self._lock:
            return list(self._journal)

    def counted(self) -> Counter[str]:
        """How many requests of each kind."""
        return Counter(call.kind for call in self.journal)

    def _fault(self, call: Call) -> Fault:
        with self._lock:
            self._journal.append(call)
            hit = [rule.fault for rule in self._rules if rule.hits(call)]
        return hit[0] if hit else Fault("")

    def _serve(self, call: Call) -> Answer | None:
        """The answer; nothing if the connection is to be reset."""
        fault = self._fault(call)
        call.fault = fault.name
        time.sleep(fault.delay)
        if fault.answer:
            return fault.answer
        if fault.reset == "before":
            return None
        answer = self._ask(call, unconditional=fault.unconditional)
        call.upstream = answer.status
        return None if fault.reset == "after" else answer

    def _ask(self, call: Call, *, unconditional: bool) -> Answer:
        """What the store says."""
        dropped = {"connection", *(CONDITIONS if unconditional else ())}
        headers = {name: value for name, value in call.headers.items() if name not in dropped}
        connection = http.client.HTTPConnection(self._upstream, timeout=TIMEOUT)
        try:
            connection.putrequest(call.method, call.target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(call.body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        path = unquote(url.path)
        call = Call(kind_of(self.command, query), self.command, path, query, headers, body, self.path)
        try:
            answer = self.proxy._serve(call)
        except OSError as failure:
            answer = Answer(502, str(failure).encode())
        if answer is None:
            self._reset()
        else:
            call.status = answer.status
            self._send(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def _send(self, answer: Answer) -> None:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        self.send_response_only(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        length = len(answer.body)
        if self.command == "HEAD":
            length = int(next((value for name, value in answer.headers.items() if name.lower() == "content-length"), 0))
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(length))
        empty = self.command == "HEAD" or answer.status in {204, 304}
        self._headers_buffer.append(b"\r\n" + (b"" if empty else answer.body))
        try:
            self.flush_headers()
        except OSError:
            # Whoever asked was killed in the meantime.
            self.close_connection = True

    def _reset(self) -> None:
        """Break the connection off, so that the client sees no orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Nothing."""
