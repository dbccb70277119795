"""The pool at work on one session: requests answered, rates moved, vouchers kept and redeemed, dead tasks buried, jobs closed.

A request is parsed, handed to whoever knows, and answered with a value or a refusal; trouble with the chain is a refusal
too, in the words of the trouble. Called by `pool.main`.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from desktop_app.adapters.chain import Chain, Relayer, escrow_domain, recover_typed
from desktop_app.adapters.keys import Keys
from desktop_app.adapters.market import Session, open_house, together
from desktop_app.core.errors import AppError
from desktop_app.pool.admission import Admission, bury
from desktop_app.pool.fuel import Fuel
from desktop_app.pool.keeper import Keeper
from desktop_app.pool.rates import Rates, price_of
from desktop_app.pool.relaying import RELAYER, Desk, controller_of, tier_of_number
from desktop_app.pool.settlement import Settlement
from desktop_app.pool.sweeping import Sweeping
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.market import PostedTask, Refusal

_log = logging.getLogger(__name__)
_DELIVERED_TOO_OFTEN = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{wire.TASKS}.*"
_T = TypeVar("_T")


class Office:
    """All of the pool's parts, introduced to one another."""

    def __init__(self, chain: Chain, keys: Keys) -> None:
        network = chain.network
        domain = escrow_domain(network)

        def verify(job_id: str, sha256: str, signature: str) -> str | None:
            return recover_typed(eip712.manifest(domain, job_id, sha256), signature)

        def sign(transaction: dict[str, int | str]) -> bytes:
            return keys.sign_transaction(RELAYER, transaction)

        relayer = Relayer(chain, keys.address(RELAYER), sign)
        self._chain = chain
        self._tiers = tuple(tier for tier, _bounds in network.tiers)
        fuel = Fuel(relayer, network.eth_usd)
        self._desk = Desk(chain, relayer, keys, fuel)
        self._admission = Admission(chain, verify)
        self._rates = Rates(network)
        self._keeper = Keeper(chain, relayer, keys, fuel)
        self._settlement = Settlement(self._keeper, self._admission)
        self._sweeping = Sweeping(chain, relayer, fuel, self._keeper)

    async def serve(self, session: Session) -> None:
        """Work as long as the session lives."""
        await open_house(session, self._tiers)

        async def dead(_subject: str, raw: bytes) -> None:
            await self._bury_undelivered(session, raw)

        await session.listen(_DELIVERED_TOO_OFTEN, dead)
        await together(
            session.answer("pool.*", lambda subject, raw: self._answer(session, subject, raw)),
            self._rates.run(session),
            self._settlement.run(session),
            self._keeper.run(session),
            self._sweeping.run(session),
        )

    async def _answer(self, session: Session, subject: str, raw: bytes) -> bytes:
        try:
            answer = await self._decide(session, subject.removeprefix("pool."), raw)
        except AppError as error:
            answer = Refusal(f"{error.title} {error.advice}"[:500], own=True)
        if isinstance(answer, Refusal):
            _log.info("%s refused: %s", subject, answer.reason)
        return wire.pack(answer)

    async def _decide(self, session: Session, what: str, raw: bytes) -> wire.Answer:
        desk = self._desk
        match what:
            case "register":
                return await _parsed(raw, wire.RegisterGpu, lambda request: desk.register(session, request))
            case "quote":
                return await _parsed(raw, wire.AskQuote, desk.quote)
            case "cash_out":
                return await _parsed(raw, wire.SendCashOut, lambda request: desk.cash_out(session, request))
            case "redeem":
                return await _parsed(raw, wire.Redeem, lambda request: desk.redeem(session, request))
            case "open":
                return await _parsed(raw, wire.OpenJob, lambda request: self._open(session, request))
            case "submit":
                return await _parsed(raw, wire.SubmitTask, lambda request: self._admission.submit(session, request))
            case "report":
                return await _parsed(raw, wire.ReportTask, lambda request: self._report(session, request))
            case _:
                return Refusal("the pool does not know this request")

    async def _open(self, session: Session, request: wire.OpenJob) -> wire.Answer:
        tier = tier_of_number(request.terms.tier)
        if tier is None:
            return Refusal("there is no such tier")
        return await self._desk.open_job(session, request, await price_of(session, tier), controller_of(self._chain, tier))

    async def _report(self, session: Session, request: wire.ReportTask) -> wire.Answer:
        """An agent ended a task's message because the task is not what it claims; so the task is over for everyone."""
        await bury(session, request.task_id, request.reason)
        return wire.Noted()

    async def _bury_undelivered(self, session: Session, raw: bytes) -> None:
        """The server stopped delivering a message: nobody finished, or wanted, the task."""
        try:
            sequence = int(json.loads(raw)["stream_seq"])
        except (ValueError, KeyError, TypeError):
            return
        message = await session.message(wire.TASKS, sequence)
        posted = wire.unpack(message, PostedTask) if message is not None else None
        if isinstance(posted, PostedTask):
            await bury(session, posted.task_id, "it was delivered as often as a task may be, and nobody finished it")
            await session.stream.delete_msg(wire.TASKS, sequence)


async def _parsed(raw: bytes, kind: type[_T], work: Callable[[_T], Awaitable[wire.Answer]]) -> wire.Answer:
    request = wire.unpack(raw, kind)
    return request if isinstance(request, Refusal) else await work(request)
