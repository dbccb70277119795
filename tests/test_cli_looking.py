"""The verbs of the command line that only look: status, wallet, tasks, doctor. See `test_cli.py`."""

import io
import json
import threading
import time
from contextlib import redirect_stdout
from dataclasses import replace

from desktop_app.__main__ import main
from desktop_app.core import messages as m
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.state import Check, JobAccount, Level, Market, Paid, Payout, Readiness, Sharing, Wallet
from desktop_app.core.task import Progress
from desktop_app.wire.codec import decode_state
from tests import builders
from tests.scripted_agent import Agent, Capsys, away, still


def test_status_says_why_and_what_it_earns(capsys: Capsys) -> None:
    task = builders.a_task()
    task = replace(task, progress=Progress(task.lease.manifest.steps // 2, task.lease.manifest.steps))
    state = away(sharing=Sharing(on=True), task=task, market=Market(connected=True, rate=Rate(300_000)))
    with Agent(state, still):
        assert main(["status"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Task: Training an image classifier, 50 %" in out
    assert "Market: $0.30 an hour; your floor: " in out
    assert "Paid today: $0.00; being checked: $0.00; earned, not yet paid: $0.00" in out
    assert "Practice: test money." in out


def test_status_as_json_is_the_whole_state(capsys: Capsys) -> None:
    with Agent(away(), still) as agent:
        assert main(["status", "--json"]) == 0
    out, _err = capsys.readouterr()
    assert json.loads(out)["wallet"]["address"] == builders.ADDRESS
    assert decode_state(out.encode()) == agent.state


def test_watching_says_every_change_until_the_agent_ends(capsys: Capsys) -> None:
    with Agent(away(), still) as agent:
        done: list[int] = []
        with redirect_stdout(io.StringIO()) as said:
            watching = threading.Thread(target=lambda: done.append(main(["status", "--watch"])))
            watching.start()
            _until(said, "Sharing is off")
            agent.post(m.OwnerTurnedSharing(True))
            agent.post(m.PresenceSensed(Presence()))
            _until(said, "waits for the next task")
    watching.join(20)
    assert done == [3]
    assert "The agent has gone." in capsys.readouterr().err


def _until(said: io.StringIO, words: str) -> None:
    """Read beside the thread that writes, so nothing is taken away: what is said between a look and the taking would be lost."""
    end = time.monotonic() + 20
    while words not in said.getvalue():
        assert time.monotonic() < end, said.getvalue()
        time.sleep(0.02)


def test_the_wallet_shows_three_numbers_and_where_the_money_came_from(capsys: Capsys) -> None:
    owed = JobAccount(builders.JOB, Rate(3_600_000), 0, vouched=Units(500), redeemed=Units(200))
    payout = Payout(builders.JOB, MicroUsd(200), "0x" + "ab" * 32, 5, int(time.time()) - 300)
    line = builders.a_record(paid=Paid.PENDING, amount=77)
    state = away(accounts=(owed,), history=(line,))
    state = replace(state, wallet=replace(state.wallet, payouts=(payout,)))
    with Agent(state, still):
        assert main(["wallet"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Address: {builders.ADDRESS}",
        "Balance: $2.00",
        "Paid: $2.50",
        "Earned, not yet paid: $0.0003",
        "Being checked: $0.000077",
        f"  5 min ago  $0.0002  {payout.transaction}",
    ]


def test_a_balance_is_called_old_while_the_chain_is_silent(capsys: Capsys) -> None:
    state = away()
    with Agent(replace(state, wallet=replace(state.wallet, chain_ok=False)), still):
        assert main(["wallet"]) == 0
    assert "Balance: $2.00 (as last seen; the chain cannot be reached right now)" in capsys.readouterr().out


def test_a_wallet_that_is_not_made_yet_is_called_so(capsys: Capsys) -> None:
    with Agent(replace(away(), wallet=Wallet()), still):
        assert main(["wallet"]) == 0
    assert "Address: not made yet\nBalance: not known yet\n" in capsys.readouterr().out


def test_tasks_are_listed_with_their_pay_and_a_strangers_words_made_harmless(capsys: Capsys) -> None:
    good = replace(builders.a_record("a" * 24, paid=Paid.PAID, amount=300), metrics=(("accuracy", 0.97654321),))
    bad = replace(builders.a_record("b" * 24, paid=Paid.REJECTED), reason="no\x1b[2J good\nreally")
    with Agent(away(history=(good, bad)), still):
        assert main(["tasks"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("aaaaaaaaaaaa  Training an image classifier  ")
    assert first.endswith("$0.0003  paid  accuracy 0.9765")
    assert "not accepted (no [2J good really)" in second


def test_without_tasks_the_list_says_so(capsys: Capsys) -> None:
    with Agent(away(), still):
        assert main(["tasks"]) == 0
    assert capsys.readouterr().out == "No task has run here yet.\n"


def test_the_doctor_is_content_only_when_all_is_well(capsys: Capsys) -> None:
    checks = (Check("network", True, "none"), Check("files", True, "none\x07"))
    well = away(readiness=Readiness(Level.ISOLATED, checks, runtime=True))
    with Agent(well, still):
        assert main(["doctor"]) == 0
    out, _err = capsys.readouterr()
    assert "miss" not in out
    assert "\x07" not in out
    assert "Sandbox: isolated" in out
    assert "What that promises: A stranger's task sees no network" in out
    assert "What it does not: The graphics driver" in out
    ill = away(readiness=Readiness(Level.NONE, (Check("no_network", False, "a route"),), fix="sysctl -w this=1", runtime=True))
    with Agent(replace(ill, market=Market(trouble="the market does not answer")), still):
        assert main(["doctor"]) == 1
    out, _err = capsys.readouterr()
    assert "miss    No network card, no route: a route" in out
    assert "miss  Market: the market does not answer" in out
    assert "To mend the sandbox: sysctl -w this=1" in out
