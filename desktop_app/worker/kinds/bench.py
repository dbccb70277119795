"""`bench/1`: what a device can really do. Speeds on random numbers, sustained; memory that holds what is written to it.

Zeros would flatter: a GPU's clock rises when its numbers do not change. Which sizes are multiplied follows from how long the
first few take, so that a step stays below 50 ms on whatever stands behind the device; figures come from seconds, not from
names. The plan of the steps is in `core.bench`. Loaded by `registry`.
"""

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.bench import CHUNKS, Part, bench_steps, part_at
from desktop_app.core.classifier import Params
from desktop_app.worker.kinds.restoring import overwrite

_DTYPES = {Part.FP32: torch.float32, Part.BF16: torch.bfloat16, Part.FP16: torch.float16}
_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_LONGEST_S, _AIM_S = 0.012, 0.025  # one multiplication at most; a step
_WARM = 4  # readings that are not counted: of finding the sizes, and of warming up
_BUDGET_S = 58.0
_WINDOW = 20  # steps of the sustained part: about a second
_COPY_BYTES, _MOVE_BYTES = 2**30, 2**26


class Bench:
    """No inputs. Output `readings`: one JSON line per step. Metrics as `core.bench.Measured` names them, and transfers."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        self.steps = bench_steps(int(params["seconds"]))
        self._seed, self._device = seed, device
        self._bytes = int(params["memory_mb"]) * 1_000_000
        self._sizes = torch.zeros(3, 2, dtype=torch.int64)  # per precision: the matrix's side, multiplications a step
        self._taken = torch.full((self.steps,), -1.0, dtype=torch.float64)  # seconds, per unit of work; below 0: not measured
        self._spent = torch.zeros(1, dtype=torch.float64)
        self._matrices: dict[Part, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        self._buffers: list[torch.Tensor] = []
        for dtype in _DTYPES.values():  # whatever a device does when it is first asked is no step's
            torch.ones(16, 16, dtype=dtype, device=device).mm(torch.ones(16, 16, dtype=dtype, device=device))

    def step(self, index: int) -> None:
        """One reading. Nothing more is measured once a minute is used up."""
        begun = time.perf_counter()
        part, place = part_at(index)
        if float(self._spent) < _BUDGET_S:
            taken = self._read(part, place)
            if taken is not None:
                self._taken[index] = taken
        if index + 1 == self.steps or part_at(index + 1)[0] not in (part, Part.VERIFY):
            self._buffers.clear()
            self._matrices.clear()
        self._spent += time.perf_counter() - begun

    def state(self) -> dict[str, torch.Tensor]:
        return {"sizes": self._sizes, "taken": self._taken, "spent": self._spent}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """Every reading, and the figures made of them."""
        lines = []
        for index, taken in enumerate(self._taken.tolist()):
            part, place = part_at(index)
            lines.append(json.dumps({"part": part, "place": place, "seconds": taken if taken >= 0 else None}) + "\n")
        return {"readings": "".join(lines).encode()}, self._figures()

    def _read(self, part: Part, place: int) -> float | None:
        match part:
            case Part.FP32 | Part.BF16 | Part.FP16:
                if place == 0:
                    self._fit(part)
                return self._multiply(part)
            case Part.COPY:
                return self._copy()
            case Part.TO_DEVICE | Part.FROM_DEVICE:
                return self._move(part) if self._device.type == "cuda" else None
            case Part.TOUCH:
                return self._touch(place)
            case Part.VERIFY:
                return self._verify(place)
            case _:
                return self._multiply(self._fastest())

    def _fit(self, part: Part) -> None:
        """Find the side of the matrices, and how many of them a step multiplies."""
        for size in _SIZES:
            self._matrices[part] = self._drawn(part, size)
            self._timed(part, 1)
            once = self._timed(part, 1)
            self._sizes[list(_DTYPES).index(part)] = torch.tensor([size, max(1, int(_AIM_S / once))])
            if once * 8 > _LONGEST_S:  # the next side takes eight times as long
                return

    def _multiply(self, part: Part) -> float:
        """Seconds of one multiplication, over a step of them."""
        size, times = (int(one) for one in self._sizes[list(_DTYPES).index(part)])
        if part not in self._matrices:
            self._matrices[part] = self._drawn(part, size)
        return self._timed(part, times) / times

    def _drawn(self, part: Part, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Two random matrices that the seed defines, and room for their product."""
        draws = torch.Generator(self._device).manual_seed(self._seed)
        left, right = (torch.randn(size, size, generator=draws, device=self._device).to(_DTYPES[part]) for _ in range(2))
        return left, right, torch.empty_like(left)

    def _timed(self, part: Part, times: int) -> float:
        left, right, product = self._matrices[part]
        self._wait()
        begun = time.perf_counter()
        for _ in range(times):
            torch.mm(left, right, out=product)
        self._wait()
        return time.perf_counter() - begun

    def _copy(self) -> float:
        """Seconds per byte read or written, within the device."""
        if not self._buffers:
            source = torch.ones(min(_COPY_BYTES, self._bytes // 4), dtype=torch.uint8, device=self._device)
            self._buffers = [source, torch.zeros_like(source)]
        return self._timed_copy(self._buffers[1], self._buffers[0]) / (2 * len(self._buffers[0]))

    def _move(self, part: Part) -> float:
        """Seconds per byte between the host's pinned memory and the device."""
        if not self._buffers:
            host = torch.ones(_MOVE_BYTES, dtype=torch.uint8, pin_memory=True)
            self._buffers = [host, host.to(self._device)]
        host, there = self._buffers
        into, source = (there, host) if part is Part.TO_DEVICE else (host, there)
        return self._timed_copy(into, source) / _MOVE_BYTES

    def _timed_copy(self, into: torch.Tensor, source: torch.Tensor) -> float:
        self._wait()
        begun = time.perf_counter()
        into.copy_(source, non_blocking=True)
        self._wait()
        return time.perf_counter() - begun

    def _touch(self, place: int) -> float | None:
        """Write one part of the memory; None when it cannot be had. Every part gets a number of its own."""
        if len(self._buffers) != place:
            return None
        self._wait()
        begun = time.perf_counter()
        try:
            self._buffers.append(torch.full((self._bytes // CHUNKS // 4,), self._mark(place), dtype=torch.int32, device=self._device))
        except torch.OutOfMemoryError:
            return None
        self._wait()
        return time.perf_counter() - begun

    def _verify(self, place: int) -> float | None:
        """Read one part back; None when it is not there or holds something else."""
        if place >= len(self._buffers):
            return None
        self._wait()
        begun = time.perf_counter()
        least, most = self._buffers[place].aminmax()
        return time.perf_counter() - begun if int(least) == int(most) == self._mark(place) else None

    def _mark(self, place: int) -> int:
        return (self._seed * 1_000_003 + place * 7_919) % (2**31 - 1)

    def _fastest(self) -> Part:
        return Part.BF16 if self._tflops(Part.BF16) >= self._tflops(Part.FP16) else Part.FP16

    def _tflops(self, part: Part) -> float:
        """From the median of the readings that count."""
        readings = self._readings(part)[_WARM:]
        return self._operations(part) / statistics.median(readings) / 1e12 if readings else 0.0

    def _operations(self, part: Part) -> float:
        return 2.0 * int(self._sizes[list(_DTYPES).index(part), 0]) ** 3

    def _readings(self, part: Part) -> list[float]:
        """What was read in this part, in order, without what could not be."""
        return [taken for index, taken in enumerate(self._taken.tolist()) if part_at(index)[0] is part and taken >= 0]

    def _sustained(self) -> float:
        """The slowest window's TFLOPS; without any, the median's."""
        readings, fastest = self._readings(Part.SUSTAINED), self._fastest()
        windows = [statistics.fmean(readings[at : at + _WINDOW]) for at in range(0, len(readings) - _WINDOW + 1, _WINDOW)]
        return self._operations(fastest) / max(windows) / 1e12 if windows else self._tflops(fastest)

    def _figures(self) -> dict[str, float]:
        figures = {f"{part}_tflops": self._tflops(part) for part in _DTYPES}
        figures["sustained_tflops"] = self._sustained()
        for part, name in ((Part.COPY, "copy_gbps"), (Part.TO_DEVICE, "to_device_gbps"), (Part.FROM_DEVICE, "from_device_gbps")):
            readings = self._readings(part)
            if readings:
                figures[name] = 1e-9 / statistics.median(readings)
        figures["memory_mb"] = len(self._readings(Part.VERIFY)) * (self._bytes // CHUNKS) / 1e6
        return figures

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
