"""Brings owners' and renters' signatures on chain, so that neither needs a gas token. It can delay, and nothing else.

What is asked twice, of this pool or of another, is done once and gets one answer. A quote promises nothing and is kept nowhere:
whoever signed one may bring it until it runs out, and the relayer only looks whether its fee still pays for the gas. A refusal
for the pool's own reasons (no ether, a limit) says so, and the owner's app then does it itself. Called by the pool's office;
the chain is asked in threads.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from desktop_app.adapters.chain import Chain, Mined, Refused, Relayer, is_address, job_id, recover_message, registry_domain, same_address
from desktop_app.adapters.chain import cash_out_nonce as nonce_of
from desktop_app.adapters.keys import Keys
from desktop_app.adapters.market import Session
from desktop_app.core import cashout
from desktop_app.core.bench import attestor_refusal, record_bytes
from desktop_app.core.cashout import Quote, goes_nowhere
from desktop_app.core.gpu import TIER_NUMBERS, Tier
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.pricing import WHOLE, Controller
from desktop_app.pool.deeds import once, sent
from desktop_app.pool.fuel import Fuel
from desktop_app.pool.limits import Kind, Limits
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import Registration, Voucher, register
from desktop_app.wire.market import Refusal
from desktop_app.wire.pooling import deed_key

ATTESTOR = "attestor"
RELAYER = "relayer"
REGISTRATION_S = 3_600
LONGEST_JOB_S = 30 * 24 * 3_600

Outcome = Mined | Refused


class Desk:
    """Everything the pool does on chain for others. `keys` holds the attestor's key."""

    def __init__(self, chain: Chain, relayer: Relayer, keys: Keys, fuel: Fuel, limits: Limits | None = None) -> None:
        self._chain = chain
        self._relayer = relayer
        self._keys = keys
        self._fuel = fuel
        self._limits = limits or Limits()

    async def register(self, session: Session, request: wire.RegisterGpu) -> wire.Answer:
        """Put a GPU into the registry, once per hardware."""
        if self._chain.network.bounds(request.tier) is None:
            return Refusal(f"this market does not trade the tier {request.tier.value}")
        standing = await asyncio.to_thread(self._standing, request)
        if standing is not None:
            return standing
        doubt = doubtful(request)
        if doubt is not None:
            return Refusal(doubt[:500])

        async def work() -> wire.Answer:
            outcome = await asyncio.to_thread(self._register, request)
            if isinstance(outcome, Refused):
                return Refusal(outcome.reason)
            now = await asyncio.to_thread(self._standing, request)
            return now if now is not None else Refusal("the registration is on chain, but cannot be read yet; ask again")

        return await self._deed(session, Kind.REGISTRATION, request.owner, request.hardware, work)

    async def quote(self, request: wire.AskQuote) -> wire.Answer:
        """What carrying a cash-out costs now."""
        refusal = self._limits.take(Kind.QUOTE, request.sender) or await self._fuel.refusal()
        return refusal if refusal is not None else await asyncio.to_thread(self._quote, request)

    async def cash_out(self, session: Session, request: wire.SendCashOut) -> wire.Answer:
        """Carry a signed cash-out, once."""
        quote = Quote(MicroUsd(request.amount), MicroUsd(request.fee), request.salt, request.valid_before)

        async def work() -> wire.Answer:
            if 2 * quote.fee < await asyncio.to_thread(self._relayer.relay_fee):
                return Refusal("the fee no longer pays for the gas; ask for a new quote", own=True)
            return sent(await asyncio.to_thread(self._relayer.cash_out, request.sender, request.to, quote, request.signature))

        return await self._deed(session, Kind.CASH_OUT, request.sender, nonce_of(request.to, quote), work)

    async def open_job(
        self, session: Session, request: wire.OpenJob, price: wire.Price | None, controller: Controller | None
    ) -> wire.Answer:
        """Open and fund a job at a rate not below what one epoch may have moved since the renter looked."""
        if price is None or controller is None:
            return Refusal("this market does not trade that tier")
        terms = request.terms
        if terms.rate * WHOLE < price.rate * (WHOLE - controller.step):
            return Refusal(f"the rate is {price.rate} micro-dollars per GPU-hour now; {terms.rate} are offered")
        if terms.deadline > time.time() + LONGEST_JOB_S:
            return Refusal("a job may run for a month at most")
        job = job_id(self._chain.network, terms)

        async def work() -> wire.Answer:
            outcome = await asyncio.to_thread(self._relayer.open_job, terms, request.valid_before, request.signature)
            return Refusal(outcome.reason) if isinstance(outcome, Refused) else wire.Opened(job)

        return await self._deed(session, Kind.OPENING, terms.renter, job, work)

    async def redeem(self, session: Session, request: wire.Redeem) -> wire.Answer:
        """Have a voucher paid out now, because its owner asks for it."""
        voucher = Voucher(request.job_id, request.gpu_id, Units(request.units), request.root)

        async def work() -> wire.Answer:
            return sent(await asyncio.to_thread(self._relayer.redeem, voucher, request.signature))

        return await self._deed(session, Kind.REDEMPTION, str(request.gpu_id), f"{request.job_id} {request.units}", work)

    async def _deed(
        self, session: Session, kind: Kind, asker: str, nonce: str, work: Callable[[], Awaitable[wire.Answer]]
    ) -> wire.Answer:
        """Do it once, within the asker's limit and while there is ether; what sent nothing is not counted."""

        async def limited() -> wire.Answer:
            refusal = self._limits.take(kind, asker)
            if refusal is not None:
                return refusal
            empty = await self._fuel.refusal()
            answer = empty if empty is not None else await work()
            if isinstance(answer, Refusal):
                self._limits.give_back(kind, asker)
            return answer

        return await once(session, deed_key(kind, asker, nonce), limited)

    def _register(self, request: wire.RegisterGpu) -> Outcome:
        registration = Registration(
            request.owner, request.hardware, TIER_NUMBERS[request.tier], request.operator, int(time.time()) + REGISTRATION_S
        )
        signature = self._keys.sign_typed(ATTESTOR, register(registry_domain(self._chain.network), registration))
        return self._relayer.register(registration, self._keys.address(ATTESTOR), signature)

    def _standing(self, request: wire.RegisterGpu) -> wire.Answer | None:
        """The answer for hardware that is registered already, or None."""
        machine = self._chain.machine(request.hardware)
        gpu = self._chain.gpu(machine.gpu_id) if machine is not None else None
        if machine is None or gpu is None:
            return None
        if gpu.retired:
            return Refusal(f"this hardware is registered as GPU {gpu.id}, and was retired")
        if not same_address(gpu.owner, request.owner):
            return Refusal(f"this hardware is registered as GPU {gpu.id}, to another owner")
        if not machine.operator:
            return Refusal(f"GPU {gpu.id} has changed its owner or tier, and its owner has yet to name this machine's key on chain")
        if not same_address(machine.operator, request.operator):
            return Refusal(f"this hardware is registered as GPU {gpu.id}, with another operator key")
        return wire.Registered(gpu.account)

    def _quote(self, request: wire.AskQuote) -> wire.Answer:
        network = self._chain.network
        if not is_address(request.to):
            return Refusal("that is not an address")
        if goes_nowhere(request.to, network.usdc, network.escrow, network.cash_out, network.registry, request.sender):
            return Refusal("money sent there would be lost or go nowhere")
        balance, _block = self._chain.balance(request.sender)
        amount = MicroUsd(request.amount or balance)
        quote = Quote(amount, self._relayer.relay_fee(), "0x" + secrets.token_hex(32), self._chain.quote_end())
        reason = cashout.refusal(quote, request.amount, balance)
        return Refusal(reason) if reason else wire.Quoted(quote.amount, quote.fee, quote.salt, quote.valid_before)


def doubtful(request: wire.RegisterGpu) -> str | None:
    """Why the attestor does not vouch for the tier, in words, or None. What the practice device is worth is nobody's question."""
    if request.tier is Tier.PRACTICE:
        return None
    benchmark = request.benchmark
    if benchmark is None:
        return f"a GPU of the tier {request.tier.value} is registered with its benchmark"
    signer = recover_message(record_bytes(benchmark.record), benchmark.signature)
    if signer is None or not same_address(signer, request.operator):
        return "the benchmark is not signed by the GPU's operator key"
    return attestor_refusal(benchmark.record, request.hardware, request.tier)


def controller_of(chain: Chain, tier: Tier) -> Controller | None:
    """How a tier's rate moves on this network, or None when it is not traded."""
    bounds = chain.network.bounds(tier)
    return Controller(bounds.floor, bounds.ceiling) if bounds else None


def tier_of_number(number: int) -> Tier | None:
    """The tier that the chain stores under a number."""
    return next((tier for tier, one in TIER_NUMBERS.items() if one == number), None)
