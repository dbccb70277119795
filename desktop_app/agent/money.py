"""The money roads that need several adapters: redeeming, and walking a cash-out from quote to confirmation.

Every step may be asked for again after a crash: a quote is only a question, the signed bytes are the same bytes, and the
chain takes them once. Whether the market's relayer or this wallet carries is the core's word; who cannot says why. Called by
`agent.perform` and `agent.life`; `agent.following` looks at the chain.
"""

import asyncio
import logging
from collections.abc import Callable

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused, Refused, cash_out_typed
from desktop_app.adapters.keys import WALLET, Keys
from desktop_app.adapters.market import Market
from desktop_app.agent.carrying import OwnCarrier
from desktop_app.agent.following import Following
from desktop_app.agent.wallet import Wallet, wipe
from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut, Quote
from desktop_app.core.errors import AppError
from desktop_app.core.ledger import due, owed, own_part
from desktop_app.core.money import MicroUsd
from desktop_app.core.state import JobAccount, State
from desktop_app.wire.eip712 import TypedMessage, Voucher
from desktop_app.wire.market import Refusal, Sent
from desktop_app.wire.networks import Network

TRY_AGAIN_S = 2.0
WATCH_S = 0.5
SILENT = "The market's relayer does not answer."
NOT_REDEEMED = "The market's relayer does not redeem what you have earned."
LOCKED = "Your wallet is locked; it is redeemed when you next cash out."

