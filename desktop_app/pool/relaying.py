"""Brings owners' and renters' signatures on chain, so that neither needs a gas token. It can delay, and nothing else.

A quote promises nothing and is kept nowhere: whoever signed one may bring it until it runs out, and the relayer only looks
whether its fee still pays for the gas. Called by the pool's office; the chain is asked in threads.
"""

import asyncio
import secrets
import time

from desktop_app.adapters.chain import Chain, Mined, Refused, Relayer, is_address, job_id, registry_domain, same_address
from desktop_app.adapters.keys import Keys
from desktop_app.core import cashout
from desktop_app.core.cashout import Quote
from desktop_app.core.gpu import TIER_NUMBERS, Tier
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.pricing import WHOLE, Controller
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import Registration, Voucher, register
from desktop_app.wire.market import Refusal

ATTESTOR = "attestor"
RELAYER = "relayer"
REGISTRATION_S = 3_600
QUOTE_S = 1_800
LONGEST_JOB_S = 30 * 24 * 3_600


class Desk:
    """Everything the pool does on chain for others. `keys` holds the attestor's key."""

    def __init__(self, chain: Chain, relayer: Relayer, keys: Keys) -> None:
        self._chain = chain
        self._relayer = relayer
        self._keys = keys

    async def register(self, request: wire.RegisterGpu) -> wire.Answer:
        """Put a GPU into the registry, once per hardware."""
        return await asyncio.to_thread(self._register, request)

    async def quote(self, request: wire.AskQuote) -> wire.Answer:
        """What carrying a cash-out costs now."""
        return await asyncio.to_thread(self._quote, request)

    async def cash_out(self, request: wire.SendCashOut) -> wire.Answer:
        """Carry a signed cash-out, once."""
        return await asyncio.to_thread(self._cash_out, request)

    async def open_job(self, request: wire.OpenJob, price: wire.Price | None, controller: Controller | None) -> wire.Answer:
        """Open and fund a job at a rate not below what one epoch may have moved since the renter looked."""
        if price is None or controller is None:
            return Refusal("this market does not trade that tier")
        terms = request.terms
        if terms.rate * WHOLE < price.rate * (WHOLE - controller.step):
            return Refusal(f"the rate is {price.rate} micro-dollars per GPU-hour now; {terms.rate} are offered")
        if terms.deadline > time.time() + LONGEST_JOB_S:
            return Refusal("a job may run for a month at most")
        outcome = await asyncio.to_thread(self._relayer.open_job, terms, request.valid_before, request.signature)
        if isinstance(outcome, Refused):
            return Refusal(outcome.reason)
        return wire.Opened(job_id(self._chain.network, terms))

    async def redeem(self, request: wire.Redeem) -> wire.Answer:
        """Have a voucher paid out now."""
        voucher = Voucher(request.job_id, request.gpu_id, Units(request.units), request.root)
        return _sent(await asyncio.to_thread(self._relayer.redeem, voucher, request.signature))

    def _register(self, request: wire.RegisterGpu) -> wire.Answer:
        if self._chain.network.bounds(request.tier) is None:
            return Refusal(f"this market does not trade the tier {request.tier.value}")
        if (standing := self._standing(request)) is not None:
            return standing
        registration = Registration(
            request.owner, request.hardware, TIER_NUMBERS[request.tier], request.operator, int(time.time()) + REGISTRATION_S
        )
        signature = self._keys.sign_typed(ATTESTOR, register(registry_domain(self._chain.network), registration))
        outcome = self._relayer.register(registration, signature)
        if isinstance(outcome, Refused):
            return Refusal(outcome.reason)
        return self._standing(request) or Refusal("the registration is on chain, but cannot be read yet; ask again")

    def _standing(self, request: wire.RegisterGpu) -> wire.Answer | None:
        """The answer for hardware that is registered already, or None."""
        gpu_id = self._chain.gpu_of_hardware(request.hardware)
        gpu = self._chain.gpu(gpu_id) if gpu_id is not None else None
        if gpu is None:
            return None
        if gpu.retired:
            return Refusal(f"this hardware is registered as GPU {gpu.id}, and was retired")
        if not same_address(gpu.owner, request.owner):
            return Refusal(f"this hardware is registered as GPU {gpu.id}, to another owner")
        if not same_address(gpu.operator, request.operator):
            return Refusal(f"this hardware is registered as GPU {gpu.id}, with another operator key")
        return wire.Registered(gpu.id)

    def _quote(self, request: wire.AskQuote) -> wire.Answer:
        network = self._chain.network
        if not is_address(request.to):
            return Refusal("that is not an address")
        own = (network.usdc, network.escrow, network.cash_out, network.registry, request.sender)
        if any(same_address(request.to, one) for one in own):
            return Refusal("money sent there would be lost or go nowhere")
        balance, _block = self._chain.balance(request.sender)
        _number, chain_now = self._chain.client.block_time(None)
        valid_before = max(int(time.time()), chain_now) + QUOTE_S
        amount = MicroUsd(request.amount or balance)
        quote = Quote(amount, self._relayer.relay_fee(), "0x" + secrets.token_hex(32), valid_before)
        reason = cashout.refusal(quote, request.amount, balance)
        return Refusal(reason) if reason else wire.Quoted(quote.amount, quote.fee, quote.salt, quote.valid_before)

    def _cash_out(self, request: wire.SendCashOut) -> wire.Answer:
        quote = Quote(MicroUsd(request.amount), MicroUsd(request.fee), request.salt, request.valid_before)
        if 2 * quote.fee < self._relayer.relay_fee():
            return Refusal("the fee no longer pays for the gas; ask for a new quote")
        return _sent(self._relayer.cash_out(request.sender, request.to, quote, request.signature))


def controller_of(chain: Chain, tier: Tier) -> Controller | None:
    """How a tier's rate moves on this network, or None when it is not traded."""
    bounds = chain.network.bounds(tier)
    return Controller(bounds.floor, bounds.ceiling) if bounds else None


def tier_of_number(number: int) -> Tier | None:
    """The tier that the chain stores under a number."""
    return next((tier for tier, one in TIER_NUMBERS.items() if one == number), None)


def _sent(outcome: Mined | Refused) -> wire.Answer:
    return Refusal(outcome.reason) if isinstance(outcome, Refused) else wire.Sent(outcome.transaction)
