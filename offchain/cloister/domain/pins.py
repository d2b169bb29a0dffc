"""Which enclaves a requester trusts, whatever a model's policy says (market rule 5)."""

from __future__ import annotations

from dataclasses import dataclass

from cloister.domain.attested import Evidence, Policy, TcbStatus
from cloister.domain.errors import CloisterError
from cloister.domain.ids import hexed


class UntrustedWorker(CloisterError):
    """A drawn worker, or all that a policy admits, is not what the requester trusts. Nothing was sealed to it."""


@dataclass(frozen=True, slots=True)
class Pins:
    """A requester's own judgement. Without measurements it trusts no enclave at all."""

    measurements: frozenset[bytes] = frozenset()
    statuses: frozenset[TcbStatus] = frozenset({TcbStatus.UP_TO_DATE})
    development: bool = False

    def problem(self, evidence: Evidence) -> str:
        """Why an enclave with this evidence is not trusted; empty if it is."""
        if evidence.development and not self.development:
            return "its evidence is DEVELOPMENT evidence, which protects nothing"
        if evidence.measurement not in self.measurements:
            return f"its code measures {hexed(evidence.measurement)}, which is not pinned"
        if evidence.status not in self.statuses:
            return f"its platform is {evidence.status.label}"
        return ""

    def check_policy(self, policy: Policy) -> None:
        """Raises UntrustedWorker unless everything that a policy admits is trusted: any of it may be drawn."""
        if strangers := [m for m in policy.measurements if m not in self.measurements]:
            raise UntrustedWorker(
                f"The model's policy admits code that you have not pinned: {', '.join(map(hexed, strangers))}.",
                "Find out what it is (`cloister evidence measure` tells what this installation measures), and add it "
                "to trusted_measurements if you trust it. Nothing was paid.",
            )
        if policy.development and not self.development:
            raise UntrustedWorker(
                "The model's policy admits DEVELOPMENT evidence, which protects nothing.",
                'Set trust_development = "yes" for tests. Nothing was paid.',
            )
        if lax := sorted(policy.statuses - self.statuses):
            raise UntrustedWorker(
                f"The model's policy admits platforms that are {', '.join(status.label for status in lax)}.",
                "Add the status to accepted_tcb if that will do. Nothing was paid.",
            )
