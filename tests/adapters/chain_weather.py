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


@contextmanager
def relay(target: str, weather: Weather) -> Iterator[str]:
    """A node in front of the node."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            verdict = weather(json.loads(body)["method"], body)
            answer = b""
            if verdict in ("pass", "lose"):
                request = urllib.request.Request(target, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=20) as response:
                    answer = response.read()
            if verdict.startswith("text:"):
                answer = verdict.removeprefix("text:").encode()
            if verdict == "hang":
                over.wait(20)
            if verdict in ("lose", "refuse", "hang"):
                return
            self.send_response(429 if verdict == "busy" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def said(result: object) -> str:
    """The verdict that answers with this result."""
    return "text:" + json.dumps({"jsonrpc": "2.0", "id": 0, "result": result})
