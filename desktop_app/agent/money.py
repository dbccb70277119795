"""The money roads that need several adapters: following the chain, and walking a cash-out from quote to confirmation.

Every step may be asked for again after a crash: a quote is only a question, the signed bytes are the same bytes, and the
chain takes them once. Called by `agent.perform` and `agent.main`.
"""

import asyncio
import contextlib
from collections.abc import Callable

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused, cash_out_typed
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.adapters.market import Market
from desktop_app.agent.wallet import Wallet
from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES, CashOut, Quote
from desktop_app.core.errors import AppError
from desktop_app.core.ledger import due
from desktop_app.core.state import JobAccount, Paid, State
from desktop_app.wire.eip712 import TypedMessage
from desktop_app.wire.market import Sent
from desktop_app.wire.networks import Network

FOLLOW_BUSY_S = 1.0
FOLLOW_IDLE_S = 30.0
TRY_AGAIN_S = 2.0
WATCH_S = 0.5


class Money:
    """`state` gives the newest state; `post` takes what was learnt."""

    def __init__(
        self,
        network: Network,
        chain: Chain,
        market: Market,
        keys: Keys,
        wallet: Wallet,
        post: Callable[[m.Message], None],
        state: Callable[[], State],
    ) -> None:
        self._network = network
        self._chain = chain
        self._market = market
        self._keys = keys
        self._wallet = wallet
        self._post = post
        self._state = state
        self._look = asyncio.Event()

    def wake(self) -> None:
        """Look at the chain now rather than at the next turn."""
        self._look.set()

    async def follow(self) -> None:
        """Tell payouts and balance for as long as the agent lives; often while money is on its way, seldom otherwise."""
        while True:
            try:
                await self._look_once()
            except AppError as error:
                self._post(m.ChainLost(error.title))
            self._look.clear()
            waited = 0.0
            while waited < (FOLLOW_BUSY_S if _expects_money(self._state()) else FOLLOW_IDLE_S) and not self._look.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), FOLLOW_BUSY_S)
                waited += FOLLOW_BUSY_S

    async def quote(self, cash_out: CashOut, accounts: tuple[JobAccount, ...]) -> None:
        """Redeem what is earned, then ask what the transfer costs."""
        gpu_id = self._state().gpu.chain_id
        for account in accounts:
            if gpu_id is not None:
                await self._market.redeem(account, gpu_id)
        try:
            await self._look_once()
        except AppError as error:
            self._post(m.ChainLost(error.title))
            self._post(m.CashOutRefused(cash_out.id, "the chain does not answer; try again in a moment"))
            return
        answer = await self._market.quote(cash_out, self._state().wallet.address)
        if isinstance(answer, Quote):
            self._post(m.CashOutQuoted(cash_out.id, answer))
        else:
            self._post(m.CashOutRefused(cash_out.id, answer.reason))

    async def sign(self, cash_out: CashOut) -> None:
        """Sign exactly what the owner confirmed; the wallet's key is open for this one signature."""
        if cash_out.quote is None:
            return
        typed = cash_out_typed(self._network, self._state().wallet.address, cash_out.to, cash_out.quote)
        try:
            authorisation = await asyncio.to_thread(self._signed, typed, self._wallet.spend_passphrase())
        except AppError as error:
            self._post(m.CashOutRefused(cash_out.id, f"{error.title} {error.advice}"))
        else:
            self._post(m.CashOutSigned(cash_out.id, authorisation))

    async def send(self, cash_out: CashOut) -> None:
        """Hand the kept bytes to the relayer until the chain has them or their time is over."""
        while True:
            answer = await self._market.send_cash_out(cash_out, self._state().wallet.address)
            if isinstance(answer, Sent):
                self._post(m.CashOutSent(cash_out.id, answer.transaction))
                return
            if await self._ended(cash_out):
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def watch(self, cash_out: CashOut) -> None:
        """Wait for the chain's word."""
        while not await self._ended(cash_out):
            await asyncio.sleep(WATCH_S)

    async def _ended(self, cash_out: CashOut) -> bool:
        if cash_out.quote is None:
            return True
        sender = self._state().wallet.address
        try:
            status = await asyncio.to_thread(self._chain.cash_out_status, sender, cash_out.to, cash_out.quote)
        except AppError as error:
            self._post(m.ChainLost(error.title))
            return False
        match status:
            case Done(transaction, confirmations):
                self._post(m.CashOutConfirmed(cash_out.id, transaction, confirmations))
                self.wake()
                return confirmations >= self._network.confirmations
            case ExpiredUnused():
                self._post(m.CashOutFailed(cash_out.id, "its time ran out before it reached the chain; nothing was paid"))
                return True
            case _:
                return False

    async def _look_once(self) -> None:
        wallet = self._state().wallet
        if not wallet.address:
            return
        payee = self._state().settings.payout_address or wallet.address
        balance, block = await asyncio.to_thread(self._chain.balance, wallet.address)
        if block != wallet.block:
            for payout, units in await asyncio.to_thread(self._chain.payouts, payee, wallet.block, block):
                self._post(m.ChainPaid(payout, units))
        self._post(m.ChainSaid(balance, block))

    def _signed(self, typed: TypedMessage, passphrase: bytearray | None) -> str:
        with self._keys.unlock_wallet(passphrase):
            return self._keys.sign_typed(WALLET, typed)


def _expects_money(state: State) -> bool:
    if state.cash_out is not None and state.cash_out.stage in OPEN_STAGES:
        return True
    delivered = any(line.paid is Paid.PENDING for line in state.history)
    return not state.wallet.chain_ok or bool(due(state)) or delivered
