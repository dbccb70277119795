"""The command line where the wallet's secret and money are concerned: unlock and cash-out. See `test_cli.py`."""

import io
import threading
from dataclasses import replace

import pytest

from desktop_app.__main__ import main
from desktop_app.cli import money
from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut, Stage
from desktop_app.core.state import State, Wallet
from desktop_app.wire.guest import Guest
from tests import builders
from tests.scripted_agent import FRESH, RIGHT, Agent, Capsys, away, paying, still


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """What the owner types at the passphrase prompt, one after another; then the end of the input."""
    waiting = list(answers)

    def ask(_prompt: str) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    monkeypatch.setattr("getpass.getpass", ask)


@pytest.mark.parametrize("amount", ["0", "0.00", "-5", "1.0000001", "ten", "", "$", "nan", "1e3", "9" * 40])
def test_what_is_no_amount_sends_nothing(amount: str, capsys: Capsys) -> None:
    with Agent(away(), paying) as agent:
        assert main(["cash-out", "--yes", "--", FRESH, amount]) == 2
    assert "is no amount in dollars" in capsys.readouterr().err
    assert agent.effects == []


@pytest.mark.parametrize("to", ["", "me", "0x12", FRESH[:-1] + "g", FRESH + "0", "5e" * 21])
def test_what_is_no_address_sends_nothing(to: str, capsys: Capsys) -> None:
    with Agent(away(), paying) as agent:
        assert main(["cash-out", "--yes", "--", to]) == 2
    assert "is no address" in capsys.readouterr().err
    assert agent.effects == []


# --- the wallet's passphrase


