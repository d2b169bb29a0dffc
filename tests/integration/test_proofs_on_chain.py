"""Damaged proofs against the deployed contract: as for the Python verifier, none is accepted."""

import os
import sys
from pathlib import Path

import pytest
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from cloister.chain.artifacts import artifact
from cloister.devnet.anvil import start_anvil
from cloister.proving import InvalidProof
from cloister.proving.statement import decode_statement

UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(UNIT / "proving"), str(UNIT / "fixedpoint")]

from mutations import Mutator

COUNT = int(os.environ.get("MATRIX_CONTRACT_MUTATIONS", "1000"))
GAS = 1 << 24


@pytest.fixture(scope="module")
def accepts():
    """Whether the contract accepts a proof file under a context, asked for the statement that the file makes."""
    with start_anvil(block_time=0.05) as node:
        w3 = Web3(HTTPProvider(node.url))
        found, sender = artifact("MatrixProofVerifier"), {"from": w3.eth.accounts[0], "gas": GAS}
        sent = w3.eth.contract(abi=found.abi, bytecode=found.bytecode).constructor().transact(sender)
        verifier = w3.eth.contract(w3.eth.wait_for_transaction_receipt(sent)["contractAddress"], abi=found.abi)

        def ask(proof, context, otherwise=None):
            try:
                statement, _ = decode_statement(proof, context)
            except InvalidProof:
                statement = otherwise
            digests = (statement.circuit.digest, statement.weights_digest)
            digests += (statement.inputs_digest, statement.outputs_digest)
            try:
                return verifier.functions.verify(*digests, context, proof).call(sender)
            except (ContractLogicError, Web3RPCError):
                return False

        yield ask


def test_verify__mutants__the_contract_accepts_none(accepts):
    """PROOF-5. Most mutants carry the 1/z of their own transcript, so that they reach the pairing."""
    mutator = Mutator("contract")
    for of in mutator.bases:
        assert accepts(of.proof, of.scene.context)
        assert accepts(of.other, of.scene.context)
    statements = {of.name: decode_statement(of.proof, of.scene.context)[0] for of in mutator.bases}
    accepted = []
    for _ in range(COUNT):
        what, damaged, context = mutator.mutant()
        if accepts(damaged, context, statements[what.split(": ")[0]]):
            accepted.append(what)
    assert accepted == []
