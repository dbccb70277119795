"""The whole truth, as one frozen tree.

Only `update` makes a new one; the engine saves and publishes it; screens draw it. Times are UTC; the unknown is None; no secrets.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from desktop_app.core.bench import SignedBenchmark, Trial
from desktop_app.core.cashout import CashOut
from desktop_app.core.gpu import Device, Foreign, Named, Reading, Tier
from desktop_app.core.keeping import Keeping
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.task import Task

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reason(StrEnum):
    """Why the GPU is, or is not, shared. The first group are levels of readiness, the second gives a running task back."""

    WORKING = "working"
    WAITING_FOR_TASK = "waiting_for_task"
    STARTING_UP = "starting_up"
    LOOKING = "looking"  # nobody has looked yet whether the owner uses the machine
    NO_GPU = "no_gpu"
    NO_RUNTIME = "no_runtime"
    SANDBOX_TESTING = "sandbox_testing"
    SANDBOX_NOT_READY = "sandbox_not_ready"
    DISK_FULL = "disk_full"
    WALLET_LOCKED = "wallet_locked"
    MARKET_OFFLINE = "market_offline"
    REGISTERING = "registering"
    MEASURING = "measuring"  # the benchmark that files it under a tier is run, or waited for
    TOO_SLOW = "too_slow"  # the benchmark says that no tier takes it
    PRICE_BELOW_FLOOR = "price_below_floor"
    FINISHING = "finishing"
    COOLING_DOWN = "cooling_down"
    WRONG_NETWORK = "wrong_network"  # a practice device on a live network
    GPU_SOLD = "gpu_sold"

    SHARING_OFF = "sharing_off"
    SNOOZED = "snoozed"
    SCHEDULE = "schedule"
    OWNER_PRESENT = "owner_present"
    PRESENCE_UNKNOWN = "presence_unknown"
    FULL_SCREEN = "full_screen"
    GAME_MODE = "game_mode"
    APP_RUNNING = "app_running"
    FOREIGN_USE = "foreign_use"
    REMOTE_DESKTOP = "remote_desktop"
    ON_BATTERY = "on_battery"
    TOO_HOT = "too_hot"
    VRAM_RESERVE = "vram_reserve"
    GPU_LOST = "gpu_lost"
    GPU_FAULT = "gpu_fault"  # the driver reported an error of the card (XID)
    QUITTING = "quitting"


@dataclass(frozen=True, slots=True)
class Why:
    """One reason, and the instant at which it will change by itself, if one is known. `detail` is a figure or name to show."""

    reason: Reason
    until: datetime | None = None
    detail: str = ""


class Level(StrEnum):
    """How well a task is shut in. Promise 4 is claimed for ISOLATED only."""

    ISOLATED = "isolated"
    CONTAINED = "contained"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Check:
    """One probe of the isolation self-test: its name, whether it held, and what was seen."""

    name: str
    held: bool
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this machine could run a task. None: not tested yet."""

    level: Level | None = None
    checks: tuple[Check, ...] = ()
    fix: str = ""  # the exact command or setting that would help
    runtime: bool | None = None  # torch is there
    disk_full: bool = False
    testing: bool = False  # the self-test is under way
    tested: datetime | None = None  # when it last ended
    engine: str = ""  # what computes: "torch 2.13.0"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the owner last said."""

    on: bool = False
    snoozed_until: datetime | None = None
    finishing: bool = False  # no new task after this one
    quitting: bool = False
    quit_by: datetime | None = None  # leave at this instant even if the market has not confirmed


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device that is rented, its newest reading, and what the registry knows of it."""

    device: Device | None = None
    reading: Reading = field(default_factory=Reading)
    tier: Tier | None = None
    chain_id: int | None = None  # its account in GpuRegistry when it was registered from here; None until then
    registered: str = ""  # the uuid of the device that chain_id was given to
    asked: datetime | None = None  # when registration was last asked for
    lost: bool = False
    fault: int | None = None  # the number of the error (XID) that the driver reported of the card
    foreign: Foreign = Foreign()
    named: Named | None = None  # what the registry said last
    benchmark: SignedBenchmark | None = None  # what was measured of it: its tier, and what its work draws
    trial: Trial = Trial()


@dataclass(frozen=True, slots=True)
class Market:
    """The market as last heard."""

    connected: bool = False
    rate: Rate | None = None
    epoch: int = 0
    fee_bps: int = 10
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """After a rule took the GPU back: no new task until `until`; the pause grows with `times`, which shrinks with quiet work."""

    until: datetime = EPOCH
    times: int = 0
    since: datetime = EPOCH  # the running task has been left alone since then


class Paid(StrEnum):
    """How far the money for one task is."""

    PENDING = "pending"  # delivered, not yet verified
    EARNED = "earned"  # a voucher is held and was checked against the escrow
    PAID = "paid"  # on chain
    REJECTED = "rejected"
    HANDED_BACK = "handed_back"  # paid once whoever goes on finishes it


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One segment of a task that this machine ran. `amount` is net of the market's fee."""

    task_id: str
    job_id: str
    kind: str
    started: float
    ended: float
    first_step: int
    last_step: int
    units: Units
    rate: Rate
    amount: MicroUsd
    paid: Paid
    transaction: str = ""
    reason: str = ""
    metrics: tuple[tuple[str, float], ...] = ()
    voucher_units: int = 0  # the cumulative voucher that covers it


