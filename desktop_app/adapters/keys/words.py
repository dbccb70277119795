"""The 24 words (BIP-39) and the wallet's key that follows from them (BIP-44, m/44'/60'/0'/0/0).

Called by `holder.py`.
"""

import secrets
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from desktop_app.core.errors import AppError

PATH: Final = "m/44'/60'/0'/0/0"
COUNT: Final = 24


def new_entropy() -> bytes:
    """32 random bytes, which 24 words can say."""
    return secrets.token_bytes(32)


def key_of(entropy: bytes) -> bytes:
    """The wallet's private key."""
    from eth_account.hdaccount import key_from_seed

    return key_from_seed(Mnemonic.to_seed(_english().to_mnemonic(entropy)), PATH)


def say(entropy: bytes) -> tuple[str, ...]:
    """The words, in order."""
    return tuple(_english().to_mnemonic(entropy).split())


def hear(text: str) -> bytes:
    """The entropy behind 24 words. Raises AppError that names a wrong word by its place, never by itself."""
    from eth_keys.constants import SECPK1_N

    given = text.lower().split()
    if len(given) != COUNT:
        raise AppError(f"That is {len(given)} words; a backup has {COUNT}.", "Type all of them, in order, with spaces between.")
    english = _english()
    strange = [str(place) for place, word in enumerate(given, 1) if word not in english.wordlist]
    if strange:
        raise AppError(f"Not a word of the list: number {', '.join(strange)}.", "Compare with your paper.")
    if not english.check(" ".join(given)):
        raise AppError(
            "The words are all known, but their checksum does not fit.",
            "One is mistaken for another, or two have changed places; compare with your paper.",
        )
    entropy = bytes(english.to_entropy(given))
    # what lies outside this range, which chance never reaches, are the example phrases that are printed everywhere
    if not 0 < int.from_bytes(entropy, "big") < SECPK1_N:
        raise AppError("Those words are a published example.", "Anyone can take what is sent there; use words of your own.")
    return entropy


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")
