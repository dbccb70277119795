"""The signals in plain words: what each is called, what it says now, and when it last asked for the GPU.

Called by `ui/present_signals.py` and the command line, so that both say the same. The rules themselves are in `core.signals`.
"""

from desktop_app.core.signals import INPUT, RULES, Rule, mark_of
from desktop_app.core.state import State, Trigger
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say, words


def name(rule: Rule) -> str:
    """What a signal is called, as the end of a sentence: "a window fills the screen"."""
    return say(f"signals.name.{rule.trigger}")


def verb(rule: Rule) -> str:
    """What a signal is called on the command line: "full-screen"."""
    return (rule.switch.removeprefix("pause_on_") or rule.trigger.value).replace("_", "-")


def by_verb(typed: str) -> Rule | None:
    """The signal that goes by this name on the command line."""
    return next((rule for rule in RULES if verb(rule) == typed), None)


def now(state: State, rule: Rule) -> str:
    """What a signal says now, or why that is not known."""
    sign = rule.read(state)
    remembered = rule.trigger is Trigger.GPU_FAULT and sign.asks
    if not state.sharing.on and not remembered:
        return say("signals.now.unwatched")
    if not state.looked and not remembered:
        return say("signals.now.looking")
    if sign.asks is None:
        return say("signals.now.untold")
    if rule is INPUT and state.presence.locked:
        return say("signals.now.presence.locked")
    answer = "yes" if sign.asks else "no"
    keys = (f"signals.now.{rule.trigger}.{answer}.named", f"signals.now.{rule.trigger}.{answer}", f"signals.now.{answer}")
    key = next(key for key in keys if key in words() and (sign.detail or not key.endswith(".named")))
    time = phrases.duration(int(sign.detail)) if rule is INPUT else ""
    detail = f"{int(sign.detail):,}" if sign.detail.isdecimal() else phrases.plain(sign.detail)
    return say(key, detail=detail, time=time)


def last(state: State, rule: Rule) -> str:
    """When a signal last began to ask for the GPU."""
    mark = mark_of(state, rule.trigger)
    return say("signals.last.never") if mark is None else phrases.ago(mark.began.timestamp(), state.now, state.zone)


def with_app(apps: tuple[str, ...], added: str) -> str:
    """The list of programs with one more, as the setting `apps` takes it; a name is on it once."""
    return "\n".join(dict.fromkeys((*apps, added.strip())))


def without_app(apps: tuple[str, ...], removed: str) -> str:
    """The list of programs with one less, as the setting `apps` takes it."""
    return "\n".join(one for one in apps if one != removed)
