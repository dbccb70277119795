"""The GPUs of this machine, asked through NVIDIA's management library; and the practice device, which is the CPU.

A figure that the driver does not give is None, and a GPU that is gone is a message, never an exception. The library is held
only between `open` and `close`: whoever holds it keeps a laptop's GPU awake. Called by the agent's senses, its power cap
and, to see the memory come free, by the supervisor; from any thread.
"""

from desktop_app.adapters.nvml.library import Nvml
from desktop_app.adapters.nvml.power import HeatLimits, PowerLimits
from desktop_app.adapters.nvml.practice import PRACTICE_WATTS, practice_device, read_practice
from desktop_app.adapters.nvml.processes import GpuProcess
from desktop_app.adapters.nvml.told import UNTOLD_BOARD_WATTS

__all__ = [
    "PRACTICE_WATTS",
    "UNTOLD_BOARD_WATTS",
    "GpuProcess",
    "HeatLimits",
    "Nvml",
    "PowerLimits",
    "practice_device",
    "read_practice",
]