@dataclass(frozen=True, slots=True)
class JobAccount:
    """What one job owes this GPU: cumulative units vouched for, cumulative units paid, and the terms frozen at open."""

    job_id: str
    rate: Rate
    fee_bps: int
    vouched: Units = Units(0)
    redeemed: Units = Units(0)
    root: str = ""
    signature: str = ""
    tasks: tuple[str, ...] = ()  # the tasks that vouchers named, newest first
    keeping: Keeping = Keeping()


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that arrived on chain for this GPU's work."""

    job_id: str  # "": it had waited, owed, because the stablecoin did not let it through
    amount: MicroUsd
    transaction: str
    block: int
    time: int  # unix seconds
    gpu: int = 0  # the account it was earned on; one transaction may pay several of an owner's GPUs


@dataclass(frozen=True, slots=True)
class Wallet:
    """The owner's money. `address` is where payouts go; `balance` what the chain says it holds."""

    ready: bool = False
    address: str = ""
    operator: str = ""
    needs_passphrase: bool = False
    balance: MicroUsd | None = None
    paid: MicroUsd = MicroUsd(0)
    by_day: tuple[tuple[str, int], ...] = ()  # (ISO local date, micro-dollars paid that day), newest last
    payouts: tuple[Payout, ...] = ()  # newest first
    block: int = 0  # events up to here are counted
    practice: str = ""  # the escrow of the practice network that all this was learnt from
    chain_ok: bool = False


