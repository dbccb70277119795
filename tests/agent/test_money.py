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

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused, Mined, Refused
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.adapters.market import Market
from desktop_app.agent import following as following_module
from desktop_app.agent import money as money_module
from desktop_app.agent.carrying import NoEther
from desktop_app.agent.money import Money
from desktop_app.agent.wallet import Wallet
from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut, Quote, Stage
from desktop_app.core.errors import AppError
from desktop_app.core.keeping import Keeping
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.state import JobAccount, Payout, State
from desktop_app.wire.eip712 import Voucher
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

    def payouts(self, _address: str, _after: int, _upto: int, _gpu: int | None) -> object:
        return [(Payout(builders.JOB, MicroUsd(7), "0xt", 9, 1), Units(7))]

    def gpu(self, _number: int) -> object:
        return None

    # as the wallet that carries for itself

    def carry(self, *_asked: object) -> object:
        return self._next()



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


class Own:
    """The wallet as its own relayer, saying what it was told to; and what it was asked."""

    def __init__(self, *answers: object) -> None:
        self.script = Script(*answers)
        self.asked: list[tuple[object, ...]] = []

    def __call__(self, _chain: Chain, _keys: Keys, _address: str) -> "Own":
        return self

    def _answer(self, *asked: object) -> object:
        self.asked.append(tuple(bytes(one) if isinstance(one, bytearray) else one for one in asked))
        return self.script.carry()

    def quote(self, *asked: object) -> object:
        return self._answer("quote", *asked)

    def carry(self, *asked: object) -> object:
        return self._answer("carry", *asked)

    def redeem(self, *asked: object) -> object:
        return self._answer("redeem", *asked)


def money(
    keys: Keys, posted: list[m.Message], market: Script, chain: Script, *accounts: JobAccount, locked: bool = True
) -> tuple[Money, Wallet]:
    wallet = Wallet(keys, posted.append, unattended=False)
    state = builders.a_state(accounts=accounts)
    held = replace(state, wallet=replace(state.wallet, address=keys.address(WALLET), needs_passphrase=locked))
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


async def test_a_lent_passphrase_is_a_copy(keys: Keys, posted: list[m.Message]) -> None:
    wallet = Wallet(keys, posted.append, unattended=False)
    assert wallet.lend_passphrase() is None
    await wallet.take_secret("spend", bytearray(RIGHT))
    lent = wallet.lend_passphrase()
    assert bytes(lent or b"") == RIGHT
    wallet.forget()
    assert bytes(lent or b"") == RIGHT
    assert wallet.spend_passphrase() is None


async def test_what_is_refused_for_its_own_sake_is_tried_until_its_time_is_over(keys: Keys, posted: list[m.Message]) -> None:
    market = Script(Refusal("the stablecoin is paused"), Refusal("the stablecoin is paused"), Sent("0xtx"))
    road, _wallet = money(keys, posted, market, Script("unused yet"))
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert (market.asked, posted) == (3, [m.CashOutSent("c1", "0xtx")])
    chain = Script("unused yet", SILENT, "unused yet", ExpiredUnused())
    road, _wallet = money(keys, posted, Script(Refusal("the stablecoin is paused")), chain)
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert chain.asked == 4
    assert said(posted)[1:] == ["ChainLost", "CashOutFailed"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "The market's relayer does not answer."),
        (Refusal("the market's relayer has no ether left for gas", own=True), "The market's relayer says: {}."),
        (Refusal("The chain is silent.", own=True), "The chain is silent."),
    ],
)
async def test_a_relayer_that_will_not_carry_yields_to_the_wallet(
    keys: Keys, posted: list[m.Message], answer: Refusal | None, reason: str
) -> None:
    said_why = reason.format(answer.reason if answer else "")
    road, _wallet = money(keys, posted, Script(answer), Script("unused yet"))
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert posted == [m.CarrierFailed("c1", False, said_why)]
    posted.clear()
    road, _wallet = money(keys, posted, Script(answer), Script((MicroUsd(5), 0)))
    await road.quote(ASKED, ())
    assert posted[-1] == m.CarrierFailed("c1", False, said_why)


