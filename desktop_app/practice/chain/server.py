"""JSON-RPC over HTTP on loopback: the one way to the chain.

Web pages must not reach it: a request with an Origin, or with a Host that is not loopback, is refused, so that neither a
hostile page nor a rebound name gets in. Bodies, connections and waits are limited. One request per body; a batch is
refused. Called by `serve`.
"""

import json
import logging
import os
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from desktop_app.practice.chain.methods import Methods, RpcError
from desktop_app.practice.chain.render import Json

_log = logging.getLogger(__name__)

LARGEST_BODY = 512 * 1024
MOST_BRACKETS = 500
MOST_CONNECTIONS = 64
SLOWEST_READ = 10.0
"""Seconds a client may take between two pieces of a request."""
LONGEST_IDLE = 300.0
"""Seconds a connection may stay open with nothing asked."""
PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1. `run` serves until `stop`; afterwards no thread and no socket of it is left."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = MOST_CONNECTIONS  # as many may wait while the accepting thread does; `stop` must get in, too
    # Else what clients have not yet closed of a killed chain keeps its port from the next one; on Windows it means theft.
    allow_reuse_address = os.name == "posix"

    def __init__(self, methods: Methods, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.methods = methods
        self.port: int = self.server_address[1]
        self.hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        """Accepts connections, each served by a thread of its own, until told to stop; waits without polling."""
        try:
            while self._accept():
                pass
        finally:
            # only now, and only here: a listening socket closed under the loop would fail every accept to come
            with self._guard:
                for connection in self._open:
                    _hang_up(connection)
            self.server_close()

    def _accept(self) -> bool:
        """One connection; False when it is time to stop."""
        try:
            connection, address = self.get_request()
        except OSError:
            return True  # the client was gone before it was accepted
        with self._guard:
            if self._stopping or len(self._open) >= MOST_CONNECTIONS:
                connection.close()
                return not self._stopping
            self._open.add(connection)
        self.process_request(connection, address)
        return True

    def stop(self) -> None:
        """Tells `run` to end, which ends every connection and waits for their threads."""
        with self._guard:
            self._stopping = True
        # the loop waits in accept, so it is woken by a connection, which works on every system
        socket.create_connection(("127.0.0.1", self.port), timeout=5).close()

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Forgets a connection that has ended."""
        if isinstance(request, socket.socket):
            with self._guard:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is no news; anything else is logged, never printed."""
        _log.debug("A connection ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # one packet per answer and no waiting for more: otherwise the client's delayed acknowledgement costs 40 ms a call
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = LONGEST_IDLE
    server_version = "sublet-practice"
    sys_version = ""
    _headers: ClassVar[dict[str, str]] = {"Content-Type": "application/json", "Cache-Control": "no-store"}

    def do_POST(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts or self.headers.get("Origin") is not None:
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
            return
        if int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self.connection.settimeout(SLOWEST_READ)
        body = self.rfile.read(int(length))
        self.connection.settimeout(LONGEST_IDLE)
        if len(body) == int(length):
            self._send(HTTPStatus.OK, json.dumps(answer(self.server.methods, body)).encode())

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send(status, json.dumps({"error": status.phrase}).encode())

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        for name, value in self._headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def answer(methods: Methods, body: bytes) -> dict[str, Json]:
    """The whole JSON-RPC answer to one request body; every trouble becomes an error object."""
    # py-evm lifts the interpreter's recursion limit, so that deep nesting would end the process and not just the parser
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        return _error(None, INVALID_REQUEST, "this is nested too deeply")
    try:
        request: Json = json.loads(body)
    except ValueError:
        return _error(None, PARSE_ERROR, "this is not JSON")
    if not isinstance(request, dict):
        return _error(None, INVALID_REQUEST, "one request at a time: send an object")
    asked, method, params = request.get("id"), request.get("method"), request.get("params", [])
    tag = asked if isinstance(asked, str | int) else None
    if not isinstance(method, str) or not isinstance(params, list):
        return _error(tag, INVALID_REQUEST, "a request has a method and a list of params")
    try:
        return {"jsonrpc": "2.0", "id": tag, "result": methods.answer(method, params)}
    except RpcError as trouble:
        return _error(tag, trouble.code, trouble.message, trouble.data)
    except Exception:
        _log.exception("%s failed", method)
        return _error(tag, INTERNAL_ERROR, "internal error")


def _error(tag: str | int | None, code: int, message: str, reverted_with: str | None = None) -> dict[str, Json]:
    error: dict[str, Json] = {"code": code, "message": message}
    if reverted_with is not None:
        error["data"] = reverted_with
    return {"jsonrpc": "2.0", "id": tag, "error": error}


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # the client hung up first
        return
