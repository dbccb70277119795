"""What a standstill takes is seen as such."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

_PROGRAM = """
import sys
from tests.standstill import standstill
with standstill() as lost_ms:
    before = lost_ms()
    print("here", flush=True)
    sys.stdin.readline()
    print(before, lost_ms(), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no such signal on Windows")
def test_a_process_that_was_stopped_knows_for_how_long() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[1], env=os.environ) as one:
        assert one.stdin is not None and one.stdout is not None
        assert one.stdout.readline() == "here\n"
        one.send_signal(signal.SIGSTOP)
        while psutil.Process(one.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        begun = time.monotonic()
        time.sleep(0.5)
        stopped_ms = 1000 * (time.monotonic() - begun)
        one.send_signal(signal.SIGCONT)
        one.stdin.write("\n")
        one.stdin.flush()
        before, after = map(float, one.stdout.readline().split())
    assert before + stopped_ms - 50 < after
