"""A cash-out's road through the agent, with market and chain as scripts: what is said at each turn, and when it ends.

With the real ones it is walked in `flows/test_road.py` and `flows/test_cash_out_once.py`.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.adapters.market import Market
from desktop_app.agent import money as money_module
from desktop_app.agent.money import Money
from desktop_app.agent.wallet import Wallet
from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut, Quote, Stage
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.state import Payout, State
from desktop_app.wire.market import Refusal, Sent
from desktop_app.wire.networks import practice
from tests import builders

RIGHT = b"the right passphrase"
SILENT = AppError("The chain cannot be reached.", "Check the connection.")
QUOTE = Quote(MicroUsd(2_000_000), MicroUsd(10_000), "0x" + "01" * 32, int(time.time()) + 600)
TO = "0x" + "5e" * 20
ASKED = CashOut("c1", TO, MicroUsd(0))
SIGNING = replace(ASKED, stage=Stage.SIGNING, quote=QUOTE)
SIGNED = replace(SIGNING, stage=Stage.SIGNED, authorisation="0x" + "02" * 65)
NETWORK = practice(
    ("http://127.0.0.1:1",), ("nats://127.0.0.1:1",),
    **dict.fromkeys(("usdc", "policy", "registry", "escrow", "cash_out", "timelock", "governor", "attestor"), "0x" + "12" * 20),
)  # fmt: skip


class Script:
    """A market and a chain that say what they were told to, one answer after another; the last one again and again."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked = 0

    def _next(self) -> object:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_cash_out(self, _cash_out: CashOut, _sender: str) -> object:
        return self._next()

    async def quote(self, _cash_out: CashOut, _sender: str) -> object:
        return self._next()

    async def redeem(self, _account: object, _gpu: int) -> object:
        return self._next()

    def cash_out_status(self, _sender: str, _to: str, _quote: Quote) -> object:
        return self._next()

    def balance(self, _address: str) -> object:
        return self._next()

    def payouts(self, _address: str, _after: int, _upto: int) -> object:
        return [(Payout(builders.JOB, MicroUsd(7), "0xt", 9, 1), Units(7))]


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    one = Keys(tmp_path / "keys", lambda: None, n=2**12)
    one.create_or_open(bytearray(RIGHT))
    yield one
    one.close()


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[m.Message]:
    monkeypatch.setattr(money_module, "TRY_AGAIN_S", 0.02)
    monkeypatch.setattr(money_module, "WATCH_S", 0.02)
    return []


def money(keys: Keys, posted: list[m.Message], market: Script, chain: Script) -> tuple[Money, Wallet]:
    wallet = Wallet(keys, posted.append, unattended=False)
    state = builders.a_state()
    held = replace(state, wallet=replace(state.wallet, address=keys.address(WALLET)))
    return Money(NETWORK, cast(Chain, chain), cast(Market, market), keys, wallet, posted.append, lambda: held), wallet


def said(posted: list[m.Message]) -> list[str]:
    return [type(message).__name__ for message in posted]


async def test_a_quote_redeems_first_and_looks_at_the_chain(keys: Keys, posted: list[m.Message]) -> None:
    market, chain = Script(Sent(""), QUOTE), Script((MicroUsd(5), 9))
    road, _wallet = money(keys, posted, market, chain)
    await road.quote(ASKED, (builders.an_account(vouched=5),))
    assert market.asked == 2
    assert said(posted) == ["ChainPaid", "ChainSaid", "CashOutQuoted"]
    assert posted[-1] == m.CashOutQuoted("c1", QUOTE)


async def test_without_a_chain_there_is_no_quote_and_it_is_said(keys: Keys, posted: list[m.Message]) -> None:
    road, _wallet = money(keys, posted, Script(QUOTE), Script(SILENT))
    await road.quote(ASKED, ())
    assert posted == [
        m.ChainLost("The chain cannot be reached."),
        m.CashOutRefused("c1", "the chain does not answer; try again in a moment"),
    ]


