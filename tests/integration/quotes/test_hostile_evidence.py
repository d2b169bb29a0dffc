"""The hostile evidence that Python refuses, before the contract: it refuses the same, for the same reason."""

import pytest
from support.evidence import Court
from support.hostile_evidence import MALFORMED, NOW, OURS, POLICY_REFUSES, read
from support.hostile_evidence import quote as sound_quote

from cloister.attestation.collateral import (
    ON_CHAIN_LENGTH,
    MalformedEvidence,
    platform_certificate,
    to_on_chain,
    transcribe,
)
from cloister.chain.deploy import INTEL_ROOT
from cloister.chain.errors import ContractError
from cloister.devnet.anvil import start_anvil
from cloister.domain.attested import Evidence

CASES = read()


@pytest.fixture(scope="module")
def courts():
    """A chain at NOW with two verifiers: one pins the development root, one Intel's alone."""
    with start_anvil(0, 0, arguments=("--timestamp", str(NOW - 60))) as node:
        ours = Court(node, ((*OURS.root_public_key, True),))
        yield {"development": ours, "intel": Court(node, ((*INTEL_ROOT, False),))}


def certified(quote):
    """The quote, or a sound one of the same platform if it does not tell its certificate."""
    try:
        platform_certificate(quote)
    except MalformedEvidence:
        return sound_quote()
    return quote


def outcome(court, case):
    """What the chain makes of it: "accepted", the name of an error, or which of the later checks fails."""
    try:
        collateral = transcribe(case.collateral)
        court.learn(collateral)
        report = court.quotes.verify(case.quote[:ON_CHAIN_LENGTH], court.admit(certified(case.quote), collateral))
        to_on_chain(case.quote)
    except MalformedEvidence:
        return MALFORMED
    except ContractError as error:
        return error.name
    if report.binding != case.report_data[:32]:
        return "binding"
    if report.challenge != case.challenge:
        return "challenge"
    evidence = Evidence(report.measurement, report.platform, report.status, report.development, key_epoch=1)
    known = court.quotes.tcb(collateral.root, collateral.tcb.fmspc)
    admitted = case.policy.admits(evidence) and known.evaluation >= case.least_evaluation
    return "accepted" if admitted else POLICY_REFUSES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_evidence__on_chain__is_refused_by_the_error_that_is_written(courts, case):
    """ATT-1 to ATT-11, ENC-1"""
    court = courts[case.root]
    snapshot = court.node.control("evm_snapshot")
    try:
        if case.now != NOW:
            court.node.control("evm_setNextBlockTimestamp", case.now)
            court.node.mine(1)
        assert outcome(court, case) == case.solidity
    finally:
        court.node.control("evm_revert", snapshot)
