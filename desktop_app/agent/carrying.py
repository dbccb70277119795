"""The owner's wallet as its own relayer: what the pool's keeper and relayer do, by the same code, with the owner's ether.

The wallet's key is opened for each transaction and dropped; the passphrase, where one is needed, is the one that was given for
the cash-out. Everything blocks, so it is called in threads. Called by `agent.money` when the core said that the wallet carries.
"""

import secrets
from typing import Final

from desktop_app.adapters.chain import Chain, Mined, Refused, Relayer, is_address
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.core.cashout import CashOut, Quote, goes_nowhere
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from desktop_app.wire import phrases
from desktop_app.wire.eip712 import Voucher

CASH_OUT_GAS: Final = 160_000
"""A cash-out to a new holder, with the margin that a sender adds."""

REDEEM_GAS: Final = 200_000
"""A first redemption for a GPU with a co-owner or two, with the same margin."""

_WEI: Final = 10**18


class NoEther(AppError):
    """The wallet has too little ether for the gas."""

    def __init__(self, wei: int, deed: str) -> None:
        super().__init__(f"With about {phrases.ether(wei)} in your wallet Sublet can {deed} itself.", "")


class OwnCarrier:
    """One wallet that carries for itself. `address` is the wallet's; a passphrase is wiped by whoever gave it."""

    def __init__(self, chain: Chain, keys: Keys, address: str) -> None:
        self._chain = chain
        self._keys = keys
        self._address = address

    def quote(self, cash_out: CashOut, balance: MicroUsd) -> Quote | str:
        """What sending it oneself costs: no fee, and the gas; or why it cannot be sent. Raises AppError, NoEther among them."""
        network = self._chain.network
        if not is_address(cash_out.to):
            return "that is not an address: one of its characters is wrong"
        if goes_nowhere(cash_out.to, network.usdc, network.escrow, network.cash_out, network.registry, self._address):
            return "money sent there would be lost or go nowhere"
        gas = self._afford(self._relayer(None), CASH_OUT_GAS, "send it")
        return Quote(MicroUsd(cash_out.amount or balance), MicroUsd(0), "0x" + secrets.token_hex(32), self._chain.quote_end(), gas)

    def carry(self, cash_out: CashOut, quote: Quote, passphrase: bytearray | None) -> Mined | Refused:
        """Bring the signed bytes to the chain. A fee in them comes back: it goes to whoever brings them."""
        relayer = self._relayer(passphrase)
        self._afford(relayer, CASH_OUT_GAS, "send it")
        return relayer.cash_out(self._address, cash_out.to, quote, cash_out.authorisation)

    def redeem(self, voucher: Voucher, signature: str, worth: MicroUsd, passphrase: bytearray | None) -> Mined | Refused:
        """Have a voucher paid out, unless the gas would cost more than the voucher brings."""
        relayer = self._relayer(passphrase)
        gas = self._afford(relayer, REDEEM_GAS, "redeem it")
        cost = MicroUsd(gas * self._chain.network.eth_usd // _WEI)
        if cost > worth:
            raise AppError(f"Redeeming {phrases.exact(worth)} would cost about {phrases.exact(cost)} in gas.", "It waits for more.")
        return relayer.redeem(voucher, signature)

    def _relayer(self, passphrase: bytearray | None) -> Relayer:
        def sign(transaction: dict[str, int | str]) -> bytes:
            with self._keys.unlock_wallet(passphrase):
                return self._keys.sign_transaction(WALLET, transaction)

        return Relayer(self._chain, self._address, sign)

    def _afford(self, relayer: Relayer, gas: int, deed: str) -> int:
        """The most that `gas` may cost now, in wei. Raises NoEther where the wallet has less."""
        cost = relayer.gas_cost(gas)
        if relayer.ether() < cost:
            raise NoEther(cost, deed)
        return cost
