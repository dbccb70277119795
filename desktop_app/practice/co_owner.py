"""Gives a second person a share of the GPU, as its owner would: one transaction from the owner's own wallet.

That takes ether, which on the practice chain its founder has and gives away; the share itself is granted by nobody but the
wallet's key, opened for this one transaction. Called by the tour.
"""

import os
import secrets
import time
from typing import Final

from desktop_app.adapters.chain import Chain, Refused, Relayer, checksummed
from desktop_app.adapters.keys import WALLET, Keys, passphrase_from_file
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import number_of
from desktop_app.practice.folder import DEPLOYER, Folder
from desktop_app.wire.profile import Profile

GIFT_WEI: Final = 10**16
_TRANSFER_GAS: Final = 21_000
_PATIENCE_S: Final = 60.0


def co_own(chain: Chain, profile: Profile, passphrase: str, account: int, bps: int) -> str:
    """Let a fresh address co-own the GPU of this profile's wallet with `bps` basis points; gives the address."""
    keys = Keys(profile.keys, lambda: passphrase_from_file(os.environ) or bytearray(passphrase.encode()))
    owner = keys.create_or_open().wallet

    def sign(transaction: dict[str, int | str]) -> bytes:
        with keys.unlock_wallet():
            return keys.sign_transaction(WALLET, transaction)

    relayer = Relayer(chain, owner, sign)
    try:
        give_ether(chain, Folder(profile.practice), owner)
        friend = checksummed("0x" + secrets.token_hex(20))
        outcome = relayer.send(chain.client.registry.grant_share(number_of(account), friend, bps))
    finally:
        keys.close()
    if isinstance(outcome, Refused):
        raise AppError("The share was not granted.", outcome.reason)
    return friend


def give_ether(chain: Chain, folder: Folder, to: str) -> None:
    """A little test ether from the practice chain's founder, for gas."""
    ask = chain.client.ask
    office = folder.office_keys()
    try:
        founder = office.address(DEPLOYER)
        gift = {
            "type": 2, "chainId": chain.network.chain_id, "nonce": _number(ask("eth_getTransactionCount", founder, "pending")), "to": to,
            "value": GIFT_WEI, "data": "0x", "gas": _TRANSFER_GAS, "maxFeePerGas": 2 * _number(ask("eth_gasPrice")),
            "maxPriorityFeePerGas": 0,
        }  # fmt: skip
        ask("eth_sendRawTransaction", "0x" + office.sign_transaction(DEPLOYER, gift).hex())
    finally:
        office.close()
    end = time.monotonic() + _PATIENCE_S
    while _number(ask("eth_getBalance", to, "latest")) < GIFT_WEI:
        if time.monotonic() > end:
            raise AppError("The practice chain gave no ether.", "Look into its log.")
        time.sleep(0.1)


def _number(answer: object) -> int:
    return int(str(answer), 16)
