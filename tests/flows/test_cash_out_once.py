"""The agent is killed while a cash-out is under way: afterwards there was exactly one payment, or none and the quote still stands."""

import secrets
import time
import uuid
from dataclasses import replace

import pytest

from desktop_app.adapters.chain import Chain, Mined, Relayer
from desktop_app.adapters.store import Store
from desktop_app.core import messages
from desktop_app.core.cashout import CashOut, Stage, arrives
from desktop_app.core.money import DOLLAR, MicroUsd
from desktop_app.core.state import State
from desktop_app.practice.folder import DEPLOYER, Folder
from desktop_app.wire.networks import load_practice
from tests.flows.house import House, frozen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_killed_when_signed_it_pays_once(house: House) -> None:
    """What carries the payment hangs: before it heard of it, in the middle of it, or before it could say that it is done."""
    for held in ("practice-pool", "practice-evm", "nats-server"):
        name, fresh, left = _quoted(house)
        with frozen(house.processes(held)):
            house.post(messages.OwnerConfirmedCashOut(name))
            house.wait("the signature kept", lambda state, name=name: _stage(state, name) is Stage.SIGNED, 60)  # type: ignore[misc]
            time.sleep(1)  # for the request to get as far as it can
            assert house.kill(house.processes("-m desktop_app agent"))
        house.start("agent", "--no-keyring")
        _paid_once(house, name, fresh, left)


def test_killed_when_sent_it_pays_once(house: House) -> None:
    """Between the relayer's word and the chain's there is a moment too short to hit; so the agent is put back into it."""
    name, fresh, left = _quoted(house)
    house.post(messages.OwnerConfirmedCashOut(name))
    _paid_once(house, name, fresh, left)
    house.close()
    store = Store(house.profile.settings, house.profile.database)
    state = store.open().state
    assert state.cash_out is not None
    assert state.cash_out.stage is Stage.CONFIRMED
    store.save(replace(state, cash_out=replace(state.cash_out, stage=Stage.SENT, confirmations=0)))
    store.close()
    house.start("agent", "--no-keyring")
    _paid_once(house, name, fresh, left)


ENDS = (Stage.CONFIRMED, Stage.QUOTED, Stage.REFUSED)


def test_killed_at_any_moment_it_never_pays_twice(house: House) -> None:
    for delay in (0.0, 0.15, 0.4):
        name, fresh, left = _quoted(house)
        house.post(messages.OwnerConfirmedCashOut(name))
        time.sleep(delay)
        house.kill(house.processes("-m desktop_app agent"))
        house.start("agent", "--no-keyring")
        state = house.wait("its end", lambda state, name=name: _stage(state, name) in ENDS, 180)  # type: ignore[misc]
        if _stage(state, name) is Stage.REFUSED:  # the agent died before the quote was written down, and the market was slow to come back
            _nothing_paid(house, fresh, left + DOLLAR)
            continue
        if _stage(state, name) is Stage.QUOTED:  # nothing was signed, or nothing of it kept: the owner is asked again
            house.wait("the market", lambda state: state.market.connected and state.wallet.chain_ok, 120)
            house.post(messages.OwnerConfirmedCashOut(name))
        _paid_once(house, name, fresh, left)


def _quoted(house: House) -> tuple[str, str, int]:
    """Put money for several payments into the wallet and ask for one; its id, where it goes, and what must be left."""
    state = house.wait("the market", lambda state: state.wallet.ready and state.market.connected and state.wallet.chain_ok, 180)
    left = _mint(house, state.wallet.address) - DOLLAR
    name, fresh = uuid.uuid4().hex, "0x" + secrets.token_hex(20)
    house.post(messages.OwnerAskedCashOut(name, fresh, MicroUsd(DOLLAR)))
    house.wait("a quote", lambda state: _stage(state, name) is Stage.QUOTED, 120)
    return name, fresh, left


def _mint(house: House, wallet: str) -> int:
    """Three dollars more; what the wallet then holds."""
    folder = Folder(house.profile.practice)
    keys, chain = folder.office_keys(), Chain(load_practice(folder.network))
    try:
        deployer = Relayer(chain, keys.address(DEPLOYER), lambda transaction: keys.sign_transaction(DEPLOYER, transaction))
        assert isinstance(deployer.mint(wallet, MicroUsd(3 * DOLLAR)), Mined)
        return int(chain.balance(wallet)[0])
    finally:
        chain.close()
        keys.close()


def _paid_once(house: House, name: str, fresh: str, left: int) -> None:
    held = house.wait("the payment", lambda state: _stage(state, name) is Stage.CONFIRMED, 240).cash_out
    assert held is not None
    assert held.quote is not None
    state = house.wait("the chain", lambda state: state.wallet.chain_ok, 120)
    chain = Chain(load_practice(house.profile.practice / "network.json"))
    try:
        assert chain.balance(fresh)[0] == arrives(held.quote)
        assert chain.balance(state.wallet.address)[0] == left
        assert held.quote.amount == DOLLAR
    finally:
        chain.close()


def _nothing_paid(house: House, fresh: str, kept: int) -> None:
    state = house.wait("the chain", lambda state: state.wallet.chain_ok, 120)
    chain = Chain(load_practice(house.profile.practice / "network.json"))
    try:
        assert (chain.balance(fresh)[0], chain.balance(state.wallet.address)[0]) == (0, kept)
    finally:
        chain.close()


def _stage(state: State, name: str) -> Stage | None:
    held: CashOut | None = state.cash_out
    return held.stage if held is not None and held.id == name else None
