"""The memory that steps use over and over stays the worker's: with the sandbox's environment a step takes no pages anew."""

import os
import subprocess
import sys

import pytest

from desktop_app.adapters.supervisor.cage import bwrap_here
from desktop_app.adapters.supervisor.sandbox import Sandbox, plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes exist on Linux only so far")

_STEPS = """
import resource
from desktop_app.worker.kinds.registry import load
from tests.benchmarks import work
import torch
torch.set_num_threads(1)
kind = load("train.classifier/1", {"data": work.DATA}, work.PARAMS, 7, "cpu")
for index in range(20):
    kind.step(index)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for index in range(20, 80):
    kind.step(index)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 60)
"""


def test_a_step_takes_its_memory_from_the_step_before() -> None:
    """Left to its own thresholds the C library faults 250 to 1,100 pages a step in five starts of six."""
    words = plan(Sandbox(()), bwrap_here(), 0, 0, dropping=False).arguments
    told = {words[at + 1]: words[at + 2] for at, word in enumerate(words) if word == "--setenv"}
    malloc = {name: value for name, value in told.items() if name.startswith("MALLOC_")}
    ran = subprocess.run((sys.executable, "-c", _STEPS), env=os.environ | malloc, capture_output=True, text=True, check=True, timeout=120)
    assert float(ran.stdout) < 50
