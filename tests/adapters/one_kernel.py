"""Asks the driver itself, by ctypes alone: that needs no torch, and tells the sandbox's walls from a library's troubles.

The only program of a sandbox with a real NVIDIA card, for `test_gpu_real` and `tests.benchmarks.gpu_plan`. Says one JSON line:
the graphics nodes that show, what `cuInit` answered and took (ms), and what a kernel made of the numbers 0 to 31. With
`hold BYTES` it takes and writes so much of the card's memory before it says so, and waits to be killed.
"""

import ctypes
import json
import sys
import time
from pathlib import Path

_COUNT = 32
_TWICE = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry twice(.param .u64 numbers)
{
    .reg .b32 %r<3>;
    .reg .b64 %rd<5>;
    ld.param.u64 %rd1, [numbers];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd3, %r1, 4;
    add.s64 %rd4, %rd2, %rd3;
    ld.global.u32 %r2, [%rd4];
    shl.b32 %r2, %r2, 1;
    st.global.u32 [%rd4], %r2;
    ret;
}
"""


class Driver:
    """The card's driver, with the first card's context current; every refusal is a RuntimeError with the call and its number."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        begun = time.perf_counter()
        self.ask("cuInit", 0)
        self.init_ms = 1000 * (time.perf_counter() - begun)
        card, context = ctypes.c_int(), ctypes.c_void_p()
        self.ask("cuDeviceGet", ctypes.byref(card), 0)
        self.ask("cuDevicePrimaryCtxRetain", ctypes.byref(context), card)
        self.ask("cuCtxSetCurrent", context)

    def ask(self, name: str, *words: object) -> None:
        answer = self._library[name](*words)
        if answer != 0:
            raise RuntimeError(f"{name} answered {answer}")

    def take(self, count: int) -> ctypes.c_uint64:
        """So many bytes of the card's memory, written to."""
        place = ctypes.c_uint64()
        self.ask("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(count))
        self.ask("cuMemsetD8_v2", place, ctypes.c_ubyte(1), ctypes.c_size_t(count))
        self.ask("cuCtxSynchronize")
        return place

    def twice(self) -> list[int]:
        """0 to 31, doubled by the card."""
        module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        self.ask("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(_TWICE))
        self.ask("cuModuleGetFunction", ctypes.byref(kernel), module, ctypes.c_char_p(b"twice"))
        numbers = (ctypes.c_uint32 * _COUNT)(*range(_COUNT))
        size = ctypes.c_size_t(ctypes.sizeof(numbers))
        place = self.take(size.value)
        self.ask("cuMemcpyHtoD_v2", place, numbers, size)
        words = (ctypes.c_void_p * 1)(ctypes.addressof(place))
        self.ask("cuLaunchKernel", kernel, 1, 1, 1, _COUNT, 1, 1, 0, None, words, None)
        self.ask("cuCtxSynchronize")
        self.ask("cuMemcpyDtoH_v2", numbers, place, size)
        return list(numbers)


def nodes() -> list[str]:
    """What of graphics shows in /dev."""
    return sorted(place.name for place in Path("/dev").iterdir() if place.name.startswith(("nvidia", "dri")))


def main() -> None:
    try:
        driver = Driver()
        made = driver.twice()
        if sys.argv[1:2] == ["hold"]:
            driver.take(int(sys.argv[2]))
        print(json.dumps({"nodes": nodes(), "init_ms": driver.init_ms, "made": made, "refused": ""}), flush=True)
    except (OSError, RuntimeError) as error:
        print(json.dumps({"nodes": nodes(), "init_ms": -1.0, "made": [], "refused": str(error)}), flush=True)
        return
    if sys.argv[1:2] == ["hold"]:
        time.sleep(600)


if __name__ == "__main__":
    main()
