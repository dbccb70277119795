"""The command line: the tray's verbs for a terminal, a rack or a script.

Talks to the agent over the same socket as the tray, and reads the same sentences. Exit status: 0 done, 1 refused or
failed, 2 misused, 3 no agent is running. Called by `__main__`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from desktop_app.cli.money import cash_out, misused, unlock
from desktop_app.cli.signals import give_backs, list_or_switch, set_one
from desktop_app.core import ledger, messages
from desktop_app.core.gpu import number_of
from desktop_app.core.snooze import tomorrow_morning
from desktop_app.core.state import Level, Paid, State
from desktop_app.wire import isolation, phrases
from desktop_app.wire.codec import encode_state
from desktop_app.wire.guest import Guest, NoAgent
from desktop_app.wire.profile import default

ANSWER_PATIENCE_S = 10.0
QUIT_PATIENCE_S = 60.0
LONGEST_PAUSE_S = 30 * 86_400
_SPAN = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
Verb = Callable[[Guest, argparse.Namespace], int]


def main(arguments: Sequence[str]) -> int:
    """Parse one verb and do it."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        with Guest(default().socket) as guest:
            verb: Verb = chosen.verb
            return verb(guest, chosen)
    except NoAgent as error:
        print(f"{error.title}\n{error.advice}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sublet",
        description="Rent out your GPU while you are away. Without a verb: the tray.",
        epilog="Processes: tray, agent, practice, tour, deploy. `sublet tour` shows the whole road with test money.",
    )
    verbs = parser.add_subparsers(dest="name", required=True, metavar="VERB")

    def add(name: str, verb: Verb, meaning: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=meaning, description=meaning)
        one.set_defaults(verb=verb)
        return one

    status = add("status", _status, "Say whether the GPU is shared, why, and what it earned.")
    status.add_argument("--json", action="store_true", help="the whole state as JSON")
    status.add_argument("--watch", action="store_true", help="say it again at every change")
    add("share", _share, "Turn sharing on or off; off gives the GPU back at once.").add_argument("switch", choices=("on", "off"))
    add("pause", _pause, "Pause sharing for a while.").add_argument("how_long", help="15m, 1h, 2d, until-tomorrow, or over")
    add("finish", _finish, "Finish the running task, then stop.")
    add("wallet", _wallet, "Show what was earned and paid, and the wallet's address.")
    add("unlock", unlock, "Give the wallet's passphrase (a new one makes the wallet).")
    sending = add("cash-out", cash_out, "Send money to an address; the whole cost is shown first.")
    sending.add_argument("to", help="the address, 0x…")
    sending.add_argument("amount", nargs="?", help="in dollars; everything if left out")
    sending.add_argument("--yes", action="store_true", help="do not ask before signing")
    add("tasks", _tasks, "List the last tasks and what each paid.")
    signal = add("signals", list_or_switch, "Say what gives the GPU back and what each signal says now; or turn one on or off.")
    signal.add_argument("signal", nargs="?", help="one signal, such as full-screen")
    signal.add_argument("switch", nargs="?", choices=("on", "off"))
    setting = add("set", set_one, "Change a setting; without a value show it, without a name show all.")
    setting.add_argument("setting", nargs="?", metavar="NAME", help="such as idle-after-s, apps or power-cap-watts")
    setting.add_argument("value", nargs="?", metavar="VALUE", help="a number, on or off, dollars, or programs with commas between")
    add("give-backs", give_backs, "List the last give-backs: what took the GPU, and how long it took.")
    add("doctor", _doctor, "Check everything sharing needs, and say how to mend what is missing.")
    add("quit", _quit, "Give the GPU back and end the agent and the practice network.")
    return parser


# --- verbs that look


def _status(guest: Guest, chosen: argparse.Namespace) -> int:
    state = guest.state
    while True:
        print(encode_state(state).decode() if chosen.json else _summary(state), flush=True)
        if not chosen.watch:
            return 0
        state = guest.next_state()


def _summary(state: State) -> str:
    lines = [phrases.why(state)]
    if state.task is not None:
        progress = state.task.progress
        share = f", {100 * progress.step // progress.of} %" if progress else ""
        lines.append(f"Task: {phrases.kind(state.task.lease.manifest.kind)}{share}")
    if state.market.rate is not None:
        lines.append(f"Market: {phrases.rate(state.market.rate)}; your floor: {phrases.rate(state.settings.floor)}")
    lines.append(
        f"Paid today: {phrases.exact(ledger.paid_today(state))}; being checked: {phrases.exact(ledger.pending(state))};"
        f" earned, not yet paid: {phrases.exact(ledger.earned(state))}"
    )
    if state.settings.network == "practice":
        lines.append("Practice: test money.")
    return "\n".join(lines)


