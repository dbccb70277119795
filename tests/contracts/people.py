"""Who the tests are about: accounts with the keys 1, 2, 3, …, which hold ether on every `ground.Ground`.

Called by `market` and by every test of the contracts.
"""

from dataclasses import dataclass

from eth_account import Account

from desktop_app.wire import eip712


@dataclass(frozen=True)
class Person:
    """An account and its key."""

    address: str
    key: bytes

    def sign(self, message: eip712.TypedMessage) -> bytes:
        return bytes(Account.sign_typed_data(self.key, full_message=message).signature)

    def sign_digest(self, digest: bytes) -> bytes:
        return bytes(Account.unsafe_sign_hash(digest, self.key).signature)


def person(number: int) -> Person:
    """The account with this number for a key; those up to `ground.ACCOUNTS` can send transactions."""
    key = number.to_bytes(32, "big")
    return Person(Account.from_key(key).address, key)


DEPLOYER, RENTER, OWNER, ANNE, BOB, ATTESTOR, TREASURY, STRANGER, ARBITER, GUARDIAN = (person(number) for number in range(1, 11))
"""The deployer owns policy and token until a test hands them on."""
