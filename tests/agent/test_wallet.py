"""The wallet's doorman: what is handed to it is used once, for what it was given for, and wiped."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.agent import wallet as wallet_module
from desktop_app.agent.wallet import Wallet
from desktop_app.core.messages import Message, TroubleArose, WalletLocked, WalletOpened

RIGHT = b"the right passphrase"
WRONG = b"a passphrase that is wrong"


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    one = Keys(tmp_path / "keys", lambda: None, n=2**12)
    yield one
    one.close()


@pytest.fixture
def posted() -> list[Message]:
    return []


@pytest.fixture
def wallet(keys: Keys, posted: list[Message]) -> Wallet:
    return Wallet(keys, posted.append, unattended=False)


async def test_a_first_start_waits_for_a_passphrase_and_makes_the_keys_with_it(wallet: Wallet, keys: Keys, posted: list[Message]) -> None:
    assert await wallet.open() == "a passphrase is needed"
    assert posted == [WalletLocked("", "")]
    given = bytearray(RIGHT)
    assert await wallet.take_secret("unlock", given) == ""
    assert not any(given)
    opened = posted[-1]
    assert opened == WalletOpened(keys.address(WALLET), keys.addresses().operator, needs_passphrase=True)


async def test_a_wrong_passphrase_is_answered_and_told_to_nobody_else(tmp_path: Path, wallet: Wallet, posted: list[Message]) -> None:
    await wallet.take_secret("unlock", bytearray(RIGHT))
    later = Keys(tmp_path / "keys", lambda: None, n=2**12)
    posted.clear()
    doorman = Wallet(later, posted.append, unattended=False)
    await doorman.open()
    given = bytearray(WRONG)
    answer = await doorman.take_secret("unlock", given)
    assert answer.startswith("That passphrase does not open the keys.")
    assert not any(given)
    assert [type(message) for message in posted] == [WalletLocked]
    assert await doorman.take_secret("unlock", bytearray(RIGHT)) == ""
    later.close()


async def test_one_too_short_makes_no_wallet(wallet: Wallet, posted: list[Message], tmp_path: Path) -> None:
    given = bytearray(b"short")
    assert await wallet.take_secret("unlock", given)
    assert not any(given)
    assert posted == []
    assert not list((tmp_path / "keys").glob("*.json"))


async def test_an_unattended_wallet_that_does_not_open_says_so_to_the_owner(tmp_path: Path, posted: list[Message]) -> None:
    first = Keys(tmp_path / "keys", lambda: bytearray(RIGHT), n=2**12)
    await Wallet(first, posted.append, unattended=True).open()
    assert posted == [WalletOpened(first.addresses().wallet, first.addresses().operator, needs_passphrase=False)]
    first.close()
    second = Keys(tmp_path / "keys", lambda: bytearray(WRONG), n=2**12)
    assert await Wallet(second, posted.append, unattended=True).open()
    assert isinstance(posted[-1], TroubleArose)
    assert "does not open the keys" in posted[-1].detail
    second.close()


async def test_a_passphrase_to_spend_is_good_once(wallet: Wallet) -> None:
    given = bytearray(RIGHT)
    assert await wallet.take_secret("spend", given) == ""
    assert wallet.spend_passphrase() is given
    assert bytes(given) == RIGHT  # the signer has it now, and wipes it
    assert wallet.spend_passphrase() is None


async def test_a_passphrase_to_spend_is_forgotten_after_its_time(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wallet_module.SPEND_WITHIN_S <= 60
    monkeypatch.setattr(wallet_module, "SPEND_WITHIN_S", 0.1)
    given = bytearray(RIGHT)
    await wallet.take_secret("spend", given)
    await asyncio.sleep(0.3)
    assert not any(given)
    assert wallet.spend_passphrase() is None


async def test_a_second_one_takes_the_place_and_the_time_of_the_first(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_module, "SPEND_WITHIN_S", 0.2)
    first, second = bytearray(WRONG), bytearray(RIGHT)
    await wallet.take_secret("spend", first)
    monkeypatch.setattr(wallet_module, "SPEND_WITHIN_S", 60.0)
    await wallet.take_secret("spend", second)
    assert not any(first)
    await asyncio.sleep(0.4)  # the first one's time is over, the second one's is not
    assert wallet.spend_passphrase() is second


async def test_what_nobody_asked_for_is_wiped(wallet: Wallet) -> None:
    given = bytearray(RIGHT)
    assert await wallet.take_secret("gossip", given) == "nobody asked for that"
    assert not any(given)
    assert wallet.spend_passphrase() is None


async def test_at_the_end_nothing_is_kept(wallet: Wallet) -> None:
    given = bytearray(RIGHT)
    await wallet.take_secret("spend", given)
    wallet.forget()
    wallet.forget()
    assert not any(given)