def test_a_new_wallet_asks_twice_and_takes_only_the_same(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent(replace(away(), wallet=Wallet()), still) as agent:
        typed(monkeypatch, "one thing", "another thing")
        assert main(["unlock"]) == 1
        assert capsys.readouterr().err == "The two differ; nothing was made.\n"
        assert agent.secrets == []
        typed(monkeypatch, RIGHT, RIGHT)
        assert main(["unlock"]) == 0
        assert capsys.readouterr().out == "The wallet is open.\n"
    assert agent.secrets == [("unlock", RIGHT)]


def test_a_wrong_passphrase_is_answered_with_the_reason(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent(away(), still):
        typed(monkeypatch, "a wrong one")
        assert main(["unlock"]) == 1
        assert capsys.readouterr() == ("", "That passphrase does not open the keys.\n")
        typed(monkeypatch)
        assert main(["unlock"]) == 2
        assert capsys.readouterr().err == "No passphrase was given.\n"


# --- cash-out


def asking(needs_passphrase: bool = False) -> State:
    state = away()
    return replace(state, wallet=replace(state.wallet, needs_passphrase=needs_passphrase))


def test_a_cash_out_shows_its_whole_cost_and_ends_with_the_chains_word(capsys: Capsys) -> None:
    with Agent(asking(), paying):
        assert main(["cash-out", FRESH, "--yes"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[:3] == ["Leaves the wallet: $2.00", "Fee: $0.01 (0.5 %)", f"Arrives: $1.99 at 0x {' '.join(['5e5e'] * 10)}"]
    assert "Done: $1.99 arrived at 0x5e5e…5e5e." in out
    assert f"Transaction: 0x{'03' * 32}" in out


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_nothing_is_signed_without_a_yes(answer: str, status: int, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with Agent(asking(), paying) as agent:
        assert main(["cash-out", FRESH, "1.50"]) == status
    assert any(isinstance(effect, e.SignCashOut) for effect in agent.effects) is (status == 0)
    held = agent.state.cash_out
    assert held is not None
    assert held.stage is (Stage.CONFIRMED if status == 0 else Stage.CANCELLED)
    assert "Leaves the wallet: $1.50" in capsys.readouterr().out


def test_a_wrong_passphrase_signs_nothing_and_says_so_at_once(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent(asking(needs_passphrase=True), paying) as agent:
        typed(monkeypatch, "a wrong one")
        assert main(["cash-out", FRESH, "--yes"]) == 1
        assert "Nothing was sent: That passphrase does not open the keys." in capsys.readouterr().err
        typed(monkeypatch, RIGHT)
        assert main(["cash-out", FRESH, "--yes"]) == 0
    assert [purpose for purpose, _secret in agent.secrets] == ["spend", "spend"]


def test_a_refused_cash_out_says_why(capsys: Capsys) -> None:
    def refusing(agent: Agent, effect: e.Effect) -> None:
        if isinstance(effect, e.QuoteCashOut):
            agent.post(m.CashOutRefused(effect.cash_out.id, "the chain does not answer; try again in a moment"))

    with Agent(asking(), refusing):
        assert main(["cash-out", FRESH, "--yes"]) == 1
        assert "Nothing was sent: the chain does not answer" in capsys.readouterr().out
        assert main(["cash-out", "0x" + "0" * 40, "--yes"]) == 1
        assert "gone for ever" in capsys.readouterr().out
        assert main(["cash-out", builders.ADDRESS, "--yes"]) == 1
        assert "this wallet's own address" in capsys.readouterr().out


def owner_loses_patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The owner says yes, and from then on waits no longer than that; for the offer there was all the time."""

    def yes(_prompt: str) -> str:
        monkeypatch.setattr(money, "CASH_OUT_PATIENCE_S", seconds)
        return "yes"

    monkeypatch.setattr("builtins.input", yes)


def test_a_cash_out_that_nobody_moves_is_called_off(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money, "CASH_OUT_PATIENCE_S", 0.5)
    with Agent(asking(), still) as agent:
        assert main(["cash-out", FRESH, "--yes"]) == 1
    assert "did not move it in time; nothing was sent" in capsys.readouterr().err
    assert agent.state.cash_out is not None
    assert agent.state.cash_out.stage is Stage.CANCELLED


def test_a_signed_cash_out_is_reported_as_it_stands_and_a_second_one_is_not_begun(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(agent: Agent, effect: e.Effect) -> None:
        if not isinstance(effect, e.SendCashOut):
            paying(agent, effect)

    owner_loses_patience(monkeypatch, 1.0)
    with Agent(asking(), slow) as agent:
        assert main(["cash-out", FRESH]) == 1
        assert capsys.readouterr().out.endswith("Signed; being sent\n")
        first = agent.effects[-1]
        assert isinstance(first, e.SendCashOut)
        assert main(["cash-out", FRESH, "--yes"]) == 1
        assert "Another cash-out is on its way: Signed; being sent" in capsys.readouterr().err
        agent.post(m.CashOutSent(first.cash_out.id, "0x" + "03" * 32))
    held: CashOut | None = agent.state.cash_out
    assert held is not None
    assert held.id == first.cash_out.id


def test_a_cash_out_that_is_called_off_too_late_is_not_said_to_be_unsent(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = threading.Event()
    post = Guest.post

    def slow(agent: Agent, effect: e.Effect) -> None:
        if isinstance(effect, e.SendCashOut):
            signed.set()
        else:
            paying(agent, effect)

    def posted(guest: Guest, message: m.OwnerMessage) -> None:
        """By the time the owner calls it off it is signed."""
        assert not isinstance(message, m.OwnerCancelledCashOut) or signed.wait(20)
        post(guest, message)

    monkeypatch.setattr(Guest, "post", posted)
    owner_loses_patience(monkeypatch, 0.0)
    with Agent(asking(), slow) as agent:
        assert main(["cash-out", FRESH]) == 1
        assert signed.wait(20)
    out, err = capsys.readouterr()
    assert "nothing was sent" not in err and out.endswith("Signed; being sent\n")
    assert agent.state.cash_out is not None
    assert agent.state.cash_out.stage is Stage.SIGNED
