"""py-evm's newest rules, Prague, and of Osaka what Cloister's contracts use."""

from __future__ import annotations

import time
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from eth.abc import BlockHeaderAPI, ComputationAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_NONCE
from eth.db import get_db_backend
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.constants import HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CONTRACT_CODE
from eth.vm.forks.prague.state import PragueState
from eth.vm.opcode import as_opcode

from ..accounts import BALANCE, CHAIN_ID, COUNT, key

GAS_LIMIT = 30_000_000
"""Of a block, as anvil's."""
TRANSACTION_GAS_CAP = 1 << 24
"""EIP-7825. The mempool holds it."""

_P256VERIFY = (0x100).to_bytes(20, "big")
_P256VERIFY_GAS = 6_900  # EIP-7951
_CLZ = 0x1E
_CLZ_GAS = 5  # EIP-7939
_CURVE = ec.SECP256R1()
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


def _p256verify(computation: ComputationAPI) -> ComputationAPI:
    """The precompile of EIP-7951: 32 bytes of 1 for a valid signature, nothing for any other input."""
    computation.consume_gas(_P256VERIFY_GAS, reason="P256VERIFY")
    computation.output = b""
    data = bytes(computation.msg.data)
    if len(data) == 160:
        r, s, x, y = (int.from_bytes(data[i : i + 32], "big") for i in range(32, 160, 32))
        try:
            public_key = ec.EllipticCurvePublicNumbers(x, y, _CURVE).public_key()
            public_key.verify(utils.encode_dss_signature(r, s), data[:32], _PREHASHED)
            computation.output = (1).to_bytes(32, "big")
        except (InvalidSignature, ValueError):
            pass
    return computation


def _clz(computation: ComputationAPI) -> None:
    """The opcode of EIP-7939: leading zero bits of a word. solc may use it when it compiles for Osaka."""
    computation.stack_push_int(256 - computation.stack_pop1_int().bit_length())


class _Computation(PragueComputation):
    _precompiles = {**PragueComputation.get_precompiles(), _P256VERIFY: _p256verify}  # noqa: RUF012
    opcodes = {**PragueComputation.opcodes, _CLZ: as_opcode(_clz, "CLZ", _CLZ_GAS)}  # noqa: RUF012


class _State(PragueState):
    computation_class = _Computation


class _VM(PragueVM):
    _state_class = _State

    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        # Blocks of one second are allowed, as on anvil: else skipping 64 blocks would skip a minute of every
        # deadline.
        super().validate_header(header, parent_header.copy(timestamp=parent_header.timestamp - 1))


class _Chain(MiningChain):
    chain_id = CHAIN_ID
    # Nobody seals these blocks.
    vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, _VM),))


def new_chain(prevrandao: bytes) -> MiningChain:
    """A chain in memory at its genesis block, with the development accounts funded."""
    # py-evm writes each block's hash into the history contract (EIP-2935), but forgets to put it there.
    state: dict[bytes, dict[str, Any]] = {
        HISTORY_STORAGE_ADDRESS: {
            "balance": 0,
            "nonce": 1,
            "code": HISTORY_STORAGE_CONTRACT_CODE,
            "storage": {},
        }
    }
    for index in range(COUNT):
        address = bytes.fromhex(key(index).address[2:])
        state[address] = {"balance": BALANCE, "nonce": 0, "code": b"", "storage": {}}
    genesis = {
        "difficulty": POST_MERGE_DIFFICULTY,
        "nonce": POST_MERGE_NONCE,
        "mix_hash": prevrandao,
        "gas_limit": GAS_LIMIT,
        "timestamp": int(time.time()),
    }
    return cast(MiningChain, _Chain.from_genesis(get_db_backend(), cast(Any, genesis), cast(Any, state)))


def next_header(chain: MiningChain, parent: BlockHeaderAPI, timestamp: int, prevrandao: bytes) -> BlockHeaderAPI:
    """The header with which the block after `parent` begins."""
    return chain.create_header_from_parent(
        parent,
        timestamp=max(timestamp, parent.timestamp),
        mix_hash=prevrandao,
        gas_limit=parent.gas_limit,
    )
