"""Hashes that need keccak, and who signed what: all that can be known of the chain without asking it.

The same hashes are computed by the contracts; the tests hold the two to each other. No private key is needed here, and
web3 is not imported. Called by the roots, and by the rest of this folder.
"""

from collections.abc import Sequence
from typing import Final

from desktop_app.core import money
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Authorization, Domain, Terms, TypedMessage, Voucher
from desktop_app.wire.networks import Network

ID_BITS: Final = 40
"""An account is the GPU's id in the lowest 40 bits, and its era above them."""
_WORD: Final = 32


def recover_message(data: bytes, signature: str) -> str | None:
    """Checksummed address that signed `data` (EIP-191), or None when the signature is none."""
    from eth_account.messages import encode_defunct

    return _recovered(encode_defunct(data), signature)


def recover_typed(full_message: TypedMessage, signature: str) -> str | None:
    """Checksummed address that signed the typed message (EIP-712), or None when the signature is none."""
    from eth_account.messages import encode_typed_data

    return _recovered(encode_typed_data(full_message=full_message), signature)


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are one, however their letters are cased."""
    return one.lower() == other.lower()


def is_address(text: str) -> bool:
    """Whether this is an address fit to send money to: 0x, 40 hex digits and, where letters are of both cases, a right EIP-55 checksum."""
    from eth_utils.address import is_hex_address, to_checksum_address

    if not (len(text) == 42 and text.startswith("0x") and is_hex_address(text)):
        return False
    return text[2:] in (text[2:].lower(), text[2:].upper()) or text == str(to_checksum_address(text))


def checksummed(address: str) -> str:
    """The address as EIP-55 writes it. Raises AppError for what is none."""
    from eth_utils.address import to_checksum_address

    if not is_address(address):
        raise AppError("That is not an address.", "An address is 0x and 40 hexadecimal digits; if you typed it, a digit is wrong.")
    return str(to_checksum_address(address))


def escrow_domain(network: Network) -> Domain:
    """Where vouchers and manifests are signed for."""
    return Domain(network.chain_id, network.escrow)


def registry_domain(network: Network) -> Domain:
    """Where registrations are signed for."""
    return Domain(network.chain_id, network.registry)


def job_id(network: Network, terms: Terms) -> str:
    """A job's id, 0x-hex: keccak256(abi.encode(chainid, escrow, terms)); also the nonce of the authorisation that funds it."""
    return _hash(
        network.chain_id, network.escrow, terms.renter, terms.tier, terms.gpu, terms.rate,
        int(terms.units), terms.deadline, terms.window, terms.spec_hash, terms.salt,
    )  # fmt: skip


def funding_typed(network: Network, terms: Terms, valid_before: int) -> TypedMessage:
    """What the renter signs to open and fund the job of these terms without gas."""
    amount = money.escrow(terms.units, terms.rate)
    return _authorized(network, Authorization(terms.renter, network.escrow, amount, 0, valid_before, job_id(network, terms)))


def top_up_nonce(network: Network, job: str, units: int, salt: str) -> str:
    """The nonce that binds an authorisation to one topping up of one job: keccak256(abi.encode(chainid, escrow, job, units, salt))."""
    return _hash(network.chain_id, network.escrow, job, int(units), salt)


def top_up_typed(network: Network, renter: str, job: str, units: Units, amount: MicroUsd, salt: str, valid_before: int) -> TypedMessage:
    """What the renter signs to add `units` to a job without gas; `amount` is what they cost (`top_up_amount`)."""
    nonce = top_up_nonce(network, job, units, salt)
    return _authorized(network, Authorization(renter, network.escrow, int(amount), 0, valid_before, nonce))


def top_up_amount(before: Units, more: Units, rate: Rate) -> MicroUsd:
    """What `more` units cost on a job that has `before`: the difference of two rounded sums."""
    return MicroUsd(money.escrow(before + more, rate) - money.escrow(before, rate))


def batch_hash(vouchers: Sequence[Voucher]) -> str:
    """What an attestor signs of a batch's rows: the keccak of their plain encoding, four words a voucher."""
    words = [word for one in vouchers for word in (one.job, one.gpu, int(one.units), one.receipts_root)]
    return _hash(*words)


def batch_typed(network: Network, vouchers: Sequence[Voucher]) -> TypedMessage:
    """What an attestor signs to have many vouchers paid at once."""
    return eip712.batch(escrow_domain(network), len(vouchers), batch_hash(vouchers))


def account_of(gpu_id: int, era: int) -> int:
    """The account of a GPU's era; work is paid to accounts, see `GpuRegistry.sol`."""
    return gpu_id | era << ID_BITS


def gpu_of_account(account: int) -> int:
    """The GPU that an account is, or was, of."""
    return account & (1 << ID_BITS) - 1


def era_of_account(account: int) -> int:
    """How often the GPU had changed hands or tier."""
    return account >> ID_BITS


def cash_out_nonce(to: str, quote: Quote) -> str:
    """The nonce that binds a cash-out's signature to receiver, amount and fee: keccak256(abi.encode(to, amount, fee, salt))."""
    return _hash(to, int(quote.amount), int(quote.fee), quote.salt)


def cash_out_typed(network: Network, sender: str, to: str, quote: Quote) -> TypedMessage:
    """What the owner signs to cash out on these terms."""
    nonce = cash_out_nonce(to, quote)
    return _authorized(network, Authorization(sender, network.cash_out, int(quote.amount), 0, quote.valid_before, nonce))


def domain_separator(full_message: TypedMessage) -> str:
    """The EIP-712 domain hash of a message, 0x-hex."""
    from eth_account.messages import encode_typed_data

    return "0x" + bytes(encode_typed_data(full_message=full_message).header).hex()


def _authorized(network: Network, authorization: Authorization) -> TypedMessage:
    domain = Domain(network.chain_id, network.usdc)
    return eip712.receive_with_authorization(domain, authorization, network.usdc_name, network.usdc_version)


def _hash(*values: int | str) -> str:
    """keccak256 of abi.encode for static types: each value is one 32-byte word, its bytes to the right."""
    from eth_utils.crypto import keccak

    return "0x" + bytes(keccak(b"".join(_word(value) for value in values))).hex()


def _word(value: int | str) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(_WORD, "big")
    return bytes.fromhex(value.removeprefix("0x")).rjust(_WORD, b"\0")


def _recovered(message: object, signature: str) -> str | None:
    from eth_account import Account
    from eth_account.messages import SignableMessage
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    if not isinstance(message, SignableMessage) or len(signature) != 132:  # 0x and 65 bytes: a short form would be a second name for it
        return None
    try:
        return str(Account.recover_message(message, signature=signature))
    except (ValueError, TypeError, BadSignature, ValidationError):
        return None
