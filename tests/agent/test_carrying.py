"""The owner's wallet as its own relayer, on a real chain: what it needs, what it costs, and that the money is where it should be."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from desktop_app.adapters.chain import Chain, Mined, Refused, cash_out_typed
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.agent.carrying import NoEther, OwnCarrier
from desktop_app.core.cashout import CashOut, Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, net
from tests.adapters.market_chain import HOUR, RATE, House, mined, open_house

PASSPHRASE = b"the right passphrase"
TO = "0x" + "5e" * 20


@dataclass
class Owner:
    """One owner with a wallet of five dollars and, when given, a little ether."""

    house: House
    chain: Chain
    keys: Keys

    @property
    def address(self) -> str:
        return self.keys.address(WALLET)

    @property
    def carrier(self) -> OwnCarrier:
        return OwnCarrier(self.chain, self.keys, self.address)

    def give_ether(self, wei: int = 10**16) -> None:
        ask, keys = self.chain.client.ask, self.house.keys
        count = int(str(ask("eth_getTransactionCount", keys.address("deployer"), "pending")), 16)
        gift = {
            "type": 2, "chainId": self.chain.network.chain_id, "nonce": count, "to": self.address, "value": wei, "data": "0x",
            "gas": 21_000, "maxFeePerGas": self.house.relayer(self.chain).gas_cost(1), "maxPriorityFeePerGas": 0,
        }  # fmt: skip
        ask("eth_sendRawTransaction", "0x" + keys.sign_transaction("deployer", gift).hex())
        end = time.monotonic() + 10
        while int(str(ask("eth_getBalance", self.address, "latest")), 16) < wei:
            assert time.monotonic() < end, "no ether came"
            time.sleep(0.05)

    def signed(self, quote: Quote, to: str = TO) -> CashOut:
        typed = cash_out_typed(self.chain.network, self.address, to, quote)
        with self.keys.unlock_wallet(bytearray(PASSPHRASE)):
            return CashOut("c1", to, MicroUsd(0), quote=quote, authorisation=self.keys.sign_typed(WALLET, typed), own=True)

    def balance(self, address: str) -> int:
        return self.chain.balance(address)[0]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def owner(house: House, tmp_path: Path) -> Iterator[Owner]:
    keys = Keys(tmp_path / "keys", lambda: None, n=2**12)
    keys.create_or_open(bytearray(PASSPHRASE))
    with house.chain() as chain:
        mined(house.relayer(chain, "deployer").mint(keys.address(WALLET), MicroUsd(5_000_000)))
        yield Owner(house, chain, keys)
    keys.close()


def test_without_ether_it_says_how_much_is_missing(owner: Owner) -> None:
    with pytest.raises(NoEther, match=r"With about [0-9.]+ ETH in your wallet Sublet can send it itself\."):
        owner.carrier.quote(CashOut("c1", TO, MicroUsd(0)), MicroUsd(5_000_000))
    voucher, signature = owner.house.voucher("0x" + "00" * 32, 1)
    with pytest.raises(NoEther, match="can redeem it itself"):
        owner.carrier.redeem(voucher, signature, MicroUsd(1), bytearray(PASSPHRASE))


def test_with_ether_the_whole_amount_arrives_and_only_gas_is_paid(owner: Owner) -> None:
    owner.give_ether()
    quote = owner.carrier.quote(CashOut("c1", TO, MicroUsd(0)), MicroUsd(5_000_000))
    assert isinstance(quote, Quote)
    assert (quote.amount, quote.fee) == (5_000_000, 0) and quote.gas > 0
    signed, before = owner.signed(quote), owner.balance(TO)
    first = owner.carrier.carry(signed, quote, bytearray(PASSPHRASE))
    assert isinstance(first, Mined) and not first.already
    assert (owner.balance(TO) - before, owner.balance(owner.address)) == (5_000_000, 0)
    again = owner.carrier.carry(signed, quote, bytearray(PASSPHRASE))
    assert isinstance(again, Mined) and again.already and again.transaction == first.transaction


def test_the_fee_in_bytes_meant_for_the_relayer_comes_back_to_the_wallet(owner: Owner) -> None:
    owner.give_ether()
    quote = owner.house.quote(1_000_000, fee=20_000)
    before = owner.balance(TO)
    assert isinstance(owner.carrier.carry(owner.signed(quote), quote, bytearray(PASSPHRASE)), Mined)
    assert (owner.balance(TO) - before, owner.balance(owner.address)) == (980_000, 4_020_000)


def test_what_cannot_be_sent_is_refused_before_anything_is_signed(owner: Owner) -> None:
    network = owner.chain.network
    for to, words in (("0x" + "aB" * 20, "not an address"), (network.escrow, "lost or go nowhere"), (owner.address, "lost or go nowhere")):
        refused = owner.carrier.quote(CashOut("c1", to, MicroUsd(0)), MicroUsd(1))
        assert isinstance(refused, str) and words in refused


def test_a_wrong_passphrase_sends_nothing(owner: Owner) -> None:
    owner.give_ether()
    quote = owner.house.quote(1_000_000)
    with pytest.raises(AppError, match="does not open the keys"):
        owner.carrier.carry(owner.signed(quote), quote, bytearray(b"a wrong passphrase"))
    assert owner.balance(owner.address) == 5_000_000


async def test_it_redeems_what_the_market_does_not_and_never_at_a_loss(owner: Owner) -> None:
    await asyncio.to_thread(owner.give_ether)
    job = await asyncio.to_thread(owner.house.open_job, owner.house.relayer(owner.chain), owner.house.terms())
    voucher, signature = owner.house.voucher(job, HOUR)
    paid = owner.house.keys.address("owner")
    before, worth = owner.balance(paid), net(HOUR, RATE, 10)
    owner.chain.network = replace(owner.chain.network, eth_usd=MicroUsd(10**24))
    with pytest.raises(AppError, match="would cost about"):
        owner.carrier.redeem(voucher, signature, worth, bytearray(PASSPHRASE))
    owner.chain.network = replace(owner.chain.network, eth_usd=MicroUsd(0))
    assert isinstance(owner.carrier.redeem(voucher, signature, worth, bytearray(PASSPHRASE)), Mined)
    assert owner.balance(paid) - before == worth
    forged = owner.house.voucher(job, HOUR + 1, by="owner")
    assert isinstance(owner.carrier.redeem(*forged, worth, bytearray(PASSPHRASE)), Refused)
