"""A node in front of the node that loses, forges or withholds what the test tells it to. Used by tests/adapters/test_chain*.py."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Weather = Callable[[str, bytes], str]
"""Method and body -> "pass", "lose" (do it, say nothing), "refuse" (do nothing, say nothing), "hang" (do nothing, and keep the
caller waiting), "busy" (HTTP 429), or "text:…", said instead."""


class _Node(BaseHTTPRequestHandler):
    """Answers nothing by itself."""

    def question(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def say(self, answer: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def relay(target: str, weather: Weather) -> Iterator[str]:
    """A node in front of the node."""
    over = threading.Event()

    class Relay(_Node):
        def do_POST(self) -> None:
            body = self.question()
            verdict = weather(json.loads(body)["method"], body)
            answer = _passed_on(target, body) if verdict in ("pass", "lose") else b""
            if verdict.startswith("text:"):
                answer = verdict.removeprefix("text:").encode()
            if verdict == "hang":
                over.wait(20)
            if verdict not in ("lose", "refuse", "hang"):
                self.say(answer, 429 if verdict == "busy" else 200)

    with _served(Relay) as url:
        try:
            yield url
        finally:
            over.set()


@contextmanager
def forgetful(target: str) -> Iterator[str]:
    """A node that answers once on a connection, seems to keep it, and closes it as the next question comes."""

    class Forgetful(_Node):
        protocol_version = "HTTP/1.1"
        answered = False

        def do_POST(self) -> None:
            body = self.question()
            self.close_connection = self.answered
            if not self.answered:
                self.answered = True
                self.say(_passed_on(target, body))

    with _served(Forgetful) as url:
        yield url


def _passed_on(target: str, body: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(target, body, {"Content-Type": "application/json"}), timeout=20) as response:
        answer: bytes = response.read()
    return answer


@contextmanager
def _served(handler: type[_Node]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(result: object) -> str:
    """The verdict that answers with this result."""
    return "text:" + json.dumps({"jsonrpc": "2.0", "id": 0, "result": result})
