"""The verbs about what gives the GPU back: signals, set, give-backs. Called by `cli`.

A value is looked at here, by the core's own rule, before it is sent, so that a refusal comes with its reason and at once.
"""

import argparse
import sys

from desktop_app.cli.money import misused
from desktop_app.core import messages
from desktop_app.core.settings import SETTINGS, Refused, Settings, Value, app_names, change
from desktop_app.core.signals import RULES, Rule, switched_on
from desktop_app.core.state import State
from desktop_app.wire import phrases, signals
from desktop_app.wire.guest import Guest

PATIENCE_S = 10.0
_SWITCHES = {"on": True, "off": False}
_MONEY = ("floor", "tariff")


def list_or_switch(guest: Guest, chosen: argparse.Namespace) -> int:
    """Every signal and what it says now; or turn one on or off."""
    if chosen.signal is None:
        _list(guest.state)
        return 0
    rule = signals.by_verb(chosen.signal)
    if rule is None:
        return misused(f"{chosen.signal[:40]!r} is no signal: {', '.join(signals.verb(one) for one in RULES)}.")
    if chosen.switch is None:
        print(_line(guest.state, rule))
        return 0
    if not rule.switch:
        print(f"{signals.verb(rule)} protects your card and is always on.", file=sys.stderr)
        return 1
    return _change(guest, rule.switch, _SWITCHES[chosen.switch])


def set_one(guest: Guest, chosen: argparse.Namespace) -> int:
    """Change one setting, or list them all with their values."""
    if chosen.setting is None:
        for setting in SETTINGS:
            print(f"{setting.name} = {_shown(guest.state.settings, setting.name)}\n    {setting.meaning}")
        return 0
    name = chosen.setting.replace("-", "_")
    if name not in {setting.name for setting in SETTINGS}:
        return misused(f"{chosen.setting[:40]!r} is no setting; see them all with: sublet set")
    if chosen.value is None:
        print(_shown(guest.state.settings, name))
        return 0
    value = _parsed(guest.state.settings, name, chosen.value)
    if value is None:
        return misused(f"{chosen.value[:40]!r} is no {_wanted(guest.state.settings, name)}.")
    return _change(guest, name, value)


def give_backs(guest: Guest, _chosen: argparse.Namespace) -> int:
    """The last give-backs, each with its times."""
    state = guest.state
    for record in state.give_backs:
        when = phrases.ago(record.at, state.now, state.zone)
        print(f"{when}  {phrases.trigger(record.trigger)}: {phrases.give_back(record)}\n    {phrases.give_back_steps(record)}")
    if not state.give_backs:
        print(phrases.say("signals.backs.none"))
    return 0


def _list(state: State) -> None:
    print(phrases.say("signals.table"))
    for rule in RULES:
        print(_line(state, rule))
    print(f"Programs that get the GPU: {', '.join(map(phrases.plain, app_names(state.settings))) or 'none'}")


def _line(state: State, rule: Rule) -> str:
    switch = "always" if not rule.switch else "on" if switched_on(state.settings, rule) else "off"
    said = f"{signals.name(rule)}: {signals.now(state, rule)} (last: {signals.last(state, rule)})"
    return f"{switch:<6}  {signals.verb(rule):<14}  {said}"


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if name in _MONEY:
        return phrases.exact(value)
    if name == "apps":
        return ", ".join(map(phrases.plain, app_names(settings))) or "none"
    return str(value.cells) if name == "schedule" else phrases.plain(str(value))


def _parsed(settings: Settings, name: str, typed: str) -> Value | None:
    """What was typed as this setting's own type; None if it cannot be."""
    wanted = type(getattr(settings, name))
    if wanted is bool:
        return _SWITCHES.get(typed)
    if name in _MONEY:
        return phrases.parse_money(typed)
    if name == "apps":
        return "" if typed == "none" else "\n".join(one.strip() for one in typed.split(","))
    if wanted is int:
        return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 12 else None
    return typed


def _wanted(settings: Settings, name: str) -> str:
    if name in _MONEY:
        return "amount in dollars"
    return "whole number" if type(getattr(settings, name)) is int else "switch: say on or off"


def _change(guest: Guest, name: str, value: Value) -> int:
    wanted = change(guest.state.settings, name, value)
    if isinstance(wanted, Refused):
        print(f"{name} was not changed: {wanted.reason}.", file=sys.stderr)
        return 1
    guest.post(messages.OwnerChangedSettings(((name, value),)))
    state = guest.wait_for(lambda state: getattr(state.settings, name) == getattr(wanted, name), PATIENCE_S)
    if state is None:
        print("The agent did not take it.", file=sys.stderr)
        return 1
    print(f"{name} = {_shown(state.settings, name)}")
    return 0
