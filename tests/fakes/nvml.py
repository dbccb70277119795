"""A GPU for tests on machines that have none: compiles nvml.c, and runs the real adapter on it in a process of its own.

A process of its own, because a library once loaded stays. `FakeGpu.world` is what the card is like; `ask` puts one question
to the adapter and returns what it said. Also run as a script, which is that process.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path

NAME = "libnvidia-ml.so.1"
SOURCE = Path(__file__).with_name("nvml.c")
CARD = """\
count 1
driver 580.65.06
0.name NVIDIA GeForce RTX 4090
0.uuid GPU-11111111-2222-3333-4444-555555555555
0.total_mb 24564
0.used_mb 1200
0.reserved_mb 380
0.temperature 41
0.milliwatts 28400
0.default_limit 450000
0.utilisation 3
0.fan 30
0.energy 912345678
0.reasons 1
0.slowdown_at 93
0.shutdown_at 98
0.least_limit 150000
0.most_limit 600000
"""

Answer = dict[str, "Answer"] | list["Answer"] | str | int | float | bool | None


class FakeGpu:
    """The card, and a process that asks about it."""

    def __init__(self, world: Path, process: "subprocess.Popen[str]") -> None:
        self._world = world
        self._process = process

    @property
    def world(self) -> str:
        """The card as it is now; assign to change it while the app runs."""
        return self._world.read_text()

    @world.setter
    def world(self, text: str) -> None:
        fresh = self._world.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._world)

    def change(self, **figures: int | str | None) -> None:
        """Set figures of GPU 0; None takes one away."""
        lines = [line for line in self.world.splitlines() if line.split()[0].removeprefix("0.") not in figures]
        self.world = "\n".join([*lines, *(f"0.{name} {value}" for name, value in figures.items() if value is not None), ""])

    def fail(self, function: str, code: int) -> None:
        """Let one function of the library fail from now on."""
        self.world += f"fail {function} {code}\n"

    def ask(self, question: str, *arguments: Answer) -> Answer:
        """A method of the adapter's; all but `find`, `open` and `close` are of the first GPU ever found."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([question, *arguments]) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    @property
    def held(self) -> int:
        """How often the library is open now."""
        return self._log("open") - self._log("close")

    @property
    def listened_to(self) -> int:
        """How many listen for the card's errors now."""
        return self._log("listen") - self._log("deaf")

    def _log(self, what: str) -> int:
        log = Path(f"{self._world}.held")
        return log.read_text().splitlines().count(what) if log.exists() else 0


def compile_library(folder: Path, *flags: str) -> Path:
    """The fake, under the name that the loader will take for the driver's own."""
    target = folder / NAME
    target.write_bytes(_compiled(flags))
    return target


@cache
def _compiled(flags: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / NAME
        strict = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags]
        subprocess.run(["gcc", *strict, f"-Wl,-soname,{NAME}", "-o", str(target), str(SOURCE)], check=True, timeout=60)
        return target.read_bytes()


def symbols_needed(folder: Path) -> set[str]:
    """The driver's functions that the adapter's modules in `folder` reach through pynvml."""
    import pynvml

    source = Path(pynvml.__file__).read_text()
    bodies: dict[str, str] = dict(re.findall(r"^def (\w+)\(.*?\):\n(.*?)(?=^\S)", source, re.S | re.M))
    found: set[str] = set()
    reached = {name for path in folder.glob("*.py") for name in re.findall(r"pynvml\.(nvml\w+)", path.read_text()) if name in bodies}
    while reached:
        body = bodies[name := reached.pop()]
        found.add(name)
        reached |= {called for called in re.findall(r"\b(nvml\w+)\(", body) if called in bodies} - found
    return {symbol for name in found for symbol in re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', bodies[name])}


def symbols_missing(library: Path, needed: set[str]) -> set[str]:
    """Those of `needed` that a library lacks; asked in a process of its own, since a library once loaded stays."""
    script = "import ctypes, sys; fake = ctypes.CDLL(sys.argv[1]); print(*(name for name in sys.argv[2:] if not hasattr(fake, name)))"
    done = subprocess.run([sys.executable, "-c", script, str(library), *needed], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@contextmanager
def fake_gpu(folder: Path, world: str = CARD, *flags: str) -> Iterator[FakeGpu]:
    """A card in `folder`, and its asker, which ends with the block."""
    library = compile_library(folder, *flags)
    place = folder / "world.txt"
    place.write_text(world)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.nvml", str(library)],
        env=os.environ | {"FAKE_NVML_WORLD": str(place)},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield FakeGpu(place, process)
        finally:
            process.kill()


def _answer_questions(library: str) -> None:
    ctypes.CDLL(library)  # now the name is taken, and pynvml finds this one
    from desktop_app.adapters.nvml import Nvml

    nvml = Nvml()
    first = None
    for line in sys.stdin:
        question, *arguments = json.loads(line)
        if question in ("find", "open", "close"):
            said: object = getattr(nvml, question)()
        else:
            said = getattr(nvml, question)(first, *arguments)
        if first is None and isinstance(said, list):
            first = next(iter(said), None)
        print(json.dumps(_plain(said)), flush=True)


def _plain(said: object) -> object:
    if isinstance(said, list | tuple):
        return [_plain(one) for one in said]
    if is_dataclass(said) and not isinstance(said, type):
        return {"is": type(said).__name__} | asdict(said)
    return said


if __name__ == "__main__":
    _answer_questions(sys.argv[1])
