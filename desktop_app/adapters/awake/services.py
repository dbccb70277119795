"""How the wish to stay awake reaches the services of a Linux machine. Used by `awake` when something is to be held.

Beside what `wakepy` brings: logind, for machines without a desktop that manages sleep; no service is started by asking it;
and the owner reads our name in the list of who keeps the machine awake.
"""

from collections.abc import Mapping

from jeepney import DBusAddress, MessageFlag, new_method_call
from jeepney.bus import get_connectable_addresses
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, prep_socket
from jeepney.wrappers import unwrap_msg
from wakepy import DBusAdapter, Method, ModeName
from wakepy.core import BusType, DBusMethod, DBusMethodCall, PlatformType

LOGIND = "org.freedesktop.login1"
ANSWER_S = 1.0
_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_WORDS = {"wakepy": "Sublet", "wakelock active": "A task is running"}


class LogindIdle(Method):
    """Holds off the sleep that comes by itself. Not the owner's own: "sleep" would stop that, too."""

    name = LOGIND
    mode_name = ModeName.KEEP_RUNNING
    supported_platforms = (PlatformType.UNIX_LIKE_FOSS,)

    _held: FileDescriptor | None = None

    def enter_mode(self) -> None:
        """Take the descriptor whose closing, by us or by our death, ends it. Raises where there is no logind."""
        inhibit = DBusMethod(
            name="Inhibit",
            signature="ssss",
            params=("what", "who", "why", "mode"),
            service=LOGIND,
            path="/org/freedesktop/login1",
            interface=f"{LOGIND}.Manager",
            bus=BusType.SYSTEM,
        )
        (self._held,) = self.process_dbus_call(inhibit.to_call(("idle", *_WORDS.values(), "block")))

    def exit_mode(self) -> None:
        """Let it go."""
        if self._held is not None:
            self._held.close()
            self._held = None


class Buses:
    """The connections to both buses of this environment; ours to close, since wakepy leaves those of vain tries open."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        session = environment.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={environment.get('XDG_RUNTIME_DIR', '')}/bus"
        self._addresses = {"SESSION": session, "SYSTEM": environment.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS}
        self._open: dict[str, DBusConnection] = {}

    def adapter(self) -> type[DBusAdapter]:
        """What wakepy speaks through. Raises whatever a bus or a service raises; wakepy then tries its next way."""
        call_service = self._call

        class Adapter(DBusAdapter):
            def process(self, call: DBusMethodCall) -> object:
                return call_service(call)

        return Adapter

    def close(self) -> None:
        """Which ends whatever was held through them."""
        while self._open:
            self._open.popitem()[1].close()

    def _call(self, call: DBusMethodCall) -> object:
        method = call.method
        address = DBusAddress(method.path, method.service, method.interface)
        message = new_method_call(address, method.name, method.signature, tuple(_WORDS.get(word, word) for word in call.args))
        message.header.flags |= MessageFlag.no_auto_start
        return unwrap_msg(self._connection(str(method.bus)).send_and_get_reply(message, timeout=ANSWER_S))

    def _connection(self, bus: str) -> DBusConnection:
        if bus not in self._open:
            line = prep_socket(next(get_connectable_addresses(self._addresses[bus])), enable_fds=True, timeout=ANSWER_S)
            try:
                self._open[bus] = DBusConnection(line, enable_fds=True)
            except BaseException:
                line.close()
                raise
        return self._open[bus]
