"""Makes one block: executes what is ready, lets py-evm seal and persist it, and records it for those who ask later.

Called by `ledger` inside a store transaction, so that a block is on disk whole or not at all.
"""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import Chain
from eth_utils.exceptions import ValidationError

from desktop_app.practice.chain import render
from desktop_app.practice.chain.render import Json
from desktop_app.practice.chain.store import LogRow, Store, TxRow

_log = logging.getLogger(__name__)

LONGEST_BLOCK = 0.8
"""Seconds of executing after which a block is closed and the rest waits for the next."""


@dataclass(frozen=True, slots=True)
class Built:
    """What became of the transactions offered: in the block, never to be mined, or (`left_over`) some wait for the next."""

    mined: tuple[SignedTransactionAPI, ...]
    dropped: tuple[SignedTransactionAPI, ...]
    left_over: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """One executed transaction."""

    tx: SignedTransactionAPI
    receipt: ReceiptAPI
    computation: ComputationAPI
    gas_used: int


def build(chain: Chain, store: Store, header: BlockHeaderAPI, ready: Iterable[SignedTransactionAPI]) -> Built:
    """Makes the block that begins with `header` out of `ready`, as many as fit."""
    header = header.copy(mix_hash=os.urandom(32))
    vm = chain.get_vm(header)
    done, dropped, left_over = _execute(vm, header, ready)
    bloom = 0
    for one in done:
        bloom |= one.receipt.bloom
    vm.state.persist()
    gas_used = done[-1].receipt.gas_used if done else 0
    filled = vm.set_block_transactions_and_withdrawals(
        vm.get_block(),
        header.copy(gas_used=gas_used, bloom=bloom, state_root=vm.state.state_root),
        [one.tx for one in done],
        [one.receipt for one in done],
    )
    block = vm.mine_block(filled).block
    chain.chaindb.persist_block(block)
    rows, logs = _rows(block.header, done)
    body = render.block(block.header, [one.tx.hash for one in done], len(rlp.encode(block)))
    store.add_block(block.number, block.hash, json.dumps(body), rows, logs)
    for tx in dropped:
        store.drop_pending(tx.hash)
    return Built(tuple(one.tx for one in done), tuple(dropped), left_over)


def _execute(
    vm: VirtualMachineAPI, header: BlockHeaderAPI, ready: Iterable[SignedTransactionAPI]
) -> tuple[list[_Done], list[SignedTransactionAPI], bool]:
    done: list[_Done] = []
    dropped: list[SignedTransactionAPI] = []
    stop_at = time.monotonic() + LONGEST_BLOCK
    for tx in ready:
        if header.gas_used + tx.gas > header.gas_limit or time.monotonic() > stop_at:
            return done, dropped, True
        try:
            receipt, computation = vm.apply_transaction(header, tx)
        except ValidationError as reason:
            # it was good when it was taken; since then an earlier one has spent what it needs
            _log.warning("Transaction %s can no longer be mined: %s", tx.hash.hex(), reason)
            dropped.append(tx)
            continue
        done.append(_Done(tx, receipt, computation, receipt.gas_used - header.gas_used))
        header = header.copy(gas_used=receipt.gas_used)
    return done, dropped, False


def _rows(header: BlockHeaderAPI, mined: list[_Done]) -> tuple[list[TxRow], list[LogRow]]:
    rows: list[TxRow] = []
    logs: list[LogRow] = []
    for position, one in enumerate(mined):
        bodies: list[Json] = []
        for entry in one.receipt.logs:
            body = render.log(entry.address, entry.topics, entry.data, header, one.tx.hash, position, len(logs))
            topics = tuple(topic.to_bytes(32, "big") for topic in entry.topics)
            logs.append(LogRow(len(logs), entry.address, topics, json.dumps(body)))
            bodies.append(body)
        created = one.computation.msg.storage_address if not one.tx.to else None
        receipt = render.receipt(one.tx, one.receipt, header, position, one.gas_used, created, bodies)
        shown = render.transaction(one.tx, (header.hash, header.block_number, position), render.base_fee(header))
        rows.append(TxRow(one.tx.hash, json.dumps(shown), json.dumps(receipt)))
    return rows, logs
