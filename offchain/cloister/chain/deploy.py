"""Deploys the contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, cast

import rlp  # type: ignore[import-untyped]
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import TimeExhausted
from web3.types import TxParams, TxReceipt

from ..chain.artifacts import Artifact, artifact
from ..chain.deployment import Deployment, DeploymentFailed, DeployParameters, verify
from ..chain.errors import InsufficientFunds, translated
from ..domain.ids import Address

GAS_MARGIN = 1.2
RECEIPT_TIMEOUT = 300.0
"""Seconds to wait for each transaction."""
VERIFIER = "MatrixProofVerifier"
"""The proof system that a deployment lists and vouches for."""
QUOTE_VERIFIER = "TdxQuoteVerifier"

RootKey = tuple[bytes, bytes]
"""P-256 public key of a root certificate: x and y, 32 bytes each."""
INTEL_ROOT: RootKey = (
    bytes.fromhex("0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"),
    bytes.fromhex("67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"),
)
"""Of the certificate "Intel SGX Root CA", under which genuine quotes are judged."""


def deploy(
    w3: Web3,
    account: LocalAccount,
    parameters: DeployParameters | None = None,
    *,
    verifier: Artifact | None = None,
    quote_verifier: Artifact | None = None,
    development_root: RootKey | None = None,
    rates_by: Address | None = None,
    timeout: float = RECEIPT_TIMEOUT,
    report: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Deploys the registries, the market and all of its parts, and checks it all with `verify`.

    The account must send nothing else meanwhile: contracts are told the addresses that others will get from its nonce.
    It becomes the steward of the collateral of quotes, and of the rates of tokens unless `rates_by` names another, or
    nobody: then jobs are paid in the chain's own coin for ever. `verifier` and `quote_verifier` are others than the
    package's own. With a `development_root` the deployment takes DEVELOPMENT evidence, which protects nothing; without
    one it never will.
    `report` is called with one line per contract; `timeout`, in seconds, holds for each.

    Raises InsufficientFunds before it sends anything, DeploymentFailed when a transaction is not mined in
    time or reverts or the result is not wired right, and what `translated` raises. A failed deployment costs
    its gas and harms nothing: deploy again.
    """
    parameters = parameters or DeployParameters()
    sender = _Deployer(w3, account, timeout, report)
    proof_system = verifier or artifact(VERIFIER)
    judge = quote_verifier or artifact(QUOTE_VERIFIER)
    sender.check_funds([*(artifact(name) for name in _CREATED if name != QUOTE_VERIFIER), judge, proof_system])
    registry, market = (
        _create_address(account.address, sender.nonce + _CREATED.index(name)) for name in ("NodeRegistry", "JobMarket")
    )
    verifiers, block = sender.create(artifact("ProofVerifiers"))
    models, _ = sender.create(artifact("ModelRegistry"), verifiers)
    roots = [(*INTEL_ROOT, False), *([] if development_root is None else [(*development_root, True)])]
    quotes, _ = sender.create(judge, registry, account.address, roots)
    registry_arguments = (market, parameters.epoch_length, parameters.exit_delay, parameters.minimum_stake)
    nodes, _ = sender.create(artifact("NodeRegistry"), *registry_arguments, models, quotes, astuple(parameters.limits))
    steward = account.address if rates_by is None else rates_by
    currencies, _ = sender.create(artifact("Currencies"), steward, parameters.rate_delay)
    settings = (nodes, models, currencies, astuple(parameters.market))
    disputes, _ = sender.create(artifact("Disputes"), *settings)
    upkeep, _ = sender.create(artifact("Upkeep"), *settings)
    created, _ = sender.create(artifact("JobMarket"), *settings, disputes, upkeep)
    if (nodes, created) != (registry, market):
        raise DeploymentFailed(f"The market is at {created}, not at {market}.", "Deploy again.")
    checker, _ = sender.create(proof_system)
    number = sender.list_verifier(verifiers, checker)
    with translated():
        deployment = Deployment(w3.eth.chain_id, nodes, models, market, block, number)
    verify(w3, deployment, parameters)
    return deployment


