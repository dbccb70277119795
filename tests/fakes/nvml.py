"""A GPU for tests on machines that have none: compiles nvml.c, and runs the real adapter on it in a process of its own.

A process of its own, because a library once loaded stays. `FakeGpu.world` is what the card is like; `ask` puts one question
to the adapter and returns what it said. Also run as a script, which is that process.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path

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

    def ask(self, question: str) -> Answer:
        """`find`, `open`, `close`, `read`, `vram_used` or `processes`, the last three of the first GPU ever found."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    @property
    def held(self) -> int:
        """How often the library is open now."""
        log = Path(f"{self._world}.held")
        lines = log.read_text().splitlines() if log.exists() else []
        return lines.count("open") - lines.count("close")


def compile_library(folder: Path, *flags: str) -> Path:
    """The fake, under the name that the loader will take for the driver's own."""
    target = folder / "libnvidia-ml.so.1"
    strict = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags]
    subprocess.run(["gcc", *strict, f"-Wl,-soname,{target.name}", "-o", str(target), str(SOURCE)], check=True, timeout=60)
    return target


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
        question = line.strip()
        if question == "find":
            found = nvml.find()
            first = first or (found[0] if found else None)
            said: object = found
        elif question in ("open", "close"):
            said = getattr(nvml, question)()
        else:
            ask: Callable[[object], object] = getattr(nvml, question)
            said = ask(first)
        print(json.dumps(_plain(said)), flush=True)


def _plain(said: object) -> object:
    if isinstance(said, list | tuple):
        return [_plain(one) for one in said]
    if is_dataclass(said) and not isinstance(said, type):
        return {"is": type(said).__name__} | asdict(said)
    return said


if __name__ == "__main__":
    _answer_questions(sys.argv[1])
