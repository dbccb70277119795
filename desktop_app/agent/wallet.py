"""Opens the wallet, and takes the passphrase where one is needed. Called by `agent.main` and, for secrets, by the link.

A passphrase for a cash-out waits here for the signature it was given for, at most a minute, and is wiped after use.
"""

import asyncio
from collections.abc import Callable

from desktop_app.adapters.keys import Keys
from desktop_app.core.errors import AppError
from desktop_app.core.messages import Message, TroubleArose, WalletLocked, WalletOpened
from desktop_app.core.state import NoticeKind

SPEND_WITHIN_S = 60.0


class Wallet:
    """The keys' doorman. `unattended`: a keyring or a passphrase file opens the wallet without asking."""

    def __init__(self, keys: Keys, post: Callable[[Message], None], *, unattended: bool) -> None:
        self._keys = keys
        self._post = post
        self._unattended = unattended
        self._kept: bytearray | None = None
        self._wiping: asyncio.TimerHandle | None = None

    async def open(self, passphrase: bytearray | None = None) -> str:
        """Open the standing keys, making them on a first start; "" or the reason why not."""
        try:
            found = await asyncio.to_thread(self._keys.create_or_open, passphrase)
        except AppError as error:
            if passphrase is None:
                self._post(TroubleArose(NoticeKind.TROUBLE, f"{error.title} {error.advice}"))
            return f"{error.title} {error.advice}"
        finally:
            wipe(passphrase)
        if found.needs_passphrase:
            self._post(WalletLocked(found.wallet, found.operator))
            return "a passphrase is needed"
        self._post(WalletOpened(found.wallet, found.operator, needs_passphrase=not self._unattended))
        return ""

    async def take_secret(self, purpose: str, secret: bytearray) -> str:
        """A passphrase from a guest: to unlock now, or to spend within a minute. "" or the reason why not."""
        if purpose == "unlock":
            return await self.open(secret)
        if purpose != "spend":
            wipe(secret)
            return "nobody asked for that"
        self.forget()
        self._kept = secret
        self._wiping = asyncio.get_running_loop().call_later(SPEND_WITHIN_S, self.forget)
        return ""

    def spend_passphrase(self) -> bytearray | None:
        """The passphrase given for this cash-out, once; None when keyring or file will do."""
        kept, self._kept = self._kept, None
        self.forget()
        return kept

    def lend_passphrase(self) -> bytearray | None:
        """A copy of the passphrase given for this cash-out, which stays for the transaction that follows; wiped by the caller."""
        return None if self._kept is None else bytearray(self._kept)

    def forget(self) -> None:
        """Wipe a passphrase that was not used."""
        if self._wiping is not None:
            self._wiping.cancel()
            self._wiping = None
        wipe(self._kept)
        self._kept = None


def wipe(secret: bytearray | None) -> None:
    """Overwrite a secret, if there is one."""
    if secret is not None:
        secret[:] = bytes(len(secret))
