"""To which key of a drawn worker an input is sealed, and whether that worker may have it (PROMPT-1, PROMPT-3)."""

from __future__ import annotations

from dataclasses import dataclass

from cloister.chain.models import Models, Version
from cloister.chain.nodes import Node, Nodes, PromptKey
from cloister.domain.attested import Policy
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, hexed
from cloister.domain.pins import Pins, UntrustedWorker
from cloister.domain.request import Assurance
from cloister.domain.typed import prompt_key_digest
from cloister.sealing.errors import SealError
from cloister.sealing.signatures import signer_of


@dataclass(frozen=True, slots=True)
class InputKey:
    """What an input key is sealed to, and the epoch that goes into its HPKE info."""

    key: bytes
    epoch: int
    prompt: bool


@dataclass(frozen=True, slots=True)
class Recipients:
    """Judges workers by what the chain says of them, and by the requester's own pins.

    `first_block` is the first that can hold one of the registry's logs.
    """

    chain_id: int
    nodes: Nodes
    models: Models
    pins: Pins
    first_block: int

    def check_before_payment(self, published: Version, assurance: Assurance) -> None:
        """What can be said before the draw: any enclave that the policy admits may be drawn.

        Raises InvalidInput for an attested job of an open version, UntrustedWorker for a policy that is too wide.
        """
        if published.open and assurance.attested:
            raise InvalidInput(
                f"Model version {hexed(published.version_id)} takes no attested jobs: it has no policy.",
                "Ask for agreed(k,q) or proved, or for a version that `cloister models` shows with a policy.",
            )
        if not published.open:
            self.pins.check_policy(self.models.policy(published))

    def key_for(self, worker: Address, policy: Policy, until: int, prompt_until: int) -> InputKey:
        """A prompt key that the worker's signer vouches for; where everybody may see inputs, else its permanent one.

        For a version with a policy the worker must be attested to Unix second `until`, and the prompt key must last to
        `prompt_until`. Raises UntrustedWorker.
        """
        node, prompt = self.nodes.node(worker), self.nodes.prompt_key(worker)
        if not policy.open:
            self._check(node, policy, until)
        if prompt.epoch and prompt.expires_at >= prompt_until and self._vouched(node, prompt):
            return InputKey(prompt.key, prompt.epoch, prompt=True)
        if not policy.open:
            raise UntrustedWorker(
                f"Worker {worker} has no prompt key that its enclave vouches for and that lasts long enough.",
                "Nothing was sealed to it. Try again: it must post one, or its seat falls vacant.",
            )
        return InputKey(node.hpke_key, node.key_epoch, prompt=False)

    def _check(self, node: Node, policy: Policy, until: int) -> None:
        attestation = self.nodes.attestation(node.worker)
        evidence = self.nodes.evidence(node.worker, self.first_block)
        if evidence is None:
            problem = "no event tells the evidence behind its attestation"
        elif attestation.until < until:
            problem = "its attestation ends before the job can"
        elif evidence.key_epoch != node.key_epoch:
            problem = "it was attested with other keys"
        elif not policy.admits(evidence):
            problem = "the model's policy does not admit it"
        else:
            problem = self.pins.problem(evidence)
        if problem:
            raise UntrustedWorker(
                f"The drawn worker {node.worker} is not trusted: {problem}.",
                "Nothing was sealed to it. Without delivery the job ends at the cost of the fault fee.",
            )

    def _vouched(self, node: Node, prompt: PromptKey) -> bool:
        signature = self.nodes.prompt_signature(node.worker, prompt.epoch, self.first_block)
        digest = prompt_key_digest(
            self.chain_id, self.nodes.address, node.worker, prompt.epoch, prompt.key, prompt.expires_at
        )
        try:
            return signature is not None and signer_of(digest, signature) == node.signer
        except SealError:
            return False
