"""Hashes that need keccak, and who signed what: all that can be known of the chain without asking it.

The same hashes are computed by the contracts; the tests hold the two to each other. No private key is needed here, and
web3 is not imported. Called by the roots, and by the rest of this folder.
"""

from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Authorization, Domain, Terms, TypedMessage
from desktop_app.wire.networks import Network

_WORD = 32


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
    from desktop_app.core.money import escrow

    amount = escrow(terms.units, terms.rate)
    return _authorized(network, Authorization(terms.renter, network.escrow, amount, 0, valid_before, job_id(network, terms)))


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
