"""The market's house hangs, and the owner still gets the money: the wallet carries it, if it has ether, and else says what is missing."""

import secrets
import uuid
from contextlib import closing

import pytest

from desktop_app.adapters.chain import Chain, Mined, Relayer
from desktop_app.core import messages
from desktop_app.core.cashout import Stage
from desktop_app.core.money import DOLLAR, MicroUsd
from desktop_app.core.state import State
from desktop_app.practice.co_owner import give_ether
from desktop_app.practice.folder import DEPLOYER, Folder
from desktop_app.wire.networks import load_practice
from tests.flows.house import House, frozen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_cash_out_needs_no_pool_but_a_little_ether(house: House) -> None:
    state = house.wait("the market", lambda state: state.wallet.ready and state.market.connected and state.wallet.chain_ok, 180)
    wallet, folder = state.wallet.address, Folder(house.profile.practice)
    with closing(Chain(load_practice(folder.network))) as chain, closing(folder.office_keys()) as office:
        founder = Relayer(chain, office.address(DEPLOYER), lambda transaction: office.sign_transaction(DEPLOYER, transaction))
        assert isinstance(founder.mint(wallet, MicroUsd(3 * DOLLAR)), Mined)
        with frozen(house.processes("practice-pool")):
            refused = _asked(house, "0x" + secrets.token_hex(20), Stage.REFUSED).cash_out
            assert refused is not None
            assert refused.reason.startswith("The market's relayer does not answer. With about ")
            assert refused.reason.endswith(" ETH in your wallet Sublet can send it itself.")
            give_ether(chain, folder, wallet)
            fresh = "0x" + secrets.token_hex(20)
            quoted = _asked(house, fresh, Stage.QUOTED).cash_out
            assert quoted is not None and quoted.quote is not None
            assert (quoted.own, quoted.quote.amount, quoted.quote.fee) == (True, DOLLAR, 0)
            house.post(messages.OwnerConfirmedCashOut(quoted.id))
            house.wait("the payment", lambda state: _stage(state, quoted.id) is Stage.CONFIRMED, 120)
            assert (chain.balance(fresh)[0], chain.balance(wallet)[0]) == (DOLLAR, 2 * DOLLAR)


def _asked(house: House, to: str, stage: Stage) -> State:
    name = uuid.uuid4().hex
    house.post(messages.OwnerAskedCashOut(name, to, MicroUsd(DOLLAR)))
    return house.wait(f"a cash-out that is {stage}", lambda state: _stage(state, name) is stage, 120)


def _stage(state: State, name: str) -> Stage | None:
    held = state.cash_out
    return held.stage if held is not None and held.id == name else None
