"""States as an owner would meet them, built inline, for the page tests and the gallery."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from desktop_app.core.cashout import CashOut, Quote, Stage
from desktop_app.core.gpu import Device, DeviceKind, Reading, Tier
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import CELLS_PER_DAY, Schedule, Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import (
    Check,
    GiveBackRecord,
    Gpu,
    Halt,
    JobAccount,
    Level,
    Mark,
    Market,
    Notice,
    NoticeKind,
    Paid,
    Payout,
    Readiness,
    Reason,
    Sharing,
    State,
    TaskRecord,
    Trigger,
    Wallet,
    Why,
)
from desktop_app.core.task import Lease, Limits, Manifest, Phase, Progress, Task

NOW = datetime(2026, 11, 25, 16, 20, tzinfo=UTC)  # a Wednesday; 17:20 on the owner's clock
ZONE = Zone("Europe/Berlin", 3600)
ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"
OTHER = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
JOB = "0x" + "11" * 32
HASH = "0x9fc76417374aa880d4449a1f7f31ec597f00b1f6f3dd2d66f4c9c6c445836d8b"

_WEEK = ("a" * 16 + "-" * 20 + "a" * 8 + "s" * 4) * 5 + "s" * 2 * CELLS_PER_DAY


def manifest(kind: str = "train.classifier/1") -> Manifest:
    """A task of a thousand steps worth an hour."""
    return Manifest(
        "task-7f3a", "0x" + "11" * 32, OTHER, kind, Tier.PRACTICE, (), (), 1, 1000, Units(3_600_000),
        Limits(512, 1024, 512, 600, 50, 16), 100, int(NOW.timestamp()) + 3600, "ab" * 32,
    )


def task(phase: Phase = Phase.RUNNING, step: int = 634, kind: str = "train.classifier/1") -> Task:
    """A task in the given phase."""
    lease = Lease(manifest(kind), 1, "token", Rate(240_000))
    progress = Progress(step, 1000, 0.213, 41.0) if phase not in (Phase.FETCHING, Phase.STARTING) else None
    return Task(lease, phase, NOW.timestamp() - 40, progress=progress)


def practice_gpu() -> Gpu:
    """The CPU, which has no power meter."""
    device = Device(DeviceKind.PRACTICE, "practice-1", "AMD EPYC 7B13", 15_950, 65)
    return Gpu(device, Reading(memory_used_mb=5_312, utilisation=48, temperature=61), Tier.PRACTICE, 1)


def nvidia_gpu() -> Gpu:
    """A real card with every figure."""
    device = Device(DeviceKind.NVIDIA, "GPU-1", "NVIDIA GeForce RTX 4070", 12_282, 200, driver="560.35")
    return Gpu(device, Reading(7_840, 93, 67, 172, 54), Tier.MEDIUM, 7)


def fresh() -> State:
    """First start on the practice network: nothing was ever shared."""
    return State(
        now=NOW, zone=ZONE, gpu=practice_gpu(), readiness=Readiness(Level.ISOLATED, runtime=True),
        presence=Presence(idle_s=2.0, locked=False), market=Market(True, Rate(240_000), 12), why=Why(Reason.SHARING_OFF),
        wallet=Wallet(True, ADDRESS, OTHER, balance=MicroUsd(0), chain_ok=True),
    )


def _record(number: int, paid: Paid) -> TaskRecord:
    ended = NOW.timestamp() - number * 700
    return TaskRecord(
        f"task-{number}", JOB, "train.classifier/1", ended - 60, ended, 0, 1000, Units(60_000), Rate(240_000), MicroUsd(3_996), paid
    )


def seasoned() -> State:
    """A week in: money at every stage, payouts, give-backs, a painted schedule; waiting for a task."""
    payouts = tuple(
        Payout(JOB, MicroUsd(3_996 + 811 * number), f"0x{number:02x}{HASH[4:]}", 900 - number, int(NOW.timestamp()) - number * 4_000)
        for number in range(6)
    )
    return replace(
        fresh(),
        settings=Settings(floor=Rate(120_000), schedule=Schedule(_WEEK)),
        sharing=Sharing(on=True),
        why=Why(Reason.WAITING_FOR_TASK),
        history=(_record(0, Paid.PENDING), _record(1, Paid.EARNED), *(_record(number, Paid.PAID) for number in range(2, 9))),
        accounts=(JobAccount(JOB, Rate(240_000), 10, vouched=Units(60_000)),),
        wallet=Wallet(
            True, ADDRESS, OTHER, balance=MicroUsd(1_284_532), paid=MicroUsd(1_784_532), chain_ok=True, payouts=payouts,
            by_day=(("2026-11-24", 311_000), ("2026-11-25", 48_213)),
        ),
        give_backs=(GiveBackRecord("task-3", Trigger.PRESENCE, NOW.timestamp() - 1_500, 84.0, 118.0, 0, True),),
    )


def working(gpu: Gpu | None = None) -> State:
    """A task is running."""
    return replace(seasoned(), gpu=gpu or practice_gpu(), why=Why(Reason.WORKING), task=task())


def finishing() -> State:
    """A task is running, and it is to be the last."""
    return replace(working(), sharing=Sharing(on=True, finishing=True))


def snoozed() -> State:
    """Paused by the owner until the evening."""
    until = NOW + timedelta(hours=3)
    return replace(seasoned(), sharing=Sharing(on=True, snoozed_until=until), why=Why(Reason.SNOOZED, until))


def scheduled_off() -> State:
    """The schedule forbids it until 18:00."""
    return replace(seasoned(), why=Why(Reason.SCHEDULE, NOW + timedelta(minutes=40)))


def troubled() -> State:
    """The sandbox is not ready, and there is a notice."""
    detail = "sudo sysctl kernel.unprivileged_userns_clone=1"
    return replace(
        seasoned(), why=Why(Reason.SANDBOX_NOT_READY, detail=detail),
        notices=(Notice(NoticeKind.SETTINGS_DAMAGED, NOW, "settings.json.damaged-20261125"),),
    )


def locked(new: bool = False) -> State:
    """No keyring: the wallet waits for a passphrase, or for a first one."""
    address = "" if new else ADDRESS
    return replace(fresh(), why=Why(Reason.WALLET_LOCKED), wallet=Wallet(False, address, address, needs_passphrase=True))


QUOTE = Quote(MicroUsd(1_000_000), MicroUsd(2_500), "0x" + "22" * 32, int(NOW.timestamp()) + 600)


def cashing(stage: Stage, needs_passphrase: bool = False, reason: str = "", confirmations: int = 0) -> State:
    """A cash-out in the given stage."""
    quoted = stage is not Stage.ASKED
    sent = stage in (Stage.SENT, Stage.CONFIRMED)
    state = seasoned()
    one = CashOut(
        "cash-1", OTHER, MicroUsd(1_000_000), stage, QUOTE if quoted else None, transaction=HASH if sent else "",
        confirmations=confirmations, reason=reason,
    )
    return replace(state, cash_out=one, wallet=replace(state.wallet, needs_passphrase=needs_passphrase))


def watched(**signs: object) -> State:
    """Sharing on a real card, with programs on the list, marks of earlier signals and a log."""
    card = nvidia_gpu()
    reading = replace(card.reading, foreign_load=3, foreign_mb=900, foreign_name="firefox")
    settings = replace(seasoned().settings, apps="blender\nhades", pause_on_remote_desktop=False, idle_after_s=600, vram_reserve_mb=1_024)
    looked = Presence(idle_s=754.0, locked=False, full_screen=False, game_mode=False, apps=(), remote=False, on_battery=False)
    marks = (
        Mark(Trigger.HEAT, NOW - timedelta(days=6)), Mark(Trigger.APP, NOW - timedelta(days=1, hours=3)),
        Mark(Trigger.FULL_SCREEN, NOW - timedelta(hours=5)), Mark(Trigger.PRESENCE, NOW - timedelta(minutes=25)),
    )  # fmt: skip
    at = NOW.timestamp()
    backs = (
        GiveBackRecord("task-3", Trigger.PRESENCE, at - 1_500, 84.0, 118.0, 0, True, 143.0, Halt.YIELDED),
        GiveBackRecord("task-2", Trigger.FULL_SCREEN, at - 18_000, 61.0, 240.0, 1, True, 201.0, Halt.YIELDED),
        GiveBackRecord("task-2", Trigger.CLICK, at - 90_000, 204.0, 377.0, 12, False, 2.0, Halt.KILLED),
        GiveBackRecord("task-1", Trigger.SCHEDULE, at - 200_000, 1_804.0, 1_922.0, 0, True, 310.0, Halt.YIELDED),
    )  # fmt: skip
    state = replace(working(replace(card, reading=reading)), settings=settings, looked=True, signals=marks, give_backs=backs)
    return replace(state, presence=replace(looked, **signs), programs=("hades", "firefox", "obs"))  # type: ignore[arg-type]


def untold() -> State:
    """The practice device on a system that tells little."""
    return replace(seasoned(), looked=True, presence=Presence(on_battery=False))


def gaming() -> State:
    """A program of the list has the GPU."""
    state = watched(apps=("hades",), full_screen=True, idle_s=2.0)
    return replace(state, task=None, why=Why(Reason.APP_RUNNING, detail="hades"), signals=(
        Mark(Trigger.APP, NOW - timedelta(minutes=2), NOW, asking=True), *(one for one in state.signals if one.trigger is not Trigger.APP),
    ))  # fmt: skip


_WALLS = (
    ("no_network", "['lo'], 0 routes"), ("no_tcp", "[Errno 97] Address family not supported by protocol"),
    ("no_udp", "[Errno 97] Address family not supported by protocol"), ("no_unix_socket", "[Errno 2] No such file or directory"),
    ("no_abstract_socket", "[Errno 111] Connection refused"), ("no_home", "[Errno 2] No such file or directory: '/home/me'"),
    ("no_canary", "[Errno 2] No such file or directory"), ("no_runtime", "[Errno 2] No such file or directory: '/run/user/1000'"),
    ("no_keys", "[Errno 2] No such file or directory"), ("read_only", "/dev/shm, /tmp"), ("little_room", "8 MB, 8 MB"),
    ("no_other_processes", "2 processes"), ("no_environment", "[]"), ("no_namespaces", "unshare(CLONE_NEWUSER)"),
    ("no_ptrace", "ptrace(PTRACE_TRACEME)"), ("no_privileges", "[]"), ("own_namespaces", "[]"), ("no_devices", "[]"),
    ("no_descriptors", "[]"), ("few_processes", "21"), ("small_files", "[Errno 27] File too large"), ("no_core_dumps", "(1, 1)"),
    ("bounded_private_memory", "[Errno 12] Cannot allocate memory"), ("bounded_memory", "ended at the limit"),
    ("nothing_heard", "by the agent's listeners"),
)  # fmt: skip
FIX = (
    "This system's AppArmor forbids sandboxes to ordinary programs. Allow them to bubblewrap with: sudo apt install bubblewrap "
    "apparmor-profiles && sudo cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && sudo apparmor_parser "
    "-r /etc/apparmor.d/bwrap-userns-restrict"
)


def shut_in(*fallen: str, fix: str = "", level: Level = Level.ISOLATED) -> State:
    """The self-test ran five minutes ago; those walls fell."""
    checks = tuple(Check(name, name not in fallen, "it answered" if name in fallen else seen) for name, seen in _WALLS)
    ready = Readiness(Level.NONE if fallen else level, checks, fix, True, tested=NOW - timedelta(minutes=5))
    return replace(troubled() if fallen else working(nvidia_gpu()), readiness=ready)


def not_shut_in() -> State:
    """AppArmor lets no sandbox start."""
    started = Check("sandbox_starts", False, "bwrap: setting up uid map: Permission denied")
    return replace(troubled(), readiness=Readiness(Level.NONE, (started,), FIX, True, tested=NOW - timedelta(seconds=20)))


def untested(testing: bool = False) -> State:
    """The first start: nothing was tried yet, or it is being tried."""
    return replace(fresh(), readiness=Readiness(testing=testing))
