"""With the sandbox's environment the memory that steps use over and over stays the worker's, and large tensors lie in huge pages."""

import os
import subprocess
import sys
from pathlib import Path

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


_FLAGS = """
import re
import torch
from pathlib import Path
where = torch.ones(4 << 20).data_ptr() + (8 << 20)
for area in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())[1:]:
    begin, end = (int(word, 16) for word in area.split()[0].split("-"))
    if begin <= where < end:
        print(area[area.index("VmFlags:"):])
"""


def inside(script: str) -> str:
    """What the script prints with those variables of the sandbox that concern memory."""
    words = plan(Sandbox(()), bwrap_here(), 0, 0, dropping=False).arguments
    told = {words[at + 1]: words[at + 2] for at, word in enumerate(words) if word == "--setenv"}
    memory = {name: value for name, value in told.items() if name.startswith(("MALLOC_", "THP_"))}
    command = (sys.executable, "-c", script)
    return subprocess.run(command, env=os.environ | memory, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_step_takes_its_memory_from_the_step_before() -> None:
    """Left to its own thresholds the C library faults 250 to 1,100 pages a step in five starts of six."""
    assert float(inside(_STEPS)) < 50


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this kernel has no huge pages to give")
def test_huge_pages_are_asked_for_a_large_tensor() -> None:
    assert "hg" in inside(_FLAGS).split()