def _wallet(guest: Guest, _chosen: argparse.Namespace) -> int:
    state, wallet = guest.state, guest.state.wallet
    print(f"Address: {wallet.address or 'not made yet'}")
    old = "" if wallet.chain_ok else f" ({phrases.say('wallet.balance.offline')})"
    print(f"Balance: {phrases.exact(wallet.balance) + old if wallet.balance is not None else 'not known yet'}")
    print(f"Paid: {phrases.exact(wallet.paid)}")
    print(f"Earned, not yet paid: {phrases.exact(ledger.earned(state))}")
    print(f"Being checked: {phrases.exact(ledger.pending(state))}")
    for payout in wallet.payouts:
        print(f"  {phrases.ago(payout.time, state.now, state.zone)}  {phrases.exact(payout.amount)}  {payout.transaction}")
    return 0


def _tasks(guest: Guest, _chosen: argparse.Namespace) -> int:
    for line in guest.state.history:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in line.metrics)
        reason = f" ({phrases.plain(line.reason)})" if line.paid is Paid.REJECTED else ""
        print(
            f"{line.task_id[:12]}  {phrases.kind(line.kind)}  {line.ended - line.started:.0f} s"
            f"  {phrases.exact(line.amount)}  {phrases.paid(line.paid)}{reason}  {figures}"
        )
    if not guest.state.history:
        print("No task has run here yet.")
    return 0


def _doctor(guest: Guest, _chosen: argparse.Namespace) -> int:
    state, ready = guest.state, guest.state.readiness
    device, untested = state.gpu.device, "tested when sharing starts"
    checks = [
        ("GPU", device is not None, device.name if device else "no GPU was found that the market rents"),
        ("Wallet", state.wallet.ready, state.wallet.address or "locked: run `sublet unlock`"),
        ("Market", state.market.connected, "connected" if state.market.connected else state.market.trouble or "not reached yet"),
        ("Chain", state.wallet.chain_ok, "answers" if state.wallet.chain_ok else "does not answer"),
        ("Registered", state.gpu.chain_id is not None, f"GPU number {number_of(state.gpu.chain_id)}" if state.gpu.chain_id else "not yet"),
        ("torch", bool(ready.runtime), untested if ready.runtime is None else "installed" if ready.runtime else "missing"),
        ("Sandbox", ready.level is Level.ISOLATED, isolation.level(ready.level) if ready.level else untested),
        *((f"  {isolation.wall(check)}", check.held, check.seen) for check in ready.checks),
    ]
    for name, good, detail in checks:
        print(f"{'ok  ' if good else 'miss'}  {name}: {phrases.plain(detail)}")
    if ready.level:
        print(f"What that promises: {isolation.promise(ready.level)}")
        print(f"What it does not: {isolation.limit(ready.level)}")
    if ready.fix:
        print(f"To mend the sandbox: {ready.fix}")
    return 0 if all(good for _name, good, _detail in checks) else 1


# --- verbs that change something


def _share(guest: Guest, chosen: argparse.Namespace) -> int:
    on = chosen.switch == "on"
    guest.post(messages.OwnerTurnedSharing(on))
    return _report(guest, lambda state: state.sharing.on is on)


def _pause(guest: Guest, chosen: argparse.Namespace) -> int:
    now, text = datetime.now(UTC), str(chosen.how_long)
    span = _SPAN.fullmatch(text)
    seconds = int(span[1]) * _UNITS[span[2]] if span else 0
    if text == "over":
        until = None
    elif text == "until-tomorrow":
        until = tomorrow_morning(now, guest.state.zone)
    elif 0 < seconds <= LONGEST_PAUSE_S:
        until = now + timedelta(seconds=seconds)
    else:
        return misused(f"{text[:40]!r} is no pause: say 15m, 1h, 2d (30 days at most), until-tomorrow, or over.")
    guest.post(messages.OwnerSnoozed(until))
    return _report(guest, lambda state: state.sharing.snoozed_until == until)


def _finish(guest: Guest, _chosen: argparse.Namespace) -> int:
    guest.post(messages.OwnerAskedFinish())
    return _report(guest, lambda state: state.sharing.finishing or not state.sharing.on)


def _quit(guest: Guest, _chosen: argparse.Namespace) -> int:
    guest.post(messages.OwnerQuit())
    if not guest.wait_for_end(QUIT_PATIENCE_S):
        print("The agent has not ended yet. See what it does with: sublet status", file=sys.stderr)
        return 1
    print("Sublet has ended. Your GPU is yours.")
    return 0


def _report(guest: Guest, reached: Callable[[State], bool]) -> int:
    """Wait until the agent has taken the word, then say how things stand."""
    state = guest.wait_for(reached, ANSWER_PATIENCE_S)
    if state is None:
        print("The agent did not take it.", file=sys.stderr)
        return 1
    print(phrases.why(state))
    return 0
