"""The only room where private keys exist: made, kept wrapped on disk, opened, used to sign, dropped.

`Keys` is the single door; the roots make one for their folder and hand its signing methods to whoever needs a signature.
`system_ring` finds the operating system's keyring, `passphrase_from_file` reads the file that SUBLET_PASSPHRASE_FILE names.
`LoneKey` is a single key that another wallet made. Called by `agent.py`, `deploy.py`, `pool/`, `renter/` and `practice/`.
"""

from desktop_app.adapters.keys.holder import OPERATOR, WALLET, Addresses, Keys
from desktop_app.adapters.keys.lone import LoneKey
from desktop_app.adapters.keys.wrapping import PASSPHRASE_FILE, Ring, passphrase_from_file, ring_secret, system_ring

__all__ = [
    "OPERATOR", "PASSPHRASE_FILE", "WALLET", "Addresses", "Keys", "LoneKey", "Ring", "passphrase_from_file", "ring_secret", "system_ring",
]  # fmt: skip
