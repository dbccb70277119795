"""The chain itself: takes transactions, mines blocks, answers questions about the newest state.

py-evm executes (Prague rules), `store` remembers. One lock serialises everything, because one SQLite connection and one
EVM state stand behind it. Calls and estimates run in the block that would be mined next, at the present time, so that a
chain that mines only when there is something to mine never shows a contract an old clock. Called by `methods` and `miner`.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import Chain
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.db.atomic import AtomicDB
from eth.exceptions import CanonicalHeadNotFound, PyEVMError
from eth.typing import AccountDetails, HeaderParams
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_typing import Address, BlockNumber
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from desktop_app.practice.chain import render
from desktop_app.practice.chain.blocks import build
from desktop_app.practice.chain.pool import FURTHEST_NONCE, Pool, Refused
from desktop_app.practice.chain.store import Store

CHAIN_ID = 31337
BLOCK_GAS = 30_000_000
TX_GAS = 16_777_216
"""Most gas one transaction or call may ask for (EIP-7825)."""
GENESIS_BASE_FEE = 5_000_000
"""Wei per gas: 0.005 gwei, as on a layer 2."""
NO_ADDRESS = Address(bytes(20))
FOR_ANY_CHAIN = bytes.fromhex("eddf9e61fb9d8f5111840daef55e5fde0041f5702856532cdbb5a02998033d26")
"""Hash of the one transaction that is taken here though it names no chain (EIP-155): it makes the factory of contracts that
every chain has at the same address, and was signed by nobody's key."""


class PracticeChain(Chain):
    """py-evm's chain under our chain id."""

    chain_id = CHAIN_ID
    vm_configuration = ((BlockNumber(0), PragueVM),)


@dataclass(frozen=True, slots=True)
class Call:
    """A question to a contract: who asks (no signature needed), what, with how much gas and wei. `to` is empty to create."""

    sender: Address
    to: Address
    value: int
    data: bytes
    gas: int


