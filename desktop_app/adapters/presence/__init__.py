"""Signs of the owner: input, lock, full screen, GameMode, programs, a look from elsewhere, battery.

What this system does not say is None, and the policy then trusts the schedule and the click only. Nothing is decided here.
Called by the agent's senses, only while sharing is on.
"""

from desktop_app.adapters.presence.sensor import PresenceSensor

__all__ = ["PresenceSensor"]
