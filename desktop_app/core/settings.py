"""Every setting, declared once: its default, its range, and what it means in the owner's words.

The settings page, the command line and the file checker all read `SETTINGS`; a value out of range is a refusal with a
reason. Called by update, the store and the screens.
"""

from dataclasses import dataclass, fields, replace

from desktop_app.core.money import Rate
from desktop_app.core.schedule import Schedule

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class Settings:
    """The owner's choices. Money in micro-dollars, times in seconds, temperatures in degrees Celsius."""

    network: str = "practice"
    floor: Rate = Rate(0)
    tariff: int = 250_000  # micro-dollars per kWh
    idle_after_s: int = 300
    temperature_limit: int = 83
    vram_reserve_mb: int = 512
    pause_on_input: bool = True
    pause_on_full_screen: bool = True
    pause_on_game_mode: bool = True
    pause_on_apps: bool = True
    apps: str = ""  # program names, one per line
    pause_on_foreign_use: bool = True
    pause_on_vram: bool = True
    pause_on_remote_desktop: bool = True
    pause_on_battery: bool = True
    keep_awake: bool = True
    power_cap_watts: int = 0  # 0: as the owner's card is set
    payout_address: str = ""  # "" = this machine's own wallet
    autostart: bool = False
    notifications: bool = True
    schedule: Schedule = Schedule()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as people meet it."""

    name: str
    meaning: str
    least: int = 0
    most: int = 0


SETTINGS: tuple[Setting, ...] = (
    Setting("network", "Which market to share on; 'practice' runs wholly on this machine with test money."),
    Setting("floor", "What you want to keep per GPU-hour after electricity.", 0, 1_000_000_000),
    Setting("tariff", "What you pay for a kWh of electricity.", 0, 10_000_000),
    Setting("idle_after_s", "How long without a key or mouse counts as away.", 30, 86_400),
    Setting("temperature_limit", "Give the GPU back above this temperature.", 40, 110),
    Setting("vram_reserve_mb", "GPU memory always left for you.", 0, 1_000_000),
    Setting("pause_on_input", "In 'when I'm away' hours, give the GPU back at a key, a mouse or a touch."),
    Setting("pause_on_full_screen", "Give the GPU back when a window fills the screen."),
    Setting("pause_on_game_mode", "Give the GPU back when a game asks for GameMode."),
    Setting("pause_on_apps", "Give the GPU back when a program of your list starts."),
    Setting("apps", "Programs that get the GPU, one name per line."),
    Setting("pause_on_foreign_use", "Give the GPU back when another program draws with it."),
    Setting("pause_on_vram", "Give the GPU back when the memory left for you runs short."),
    Setting("pause_on_remote_desktop", "Give the GPU back while somebody looks at this screen from afar."),
    Setting("pause_on_battery", "Share on mains power only."),
    Setting("keep_awake", "Keep the machine awake while a task runs, on mains power only."),
    Setting("power_cap_watts", "The most the GPU may draw while a task runs; 0 leaves it as it is.", 0, 2_000),
    Setting("payout_address", "Where payouts go; empty is the wallet on this machine."),
    Setting("autostart", "Start Sublet when you log in."),
    Setting("notifications", "Tell me when the GPU comes back and when money arrives."),
    Setting("schedule", "Half hours of the week in which to share."),
)

MOST_APPS, MOST_APP_LETTERS = 50, 100
_NETWORK_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that was not taken, and why."""

    name: str
    reason: str


def change(settings: Settings, name: str, value: Value) -> Settings | Refused:
    """The settings with one value changed, or why not."""
    declared = _BY_NAME.get(name)
    if declared is None:
        return Refused(name, "there is no such setting")
    if name == "schedule":
        return _change_schedule(settings, value)
    wanted = type(getattr(settings, name))
    if type(value) is not wanted:
        return Refused(name, f"this is a {wanted.__name__}, not a {type(value).__name__}")
    if wanted is int and isinstance(value, int) and not declared.least <= value <= declared.most:
        return Refused(name, f"this lies between {declared.least} and {declared.most}")
    reason = _misspelt(name, str(value))
    return _with(settings, name, value) if reason is None else Refused(name, reason)


def app_names(settings: Settings) -> tuple[str, ...]:
    """The owner's list of programs, one name each, as the owner wrote them."""
    names = (line.strip() for line in settings.apps.splitlines())
    return tuple(dict.fromkeys(name for name in names if name))


def _misspelt(name: str, text: str) -> str | None:
    if name == "network" and not (0 < len(text) <= 40 and set(text) <= _NETWORK_LETTERS):
        return "a network's name is at most 40 small letters, digits and dashes"
    if name == "apps" and (len(names := text.splitlines()) > MOST_APPS or any(len(one.strip()) > MOST_APP_LETTERS for one in names)):
        return f"this is at most {MOST_APPS} programs, each with a name of at most {MOST_APP_LETTERS} letters"
    if name == "apps" and not all(letter.isprintable() or letter == "\n" for letter in text):
        return "a program's name has no unprintable letters"
    if name == "payout_address" and text and not is_address(text):
        return "an address is 0x and 40 hexadecimal digits"
    if name == "payout_address" and text and is_zero(text):
        return "money sent to the zero address is gone for ever"
    return None


def _change_schedule(settings: Settings, value: Value) -> Settings | Refused:
    try:
        return replace(settings, schedule=Schedule(str(value)))
    except ValueError as error:
        return Refused("schedule", str(error))


def _with(settings: Settings, name: str, value: Value) -> Settings:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return Settings(**(values | {name: value}))


def is_address(value: Value) -> bool:
    """Whether this is spelt like an EVM address; its checksum (EIP-55) is the keys adapter's to check."""
    text = str(value)
    return len(text) == 42 and text.startswith("0x") and all(letter in "0123456789abcdefABCDEF" for letter in text[2:])


def is_zero(address: str) -> bool:
    """Whether this address is nobody's, so that money sent to it is lost."""
    return int(address, 16) == 0