async def test_the_wallet_carries_with_the_passphrase_that_signed_and_redeems_what_is_left(
    keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Own(Mined("0xown", 9, 1))
    monkeypatch.setattr(money_module, "OwnCarrier", own)
    owing = builders.an_account(vouched=2_000, keeping=Keeping(gpu=42))
    road, wallet = money(keys, posted, Script(None), Script("unused yet"), owing)
    await wallet.take_secret("spend", bytearray(RIGHT))
    await road.sign(replace(SIGNING, own=True))
    signed = posted.pop()
    assert isinstance(signed, m.CashOutSigned)
    await asyncio.wait_for(road.send(replace(SIGNED, own=True)), 10)
    assert posted == [m.CashOutSent("c1", "0xown")]
    voucher = Voucher(owing.job_id, 42, owing.vouched, owing.root)
    assert own.asked == [
        ("carry", replace(SIGNED, own=True), QUOTE, RIGHT),
        ("redeem", voucher, owing.signature, MicroUsd(1_998), RIGHT),
    ]
    assert wallet.spend_passphrase() is None


async def test_a_wallet_without_ether_says_what_is_missing(keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_module, "OwnCarrier", Own(NoEther(10**14, "send it")))
    road, _wallet = money(keys, posted, Script(None), Script("unused yet"))
    missing = "The market's relayer does not answer. With about 0.0001 ETH in your wallet Sublet can send it itself."
    await asyncio.wait_for(road.send(replace(SIGNED, own=True)), 10)
    assert posted == [m.CarrierFailed("c1", True, missing)]
    road, _wallet = money(keys, posted, Script(None), Script((MicroUsd(5), 0)))
    await road.quote(replace(ASKED, own=True, reason="The market's relayer says: no."), ())
    assert posted[-1] == m.CarrierFailed("c1", True, missing.replace("does not answer", "says: no"))


async def test_a_wallet_with_ether_quotes_no_fee_but_the_gas(keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Quote(MicroUsd(5), MicroUsd(0), "0x" + "01" * 32, QUOTE.valid_before, 10**14)
    own = Own(Refused("VoucherStale", "it is stale"), offer, "that is not an address")
    monkeypatch.setattr(money_module, "OwnCarrier", own)
    road, _wallet = money(keys, posted, Script(None), Script((MicroUsd(5), 0)), locked=False)
    await road.quote(replace(ASKED, own=True), (builders.an_account(vouched=5),))
    assert posted[-1] == m.CashOutQuoted("c1", offer)
    assert [one[0] for one in own.asked] == ["redeem", "quote"]
    await road.quote(replace(ASKED, own=True), ())
    assert posted[-1:] == [m.CashOutRefused("c1", "that is not an address")]


async def test_what_the_chain_refuses_the_wallet_is_not_sent(keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_module, "OwnCarrier", Own(Refused("X", "the stablecoin is paused")))
    road, _wallet = money(keys, posted, Script(None), Script("unused yet"))
    await asyncio.wait_for(road.send(replace(SIGNED, own=True)), 10)
    assert posted == [m.CarrierFailed("c1", True, "the stablecoin is paused")]
    await road.sign(replace(ASKED, own=True))
    assert len(posted) == 1


async def test_vouchers_are_redeemed_by_the_market_and_what_was_not_is_said(keys: Keys, posted: list[m.Message]) -> None:
    one, two, three = (builders.an_account(f"j{number}", vouched=5) for number in range(3))
    road, _wallet = money(keys, posted, Script(Sent("0x"), None, Refusal("it is stale")), Script(None))
    await road.redeem((one, two, three), own=False)
    assert posted == [m.RedeemFailed(("j1",), False, "The market's relayer does not answer.")]


async def test_a_locked_wallet_redeems_nothing_and_an_open_one_does(
    keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    owing = builders.an_account(vouched=5)
    own = Own(Mined("0x", 1, 1), NoEther(10**14, "redeem it"))
    monkeypatch.setattr(money_module, "OwnCarrier", own)
    road, _wallet = money(keys, posted, Script(None), Script(None))
    await road.redeem((owing,), own=True)
    (told,) = posted
    assert isinstance(told, m.RedeemFailed) and told.own and "Your wallet is locked" in told.reason and own.asked == []
    posted.clear()
    road, _wallet = money(keys, posted, Script(None), Script(None), locked=False)
    await road.redeem((owing,), own=True)
    assert posted == []
    await road.redeem((owing,), own=True)
    (told,) = posted
    assert isinstance(told, m.RedeemFailed) and told.reason.endswith("With about 0.0001 ETH in your wallet Sublet can redeem it itself.")


async def test_what_was_sent_unheard_is_found_on_the_chain(keys: Keys, posted: list[m.Message]) -> None:
    road, _wallet = money(keys, posted, Script(None), Script(Done("0xtx", NETWORK.confirmations)))
    await asyncio.wait_for(road.send(SIGNED), 10)
    assert posted == [m.CashOutConfirmed("c1", "0xtx", NETWORK.confirmations)]


async def test_a_sent_one_is_watched_to_its_last_confirmation(keys: Keys, posted: list[m.Message]) -> None:
    chain = Script(SILENT, "unused yet", *(Done("0xtx", count) for count in range(NETWORK.confirmations + 1)))
    road, _wallet = money(keys, posted, Script(None), chain)
    await asyncio.wait_for(road.watch(replace(SIGNED, stage=Stage.SENT)), 10)
    assert posted[0] == m.ChainLost("The chain cannot be reached.")
    assert posted[-1] == m.CashOutConfirmed("c1", "0xtx", NETWORK.confirmations)


async def test_the_chain_is_followed_through_silence(keys: Keys, posted: list[m.Message], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following_module, "FOLLOW_IDLE_S", 0.02)
    road, _wallet = money(keys, posted, Script(None), Script(SILENT, (MicroUsd(7), 9)))
    following = asyncio.create_task(road.follow())
    async with asyncio.timeout(10):
        while "ChainSaid" not in said(posted):
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert said(posted)[:3] == ["ChainLost", "ChainPaid", "ChainSaid"]


async def test_a_wake_is_not_waited_for(keys: Keys, posted: list[m.Message]) -> None:
    assert following_module.FOLLOW_IDLE_S >= 10
    state: State = builders.a_state()
    assert state.wallet.chain_ok
    road, _wallet = money(keys, posted, Script(None), Script((MicroUsd(7), 0)))
    following = asyncio.create_task(road.follow())
    async with asyncio.timeout(25):  # unheard, two wakes would take a minute
        while said(posted).count("ChainSaid") < 3:
            road.wake()
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