async def test_the_pools_no_is_passed_on(keys: Keys, posted: list[m.Message]) -> None:
    road, _wallet = money(keys, posted, Script(Refusal("there is nothing to cash out yet")), Script((MicroUsd(0), 0)))
    await road.quote(ASKED, ())
    assert posted[-1] == m.CashOutRefused("c1", "there is nothing to cash out yet")


@pytest.mark.parametrize(("given", "reason"), [(b"a wrong passphrase", "does not open the keys"), (None, "The wallet is locked.")])
async def test_what_does_not_open_the_wallet_signs_nothing(
    keys: Keys, posted: list[m.Message], given: bytes | None, reason: str
) -> None:
    road, wallet = money(keys, posted, Script(None), Script(None))
    if given is not None:
        await wallet.take_secret("spend", bytearray(given))
    await road.sign(SIGNING)
    refused = posted[-1]
    assert isinstance(refused, m.CashOutRefused)
    assert reason in refused.reason


async def test_a_signature_is_made_with_the_passphrase_given_for_it_and_only_one(keys: Keys, posted: list[m.Message]) -> None:
    road, wallet = money(keys, posted, Script(None), Script(None))
    await wallet.take_secret("spend", bytearray(RIGHT))
    await road.sign(SIGNING)
    signed = posted[-1]
    assert isinstance(signed, m.CashOutSigned)
    assert len(signed.authorisation) == 132
    await road.sign(SIGNING)
    assert isinstance(posted[-1], m.CashOutRefused)
    with pytest.raises(AppError, match="locked"):
        keys.sign_message(WALLET, b"anything")


async def test_sending_is_tried_until_somebody_takes_it(keys: Keys, posted: list[m.Message]) -> None:
    market = Script(None, Refusal("busy"), None, Sent("0xtx"))
    road, _wallet = money(keys, posted, market, Script("unused yet"))
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert market.asked == 4
    assert posted == [m.CashOutSent("c1", "0xtx")]


async def test_sending_ends_only_when_the_chain_says_that_its_time_is_over(keys: Keys, posted: list[m.Message]) -> None:
    market, chain = Script(Refusal("the fee no longer pays")), Script("unused yet", SILENT, "unused yet", ExpiredUnused())
    road, _wallet = money(keys, posted, market, chain)
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert market.asked == chain.asked == 4
    assert said(posted) == ["ChainLost", "CashOutFailed"]


async def test_what_was_sent_unheard_is_found_on_the_chain(keys: Keys, posted: list[m.Message]) -> None:
    road, _wallet = money(keys, posted, Script(None), Script("unused yet", Done("0xtx", NETWORK.confirmations)))
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert posted == [m.CashOutConfirmed("c1", "0xtx", NETWORK.confirmations)]


async def test_a_sent_one_is_watched_to_its_last_confirmation(keys: Keys, posted: list[m.Message]) -> None:
    chain = Script(SILENT, "unused yet", *(Done("0xtx", count) for count in range(NETWORK.confirmations + 1)))
    road, _wallet = money(keys, posted, Script(None), chain)
    await asyncio.wait_for(road.watch(replace(SIGNED, stage=Stage.SENT)), 10)
    assert posted[0] == m.ChainLost("The chain cannot be reached.")
    assert posted[-1] == m.CashOutConfirmed("c1", "0xtx", NETWORK.confirmations)


async def test_the_chain_is_followed_through_silence(keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_module, "FOLLOW_IDLE_S", 0.02)
    road, _wallet = money(keys, posted, Script(None), Script(SILENT, (MicroUsd(7), 9)))
    following = asyncio.create_task(road.follow())
    async with asyncio.timeout(10):
        while "ChainSaid" not in said(posted):
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert said(posted)[:3] == ["ChainLost", "ChainPaid", "ChainSaid"]


async def test_a_wake_is_not_waited_for(keys: Keys, posted: list[m.Message]) -> None:
    assert money_module.FOLLOW_IDLE_S >= 10
    state: State = builders.a_state()
    assert state.wallet.chain_ok
    road, _wallet = money(keys, posted, Script(None), Script((MicroUsd(7), 0)))
    following = asyncio.create_task(road.follow())
    async with asyncio.timeout(5):
        while said(posted).count("ChainSaid") < 3:
            road.wake()
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
