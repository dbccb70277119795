"""Blocks, transactions, receipts and events as the JSON that Ethereum clients expect.

Pure: it turns py-evm's objects into dictionaries of hex strings (quantities without leading zeros, data with them).
Called by `ledger` when a block is mined; what comes out is stored and served as it is.
"""

from collections.abc import Sequence
from typing import TypeAlias

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI
from eth_utils.address import to_checksum_address

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None

LEGACY, ACCESS_LIST, DYNAMIC_FEE = 0, 1, 2


def quantity(number: int) -> str:
    """A number as Ethereum's JSON writes it: 0x0, 0x1f."""
    return hex(number)


def data(raw: bytes) -> str:
    """Bytes as Ethereum's JSON writes them: 0x, 0x00ff."""
    return "0x" + raw.hex()


def word(number: int) -> str:
    """A number as 32 bytes."""
    return data(number.to_bytes(32, "big"))


def block(header: BlockHeaderAPI, tx_hashes: Sequence[bytes], size: int) -> dict[str, Json]:
    """A block with its transactions as hashes; `size` is its length in bytes as RLP."""
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "extraData": data(header.extra_data),
        "size": quantity(size),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "mixHash": data(header.mix_hash),
        "baseFeePerGas": quantity(base_fee(header)),
        "transactions": [data(one) for one in tx_hashes],
        "uncles": [],
    }


def type_of(tx: SignedTransactionAPI) -> int:
    """0 for a legacy transaction, else its EIP-2718 type."""
    return LEGACY if tx.type_id is None else int(tx.type_id)


def base_fee(header: BlockHeaderAPI) -> int:
    """Wei per gas that is burned in this block (EIP-1559)."""
    return header.base_fee_per_gas or 0


def effective_gas_price(tx: SignedTransactionAPI, burned: int) -> int:
    """Wei per gas that the sender pays (EIP-1559)."""
    return int(min(tx.max_fee_per_gas, tx.max_priority_fee_per_gas + burned))


def transaction(tx: SignedTransactionAPI, place: tuple[bytes, int, int] | None, burned: int) -> dict[str, Json]:
    """A transaction; `burned` is the block's base fee, `place` is (block hash, block number, position), or None while it waits."""
    kind = type_of(tx)
    body: dict[str, Json] = {
        "hash": data(tx.hash),
        "type": quantity(kind),
        "nonce": quantity(tx.nonce),
        "from": to_checksum_address(tx.sender),
        "to": to_checksum_address(tx.to) if tx.to else None,
        "value": quantity(tx.value),
        "gas": quantity(tx.gas),
        "gasPrice": quantity(effective_gas_price(tx, burned)),
        "input": data(tx.data),
        "chainId": None if tx.chain_id is None else quantity(tx.chain_id),
        "v": quantity(_v(tx)),
        "r": word(tx.r),
        "s": word(tx.s),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
    if kind != LEGACY:
        body["yParity"] = quantity(tx.y_parity)
        body["accessList"] = [
            {"address": to_checksum_address(address), "storageKeys": [word(key) for key in keys]} for address, keys in tx.access_list
        ]
    if kind == DYNAMIC_FEE:
        body |= {"maxFeePerGas": quantity(tx.max_fee_per_gas), "maxPriorityFeePerGas": quantity(tx.max_priority_fee_per_gas)}
    if place is not None:
        block_hash, number, position = place
        body |= {"blockHash": data(block_hash), "blockNumber": quantity(number), "transactionIndex": quantity(position)}
    return body


def receipt(
    tx: SignedTransactionAPI,
    found: ReceiptAPI,
    header: BlockHeaderAPI,
    position: int,
    gas_used: int,
    created: bytes | None,
    logs: list[Json],
) -> dict[str, Json]:
    """What a transaction did. `gas_used` is its own; `created` the address of a contract it made."""
    return {
        "transactionHash": data(tx.hash),
        "transactionIndex": quantity(position),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": to_checksum_address(tx.sender),
        "to": to_checksum_address(tx.to) if tx.to else None,
        "cumulativeGasUsed": quantity(found.gas_used),
        "gasUsed": quantity(gas_used),
        "effectiveGasPrice": quantity(effective_gas_price(tx, base_fee(header))),
        "contractAddress": to_checksum_address(created) if created else None,
        "logs": logs,
        "logsBloom": data(found.bloom.to_bytes(256, "big")),
        "status": quantity(int.from_bytes(found.state_root, "big")),
        "type": quantity(type_of(tx)),
    }


def log(
    address: bytes, topics: Sequence[int], payload: bytes, header: BlockHeaderAPI, tx_hash: bytes, position: int, index: int
) -> dict[str, Json]:
    """One event. `position` is the transaction's in the block, `index` the event's own."""
    return {
        "address": to_checksum_address(address),
        "topics": [word(topic) for topic in topics],
        "data": data(payload),
        "blockNumber": quantity(header.block_number),
        "blockHash": data(header.hash),
        "blockTimestamp": quantity(header.timestamp),
        "transactionHash": data(tx_hash),
        "transactionIndex": quantity(position),
        "logIndex": quantity(index),
        "removed": False,
    }


def _v(tx: SignedTransactionAPI) -> int:
    """The signature's `v`: EIP-155's for a legacy transaction that names its chain, 27 more than the parity for one that does
    not, else the parity."""
    if type_of(tx) != LEGACY:
        return tx.y_parity
    return tx.y_parity + (27 if tx.chain_id is None else 35 + 2 * tx.chain_id)
