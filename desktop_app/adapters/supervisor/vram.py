"""Whether the device's own memory is free again: read back, not assumed, before the owner is told. Used by the session."""

import time
from collections.abc import Callable

_PATIENCE_S = 2.0
_PAUSE_S = 0.005
_SLACK = 64 << 20  # what the driver and the desktop may have taken since the task began


def wait_free(vram_free: Callable[[], int | None], baseline: int) -> bool:
    """Wait until as many bytes are free as before the task; False when they are not within two seconds."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        free = vram_free()
        if free is None or free >= baseline - _SLACK:
            return True
        time.sleep(_PAUSE_S)
    return False