class Ledger:
    """The open chain. Every public method may be called from any thread."""

    def __init__(self, store: Store, genesis: Mapping[str, int]) -> None:
        """Opens the chain in `store`, or begins one in which `genesis` (address to wei) has money."""
        self._store = store
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._pool = Pool()
        self._chain = self._open(genesis)
        self._head: BlockHeaderAPI = self._chain.get_canonical_head()
        for raw in store.pending():
            self._pool.add(_decode(raw))

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The store, held still while it is read."""
        with self._lock:
            yield self._store

    @property
    def head(self) -> BlockHeaderAPI:
        """The newest block's header. Every block is final at once."""
        return self._head

    def pending_header(self) -> BlockHeaderAPI:
        """The header that a block mined at this moment would begin with."""
        with self._lock:
            moment = max(self._head.timestamp + 1, int(time.time()))
            return self._chain.create_header_from_parent(self._head, timestamp=moment, gas_limit=BLOCK_GAS, coinbase=NO_ADDRESS)

    def waiting(self, tx_hash: bytes) -> SignedTransactionAPI | None:
        """A transaction that is accepted and not mined."""
        with self._lock:
            return self._pool.get(tx_hash)

    def has_waiting(self) -> bool:
        with self._lock:
            return len(self._pool) > 0

    def balance(self, address: Address) -> int:
        """Wei."""
        with self._lock:
            return int(self._vm().state.get_balance(address))

    def code(self, address: Address) -> bytes:
        with self._lock:
            return bytes(self._vm().state.get_code(address))

    def nonce(self, address: Address, pending: bool) -> int:
        """Transactions mined from `address`; with `pending` the next nonce to use."""
        with self._lock:
            mined = int(self._vm().state.get_nonce(address))
            return self._pool.next_nonce(address, mined) if pending else mined

    def accept(self, raw: bytes) -> bytes:
        """Takes a signed transaction and returns its hash; it is on disk by then. The same bytes again change nothing.
        Raises Refused with the reason."""
        tx = _decode(raw)
        with self._lock:
            if self._pool.get(tx.hash) is None and self._store.tx(tx.hash) is None:
                self._check(tx)
                replaced = self._pool.replaced_by(tx)
                with self._store.transaction():
                    if replaced is not None:
                        self._store.drop_pending(replaced.hash)
                    self._store.add_pending(tx.hash, raw)
                self._pool.add(tx)
                self.changed.notify_all()
            return bytes(tx.hash)

    def call(self, call: Call) -> ComputationAPI:
        """Runs a call and forgets what it changed. The gas costs nothing, so the sender need not have any."""
        with self._lock:
            header = self.pending_header().copy(base_fee_per_gas=0)
            state = self._chain.get_vm(header).state
            unsigned = self._chain.get_vm(header).create_unsigned_transaction(
                nonce=state.get_nonce(call.sender), gas_price=0, gas=call.gas, to=call.to, value=call.value, data=call.data
            )
            return state.apply_transaction(cast(SignedTransactionAPI, SpoofTransaction(unsigned, from_=call.sender)))

    def keep_up(self, quiet: int) -> None:
        """Mines an empty block when the newest is over `quiet` seconds old, so that time passes for those who wait for it."""
        with self._lock:
            if time.time() - self._head.timestamp > quiet:
                self.mine()

    def mine(self) -> bool:
        """Makes one block of what is ready, even an empty one. True if something that is ready had to wait for the next."""
        with self._lock:
            try:
                with self._store.transaction():
                    ready = self._pool.ready(self._vm().state.get_nonce)
                    built = build(self._chain, self._store, self.pending_header(), ready)
            except BaseException:
                # what py-evm may have kept in memory of the lost block goes with it
                self._chain = PracticeChain(AtomicDB(self._store.kv))
                raise
            self._head = self._chain.get_canonical_head()
            for tx in (*built.mined, *built.dropped):
                self._pool.remove(tx)
            return built.left_over

    def _open(self, genesis: Mapping[str, int]) -> Chain:
        db = AtomicDB(self._store.kv)
        chain = PracticeChain(db)
        try:
            chain.get_canonical_head()
        except CanonicalHeadNotFound:
            with self._store.transaction():
                PracticeChain.from_genesis(db, _genesis_params(), _accounts(genesis))
                header = chain.get_canonical_head()
                self._store.add_block(0, header.hash, json.dumps(render.block(header, (), len(rlp.encode(header)))), (), ())
        return chain

    def _vm(self) -> VirtualMachineAPI:
        return self._chain.get_vm(self._head)

    def _check(self, tx: SignedTransactionAPI) -> None:
        """Refuses what could never be mined, with the words other chains use."""
        state = self._vm().state
        nonce = state.get_nonce(tx.sender)
        base_fee = render.base_fee(self.pending_header())
        if tx.gas > TX_GAS:
            raise Refused(f"transaction gas limit too high: at most {TX_GAS}, asked {tx.gas}")
        if tx.gas < tx.intrinsic_gas:
            raise Refused(f"intrinsic gas too low: have {tx.gas}, want {tx.intrinsic_gas}")
        if tx.max_fee_per_gas < base_fee:
            raise Refused(f"max fee per gas less than block base fee: {tx.max_fee_per_gas} below {base_fee}")
        if tx.nonce < nonce:
            raise Refused(f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        if tx.nonce > nonce + FURTHEST_NONCE:
            raise Refused(f"nonce too high: next nonce {nonce}, tx nonce {tx.nonce}")
        if state.get_balance(tx.sender) < self._pool.cost(tx.sender, tx.nonce) + tx.gas * tx.max_fee_per_gas + tx.value:
            raise Refused("insufficient funds for gas * price + value")


def _decode(raw: bytes) -> SignedTransactionAPI:
    """The transaction in `raw`, its signature checked. Raises Refused."""
    try:
        tx = PragueVM.get_transaction_builder().decode(raw)
        if render.type_of(tx) > render.DYNAMIC_FEE or (tx.chain_id != CHAIN_ID and keccak(raw) != FOR_ANY_CHAIN):
            raise Refused(f"only transaction types 0, 1 and 2 for chain id {CHAIN_ID} are taken here")
        tx.validate()
        tx.check_signature_validity()
    except (ValidationError, rlp.exceptions.RLPException, PyEVMError, BadSignature, ValueError, TypeError, IndexError) as reason:
        raise Refused(f"not a valid signed transaction: {reason}") from reason
    return tx


def _genesis_params() -> dict[str, HeaderParams]:
    return {
        "coinbase": NO_ADDRESS,
        "difficulty": POST_MERGE_DIFFICULTY,
        "mix_hash": POST_MERGE_MIX_HASH,
        "nonce": POST_MERGE_NONCE,
        "gas_limit": BLOCK_GAS,
        "timestamp": int(time.time()),
        "base_fee_per_gas": GENESIS_BASE_FEE,
    }


def _accounts(genesis: Mapping[str, int]) -> dict[Address, AccountDetails]:
    return {Address(to_canonical_address(who)): {"balance": wei, "nonce": 0, "code": b"", "storage": {}} for who, wei in genesis.items()}