class Trigger(StrEnum):
    """What took the GPU back."""

    CLICK = "click"
    SNOOZE = "snooze"
    SCHEDULE = "schedule"
    PRESENCE = "presence"
    FULL_SCREEN = "full_screen"
    GAME_MODE = "game_mode"
    APP = "app"
    FOREIGN_USE = "foreign_use"
    REMOTE_DESKTOP = "remote_desktop"
    BATTERY = "battery"
    HEAT = "heat"
    VRAM = "vram"
    GPU_LOST = "gpu_lost"
    GPU_FAULT = "gpu_fault"
    QUIT = "quit"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of one signal: when it last began to ask for the GPU, and the newest instant at which it did."""

    trigger: Trigger
    began: datetime
    last: datetime = EPOCH
    asking: bool = False


@dataclass(frozen=True, slots=True)
class Warmth:
    """The worker that is kept started for the next task, and the memory there is for it."""

    kept: bool = False
    again: datetime | None = None  # not before this, after one that ended by itself or had to make room
    free_mb: int | None = None


OWNER_DEADLINE_MS, SCHEDULE_DEADLINE_MS = 200, 5_000


class Halt(StrEnum):
    """How a worker ended when the device was asked back."""

    YIELDED = "yielded"  # it answered the gate: state committed, then killed
    KILLED = "killed"  # it had not answered by the deadline
    LOADING = "loading"  # it had not begun its first step
    ENDED = "ended"  # it finished, failed or was stopped for breaking a rule in that very moment
    OVER = "over"  # it had ended before


@dataclass(frozen=True, slots=True)
class GiveBackRecord:
    """One give-back, as measured: milliseconds from the instant at which the engine asked for the device.

    The signal itself arose `detected_ms` before that, at most: the look before did not show it. `vram_free_ms` is None where
    there is no memory to read, or none was read back free.
    """

    task_id: str
    trigger: Trigger
    at: float  # unix seconds: when it was asked for
    stopped_ms: float
    vram_free_ms: float | None
    steps_lost: int
    committed: bool  # the worker answered the gate before the deadline
    detected_ms: float = 0.0
    halt: Halt | None = None  # None: written by a version that did not tell
    held: bool = False  # the driver still held the memory two seconds after the worker was gone

    @property
    def back_ms(self) -> float:
        """From the signal to the device being the owner's: its memory read back free, or, where none is read, the worker gone."""
        return self.detected_ms + (self.stopped_ms if self.vram_free_ms is None else self.vram_free_ms)


class NoticeKind(StrEnum):
    """Things the owner should know once."""

    SETTINGS_DAMAGED = "settings_damaged"
    DATABASE_DAMAGED = "database_damaged"
    DISK_FULL = "disk_full"
    TASK_REFUSED = "task_refused"
    TASK_FAILED = "task_failed"
    RESULT_REJECTED = "result_rejected"
    SETTING_REFUSED = "setting_refused"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the owner; `detail` names the file, task or reason."""

    kind: NoticeKind
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything. `now` and `zone` are the clock's last word."""

    now: datetime = EPOCH
    zone: Zone = field(default_factory=Zone)
    settings: Settings = field(default_factory=Settings)
    sharing: Sharing = field(default_factory=Sharing)
    gpu: Gpu = field(default_factory=Gpu)
    presence: Presence = field(default_factory=Presence)
    looked: bool = False  # at the owner and the GPU, since sharing was turned on, the machine slept or the clock jumped
    signals: tuple[Mark, ...] = ()  # in the order of `signals.RULES`; those that never asked are missing
    programs: tuple[str, ...] = ()  # had a window or used the GPU when the owner last asked
    awake_until: datetime | None = None  # the machine is kept from sleeping until then at the latest; None: it may sleep
    readiness: Readiness = field(default_factory=Readiness)
    market: Market = field(default_factory=Market)
    cooldown: Cooldown = field(default_factory=Cooldown)
    why: Why = Why(Reason.STARTING_UP)
    offered: Rate | None = None  # the lowest rate this GPU is offered at, electricity included; None: not offered
    task: Task | None = None
    outbox: tuple[SignedReceipt, ...] = ()  # receipts the market has not confirmed
    warmth: Warmth = Warmth()
    capped_watts: int = 0  # what the GPU's power is held to now; 0: nothing
    crashed: tuple[str, ...] = ()  # tasks that were returned for their crashes, one after the other, oldest first
    wallet: Wallet = field(default_factory=Wallet)
    accounts: tuple[JobAccount, ...] = ()
    cash_out: CashOut | None = None
    cash_outs_asked: tuple[str, ...] = ()  # ids, newest first: each is good for one cash-out only
    history: tuple[TaskRecord, ...] = ()  # newest first
    give_backs: tuple[GiveBackRecord, ...] = ()  # newest first
    notices: tuple[Notice, ...] = ()
