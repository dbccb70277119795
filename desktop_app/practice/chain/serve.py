"""The chain's process: opens the store, mines, and answers until it is told to stop.

`run` is the whole life of that process; `serve` is the same without signals and streams, for tests and for a root that has
its own. Called by `practice/evm.py`.
"""

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from desktop_app.practice.chain.ledger import Ledger
from desktop_app.practice.chain.methods import Methods
from desktop_app.practice.chain.miner import Miner
from desktop_app.practice.chain.server import Server
from desktop_app.practice.chain.store import Store

FILE = "chain.sqlite"
LOOK_EVERY_S = 1.0


def serve(data_dir: Path, genesis: Mapping[str, int], announce: Callable[[int], None], stop: threading.Event, port: int = 0) -> None:
    """Serves the chain in `data_dir` on 127.0.0.1 until `stop` is set; `announce` is told the port once it answers.

    `genesis` maps 0x-addresses to wei, and counts only when the chain begins. Port 0 takes any free one. Raises AppError
    when the file is in use by another process or the disk refuses.
    """
    store = Store(data_dir / FILE)
    try:
        ledger = Ledger(store, genesis)
        server = Server(Methods(ledger), port)
        miner = Miner(ledger)
        accepting = threading.Thread(target=server.run, name="accepting")
        miner.start()
        accepting.start()
        try:
            announce(server.port)
            # looked at again and again: a signal that comes as the wait begins is seen by Python only once the wait is over
            while not stop.wait(LOOK_EVERY_S):
                pass
        finally:
            server.stop()
            accepting.join()
            miner.stop()
    finally:
        store.close()


def run(data_dir: Path, genesis: Mapping[str, int], port: int = 0) -> None:
    """Serves until SIGTERM or SIGINT; writes the port as one line to standard output. Call from the main thread."""
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    serve(data_dir, genesis, _announce, stop, port)


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
