"""One run of the agent, from the saved state to the last goodbye. Called by `agent.main`.

The order matters: the state first, so that guests see something at once; then the senses and the wallet; then the network,
which on practice has to start first. What waits for the network (market, chain) joins when it is there.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from desktop_app.adapters.awake import Awake
from desktop_app.adapters.chain import Chain
from desktop_app.adapters.clock import Clock
from desktop_app.adapters.keys import Keys
from desktop_app.adapters.link import Link
from desktop_app.adapters.market import Endpoint, Market
from desktop_app.adapters.store import Store
from desktop_app.adapters.supervisor import Supervisor
from desktop_app.agent import door
from desktop_app.agent.companion import Companion
from desktop_app.agent.desk import Desk
from desktop_app.agent.money import Money
from desktop_app.agent.perform import Hands
from desktop_app.agent.power import PowerCap, limit_of
from desktop_app.agent.senses import Senses
from desktop_app.agent.wallet import Wallet
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.core.messages import AgentStarted, Message, PracticeFounded
from desktop_app.core.state import State
from desktop_app.engine import Engine
from desktop_app.wire.bundle import check_blob
from desktop_app.wire.logins import AGENT, login
from desktop_app.wire.networks import PRACTICE, load, load_practice
from desktop_app.wire.profile import Profile

PATIENCE_S = 2.0


class Life:
    """All the parts, held together."""

    def __init__(self, profile: Profile, keys: Keys, *, unattended: bool) -> None:
        self._profile = profile
        self._keys = keys
        self._clock = Clock()
        self._ended = asyncio.Event()
        self._loops: set[asyncio.Task[None]] = set()
        self._store = Store(profile.settings, profile.database)
        self._wallet = Wallet(keys, self.post, unattended=unattended)
        self._senses = Senses(profile.root, self._clock, self.post, lambda: self.state)
        self._awake = Awake()
        self._link = Link(profile.socket, self.post, self._wallet.take_secret, lambda: self.state)
        self._companion = Companion(profile.practice, profile.logs / "practice.log")
        self._engine: Engine | None = None
        self._early: list[Message] = []  # said before there was anybody to hear it

    @property
    def state(self) -> State:
        """The newest state."""
        return self._engine.state if self._engine is not None else State()

    def post(self, message: Message) -> None:
        """Put a message into the engine's inbox, from any thread; before there is one it waits, on the loop's own thread."""
        if self._engine is not None:
            self._engine.post(message)
        else:
            self._early.append(message)

    async def live(self) -> None:
        """Run until the owner quits."""
        loaded = await asyncio.to_thread(self._store.open)
        device = await asyncio.to_thread(self._senses.find)
        profile = self._profile
        supervisor = Supervisor(
            self.post, profile.blobs, profile.tasks, profile.logs, device, self._senses.vram_free, vram_users=self._senses.vram_users
        )
        power = PowerCap(profile.root / "power.json", limit_of(device), self.post)
        await asyncio.to_thread(power.undo)  # what an agent that died may have left
        desk = Desk(self.post, self._senses.programs, self._awake)
        hands = Hands(self.post, supervisor, self._keys, self._store, self._ended.set, power, desk)
        self._engine = Engine(loaded.state, self._store, hands.perform, self._link.publish)
        engine = asyncio.create_task(self._engine.run())
        engine.add_done_callback(self._fell)
        try:
            await self._begin(loaded.problems, hands)
            await self._ended.wait()
        finally:
            await self._end(hands, supervisor, power, engine)

    async def _begin(self, problems: tuple[Message, ...], hands: Hands) -> None:
        self.post(AgentStarted(self._clock.now(), self._clock.zone()))
        for message in (*problems, *self._early):
            self.post(message)
        await self._link.open()
        self._loop(self._senses.tick())
        self._loop(self._senses.look())
        self._loop(self._senses.measure())
        hands.later(self._open_wallet())
        if self.state.settings.network == PRACTICE:
            self._companion.start()
        hands.later(self._join_network(hands))

    async def _open_wallet(self) -> None:
        await self._wallet.open()

    async def _join_network(self, hands: Hands) -> None:
        name = self.state.settings.network
        network = await self._companion.network() if name == PRACTICE else load(name)
        if network.is_practice:
            self.post(PracticeFounded(network.escrow))
        chain = Chain(network)
        market = Market(
            self.post,
            self._profile.blobs,
            self._endpoint,
            door.judge(network),
            check_blob,
            door.check_voucher(chain),
            self.state.gpu.tier or Tier.PRACTICE,
            self._settled,
        )
        for gpu in {self.state.gpu.chain_id, *(account.keeping.gpu for account in self.state.accounts)}:
            if gpu:
                market.follow(gpu)
        money = Money(network, chain, market, self._keys, self._wallet, self.post, lambda: self.state)
        hands.market.set_result(market)
        hands.money.set_result(money)
        self._loop(market.run())
        self._loop(money.follow())

    async def _settled(self) -> None:
        if self._engine is not None:
            await self._engine.settled()

    def _endpoint(self) -> Endpoint:
        """Where the market is now: a practice network that started again may have moved."""
        who = login(self._profile.practice, AGENT)
        try:
            network = load_practice(self._profile.practice / "network.json")
        except AppError:
            raise AppError("the practice network is starting", "Wait a moment.") from None
        return Endpoint(network.nats_urls, who.user, who.password)

    def _loop(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._loops.add(task)
        task.add_done_callback(self._fell)

    def _fell(self, task: asyncio.Task[None]) -> None:
        """A loop, or the engine, that ends by itself is a fault; the agent ends with it, and whoever started it starts it again."""
        self._loops.discard(task)
        if not task.cancelled() and not self._ended.is_set():
            self._ended.set()

    async def _end(self, hands: Hands, supervisor: Supervisor, power: PowerCap, engine: asyncio.Task[None]) -> None:
        """GPU first, then what can wait."""
        await asyncio.to_thread(supervisor.close)
        await hands.close()
        await asyncio.to_thread(power.close)
        loops = tuple(self._loops)
        for task in (*loops, engine):
            task.cancel()
        faults = await asyncio.gather(*loops, engine, return_exceptions=True)
        self._senses.let_go()
        await asyncio.to_thread(self._awake.close)
        self._wallet.forget()
        self._keys.close()
        await self._companion.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._link.close(), PATIENCE_S)
        await asyncio.to_thread(self._store.close)
        for fault in faults:
            if isinstance(fault, Exception):
                raise fault