class _Deployer:
    """Sends creations one by one."""

    def __init__(self, w3: Web3, account: LocalAccount, timeout: float, report: Callable[[str], None]) -> None:
        self._w3 = w3
        self._account = account
        self._timeout = timeout
        self._report = report
        with translated():
            self._chain_id = w3.eth.chain_id
            self.nonce = w3.eth.get_transaction_count(account.address, "pending")

    def check_funds(self, created: Sequence[Artifact]) -> None:
        # No estimate: creating the market cannot be simulated before the registry that it checks exists.
        gas = sum(_creation_gas(len(compiled.bytecode) // 2) for compiled in created) + _LISTING_GAS
        fees = self._fees()
        price = int(fees.get("maxFeePerGas", fees.get("gasPrice", 0)))
        with translated():
            balance = self._w3.eth.get_balance(self._account.address)
        if balance < gas * price:
            raise InsufficientFunds(
                f"Deploying takes up to {gas * price / 1e18:.6f} ether, {gas:,} gas at {price / 1e9:.3f} gwei; "
                f"{self._account.address} has {balance / 1e18:.6f}.",
                "Send ether to the account, or wait for lower fees.",
            )

    def create(self, compiled: Artifact, *arguments: Any) -> tuple[Address, int]:
        """Address and block of the new contract."""
        contract = self._w3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode)
        receipt = self._send(f"Creating {compiled.name}", contract.constructor(*arguments))
        address = receipt.get("contractAddress")
        assert address is not None  # of a creation that succeeded
        self._report(f"{compiled.name} {address} ({receipt['gasUsed']:,} gas)")
        return Address(address), receipt["blockNumber"]

    def list_verifier(self, verifiers: Address, verifier: Address) -> int:
        """The number under which the verifier is listed."""
        contract = self._w3.eth.contract(cast(Any, verifiers), abi=artifact("ProofVerifiers").abi)
        receipt = self._send("Listing the verifier", contract.functions.add(verifier))
        number = int(contract.events.VerifierAdded().process_receipt(receipt)[0]["args"]["id"])
        self._report(f"verifier {number} ({receipt['gasUsed']:,} gas)")
        return number

    def _send(self, what: str, call: Any) -> TxReceipt:
        """Sends a contract's constructor or function and waits for it."""
        with translated():
            gas = int(call.estimate_gas({"from": self._account.address}) * GAS_MARGIN)
            fields: TxParams = {**self._fees(), "chainId": self._chain_id, "nonce": self.nonce, "gas": gas}
            signed = self._account.sign_transaction(cast(Any, call.build_transaction(fields)))
            hash_ = self._w3.eth.send_raw_transaction(signed.raw_transaction)
            self.nonce = cast(Any, self.nonce + 1)
            try:
                receipt = self._w3.eth.wait_for_transaction_receipt(hash_, timeout=self._timeout, poll_latency=0.1)
            except TimeExhausted as exc:
                raise DeploymentFailed(
                    f"{what} ({hash_.to_0x_hex()}) is not mined after {self._timeout:.0f} s.",
                    "Wait until the account's transactions are mined, then deploy again.",
                ) from exc
        if receipt["status"] != 1:
            raise DeploymentFailed(
                f"{what} ({hash_.to_0x_hex()}) reverted.",
                "Another transaction of the account may have come between: stop it and deploy again.",
            )
        return receipt

    def _fees(self) -> TxParams:
        with translated():
            base_fee = self._w3.eth.get_block("latest").get("baseFeePerGas")
            if base_fee is None:
                return {"gasPrice": self._w3.eth.gas_price}
            tip = self._w3.eth.max_priority_fee
        return {"maxFeePerGas": cast(Any, 2 * base_fee + tip), "maxPriorityFeePerGas": tip}


_CREATED = (
    "ProofVerifiers",
    "ModelRegistry",
    QUOTE_VERIFIER,
    "NodeRegistry",
    "Currencies",
    "Disputes",
    "Upkeep",
    "JobMarket",
)
"""In this order, before the verifier."""
_LISTING_GAS = 100_000


def _creation_gas(code: int) -> int:
    """At most what creating a contract from `code` bytes costs: every byte is stored, none is zero."""
    calldata = 40 * code  # EIP-7623's floor, above the 16 that count without it
    return 53_000 + max(calldata, 16 * code + 200 * code + 2 * (code // 32 + 1)) + 100_000


def _create_address(account: str, nonce: int) -> Address:
    """The address that CREATE gives: EIP-161's account, the nonce of the creating transaction."""
    return Address(to_checksum_address(keccak(rlp.encode([to_canonical_address(account), nonce]))[12:]))
