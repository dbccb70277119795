"""A task's whole life under random crossings, crashes, duplicates and give-backs.

The world is played honestly: it answers what it was asked, in any order, late, twice, or not before the next crash. At a
crash only what was saved lives on.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.policy import owner_wants_gpu
from desktop_app.core.presence import Presence
from desktop_app.core.receipts import Receipt, SignedReceipt
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Level, State, Trigger
from desktop_app.core.task import Checkpoint, Lease, Phase, Progress
from desktop_app.core.update import still_due, update
from desktop_app.wire.codec import decode_state, durable, encode_state
from tests.builders import (
    ADDRESS,
    NOON,
    OPERATOR,
    a_blob,
    a_checkpoint,
    a_device,
    a_give_back,
    a_lease,
    a_manifest,
    a_reading,
    a_receipt,
    a_state,
    digest,
)

STEPS = 100
ON_GPU = (Phase.STARTING, Phase.RUNNING, Phase.RETURNING, Phase.DROPPING)


WELL: tuple[m.Message, ...] = (
    m.GpuMeasured("GPU-1", a_reading()),
    m.PresenceSensed(Presence(idle_s=500.0)),
    m.SandboxTested(Level.ISOLATED, ()),
    m.WalletOpened(ADDRESS, OPERATOR, needs_passphrase=False),
    m.MarketConnected(10),
    m.MarketPriced(a_lease().rate, 1),
)
DISTURBANCES = st.one_of(
    st.builds(m.OwnerTurnedSharing, st.booleans()),
    st.builds(m.OwnerSnoozed, st.none() | st.integers(-5, 30).map(lambda minutes: NOON + timedelta(minutes=minutes))),
    st.just(m.OwnerAskedFinish()),
    st.builds(m.PresenceSensed, st.builds(Presence, st.just(500.0), st.none(), st.booleans(), st.booleans())),
    st.integers(40, 95).map(lambda degrees: m.GpuMeasured("GPU-1", a_reading(temperature=degrees))),
    st.sampled_from([m.GpuWentMissing("GPU-1", ""), m.MarketLost("no answer"), m.WalletLocked(ADDRESS, OPERATOR)]),
    st.sampled_from([m.SandboxTested(Level.CONTAINED, ()), m.DiskFilled(full=True), m.DiskFilled(full=False)]),
)


class TaskLife(RuleBasedStateMachine):
    """One machine and one market with one task after another."""

    @initialize()
    def begin(self) -> None:
        self.state: State = a_state()
        self.now = NOON
        self.asked: list[e.Effect] = []  # what the world was asked and has not answered
        self.said: list[m.Message] = []  # what it said, for saying it again
        self.worker: str | None = None  # the task whose worker lives
        self.worker_step = 0
        self.stopping = False  # a give-back was asked of that worker
        self.market: dict[str, tuple[int, int, str]] = {}  # task -> epoch of its newest lease, step it is at, last receipt
        self.signed: dict[tuple[str, int], Receipt] = {}
        self.taken: list[Receipt] = []  # what the market accepted
        self.number = 0
        self.back = 0
        self.hear(m.ClockTicked(self.now, Zone()))

    # --- the loop around update

    def hear(self, message: m.Message) -> None:
        held = self.state.outbox
        self.state, effects = update(self.state, message)
        self.said = [*self.said, message][-8:]
        for receipt in held:
            answered = isinstance(message, m.ReceiptDelivered) and message.task_id == receipt.receipt.task_id
            assert receipt in self.state.outbox or answered, "a signed receipt was lost"
        for effect in effects:
            if isinstance(effect, e.GiveBack):
                assert effects[0] is effect, "the give-back comes first"
                assert not self.stopping, "two give-backs for one worker"
                self.stopping = True
            if isinstance(effect, e.SignReceipt):
                assert self.state.wallet.ready, "the key is not open"
            self.asked.append(effect)

    @invariant()
    def what_the_owner_wants_is_done(self) -> None:
        if not hasattr(self, "state"):
            return
        task = self.state.task
        if owner_wants_gpu(self.state) is not None:
            assert task is None or task.phase not in (Phase.FETCHING, Phase.READY, Phase.STARTING, Phase.RUNNING)
            assert self.state.offered is None
        if task is not None:
            assert self.state.offered is None, "a GPU at work is not offered"
            assert (task.checkpoint.step if task.checkpoint else 0) >= task.first_step
        for receipt in self.state.outbox:
            assert task is not None and receipt.receipt.task_id == task.lease.manifest.task_id

    # --- the owner and the machine

    @rule(data=st.data())
    def something_comes_between(self, data: st.DataObject) -> None:
        self.hear(data.draw(DISTURBANCES))

    @rule(seconds=st.integers(-86_400, 7_200))
    def clock_moves(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.hear(m.ClockTicked(self.now, Zone()))

    @rule()
    def all_is_well_again(self) -> None:
        for message in (m.OwnerTurnedSharing(on=True), *WELL):
            self.hear(message)

    # --- the world answers

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def world_answers(self, data: st.DataObject) -> None:
        self.answer(self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1))))

    @precondition(lambda self: self.asked)
    @rule(most=st.integers(1, 6))
    def world_answers_in_order(self, most: int) -> None:
        for _ in range(most):
            if self.asked:
                self.answer(self.asked.pop(0))
        self.worker_says_it_started()

    def answer(self, effect: e.Effect) -> None:
        if not still_due(self.state, effect):
            return
        match effect:
            case e.OfferGpu() if self.state.offered is not None:
                self.hear(m.MarketLeased(self.lease()))
            case e.FetchBundle(lease):
                self.hear(m.BundleFetched(lease.manifest.task_id))
            case e.StartTask(lease, checkpoint):
                assert self.worker is None, "two workers on one GPU"
                assert owner_wants_gpu(self.state) is None
                self.worker, self.worker_step = lease.manifest.task_id, checkpoint.step if checkpoint else 0
            case e.GiveBack(task_id, trigger):
                self.free(task_id, trigger)
            case e.SignReceipt(receipt):
                self.sign(receipt)
            case e.HandBack(lease, checkpoint, receipt):
                assert receipt.receipt.first_step < receipt.receipt.last_step
                assert (checkpoint.step, checkpoint.sha256) == (receipt.receipt.last_step, receipt.receipt.state_sha256)
                self.deliver(lease, receipt)
            case e.DeliverResult(lease, result, receipt):
                assert result and receipt.receipt.final
                self.deliver(lease, receipt)
            case e.ResumeLease(lease) if self.market[lease.manifest.task_id][0] != lease.epoch:
                self.hear(m.LeaseLost(lease.manifest.task_id, "another machine holds it"))
            case _:
                pass

    def lease(self) -> Lease:
        """A task that was handed back, or a new one."""
        waiting = [task_id for task_id, (_, step, _) in self.market.items() if step < STEPS]
        if not waiting:
            self.number += 1
            self.market[f"task-{self.number}"] = (0, 0, "")
            waiting = [f"task-{self.number}"]
        task_id = waiting[0]
        epoch, step, prev = self.market[task_id]
        self.market[task_id] = (epoch + 1, step, prev)
        checkpoint = a_checkpoint(step) if step else None
        return a_lease(a_manifest(task_id, steps=STEPS), epoch=epoch + 1, checkpoint=checkpoint, prev_receipt=prev)

    def free(self, task_id: str, trigger: Trigger) -> None:
        """The worker is gone; it may have committed a last step."""
        assert self.worker in (task_id, None), "the wrong worker was stopped"
        step, lived = self.worker_step, self.worker is not None
        self.worker, self.stopping = None, False
        self.back += 1
        checkpoint = a_checkpoint(step) if lived and step else None
        self.hear(m.GpuGivenBack(a_give_back(task_id, trigger=trigger, at=float(self.back)), checkpoint))

    def sign(self, receipt: Receipt) -> None:
        key = (receipt.task_id, receipt.epoch)
        self.signed[key] = receipt
        self.hear(m.ReceiptSigned(SignedReceipt(receipt, "0x" + digest(receipt))))

    def deliver(self, lease: Lease, one: SignedReceipt) -> None:
        """The market takes a receipt once, and only if it goes on where the last one ended; it says so in any case."""
        receipt, task_id = one.receipt, lease.manifest.task_id
        epoch, step, prev = self.market[task_id]
        if receipt.epoch == epoch and receipt not in self.taken:
            assert (receipt.first_step, receipt.prev) == (step, prev), "a segment goes on where the last one ended"
            self.taken.append(receipt)
            self.market[task_id] = (epoch, receipt.last_step if not receipt.final else STEPS, digest(receipt))
        self.hear(m.ReceiptDelivered(task_id, receipt.last_step))

    # --- the worker

    def works(self) -> bool:
        return self.worker is not None

    @precondition(works)
    @rule()
    def worker_says_it_started(self) -> None:
        if self.worker is not None:
            self.hear(m.WorkerStarted(self.worker, 4_242))

    @precondition(works)
    @rule(steps=st.integers(1, 40), commits=st.booleans())
    def worker_works(self, steps: int, commits: bool) -> None:
        self.worker_says_it_started()
        self.worker_step = min(STEPS, self.worker_step + steps)
        self.hear(m.WorkerProgressed(self.worker or "", Progress(self.worker_step, STEPS)))
        if commits:
            self.hear(m.CheckpointStored(self.worker or "", a_checkpoint(self.worker_step)))

    @precondition(works)
    @rule(free_first=st.booleans())
    def worker_finishes(self, free_first: bool) -> None:
        """Perhaps just when it is being stopped: then the supervisor says both, in either order."""
        back = [effect for effect in self.asked if isinstance(effect, e.GiveBack)]
        self.asked = [effect for effect in self.asked if not isinstance(effect, e.GiveBack)]
        task_id, self.worker = self.worker or "", None
        for effect in back if free_first else []:
            self.answer(effect)
        self.hear(m.WorkerFinished(task_id, (a_blob("model"),), (("accuracy", 0.97),)))
        for effect in [] if free_first else back:
            self.answer(effect)

    @precondition(works)
    @rule(blameless=st.booleans())
    def worker_crashes(self, blameless: bool) -> None:
        if self.stopping:
            return  # the supervisor kills it anyway; GpuGivenBack will be its word
        task_id, self.worker = self.worker or "", None
        self.hear(m.WorkerFailed(task_id, "signal 11", blameless))

    @rule(ends=st.sampled_from(["finish", "give back", "crash", "die"]), steps=st.integers(1, 60), answers=st.integers(0, 8))
    def a_good_turn(self, ends: str, steps: int, answers: int) -> None:
        """The straight road for a while, so that lives get long; how it ends, and how far the end is answered, is left to chance."""
        self.all_is_well_again()
        self.world_answers_in_order(50)
        if self.worker is not None:
            self.worker_works(steps, commits=True)
        if ends == "give back":
            self.hear(m.OwnerTurnedSharing(on=False))
        elif ends == "die":
            self.agent_dies_and_starts_again()
        elif self.worker is not None and ends == "finish":
            self.worker_finishes(free_first=False)
        elif self.worker is not None:
            self.worker_crashes(blameless=False)
        self.world_answers_in_order(answers)

    # --- what goes wrong

    @precondition(lambda self: self.state.task is not None)
    @rule()
    def lease_is_lost(self) -> None:
        assert self.state.task is not None
        task_id = self.state.task.lease.manifest.task_id
        epoch, step, prev = self.market[task_id]
        self.market[task_id] = (epoch + 1, step, prev)
        self.hear(m.LeaseLost(task_id, "another machine holds it"))

    @rule(nonsense=st.sampled_from(["checkpoint", "finished", "given back", "signed", "delivered", "late"]), step=st.integers(-5, 200))
    def somebody_talks_nonsense(self, nonsense: str, step: int) -> None:
        """Words about a task that is not held, beyond its end, or about a worker that is gone."""
        held = self.state.task.lease.manifest.task_id if self.state.task else ""
        if nonsense == "late" and self.worker is not None:
            return
        other: dict[str, m.Message] = {
            "late": m.CheckpointStored(held, a_checkpoint(step)),
            "checkpoint": m.CheckpointStored(held, Checkpoint(STEPS + abs(step) + 1, "", 1)),
            "finished": m.WorkerFinished("task-x", (), ()),
            "given back": m.GpuGivenBack(a_give_back("task-x", at=-float(step)), a_checkpoint(max(step, 0))),
            "signed": m.ReceiptSigned(SignedReceipt(replace(self.some_receipt(), epoch=10**6), "0x")),
            "delivered": m.ReceiptDelivered("task-x", step),
        }
        self.hear(other[nonsense])

    def some_receipt(self) -> Receipt:
        return next(iter(self.signed.values()), a_receipt())

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def something_is_said_twice(self, data: st.DataObject) -> None:
        """Anything but a lease (won by a swap that happens once) and a crash (which names no worker)."""
        message = data.draw(st.sampled_from(self.said))
        if not isinstance(message, m.MarketLeased | m.WorkerFailed | m.AgentStarted | m.WorkerStarted | m.WorkerFinished | m.LeaseLost):
            self.hear(message)

    @rule()
    def agent_dies_and_starts_again(self) -> None:
        """The worker dies with it, and so does everything that was asked and not yet answered."""
        outbox = self.state.outbox
        self.state = decode_state(encode_state(durable(self.state)))
        assert self.state.outbox == outbox
        self.worker, self.stopping, self.asked, self.said = None, False, [], []
        for message in (m.AgentStarted(self.now, Zone()), m.GpuFound(a_device()), m.RuntimeFound(present=True), *WELL):
            self.hear(message)

    # --- the end

    def teardown(self) -> None:
        """Every life ends: the owner turns it off, the world answers everything, and nothing is left."""
        if not hasattr(self, "state"):
            return
        self.hear(m.OwnerTurnedSharing(on=False))
        self.hear(m.WalletOpened(ADDRESS, OPERATOR, needs_passphrase=False))
        for _ in range(50):
            if not self.asked:
                break
            self.answer(self.asked.pop(0))
        assert self.state.task is None and self.state.outbox == () and self.worker is None
        for task_id, (_, step, _) in self.market.items():
            marks = sorted((one.first_step, one.last_step) for one in self.taken if one.task_id == task_id)
            assert [first for first, _ in marks] == [0, *(last for _, last in marks)][: len(marks)], "segments follow one another"
            units = sum(one.units for one in self.taken if one.task_id == task_id)
            assert units == 1_000 * step // STEPS, "segments add up to the task"


TestTaskLife = TaskLife.TestCase
TestTaskLife.settings = settings(max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
