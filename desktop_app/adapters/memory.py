"""How much of the machine's memory programs could still have. Asked by the agent's senses while sharing is on."""

import psutil

_MB = 1 << 20
_STEP_MB = 256


def free_mb() -> int:
    """Without making anything swap; rounded down, so that it is news only when it is."""
    return int(psutil.virtual_memory().available) // _MB // _STEP_MB * _STEP_MB