log = logging.getLogger(__name__)


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
        self._following = Following(chain, post, state)

    def wake(self) -> None:
        """Look at the chain now rather than at the next turn."""
        self._following.wake()

    async def follow(self) -> None:
        """Tell what the chain says for as long as the agent lives."""
        await self._following.run()

    async def redeem(self, accounts: tuple[JobAccount, ...], *, own: bool) -> None:
        """Have vouchers paid out, by the market's relayer or by this wallet; what was not, and why, is said."""
        failed: list[str] = []
        reason = ""
        for account in accounts:
            why = await (self._redeem_alone(account) if own else self._redeem_by_market(account))
            if why:
                failed.append(account.job_id)
                reason = why
        if failed:
            self._post(m.RedeemFailed(tuple(failed), own, reason))
        self.wake()

    async def quote(self, cash_out: CashOut, accounts: tuple[JobAccount, ...]) -> None:
        """Redeem what is earned, then ask what the transfer costs."""
        for account in accounts:
            await (self._redeem_alone(account) if cash_out.own else self._redeem_by_market(account))
        try:
            await self._following.look()
        except AppError as error:
            self._post(m.ChainLost(error.title))
            self._post(m.CashOutRefused(cash_out.id, "the chain does not answer; try again in a moment"))
            return
        answer = await (self._own_quote(cash_out) if cash_out.own else self._market.quote(cash_out, self._state().wallet.address))
        if isinstance(answer, Quote):
            self._post(m.CashOutQuoted(cash_out.id, answer))
        elif isinstance(answer, Refusal) and not answer.own:
            self._post(m.CashOutRefused(cash_out.id, answer.reason))
        else:
            self._post(m.CarrierFailed(cash_out.id, cash_out.own, _why(answer)))

    async def sign(self, cash_out: CashOut) -> None:
        """Sign exactly what the owner confirmed; the wallet's key is open for this one signature."""
        if cash_out.quote is None:
            return
        typed = cash_out_typed(self._network, self._state().wallet.address, cash_out.to, cash_out.quote)
        # the wallet that carries signs a transaction too, a moment later
        passphrase = self._wallet.lend_passphrase() if cash_out.own else self._wallet.spend_passphrase()
        try:
            authorisation = await asyncio.to_thread(self._signed, typed, passphrase)
        except AppError as error:
            self._post(m.CashOutRefused(cash_out.id, f"{error.title} {error.advice}"))
        else:
            self._post(m.CashOutSigned(cash_out.id, authorisation))
        finally:
            wipe(passphrase)

    async def send(self, cash_out: CashOut) -> None:
        """Bring the kept bytes to the chain until it has them, their time is over, or the other carrier has to try."""
        while True:
            sent = await (self._send_alone(cash_out) if cash_out.own else self._send_by_market(cash_out))
            if isinstance(sent, Sent):
                self._post(m.CashOutSent(cash_out.id, sent.transaction))
                return
            if await self._ended(cash_out):
                return
            await asyncio.sleep(TRY_AGAIN_S)
            if sent.own:
                self._post(m.CarrierFailed(cash_out.id, cash_out.own, sent.reason))
                return

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

    async def _send_by_market(self, cash_out: CashOut) -> Sent | Refusal:
        answer = await self._market.send_cash_out(cash_out, self._state().wallet.address)
        if isinstance(answer, Sent):
            return answer
        return Refusal(_why(answer), own=answer is None or answer.own)

    async def _send_alone(self, cash_out: CashOut) -> Sent | Refusal:
        """As the relayer would; and what is still to be redeemed goes with it, while the passphrase is at hand."""
        if cash_out.quote is None:
            return Refusal("there is no quote")
        passphrase = self._wallet.spend_passphrase()
        try:
            outcome = await asyncio.to_thread(self._carrier().carry, cash_out, cash_out.quote, passphrase)
            if isinstance(outcome, Refused):
                return Refusal(outcome.reason, own=True)
            for account in due(self._state()):
                await self._redeem_alone(account, passphrase)
        except AppError as error:
            return Refusal(_both(cash_out, error), own=True)
        finally:
            wipe(passphrase)
        return Sent(outcome.transaction)

    async def _own_quote(self, cash_out: CashOut) -> Quote | Refusal:
        try:
            quote = await asyncio.to_thread(self._carrier().quote, cash_out, self._state().wallet.balance or MicroUsd(0))
        except AppError as error:
            return Refusal(_both(cash_out, error), own=True)
        return quote if isinstance(quote, Quote) else Refusal(quote)

    async def _redeem_by_market(self, account: JobAccount) -> str:
        """Why the market's relayer did not redeem what it could have, or ""."""
        answer = await self._market.redeem(account, self._account_of(account))
        if isinstance(answer, Refusal) and not answer.own:
            log.info("the voucher of job %s is not redeemed: %s", account.job_id, answer.reason)
        return "" if isinstance(answer, Sent) or (answer is not None and not answer.own) else _why(answer)

    async def _redeem_alone(self, account: JobAccount, passphrase: bytearray | None = None) -> str:
        """Why this wallet did not redeem what it could have, or ""."""
        state = self._state()
        if state.wallet.needs_passphrase and passphrase is None:
            return f"{NOT_REDEEMED} {LOCKED}"
        voucher = Voucher(account.job_id, self._account_of(account), account.vouched, account.root)
        worth = own_part(state, owed(account))
        try:
            outcome = await asyncio.to_thread(self._carrier().redeem, voucher, account.signature, worth, passphrase)
        except AppError as error:
            return f"{NOT_REDEEMED} {error.title} {error.advice}".strip()
        if isinstance(outcome, Refused):
            log.info("the voucher of job %s is not redeemed: %s", account.job_id, outcome.reason)
        return ""

    def _carrier(self) -> OwnCarrier:
        return OwnCarrier(self._chain, self._keys, self._state().wallet.address)

    def _account_of(self, account: JobAccount) -> int:
        """The GPU's account that a job's voucher pays."""
        return account.keeping.gpu or self._state().gpu.chain_id or 0

    def _signed(self, typed: TypedMessage, passphrase: bytearray | None) -> str:
        with self._keys.unlock_wallet(passphrase):
            return self._keys.sign_typed(WALLET, typed)


def _why(answer: Quote | Refusal | Sent | None) -> str:
    """Why the market's relayer did not do it, as a sentence; or what this wallet says."""
    if not isinstance(answer, Refusal):
        return SILENT
    return answer.reason if answer.reason.endswith(".") else f"The market's relayer says: {answer.reason}."


def _both(cash_out: CashOut, error: AppError) -> str:
    """Why the relayer did not carry, and what this wallet lacks to do it."""
    return f"{cash_out.reason or SILENT} {error.title} {error.advice}".strip()
