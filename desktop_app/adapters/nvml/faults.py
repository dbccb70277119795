"""The errors (XID) that the driver reports of a card while somebody listens. Used by `nvml.library`, while it is open."""

from contextlib import suppress

import pynvml

MOST_AT_ONCE = 64
"""A card in trouble may report without end; the rest is heard at the next question."""


class Listener:
    """Listens to one card from now on. Raises NVMLError where the driver reports none (Windows, old cards)."""

    def __init__(self, handle: object) -> None:
        self._events = pynvml.nvmlEventSetCreate()
        try:
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, self._events)
        except pynvml.NVMLError:
            self.close()
            raise

    def heard(self) -> list[int]:
        """The XIDs reported since the last question, oldest first; waits for none."""
        found: list[int] = []
        with suppress(pynvml.NVMLError):  # a time-out says that there is no more; a lost card is the reading's to tell
            while len(found) < MOST_AT_ONCE:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
                if event.eventType & pynvml.nvmlEventTypeXidCriticalError:
                    found.append(int(event.eventData))
        return found

    def close(self) -> None:
        """Listen no more."""
        with suppress(pynvml.NVMLError):
            pynvml.nvmlEventSetFree(self._events)
